//! What one run says to another, part of the format.
//!
//! Messages are small: what a run is started with, and what it answered, stand in the sender's
//! own stream and travel beside the message.

use serde::{Deserialize, Serialize};

use super::{Items, Outcome};
use crate::failure::Failure;
use crate::ids::StepIndex;
use crate::payload::Payload;

/// What one run says to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A signal. What it carries is in the rendered input of the sender's step.
    Signal {
        /// The sender's step.
        step: StepIndex,
        /// Its attempt.
        attempt: u16,
        /// The signal's name.
        name: String,
    },
    /// To a child: begin. What with is the rendered input of the parent's step.
    Start {
        /// The parent's step.
        step: StepIndex,
        /// Its attempt.
        attempt: u16,
        /// Of a loop: the items of the child.
        items: Option<Items>,
    },
    /// To a child: stop.
    Cancel {
        /// The parent's step.
        step: StepIndex,
        /// Why.
        reason: String,
        /// Whether what was done is to be undone.
        compensate: bool,
    },
    /// To a child that has ended: undo what was done.
    RollBack {
        /// The parent's step.
        step: StepIndex,
        /// The attempt of the step's undo.
        attempt: u16,
    },
    /// To the parent: the child has its final word. Its output travels beside the message.
    Ended {
        /// The parent's step.
        step: StepIndex,
        /// Its attempt.
        attempt: u16,
        /// The final word.
        outcome: Outcome,
        /// Why it did not complete.
        failure: Option<Failure>,
    },
    /// To the parent: the child is undone, or could not be.
    RolledBack {
        /// The parent's step.
        step: StepIndex,
        /// The attempt of the step's undo.
        attempt: u16,
        /// Why it could not be undone whole.
        failure: Option<Failure>,
    },
    /// To a chunk of a loop: stop, and give up the attempts under way.
    Force {
        /// The parent's step.
        step: StepIndex,
        /// Why.
        reason: String,
        /// Whether what was done is to be undone.
        compensate: bool,
    },
}

impl Message {
    /// What it carries.
    pub(super) fn payload(&self) -> Option<&Payload> {
        match self {
            Self::Ended { failure, .. } | Self::RolledBack { failure, .. } => {
                failure.as_ref()?.details.as_ref()
            }
            Self::Signal { .. }
            | Self::Start { .. }
            | Self::Cancel { .. }
            | Self::Force { .. }
            | Self::RollBack { .. } => None,
        }
    }

    /// What it carries, to change it.
    pub(crate) fn payload_mut(&mut self) -> Option<&mut Payload> {
        match self {
            Self::Ended { failure, .. } | Self::RolledBack { failure, .. } => {
                failure.as_mut()?.details.as_mut()
            }
            Self::Signal { .. }
            | Self::Start { .. }
            | Self::Cancel { .. }
            | Self::Force { .. }
            | Self::RollBack { .. } => None,
        }
    }

    /// The same without what other events of the receiver say already.
    #[must_use]
    pub fn noted(&self) -> Self {
        let mut noted = self.clone();
        match &mut noted {
            Self::Ended { failure, .. } | Self::RolledBack { failure, .. } => {
                if let Some(failure) = failure {
                    failure.details = None;
                }
            }
            Self::Signal { .. }
            | Self::Start { .. }
            | Self::Cancel { .. }
            | Self::Force { .. }
            | Self::RollBack { .. } => {}
        }
        noted
    }

    /// One word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Signal { .. } => "signal",
            Self::Start { .. } => "start",
            Self::Cancel { .. } => "cancel",
            Self::Force { .. } => "force",
            Self::RollBack { .. } => "roll_back",
            Self::Ended { .. } => "ended",
            Self::RolledBack { .. } => "rolled_back",
        }
    }
}
