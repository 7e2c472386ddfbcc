//! What ties a run to others: its parent, its children, and messages both ways.
//!
//! A run without ties has none of this, so that it takes no room.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{State, Subject};
use crate::event::{ItemCounts, Items, Message, Origin, Parent};
use crate::failure::Failure;
use crate::ids::{ExecutionId, StepIndex};
use crate::payload::Payload;
use crate::time::Timestamp;

/// What ties a run to others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// Where the run comes from.
    pub origin: Option<Origin>,
    /// Messages posted so far: the next one's number.
    pub posted: u32,
    /// Messages that nobody has acknowledged yet, by number.
    pub outbox: BTreeMap<u32, Outgoing>,
    /// Messages that came in, by sender, its number and when, for the run's whole life. A sender
    /// that was removed and begun again counts from 0 again.
    pub received: BTreeSet<(ExecutionId, u32, Timestamp)>,
    /// The children of each step, oldest first; the last one counts.
    pub children: BTreeMap<StepIndex, Vec<Child>>,
    /// The loops whose items are under way.
    pub loops: BTreeMap<StepIndex, Loop>,
    /// Whether the parent is owed no word of the run's present ending.
    pub reported: bool,
    /// The parent's step, and the attempt of its undo, that wait until the run is undone.
    pub roll_back: Option<(StepIndex, u16)>,
    /// Whether the run has told its parent that it is undone whole.
    pub rolled_back: bool,
    /// Running steps whose child, or next chunk, is not sent for.
    pub(crate) to_start: BTreeSet<StepIndex>,
    /// Running steps whose child has begun and was not told to stop.
    pub(crate) to_cancel: BTreeSet<StepIndex>,
    /// Running loops whose chunk has begun and was not told to give its attempts up.
    pub(crate) to_force: BTreeSet<StepIndex>,
    /// Running undos whose child, or next chunk, was not told to undo.
    pub(crate) to_roll_back: BTreeSet<StepIndex>,
    /// Running steps whose signal was taken in.
    pub(crate) delivered: BTreeSet<StepIndex>,
    /// What a receiver refused, and nothing follows of yet.
    pub(crate) refused: Vec<(Subject, Failure)>,
}

/// A message that is owed to another run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// To whom.
    pub to: ExecutionId,
    /// What it says.
    pub body: Message,
    /// Since when.
    pub posted_at: Timestamp,
}

/// A run that is a step of this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// The run.
    pub run: ExecutionId,
    /// The step's attempt.
    pub attempt: u16,
    /// Whether it is known to exist.
    pub begun: bool,
    /// Of a loop: its items.
    pub items: Option<Items>,
    /// Of a loop: what became of its undo.
    pub undo: ChunkUndo,
}

/// What became of the undo of a chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChunkUndo {
    /// It was not undone.
    #[default]
    Not,
    /// It is undone whole.
    Done,
    /// It could not be, by this attempt of the step's undo.
    Failed(u16),
}

/// A loop whose items are under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loop {
    /// The step's attempt.
    pub attempt: u16,
    /// How many items there are.
    pub items: u64,
    /// How many items one chunk has.
    pub chunk_items: u32,
    /// The first item that no chunk has.
    pub next: u64,
    /// How the items of ended chunks ended.
    pub counts: ItemCounts,
    /// What they answered, a list for each chunk in order; nothing once it was too much.
    pub results: Option<Vec<Payload>>,
    /// Why a chunk did not complete: no other begins.
    pub failure: Option<Failure>,
    /// The wait drawn for the next attempt of the step.
    pub retry_delay_ms: u64,
    /// Whether something of it stands that calls for an undo, or may.
    pub effect: bool,
}

impl Loop {
    /// What it begins with.
    pub(crate) fn begin(attempt: u16, items: u64, chunk_items: u32) -> Self {
        Self {
            attempt,
            items,
            chunk_items,
            next: 0,
            counts: ItemCounts::default(),
            results: Some(Vec::new()),
            failure: None,
            retry_delay_ms: 0,
            effect: false,
        }
    }

    /// The items of the next chunk, if there are any.
    #[must_use]
    pub fn stretch(&self) -> Option<Items> {
        let left = self.items.checked_sub(self.next).filter(|left| *left > 0)?;
        let count = u32::try_from(left).unwrap_or(u32::MAX).min(self.chunk_items);
        Some(Items { first: self.next, count })
    }
}

impl Links {
    /// When a sender's message of this number came in last.
    pub(crate) fn heard(&self, from: ExecutionId, message: u32) -> Option<Timestamp> {
        let all = (from, message, Timestamp(i64::MIN))..=(from, message, Timestamp(i64::MAX));
        self.received.range(all).next_back().map(|(.., at)| *at)
    }

    /// The newest child of a step.
    #[must_use]
    pub fn child(&self, step: StepIndex) -> Option<&Child> {
        self.children.get(&step)?.last()
    }

    /// The chunks of a step's attempt, in the order of their items.
    pub fn chunks(&self, step: StepIndex, attempt: u16) -> impl Iterator<Item = &Child> + '_ {
        let all = self.children.get(&step).into_iter().flatten();
        all.filter(move |child| child.attempt == attempt && child.items.is_some())
    }

    /// The newest chunk of a loop that this attempt of its undo has not seen to.
    pub(crate) fn to_undo(&self, step: StepIndex, attempt: u16) -> Option<&Child> {
        let own = |child: &&Child| match child.undo {
            ChunkUndo::Not => child.begun && child.items.is_some(),
            ChunkUndo::Done => false,
            ChunkUndo::Failed(tried) => tried != attempt,
        };
        self.children.get(&step)?.iter().rev().find(own)
    }

    /// Whether nothing is owed to anybody by an ended run.
    pub(crate) fn at_rest(&self) -> bool {
        let parent = self.origin.as_ref().is_some_and(|origin| origin.parent.is_some());
        self.outbox.is_empty() && (self.reported || !parent) && self.roll_back.is_none()
    }
}

impl State {
    /// The run and step whose child this run is.
    #[must_use]
    pub fn parent(&self) -> Option<&Parent> {
        self.links.as_ref()?.origin.as_ref()?.parent.as_ref()
    }

    /// The arm of a roll-out that the run fell into.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        self.links.as_ref()?.origin.as_ref()?.variant.as_deref()
    }

    /// Whether the run is a chunk of a loop: a part of its parent, not a run for itself.
    #[must_use]
    pub fn is_chunk(&self) -> bool {
        self.parent().is_some_and(|parent| parent.items.is_some())
    }

    pub(crate) fn links_mut(&mut self) -> &mut Links {
        self.links.get_or_insert_default()
    }
}
