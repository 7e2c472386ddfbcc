//! What a partition keeps of its runs at rest: when each is due and how far its history goes.
//!
//! Knows nothing of how a run leaves memory and comes back.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::ids::{ExecutionId, PartitionId};
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;

use super::turns::SlotOf;
use crate::slots::Claim;

/// How long a run must have to wait to be let go from memory: what bringing it back costs is
/// little beside that.
pub const REST_WAIT_MS_MIN: u64 = 10_000;
/// A run with a long history has to wait longer, by so many milliseconds for each event.
pub const REST_WAIT_MS_PER_EVENT: u64 = 10;
/// The same for each KiB of its payloads.
pub const REST_WAIT_MS_PER_PAYLOAD_KIB: u64 = 1;
/// How long a run that waits for somebody's word is kept in case that comes soon.
pub const REST_AFTER_IDLE_MS: u64 = 10_000;
/// How long before it is due a run is brought back, so that many that are due together are
/// there in time.
pub const WAKE_AHEAD_MS: u64 = 2_000;
/// Events since its last checkpoint with which a run gets another one as it goes to rest;
/// shorter ones are folded as fast from their events.
pub const EVENTS_PER_REST_CHECKPOINT: u64 = 64;
/// Checkpoints of runs that went to rest that wait to be fetched; beyond it none are made, and
/// runs are folded from what there is.
const CHECKPOINTS_MAX: usize = 256;

/// When runs go to rest, and when they come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestPolicy {
    /// How long a run must have to wait to be let go; 10 s unless said.
    pub wait_ms_min: u64,
    /// How much longer for each event of its history; 10 ms unless said.
    pub wait_ms_per_event: u64,
    /// How long one that waits for somebody's word is kept; 10 s unless said.
    pub after_idle_ms: u64,
    /// How long before it is due it is brought back; 2 s unless said.
    pub wake_ahead_ms: u64,
    /// Events since its last checkpoint that call for another; 64 unless said.
    pub events_per_checkpoint: u64,
}

impl Default for RestPolicy {
    fn default() -> Self {
        Self {
            wait_ms_min: REST_WAIT_MS_MIN,
            wait_ms_per_event: REST_WAIT_MS_PER_EVENT,
            after_idle_ms: REST_AFTER_IDLE_MS,
            wake_ahead_ms: WAKE_AHEAD_MS,
            events_per_checkpoint: EVENTS_PER_REST_CHECKPOINT,
        }
    }
}

impl RestPolicy {
    /// How much longer than others a run has to wait, for what it costs to bring it back.
    fn weight_ms(&self, state: &State) -> u64 {
        let kib = u64::try_from(state.payload_bytes / 1_024).unwrap_or(u64::MAX);
        let for_events = state.version.saturating_mul(self.wait_ms_per_event);
        for_events.saturating_add(kib.saturating_mul(REST_WAIT_MS_PER_PAYLOAD_KIB))
    }

    /// How long nothing may have happened to a run that waits for somebody's word.
    pub(super) fn idle_ms(&self, state: &State) -> u64 {
        self.after_idle_ms.saturating_add(self.weight_ms(state)).max(1)
    }

    /// Whether a run whose next timer is at `due` has long enough to wait.
    pub(super) fn is_long(&self, state: &State, due: Option<Timestamp>, now: Timestamp) -> bool {
        let wait_ms = self.wait_ms_min.saturating_add(self.weight_ms(state));
        // Or it would be brought back at once.
        let wait_ms = wait_ms.max(self.wake_ahead_ms.saturating_add(1));
        due.is_none_or(|due| due >= now.plus_ms(wait_ms))
    }
}

/// A run's checkpoint.
pub(super) type Made = (ExecutionId, Box<Checkpoint>);

/// What is kept of a run at rest.
pub(super) struct AtRest {
    /// Events of its history: a fold that comes to another number is not this run.
    pub(super) version: u64,
    pub(super) due: Option<Timestamp>,
    pub(super) slot: SlotOf,
    pub(super) ended: bool,
    /// What it holds or waits for, if it is bound by a limit: a run that does not fold any more
    /// lets it go.
    pub(super) claim: Option<Box<Claim>>,
}

/// A run at rest, for whoever looks at all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rested {
    /// The run.
    pub run: ExecutionId,
    /// Events of its history.
    pub version: u64,
    /// When it is due next.
    pub due: Option<Timestamp>,
    /// Whether it has begun and not ended.
    pub holds_slot: bool,
}

