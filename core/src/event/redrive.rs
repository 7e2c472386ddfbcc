//! Facts of a redrive, part of the format: dead letters retried by a filter, at a rate.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::LetterId;
use crate::letters::Fingerprint;
use crate::payload::Payload;
use crate::time::Timestamp;

/// What happens to one redrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RedriveEvent {
    /// Somebody asked for it.
    Requested(Box<RedriveRequest>),
    /// These letters are retried next: recorded before the first of them is.
    Claimed {
        /// Which, in the order of the list.
        letters: Vec<ClaimedLetter>,
        /// Whether the rest of their groups waits for what comes of them.
        canary: bool,
    },
    /// What came of letters that were claimed.
    Observed {
        /// Each once.
        outcomes: Vec<(LetterId, RedriveOutcome)>,
    },
    /// It stopped; a resume goes on behind the last letter claimed.
    Halted {
        /// Why: the rule that was met, or somebody's reason.
        reason: String,
        /// Who, if somebody did.
        actor: Option<String>,
    },
    /// It goes on.
    Resumed {
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// It is given up for good.
    Cancelled {
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Every letter was retried, or could not be.
    Completed,
}

/// What a redrive retries, and how fast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveRequest {
    /// Tenant.
    pub namespace: Arc<str>,
    /// Letters opened before this: not those that its own retries leave.
    pub until: Timestamp,
    /// The filter and the rules, as canonical JSON: see [`Terms`](crate::redrives::Terms).
    pub terms: Payload,
    /// Retries per second.
    pub rate_per_second: u32,
    /// In their words.
    pub reason: String,
    /// Who.
    pub actor: String,
}

/// A letter that is to be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClaimedLetter {
    /// Which.
    pub letter: LetterId,
    /// Of which cause.
    pub fingerprint: Fingerprint,
    /// When it was opened: with the id, its place in the list.
    pub opened_at: Timestamp,
}

/// What came of a letter's retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RedriveOutcome {
    /// The operation succeeded.
    Succeeded,
    /// The operation failed again, or the new run did.
    Failed,
    /// It could not be retried: somebody else had settled it, or its run did not allow it.
    Refused,
    /// Nobody waited any longer, or the operation was given up.
    Unknown,
}
