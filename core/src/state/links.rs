//! What ties a run to others: its parent, its children, and messages both ways.
//!
//! A run without ties has none of this, so that it takes no room.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{State, Subject};
use crate::event::{Message, Origin, Parent};
use crate::failure::Failure;
use crate::ids::{ExecutionId, StepIndex};
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
    /// Messages that came in, by sender and its number, for the run's whole life.
    pub received: BTreeSet<(ExecutionId, u32)>,
    /// The children of each step, oldest first; the last one counts.
    pub children: BTreeMap<StepIndex, Vec<Child>>,
    /// Whether the parent is owed no word of the run's present ending.
    pub reported: bool,
    /// The parent's step, and the attempt of its undo, that wait until the run is undone.
    pub roll_back: Option<(StepIndex, u16)>,
    /// Running steps whose child is not sent for.
    pub(crate) to_start: BTreeSet<StepIndex>,
    /// Running steps whose child has begun and was not told to stop.
    pub(crate) to_cancel: BTreeSet<StepIndex>,
    /// Running undos whose child was not told to undo.
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
}

impl Links {
    /// The newest child of a step.
    #[must_use]
    pub fn child(&self, step: StepIndex) -> Option<&Child> {
        self.children.get(&step)?.last()
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

    pub(crate) fn links_mut(&mut self) -> &mut Links {
        self.links.get_or_insert_default()
    }
}
