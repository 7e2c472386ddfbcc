//! Why a run stays although a rule lets it go.

use std::fmt;

use crate::ids::ExecutionId;
use crate::time::Timestamp;

/// How long a run with a derived id is kept after it was closed: its key is not free before.
pub const KEY_KEPT_MS: u64 = 24 * 3_600_000;

/// A run that was seen to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The run.
    pub execution: ExecutionId,
    /// Its version then.
    pub version: u64,
    /// Before this it must stay.
    pub not_before: Timestamp,
}

/// Why a run stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// It has not ended, or something is still owed.
    Live,
    /// A dead letter of it waits for a person.
    OpenLetter,
    /// A run that began from it, as a fork or from a letter, still goes on.
    LiveChild(ExecutionId),
    /// A run above it is not closed and may have it undone.
    LiveParent(ExecutionId),
    /// Its idempotency key must be remembered until then.
    Key(Timestamp),
    /// It can be rolled back until then.
    Window(Timestamp),
    /// Something happened to it since it was looked at.
    Changed,
    /// It can't be read or folded; a person must look at it.
    SetAside,
    /// There is no such run, or no more.
    Missing,
    /// Beyond what one event takes.
    TooMany,
}

impl Held {
    /// The word that the API prints.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::OpenLetter => "open_letter",
            Self::LiveChild(_) => "live_child",
            Self::LiveParent(_) => "live_parent",
            Self::Key(_) => "idempotency_key",
            Self::Window(_) => "rollback_window",
            Self::Changed => "changed",
            Self::SetAside => "set_aside",
            Self::Missing => "missing",
            Self::TooMany => "too_many",
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("it is not closed: something is still owed"),
            Self::OpenLetter => f.write_str("a dead letter of it is open: retry or discard it"),
            Self::LiveParent(run) => write!(f, "{run}, above it, is not closed"),
            Self::LiveChild(run) => write!(f, "{run}, begun from it, is live"),
            Self::Key(until) => write!(f, "its idempotency key is kept until {until}"),
            Self::Window(until) => write!(f, "it can be rolled back until {until}"),
            Self::Changed => f.write_str("it changed since it was looked at"),
            Self::SetAside => f.write_str("it is set aside: it can't be read or folded"),
            Self::Missing => f.write_str("there is no such run"),
            Self::TooMany => f.write_str("it is left to the next event"),
        }
    }
}
