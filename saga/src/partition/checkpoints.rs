//! Which runs are worth a checkpoint, and making them.

use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::ids::ExecutionId;

use super::cell::{Cell, Run};
use super::{Abandon, Partition};

/// Events folded into a run before it is worth a checkpoint again.
pub const EVENTS_PER_CHECKPOINT: u64 = 16;

impl Run {
    pub(super) fn wants_checkpoint(&self) -> bool {
        self.state.version >= self.checkpointed + EVENTS_PER_CHECKPOINT
    }
}

impl<T: Abandon> Partition<T> {
    /// Whether so many checkpoints of runs at rest wait to be fetched.
    #[must_use]
    pub fn has_checkpoints(&self, runs: usize) -> bool {
        self.resting.checkpoints.len() >= runs
    }

    /// Checkpoints of at most so many runs that have gone to rest, or gone on since their last
    /// one and whose every event is durable; the others' turn comes later.
    pub fn checkpoints(&mut self, runs_max: usize) -> Vec<(ExecutionId, Box<Checkpoint>)> {
        let mut made = self.resting.take_checkpoints(runs_max);
        let mut later = Vec::new();
        while made.len() + later.len() < runs_max {
            let Some(id) = self.uncheckpointed.pop_first() else { break };
            let Some(Cell::Run(run)) = self.runs.get_mut(&id) else { continue };
            if run.may_leave() {
                continue;
            }
            if run.stages > self.committed_stages {
                later.push(id);
                continue;
            }
            run.checkpointed = run.state.version;
            made.push((id, Box::new(Checkpoint::of(&run.state))));
        }
        self.uncheckpointed.extend(later);
        made
    }
}
