//! Who holds what of the limits of runs at a time, and what people are shown of it.

use std::sync::Arc;

use backstitch_core::ids::ExecutionId;
use backstitch_core::time::Timestamp;

use super::claim::Claim;
use crate::holders::Holder;

/// Holders of one limit that are named; the count says how many there are.
pub(super) const HOLDERS_SHOWN_MAX: usize = 100;

/// Keys of one workflow that are shown; a count says how many more there are.
pub(super) const KEYS_SHOWN_MAX: usize = 100;

/// A run that holds a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotHolder {
    /// The run.
    pub run: ExecutionId,
    /// Its tenant.
    pub namespace: Arc<str>,
    /// Since when; unknown while it is about to begin.
    pub since: Option<Timestamp>,
}

impl Holder for SlotHolder {
    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn since(&self) -> Option<Timestamp> {
        self.since
    }
}

/// One workflow's runs at a time, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Its tenant.
    pub namespace: Arc<str>,
    /// Its id.
    pub workflow: Arc<str>,
    /// The smallest limit of the revisions that its runs are pinned to, if any has one.
    pub max_runs: Option<usize>,
    /// Runs that have begun and not ended.
    pub running: usize,
    /// The first of them by id.
    pub holders: Vec<SlotHolder>,
    /// Runs that wait: high, medium, low.
    pub waiting: [usize; 3],
    /// The first of its keys that a run holds or waits for.
    pub keys: Vec<KeyedRuns>,
    /// How many more keys there are.
    pub keys_more: usize,
}

/// Runs of one workflow with the same key, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRuns {
    /// The key.
    pub key: Arc<str>,
    /// The smallest limit of those that have it.
    pub max_runs: usize,
    /// Runs that have begun and not ended.
    pub running: usize,
    /// The first of them by id.
    pub holders: Vec<SlotHolder>,
    /// Runs that wait: high, medium, low.
    pub waiting: [usize; 3],
}

/// Every limit, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The node's own.
    pub runs_max: Option<usize>,
    /// How many may wait.
    pub queue_max: usize,
    /// Runs that hold a slot of the node; only counted where there is a limit.
    pub running: usize,
    /// Runs that wait: high, medium, low.
    pub waiting: [usize; 3],
    /// By workflow, those with a run that holds or waits.
    pub workflows: Vec<Limit>,
}

/// What a waiting run waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    /// Its workflow's runs.
    pub limit: Limit,
    /// Those of its keys that have no room.
    pub keys: Vec<KeyedRuns>,
    /// How many are before it that want the same.
    pub before: usize,
    /// How many wait on the node, itself included.
    pub waiting: usize,
}

/// One that has begun and not ended.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) seat: u64,
    pub(super) namespace: Arc<str>,
    pub(super) submitted_at: Timestamp,
    /// Since when it goes on; unknown while it is about to.
    pub(super) since: Option<Timestamp>,
}

impl Held {
    pub(super) fn of(seat: u64, claim: &Claim) -> Self {
        let (namespace, submitted_at) = (claim.workflow.0.clone(), claim.submitted_at);
        Self { seat, namespace, submitted_at, since: claim.begun_at }
    }

    pub(super) fn shown((run, own): (&ExecutionId, &Self)) -> SlotHolder {
        SlotHolder { run: *run, namespace: own.namespace.clone(), since: own.since }
    }
}
