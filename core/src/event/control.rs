//! What people and signals do to a run while it is under way.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::StepIndex;
use crate::payload::Payload;

/// What people and signals do to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlEvent {
    /// No step starts any more until somebody resumes the run; what is under way goes on.
    Paused {
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Steps start again.
    Resumed {
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// A person settles a step of a suspended run: with an output it counts as succeeded,
    /// without one as skipped.
    StepOverridden {
        /// Which step.
        step: StepIndex,
        /// What it is taken to have answered.
        output: Option<Payload>,
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// A person has what was done undone.
    RollbackRequested {
        /// The step that stays and from which the run goes on; everything is undone if unsaid.
        to: Option<StepIndex>,
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Attempts under way are given up and count as unknown, outstanding undos as failed.
    CancelForced {
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// A signal came in; it is kept until a step takes it.
    SignalReceived {
        /// What steps wait for.
        name: Arc<str>,
        /// What it carries.
        payload: Payload,
        /// The sender's, to tell a repeat.
        id: Option<String>,
        /// Who.
        actor: String,
    },
}

impl ControlEvent {
    /// What it carries.
    #[must_use]
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Self::StepOverridden { output, .. } => output.as_ref(),
            Self::SignalReceived { payload, .. } => Some(payload),
            Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::RollbackRequested { .. }
            | Self::CancelForced { .. } => None,
        }
    }

    /// What it carries, to change it.
    #[must_use]
    pub fn payload_mut(&mut self) -> Option<&mut Payload> {
        match self {
            Self::StepOverridden { output, .. } => output.as_mut(),
            Self::SignalReceived { payload, .. } => Some(payload),
            Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::RollbackRequested { .. }
            | Self::CancelForced { .. } => None,
        }
    }

    /// The step it is about, if it is about one.
    #[must_use]
    pub fn step(&self) -> Option<StepIndex> {
        match self {
            Self::StepOverridden { step, .. } => Some(*step),
            Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::RollbackRequested { .. }
            | Self::CancelForced { .. }
            | Self::SignalReceived { .. } => None,
        }
    }

    /// Who did it.
    #[must_use]
    pub fn actor(&self) -> &str {
        match self {
            Self::Paused { actor, .. }
            | Self::Resumed { actor, .. }
            | Self::StepOverridden { actor, .. }
            | Self::RollbackRequested { actor, .. }
            | Self::CancelForced { actor, .. }
            | Self::SignalReceived { actor, .. } => actor,
        }
    }
}
