//! How a partition begins and ends: taking in what was found, going on, draining.

use backstitch_core::command::Command;
use backstitch_core::event::Event;
use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;

use super::cell::{Cell, Run};
use super::{Abandon, Partition};

impl<T: Abandon> Partition<T> {
    /// Takes in a run that was found at start-up. Call [`Partition::recover`] after all.
    pub fn adopt(&mut self, state: State) {
        self.runs.insert(state.id, Cell::Run(Box::new(Run::new(state))));
    }

    /// Takes in a run that was found with a checkpoint of a version.
    pub fn adopt_checkpointed(&mut self, state: State, checkpointed: u64) {
        let mut run = Run::new(state);
        run.checkpointed = checkpointed;
        self.runs.insert(run.state.id, Cell::Run(Box::new(run)));
    }

    /// Takes in a run that can't be folded: it is shown as such and not worked on.
    pub fn quarantine(&mut self, run: ExecutionId, why: String) {
        self.runs.insert(run, Cell::Quarantined(why));
    }

    /// Takes in a workflow's revisions that were found at start-up.
    ///
    /// # Errors
    /// A sentence, when the events don't fit.
    pub fn adopt_workflow(
        &mut self,
        stream: StreamId,
        events: &[(Event, Timestamp)],
    ) -> Result<(), String> {
        self.workflows.adopt(stream, events)
    }

    /// Goes on after a start: attempts that were under way are lost, what follows is decided,
    /// and what is owed is ordered again.
    pub fn recover(&mut self, now: Timestamp) {
        let moment = self.tick(now);
        self.remove_cut_short(moment);
        self.resume_replays();
        let mut runs: Vec<_> = self.runs.keys().copied().collect();
        runs.sort_unstable();
        for id in runs {
            let Some(Cell::Run(run)) = self.runs.get_mut(&id) else { continue };
            let lost = run.lost(moment.now);
            for command in lost {
                self.decide(id, command, None, moment);
            }
            self.decide(id, Command::Continue, None, moment);
        }
    }

    /// From now on only facts are recorded: reports of what is in flight. What follows from
    /// them waits for the next start.
    pub fn drain(&mut self) {
        self.draining = true;
    }
}
