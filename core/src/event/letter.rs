//! What people do about a dead letter before it is settled, part of the format.

use serde::{Deserialize, Serialize};

use crate::payload::Payload;

/// What people do about a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LetterEvent {
    /// Somebody is to see to it, or nobody any more.
    Assigned {
        /// Which letter.
        letter: u32,
        /// Who is to.
        assignee: Option<String>,
        /// In their words.
        reason: String,
        /// Who said so.
        actor: String,
    },
    /// Somebody wrote something down about it.
    Noted {
        /// Which letter.
        letter: u32,
        /// What.
        text: String,
        /// Who.
        actor: String,
    },
    /// When it is retried, its step runs with this input, as a new round.
    InputEdited {
        /// Which letter.
        letter: u32,
        /// In place of what is rendered.
        input: Payload,
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
}

impl LetterEvent {
    /// Which letter it is about.
    #[must_use]
    pub fn letter(&self) -> u32 {
        match self {
            Self::Assigned { letter, .. }
            | Self::Noted { letter, .. }
            | Self::InputEdited { letter, .. } => *letter,
        }
    }

    /// What it carries.
    #[must_use]
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Self::InputEdited { input, .. } => Some(input),
            Self::Assigned { .. } | Self::Noted { .. } => None,
        }
    }

    /// What it carries, to change it.
    #[must_use]
    pub fn payload_mut(&mut self) -> Option<&mut Payload> {
        match self {
            Self::InputEdited { input, .. } => Some(input),
            Self::Assigned { .. } | Self::Noted { .. } => None,
        }
    }
}