/// The runs of a partition that are at rest, and those that may be soon.
pub(super) struct Resting {
    pub(super) policy: RestPolicy,
    partition: PartitionId,
    /// By the digits of their ids: the partition is the same.
    pub(super) runs: HashMap<u128, AtRest>,
    pub(super) due: BTreeSet<(Timestamp, u128)>,
    /// Runs that nothing is under way for, and when each may go to rest.
    pub(super) idle: BTreeSet<(Timestamp, ExecutionId)>,
    /// Runs that only the clock has go on, each with the stage that has to be durable first.
    pub(super) settled: VecDeque<(u64, ExecutionId)>,
    pub(super) checkpoints: BTreeMap<ExecutionId, Box<Checkpoint>>,
    /// What runs hold that a start found at rest, until all say what they hold.
    pub(super) unclaimed: Vec<Claim>,
}

impl Resting {
    pub(super) fn new(partition: PartitionId) -> Self {
        Self {
            policy: RestPolicy::default(),
            partition,
            runs: HashMap::new(),
            due: BTreeSet::new(),
            idle: BTreeSet::new(),
            settled: VecDeque::new(),
            checkpoints: BTreeMap::new(),
            unclaimed: Vec::new(),
        }
    }

    fn get(&self, run: ExecutionId) -> Option<&AtRest> {
        self.runs.get(&run.digits).filter(|_| run.partition == self.partition)
    }

    pub(super) fn contains(&self, run: ExecutionId) -> bool {
        self.get(run).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// What their places take.
    pub(super) fn bytes(&self) -> usize {
        self.runs.len() * size_of::<(u128, AtRest)>()
    }

    /// Whether a run at rest holds a slot or waits for one.
    pub(super) fn claims_slot(&self, run: ExecutionId) -> bool {
        self.get(run).is_some_and(|own| own.slot != SlotOf::Neither)
    }

    /// Whether a run is at rest and has not its final word.
    pub(super) fn is_unended(&self, run: ExecutionId) -> bool {
        self.get(run).is_some_and(|own| !own.ended)
    }

    /// The runs at rest that have not their final word.
    pub(super) fn unended(&self) -> impl Iterator<Item = ExecutionId> + '_ {
        let own = self.runs.iter().filter(|(_, own)| !own.ended);
        own.map(|(digits, _)| self.id(*digits))
    }

    pub(super) fn id(&self, digits: u128) -> ExecutionId {
        ExecutionId { partition: self.partition, digits }
    }

    pub(super) fn insert(&mut self, run: ExecutionId, own: AtRest) {
        self.due.extend(own.due.map(|at| (at, run.digits)));
        self.runs.insert(run.digits, own);
    }

    pub(super) fn remove(&mut self, run: ExecutionId) -> Option<AtRest> {
        self.get(run)?;
        let own = self.runs.remove(&run.digits)?;
        if let Some(at) = own.due {
            self.due.remove(&(at, run.digits));
        }
        // It is of a version that will soon be past, or of a run that needs none any more.
        self.checkpoints.remove(&run);
        Some(own)
    }

    /// When [`Partition::fire`] has something to do about rest.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let ahead_us = i64::try_from(self.policy.wake_ahead_ms.saturating_mul(1_000));
        let ahead_us = ahead_us.unwrap_or(i64::MAX);
        let wake = self.due.first().map(|&(at, _)| Timestamp(at.0.saturating_sub(ahead_us)));
        let idle = self.idle.first().map(|&(at, _)| at);
        wake.into_iter().chain(idle).min()
    }

    /// Makes a checkpoint of a run that goes to rest, if that is worth it and there is room.
    pub(super) fn checkpoint(&mut self, state: &State, checkpointed: u64) {
        let long = state.version >= checkpointed + self.policy.events_per_checkpoint;
        if long && self.checkpoints.len() < CHECKPOINTS_MAX {
            self.checkpoints.insert(state.id, Box::new(Checkpoint::of(state)));
        }
    }

    /// The clock was set back: whoever was noted before is looked at anew.
    pub(super) fn clock_set_back(&mut self, now: Timestamp) {
        let idle = std::mem::take(&mut self.idle);
        self.idle = idle.into_iter().map(|(at, run)| (at.min(now), run)).collect();
    }

    /// Takes so many of the checkpoints that were made.
    pub(super) fn take_checkpoints(&mut self, most: usize) -> Vec<Made> {
        std::iter::from_fn(|| self.checkpoints.pop_first()).take(most).collect()
    }
}
