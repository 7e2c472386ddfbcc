//! What stops the way back, and what people do about it.

use serde::{Deserialize, Serialize};

use crate::ids::StepIndex;
use crate::payload::Payload;

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
    /// Nobody knows whether the step took effect, and its service is about to be asked: the
    /// attempts of its undo are the check's until there is a verdict.
    CheckReady {
        /// Which step.
        step: StepIndex,
        /// What is asked, rendered.
        input: Payload,
    },
    /// The service has answered.
    CheckAnswered {
        /// Which step.
        step: StepIndex,
        /// Which attempt, of those of the undo.
        attempt: u16,
        /// What.
        output: Payload,
    },
    /// What the answer means: the step is undone, or there is nothing to undo.
    CheckConcluded {
        /// Which step.
        step: StepIndex,
        /// Whether it took effect.
        took_effect: bool,
        /// What stands for its output in its undo, if that is not the answer itself.
        output: Option<Payload>,
    },
}

impl UnwindEvent {
    /// What it carries.
    #[must_use]
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Self::CheckReady { input: payload, .. }
            | Self::CheckAnswered { output: payload, .. } => Some(payload),
            Self::CheckConcluded { output, .. } => output.as_ref(),
            Self::UndoAwaited { .. }
            | Self::UndosSettled { .. }
            | Self::CompensationTimedOut { .. }
            | Self::PartialUnwindingStarted { .. }
            | Self::PartialUnwindingEnded { .. } => None,
        }
    }

    /// The same, to change it.
    pub fn payload_mut(&mut self) -> Option<&mut Payload> {
        match self {
            Self::CheckReady { input: payload, .. }
            | Self::CheckAnswered { output: payload, .. } => Some(payload),
            Self::CheckConcluded { output, .. } => output.as_mut(),
            Self::UndoAwaited { .. }
            | Self::UndosSettled { .. }
            | Self::CompensationTimedOut { .. }
            | Self::PartialUnwindingStarted { .. }
            | Self::PartialUnwindingEnded { .. } => None,
        }
    }

    /// The step whose check it is about.
    #[must_use]
    pub fn checked(&self) -> Option<StepIndex> {
        match self {
            Self::CheckReady { step, .. }
            | Self::CheckAnswered { step, .. }
            | Self::CheckConcluded { step, .. } => Some(*step),
            Self::UndoAwaited { .. }
            | Self::UndosSettled { .. }
            | Self::CompensationTimedOut { .. }
            | Self::PartialUnwindingStarted { .. }
            | Self::PartialUnwindingEnded { .. } => None,
        }
    }
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
