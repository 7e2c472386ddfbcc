//! The lines of a drawn timeline: one for each lane, or one for neighbours that went alike
//! where a run has many steps.
//!
//! Knows lanes, not how they are drawn.

use std::borrow::Cow;

use serde_json::Value;

use crate::spans::{Ended, Lane, Span};
use crate::text::counted;

/// Lanes above which neighbours that went alike share a line.
pub const LANES_UNFOLDED_MAX: usize = 40;
/// The fewest neighbours that share a line.
pub const NEIGHBOURS_MIN: usize = 4;

/// How many lines are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// As many as a person reads.
    Readable,
    /// One for each step and undo.
    Every,
}

/// One line.
#[derive(Debug)]
pub struct Row<'a> {
    /// The lane, or all of its neighbours' spans in one.
    pub lane: Cow<'a, Lane>,
    /// The step of the last lane on this line, if there are several.
    pub last: Option<Value>,
    /// What the bar alone does not tell.
    pub remark: String,
}

/// The lines of these lanes.
#[must_use]
pub fn rows(lanes: &[Lane], drawn: Drawn) -> Vec<Row<'_>> {
    let fold = drawn == Drawn::Readable && lanes.len() > LANES_UNFOLDED_MAX;
    let alike = |one: &Lane, other: &Lane| {
        fold && (one.way, &one.word) == (other.way, &other.word) && remark(one) == remark(other)
    };
    let chunks = lanes.chunk_by(alike);
    let rows = chunks.flat_map(|neighbours| match neighbours {
        [_, .., last] if neighbours.len() >= NEIGHBOURS_MIN => vec![together(neighbours, last)],
        few => few.iter().map(alone).collect(),
    });
    rows.collect()
}

fn alone(lane: &Lane) -> Row<'_> {
    Row { lane: Cow::Borrowed(lane), last: None, remark: remark(lane) }
}

fn together<'a>(neighbours: &'a [Lane], last: &'a Lane) -> Row<'a> {
    let mut spans: Vec<Span> = neighbours.iter().flat_map(|lane| lane.spans.clone()).collect();
    spans.sort_by_key(|span| span.from);
    let count = counted(neighbours.len() as u64, "step");
    let remark = match remark(last) {
        own if own.is_empty() => count,
        own => format!("{count}: {own}"),
    };
    let mut lane = neighbours[0].clone();
    lane.spans = spans;
    Row { lane: Cow::Owned(lane), last: Some(last.step.clone()), remark }
}

/// What a bar alone does not tell: how many attempts, what went wrong with them, and whom it
/// waits for.
fn remark(lane: &Lane) -> String {
    let attempts: Vec<_> = lane.attempts().collect();
    let count_of = |wanted: &Ended| attempts.iter().filter(|ended| **ended == wanted).count();
    let mut parts = Vec::new();
    if attempts.len() > 1 {
        parts.push(counted(attempts.len() as u64, "attempt"));
    }
    for (ended, word) in [(Ended::TimedOut, "timed out"), (Ended::Lost, "lost")] {
        match count_of(&ended) {
            0 => {}
            1 if attempts.len() == 1 => parts.push(word.to_owned()),
            count => parts.push(format!("{count} {word}")),
        }
    }
    let code = attempts.iter().rev().find_map(|ended| match ended {
        Ended::Failed(code) => Some(code.clone()),
        _ => None,
    });
    parts.extend(code);
    parts.extend(lane.waits_for());
    parts.join(", ")
}
