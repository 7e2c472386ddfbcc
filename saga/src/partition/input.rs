//! What a partition is asked, what it answers, and where it looks things up.

use std::sync::Arc;

use backstitch_core::availability::{Availability, Unavailable};
use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::command::{Command, Rejection, Submission};
use backstitch_core::definition::problem::Problem;
use backstitch_core::event::{Alert, Event, PartitionEvent};
use backstitch_core::ids::{Digest, ExecutionId, RedriveId, ReplayId};
use backstitch_core::lineage::Plans;
use backstitch_core::redrives::{RedriveCommand, RedriveRejection, RedriveState};
use backstitch_core::replays::{ReplayCommand, ReplayRejection, ReplayState};
use backstitch_core::retention::Held;
use backstitch_core::rollout::{Applicant, InForce};
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;

use crate::catalog::{Chosen, NotChosen};
use crate::slots::Full;

use super::{AvailabilityOrder, Definition, Fork, Import, Post, Removal, RolloutOrder};

/// What a run is folded from.
#[derive(Debug, Clone)]
pub struct Recoverable {
    /// A checkpoint to begin with, if there is one that the history reaches.
    pub checkpoint: Option<Box<Checkpoint>>,
    /// The events after it, or all, oldest first.
    pub events: Vec<(Event, Timestamp)>,
}

/// Where a partition finds what is not in its memory. Answers only what is durable.
pub trait Histories: Plans {
    /// A run's whole history, oldest first; nothing if there is no such run.
    ///
    /// # Errors
    /// A sentence, when the history can't be read.
    fn history(&self, run: ExecutionId) -> Result<Option<Vec<(Event, Timestamp)>>, String>;

    /// What a run is folded from; nothing if there is no such run.
    ///
    /// # Errors
    /// A sentence, when it can't be read.
    fn recoverable(&self, run: ExecutionId) -> Result<Option<Recoverable>, String> {
        let events = self.history(run)?;
        Ok(events.map(|events| Recoverable { checkpoint: None, events }))
    }

    /// A run's last version; nothing if there is no such run.
    ///
    /// # Errors
    /// A sentence, when the history can't be read.
    fn version(&self, run: ExecutionId) -> Result<Option<u64>, String>;

    /// The revision of a workflow that a new run gets: the one it asks for, or what is in force.
    ///
    /// # Errors
    /// Why there is none for it.
    fn choose(
        &self,
        namespace: &str,
        workflow: &str,
        wanted: Option<u32>,
        run: &Applicant<'_>,
    ) -> Result<Chosen, NotChosen>;

    /// Whether new runs of a workflow begin.
    ///
    /// # Errors
    /// Why none does.
    fn admits(&self, namespace: &str, workflow: &str) -> Result<(), Unavailable>;

    /// What operators want to be told of a new run with these tags.
    fn alerts(&self, _namespace: &str, _workflow: &str, _tags: &[Arc<str>]) -> Vec<Alert> {
        Vec::new()
    }

    /// Among how many partitions new runs are spread.
    fn partitions(&self) -> u16;
}

/// What a partition is asked.
#[derive(Debug)]
pub enum Input<T> {
    /// Begin a run. The same id again is a repeat if the request is the same.
    Submit(Submission, T),
    /// Begin a run from another's steps. The same id again is a repeat if the request is the same.
    Fork(Box<Fork>, T),
    /// A command for a run. Reports of effects have nobody to answer.
    Command(ExecutionId, Command, Option<T>),
    /// Answer the run as it stands.
    Show(ExecutionId, T),
    /// Answer the run once it has its final word.
    WaitForEnd(ExecutionId, T),
    /// Add a revision to a workflow.
    Define(Box<Definition>, T),
    /// Keep a content that imported runs are pinned to.
    Keep(Box<Definition>, T),
    /// Say which revision new runs of a workflow get.
    Rollout(Box<RolloutOrder>, T),
    /// Say whether runs of a workflow begin, and whether it is there at all.
    Availability(Box<AvailabilityOrder>, T),
    /// Answer once everything that was asked before is durable.
    Barrier(T),
    /// Take a closed run in with its whole history.
    Import(Box<Import>, T),
    /// Answer whether the history of a run may be read.
    Visible(ExecutionId, T),
    /// A message between runs, or the answer for one.
    Post(Post),
    /// A command for a replay. Its own progress has nobody to answer.
    Replay(ReplayId, ReplayCommand, Option<T>),
    /// Answer one replay, or the newest.
    ShowReplays(Option<ReplayId>, T),
    /// A command for a redrive. What it observes has nobody to answer.
    Redrive(RedriveId, RedriveCommand, Option<T>),
    /// Answer one redrive, or the newest.
    ShowRedrives(Option<RedriveId>, T),
    /// Record an event of the partition itself; [`Input::Remove`] is the way to remove runs.
    Record(Box<PartitionEvent>, T),
    /// Remove those of some runs that may go.
    Remove(Box<Removal>, T),
    /// Cancel every run that has not ended, because the node shuts down.
    CancelAll(T),
    /// Let an erased content go wherever a run in memory holds it.
    Forget(Digest, T),
    /// Answer what runs take in memory.
    Weigh(T),
}

