//! What ties a run to others: where it comes from, and messages between streams.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::message::Message;
use crate::failure::Failure;
use crate::ids::{ExecutionId, StepIndex};
use crate::payload::Payload;
use crate::trace::TraceContext;

/// What ties a run to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkEvent {
    /// Where the run comes from. Comes right behind `Submitted` and `Tagged`, in the same
    /// commit, if there is anything to say.
    Origin(Box<Origin>),
    /// A message is owed to another run until it is acknowledged.
    MessagePosted {
        /// Counts the run's messages from 0.
        message: u32,
        /// To whom.
        to: ExecutionId,
        /// What it says.
        body: Box<Message>,
    },
    /// The receiver has recorded the message, or never will.
    MessageAcknowledged {
        /// Which message.
        message: u32,
        /// Why it was refused.
        refused: Option<Failure>,
    },
    /// A message came in; it takes effect once. What it brought about stands before it.
    MessageReceived {
        /// From whom.
        from: ExecutionId,
        /// The sender's number.
        message: u32,
        /// What it says.
        body: Box<Message>,
    },
    /// A loop knows its list: its chunks begin.
    LoopBegun {
        /// Which step.
        step: StepIndex,
        /// Its attempt.
        attempt: u16,
        /// How many items there are.
        items: u64,
        /// How many items one chunk has.
        chunk_items: u32,
    },
    /// A chunk of a loop has its final word.
    ChunkEnded {
        /// Which step.
        step: StepIndex,
        /// Its attempt.
        attempt: u16,
        /// The chunk's run.
        run: ExecutionId,
        /// How its items ended.
        counts: ItemCounts,
        /// What they answered, a list; left out where it would be too much, and of a chunk
        /// that failed.
        results: Option<Payload>,
        /// Why it did not complete.
        failure: Option<Failure>,
        /// The wait before the next attempt of the step, should there be one.
        retry_delay_ms: u64,
    },
    /// A chunk of a loop is undone, or could not be.
    ChunkUndone {
        /// Which step.
        step: StepIndex,
        /// The attempt of its undo.
        attempt: u16,
        /// The chunk's run.
        run: ExecutionId,
        /// Why it could not be undone whole.
        failure: Option<Failure>,
    },
    /// The run counts against limits of runs with the same key. Comes behind `Submitted`,
    /// `Tagged` and `Origin`, in the same commit, if there is such a limit.
    Keyed {
        /// The limits, each key once.
        keys: Vec<SlotKey>,
    },
    /// The trace that the run belongs to, where it does not follow from what it is. Comes last
    /// of what stands behind `Submitted`, in the same commit.
    Traced(Box<TraceContext>),
}

/// A limit of runs with the same key, as a run was submitted under it: the key is rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotKey {
    /// Runs of the same workflow with the same key share the limit.
    pub key: Arc<str>,
    /// Runs at a time.
    pub max_runs: u32,
    /// What becomes of one more.
    pub on_limit: OnLimit,
}

/// What becomes of a run that there is no slot for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OnLimit {
    /// It is accepted and begins once there is.
    #[default]
    Queue,
    /// It is refused.
    Reject,
    /// It is accepted, and the oldest runs are cancelled to make room.
    CancelRunning,
}

/// How items of a loop ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemCounts {
    /// Those that did what they were to do.
    pub succeeded: u32,
    /// Those that failed.
    pub failed: u32,
    /// Those whose condition did not hold.
    pub skipped: u32,
}

/// Where a run comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The run whose step this run is.
    pub parent: Option<Parent>,
    /// Who goes first when not all can.
    pub priority: Priority,
    /// The arm of a gradual roll-out that the run fell into.
    pub variant: Option<String>,
}

/// The step that a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run it belongs to.
    pub run: ExecutionId,
    /// Which of its steps.
    pub step: StepIndex,
    /// The step's attempt: each has a run of its own.
    pub attempt: u16,
    /// How many runs are above this one, the parent included.
    pub depth: u8,
    /// Of a loop: the items of this run.
    pub items: Option<Items>,
}

/// A stretch of a loop's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Items {
    /// The first one's number, from 0.
    pub first: u64,
    /// How many.
    pub count: u32,
}

/// Who goes first when not all can.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Priority {
    /// First.
    High,
    /// As most.
    #[default]
    Medium,
    /// Last.
    Low,
}

impl LinkEvent {
    /// What it carries.
    #[must_use]
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Self::MessagePosted { body, .. } | Self::MessageReceived { body, .. } => body.payload(),
            Self::MessageAcknowledged { refused, .. } => refused.as_ref()?.details.as_ref(),
            Self::ChunkEnded { results: Some(results), .. } => Some(results),
            Self::ChunkEnded { results: None, failure, .. } | Self::ChunkUndone { failure, .. } => {
                failure.as_ref()?.details.as_ref()
            }
            Self::Origin(_) | Self::LoopBegun { .. } | Self::Keyed { .. } | Self::Traced(_) => None,
        }
    }

    /// What it carries, to change it.
    #[must_use]
    pub fn payload_mut(&mut self) -> Option<&mut Payload> {
        match self {
            Self::MessagePosted { body, .. } | Self::MessageReceived { body, .. } => {
                body.payload_mut()
            }
            Self::MessageAcknowledged { refused, .. } => refused.as_mut()?.details.as_mut(),
            Self::ChunkEnded { results: Some(results), .. } => Some(results),
            Self::ChunkEnded { results: None, failure, .. } | Self::ChunkUndone { failure, .. } => {
                failure.as_mut()?.details.as_mut()
            }
            Self::Origin(_) | Self::LoopBegun { .. } | Self::Keyed { .. } | Self::Traced(_) => None,
        }
    }
}
