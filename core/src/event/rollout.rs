//! Facts of gradual roll-outs, part of the format.

use serde::{Deserialize, Serialize};

/// What happens to a workflow's roll-out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RolloutEvent {
    /// New runs are spread over revisions like this from now on, also if the one before was
    /// switched off.
    Set {
        /// Over which, and which keys each gets.
        rollout: Box<Rollout>,
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// The roll-out is switched off: every new run gets the stable revision.
    Killed {
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// There is no roll-out any more: new runs get the newest revision again.
    Ended {
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
}

/// Which revisions new runs get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The revision of all that fall into no arm.
    pub stable: u32,
    /// Each with keys of its own.
    pub arms: Vec<Arm>,
    /// Who gets a revision before all others.
    pub beta: Option<Beta>,
}

/// A revision that some keys get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arm {
    /// What it is called; runs remember it.
    pub name: String,
    /// Its revision.
    pub revision: u32,
    /// The keys that fall into it: by the bucket of their hash, ascending, apart from each other.
    pub buckets: Vec<Buckets>,
}

/// A stretch of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buckets {
    /// The first one.
    pub from: u16,
    /// The one behind the last.
    pub to: u16,
}

/// Who gets a revision before all others: whoever is in any of the lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beta {
    /// The revision.
    pub revision: u32,
    /// Runs that are submitted with one of these tags, ascending.
    pub tags: Vec<String>,
    /// Runs that are submitted by one of these, ascending.
    pub subjects: Vec<String>,
    /// Runs with one of these correlation ids, ascending.
    pub correlation_ids: Vec<String>,
}

impl Arm {
    /// How many buckets it has.
    #[must_use]
    pub fn size(&self) -> u16 {
        self.buckets.iter().map(|own| own.to.saturating_sub(own.from)).sum()
    }
}