/// What runs take in memory, as far as their own data go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunMemory {
    /// Runs in memory.
    pub resident: usize,
    /// Bytes of their states: what steps and runs are known by, and their payloads.
    pub resident_bytes: usize,
    /// Runs at rest.
    pub at_rest: usize,
    /// Bytes of what is kept of them.
    pub at_rest_bytes: usize,
}

impl RunMemory {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            resident: self.resident + other.resident,
            resident_bytes: self.resident_bytes + other.resident_bytes,
            at_rest: self.at_rest + other.at_rest,
            at_rest_bytes: self.at_rest_bytes + other.at_rest_bytes,
        }
    }
}

/// What a partition answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The run exists and is durable.
    Submitted {
        /// The run.
        execution: ExecutionId,
        /// Its status word.
        status: &'static str,
        /// Whether it existed before.
        repeated: bool,
    },
    /// The fork exists and is durable.
    Forked {
        /// The new run.
        execution: ExecutionId,
        /// Its status word.
        status: &'static str,
        /// Steps that took effect in its parent and do so again.
        repeated: Vec<String>,
    },
    /// The run as it stands, or as it ended.
    Shown(Arc<State>),
    /// The run is not in memory: it has ended and its history is durable, or there is none.
    NotResident,
    /// The command was carried out, or had been before.
    Done {
        /// The run's status word after it.
        status: &'static str,
    },
    /// The revision exists and is durable.
    Defined {
        /// Its number.
        revision: u32,
        /// Whether this added it.
        created: bool,
    },
    /// What is in force for the workflow's new runs, durably.
    RolledOut {
        /// The roll-out, if there is one.
        rollout: Option<Arc<InForce>>,
        /// Whether this changed it.
        changed: bool,
    },
    /// The roll-out can't be: every problem.
    RolloutRefused(Vec<Problem>),
    /// There is no roll-out to switch off.
    NoRollout,
    /// How the workflow stands, durably.
    Availability {
        /// Whether runs of it begin.
        availability: Box<Availability>,
        /// Whether this changed it.
        changed: bool,
    },
    /// The workflow takes no new runs, or no new revisions; nothing is recorded.
    Unavailable(Arc<str>, Unavailable),
    /// Another content than expected is the workflow's newest, or there is none; nothing is recorded.
    NotExpected(Option<Digest>),
    /// Only archived workflows are purged.
    NotArchived,
    /// Everything that was asked before is durable.
    Passed,
    /// The content is durable.
    Kept,
    /// The run is durable with all of its events.
    Imported,
    /// A run of that id is there; whether it is the same is for the journal to say.
    Exists,
    /// The replay as it stands.
    Replay(ReplayId, Box<ReplayState>),
    /// The newest replays.
    Replays(Vec<(ReplayId, ReplayState)>),
    /// The command is wrong where the replay stands.
    ReplayRejected(ReplayRejection),
    /// The redrive as it stands.
    Redrive(RedriveId, Box<RedriveState>),
    /// The newest redrives.
    Redrives(Vec<(RedriveId, RedriveState)>),
    /// The command is wrong where the redrive stands.
    RedriveRejected(RedriveRejection),
    /// What runs take in memory.
    Weighed(RunMemory),
    /// The event of the partition is durable.
    Recorded {
        /// Its place in the partition's own stream.
        version: u64,
    },
    /// The removal is durable, if there was anything to remove.
    Removed {
        /// Runs that are gone, ascending.
        removed: Vec<ExecutionId>,
        /// Runs that stay, and why.
        held: Vec<(ExecutionId, Held)>,
    },
    /// Runs that were asked to stop, ascending.
    Cancelled(Vec<ExecutionId>),
    /// No run in memory holds the content any more.
    Forgotten,
    /// There is no such run.
    NotFound,
    /// There is no room for the run, not even to wait; nothing is recorded.
    Full(Full),
    /// What was asked for is larger than a record may be; nothing is recorded.
    TooLarge,
    /// The idempotency key belongs to another request.
    KeyConflict(ExecutionId),
    /// The command is wrong where the run stands.
    Rejected(Rejection),
    /// The run can't be worked on: why.
    Quarantined(String),
    /// The node is shutting down and takes no new work.
    Draining,
}

/// Whoever holds a ticket may stop waiting.
pub trait Abandon {
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
}
