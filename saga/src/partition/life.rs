//! How a partition begins and ends: taking in what was found, going on, draining.

use backstitch_core::command::Command;
use backstitch_core::effect::Effect;
use backstitch_core::event::Event;
use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_core::state::State;
use backstitch_core::time::{Moment, Timestamp};

use crate::slots::Claim;

use super::cell::{Aside, Cell, Run, reported};
use super::fold::fold;
use super::{Abandon, Answer, Partition};

/// Why and by whom runs are cancelled when the node shuts down so.
pub(super) const SHUTDOWN: &str = "shutdown";

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
        self.runs.insert(run, Cell::Quarantined(Aside::of(why)));
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

    /// The run, from memory or folded again from its history.
    pub(super) fn resident_run(&mut self, id: ExecutionId) -> Result<Option<&mut Run>, String> {
        self.wake(id)?;
        if !self.runs.contains_key(&id) {
            if self.leaving.contains_key(&id) || self.arriving.contains_key(&id) {
                return Ok(None);
            }
            let Some(events) = self.histories.history(id)? else { return Ok(None) };
            let state = fold(id, &events, self.histories.as_ref())?;
            self.adopt(state);
        }
        match self.runs.get_mut(&id) {
            Some(Cell::Run(run)) => Ok(Some(run)),
            Some(Cell::Quarantined(aside)) => Err(aside.why.clone()),
            None => Ok(None),
        }
    }

    /// Goes on after a start: attempts that were under way are lost, what follows is decided,
    /// and what is owed is ordered again.
    pub fn recover(&mut self, now: Timestamp) {
        let moment = self.tick(now);
        self.drop_unstarted(moment);
        self.remove_cut_short(moment);
        self.resume_replays();
        self.resume_redrives();
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

    /// Cancels every run that has not ended; whether what was done is undone, its workflow says.
    pub(super) fn cancel_all(&mut self, ticket: T, moment: Moment) {
        let active = |cell: &Cell| match cell {
            Cell::Run(run) => !run.state.status().is_ended(),
            Cell::Quarantined(_) => false,
        };
        let runs = self.runs.iter().filter(|(_, cell)| active(cell)).map(|(id, _)| *id);
        let mut runs: Vec<_> = runs.chain(self.resting.unended()).collect();
        runs.sort_unstable();
        for &id in &runs {
            let (reason, actor) = (SHUTDOWN.to_owned(), SHUTDOWN.to_owned());
            let cancel = Command::Cancel { reason, actor, compensate: None, force: false };
            self.decide(id, cancel, None, moment);
        }
        self.answer(ticket, Answer::Cancelled(runs));
    }

    /// From now on only facts are recorded: reports of what is in flight. What follows from
    /// them waits for the next start.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// A bug in one run stops that run and no other. Its attempts under way go on, with their
    /// turns and its slot.
    pub(super) fn set_aside(&mut self, id: ExecutionId, why: String) -> Answer {
        let aside = Cell::Quarantined(Aside::of(why.clone()));
        if let Some(Cell::Run(mut run)) = self.runs.insert(id, aside) {
            self.timers.retain(|(_, run)| *run != id);
            self.resends.retain(|(_, run, _)| *run != id);
            self.give_up_turns(&run.standing, run.attempts());
            for ticket in self.waiters.take(id) {
                self.answer(ticket, Answer::Quarantined(why.clone()));
            }
            let claim = Claim::of(&run.state);
            let keys = std::mem::take(&mut run.standing.keys);
            std::mem::take(&mut run.standing.calls).abandon(id, &self.breakers, self.last_at);
            let in_flight = run.into_attempts();
            let keys = self.give_up_keys(id, &in_flight, keys);
            let slot = (!in_flight.is_empty()).then(|| claim.clone());
            if slot.is_none() {
                self.slots.forget(&claim);
            }
            let aside = Aside { why: why.clone(), in_flight, slot, keys };
            self.runs.insert(id, Cell::Quarantined(Box::new(aside)));
        }
        Answer::Quarantined(why)
    }

    /// A report that comes for a run that was set aside is not recorded; what the attempt held
    /// is free.
    pub(super) fn settle_aside(&mut self, id: ExecutionId, command: &Command) {
        let Some(Cell::Quarantined(aside)) = self.runs.get_mut(&id) else { return };
        if !reported(command).is_some_and(|effect| aside.in_flight.remove(&effect)) {
            return;
        }
        self.seat.give_back(1);
        if let Some(Effect::RunStep { step, .. }) = reported(command)
            && aside.keys.remove(&step)
        {
            self.keys.release((id, step));
        }
        if aside.in_flight.is_empty()
            && let Some(claim) = aside.slot.take()
        {
            self.slots.forget(&claim);
        }
    }

    /// Lets a run leave memory once nothing of it is outstanding; its history stays.
    pub(super) fn evict(&mut self, id: ExecutionId) {
        if let Some(Cell::Run(run)) = self.runs.get(&id)
            && run.may_leave()
            && run.stages <= self.committed_stages
        {
            self.runs.remove(&id);
        }
    }
}
