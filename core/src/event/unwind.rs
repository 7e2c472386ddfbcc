//! What stops the way back, and what people do about it.

use serde::{Deserialize, Serialize};

use crate::ids::StepIndex;

/// What stops the way back, and what people do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnwindEvent {
    /// It is the step's turn to be undone, it has no undo, and its policy puts that before a
    /// person: what it builds on is not undone before somebody has said what becomes of it.
    UndoAwaited {
        /// Which step.
        step: StepIndex,
    },
    /// A person has settled undos that waited for one or had failed.
    UndosSettled {
        /// Of which steps, ascending.
        steps: Vec<StepIndex>,
        /// How.
        settlement: UndoSettlement,
        /// In their words.
        note: String,
        /// Who.
        actor: String,
    },
    /// The undos took longer than their workflow allows: those without a result are given up.
    CompensationTimedOut {
        /// The limit.
        limit_ms: u64,
    },
    /// A part of the run is undone, after which it goes on: nothing of it is in flight.
    PartialUnwindingStarted {
        /// The steps of the part, ascending. Those of them that did something, or may have, and
        /// have an undo are undone.
        steps: Vec<StepIndex>,
    },
    /// Everything behind the step that the run was rolled back to is undone: it is pending
    /// again, in a new round, and the run goes on.
    PartialUnwindingEnded {
        /// The steps of the part, ascending.
        steps: Vec<StepIndex>,
    },
}

/// How a person settles an undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum UndoSettlement {
    /// They undid by hand what the step did.
    Done,
    /// What the step did stays.
    Accepted,
    /// It is kept as a dead letter, and the other undos go on.
    SetAside,
}

impl UndoSettlement {
    /// Every settlement.
    pub const ALL: [Self; 3] = [Self::Done, Self::Accepted, Self::SetAside];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Accepted => "accepted",
            Self::SetAside => "set_aside",
        }
    }
}
