//! Reading how a step is undone, and what is done about steps that cannot be.

use serde_json::Value;

use super::breakers::breaker;
use super::problem::Problems;
use super::read::task_type;
use super::read_fields::Fields;
use super::read_policies::attempt_timeout;
use super::retries::retry;
use super::{Breaker, DurationText, Retry};

/// The word of `undo` that says that what a step does need not be undone.
pub const UNDO_NONE: &str = "none";

/// The words of `on_no_undo`.
pub(super) const NO_UNDO: [(&str, NoUndo); 3] =
    [("skip", NoUndo::Skip), ("suspend", NoUndo::Suspend), ("forbid", NoUndo::Forbid)];

/// How a step is undone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Undo {
    /// What an executor takes.
    pub task_type: String,
    /// Its input: a tree with templates.
    pub with: Option<Value>,
    /// How attempts are repeated.
    pub retry: Option<Retry>,
    /// How long one attempt may take.
    pub timeout: Option<DurationText>,
    /// The breaker before its service.
    pub breaker: Option<Breaker>,
}

/// What is done about a step that acts and has no undo, when it is its turn to be undone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NoUndo {
    /// What it did stays.
    #[default]
    Skip,
    /// What it builds on is not undone before a person has said what becomes of it.
    Suspend,
    /// There is no such step: the definition is refused.
    Forbid,
}

/// The undo of a step, and whether its author says that it needs none.
pub(super) fn undo(fields: &Fields<'_>, problems: &mut Problems) -> (Option<Undo>, bool) {
    match fields.get("undo") {
        None => (None, false),
        Some(Value::String(word)) if word == UNDO_NONE => (None, true),
        Some(value) => (read(value, &fields.at("undo"), problems), false),
    }
}

fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Undo> {
    let known = ["type", "with", "retry", "timeout", "breaker"];
    let fields = Fields::of(value, path, &known, problems)?;
    Some(Undo {
        task_type: task_type(&fields, problems),
        with: fields.get("with").cloned(),
        retry: retry(&fields, problems),
        timeout: attempt_timeout(&fields, problems),
        breaker: breaker(&fields, problems),
    })
}
