//! How a fork begins: in the partition of the run it comes from, where nothing can happen to
//! that run in between.
//!
//! What a fork keeps may be larger than a commit, and a crash may come between two. A fork
//! that was not told whole never starts: it is removed at the next start, after its parent has
//! taken back what it had given it to undo.

use backstitch_core::command::Command;
use backstitch_core::forks::{self, Begun, ForkOrder};
use backstitch_core::ids::ExecutionId;
use backstitch_core::machine::Refusal;
use backstitch_core::state::State;
use backstitch_core::time::Moment;

use super::cell::{Cell, Run};
use super::fold::{fold, guarded};
use super::{Abandon, Answer, Partition};
use crate::slots::Claim;

/// A wish for a fork.
#[derive(Debug)]
pub struct Fork {
    /// The run it comes from, which is of the same partition.
    pub parent: ExecutionId,
    /// The version whose steps are kept; the newest if unsaid.
    pub version: Option<u64>,
    /// The rest.
    pub order: ForkOrder,
}

impl<T: Abandon> Partition<T> {
    pub(super) fn fork(&mut self, fork: Fork, ticket: T, moment: Moment) {
        let answer = self.begin_fork(fork, moment);
        self.answer(ticket, answer);
    }

    fn begin_fork(&mut self, fork: Fork, moment: Moment) -> Answer {
        let Fork { parent, version, order } = fork;
        let id = order.submission.execution;
        if let Some(known) = self.known_fork(id, &order) {
            return known;
        }
        if let Some(answer) = self.unavailable_for(&order.submission) {
            return answer;
        }
        let actor = order.actor.clone();
        let begun = match self.decide_fork(parent, version, order, moment) {
            Ok(begun) => begun,
            Err(answer) => return answer,
        };
        let Begun { state, decision, undoes, repeated } = begun;
        // As any run that is submitted; nothing is recorded of one that is refused.
        if let Err(full) = self.slots.admits(&Claim::of(&state)) {
            return Answer::Full(full);
        }
        self.runs.insert(id, Cell::Run(Box::new(Run::new(state))));
        self.record(id, decision, 0, moment);
        let note = Command::NoteFork { to: id, undoes, actor };
        match self.carry_out(parent, note, moment) {
            Answer::Done { .. } => {}
            answer => return answer,
        }
        match self.carry_out(id, Command::StartFork, moment) {
            Answer::Done { status } => Answer::Forked { execution: id, status, repeated },
            answer => answer,
        }
    }

    /// What is answered if there is a run of the fork's id.
    fn known_fork(&mut self, id: ExecutionId, order: &ForkOrder) -> Option<Answer> {
        if self.arriving.contains_key(&id) {
            return Some(Answer::KeyConflict(id));
        }
        let answer = match self.resident_run(id) {
            Ok(None) => return None,
            Ok(Some(run)) if run.state.submitted.request == order.submission.submitted.request => {
                let status = run.state.status().word();
                Answer::Submitted { execution: id, status, repeated: true }
            }
            Ok(Some(_)) => Answer::KeyConflict(id),
            Err(why) => Answer::Quarantined(why),
        };
        self.evict(id);
        Some(answer)
    }

    fn decide_fork(
        &mut self,
        parent: ExecutionId,
        version: Option<u64>,
        order: ForkOrder,
        moment: Moment,
    ) -> Result<Begun, Answer> {
        let earlier = match self.resident_run(parent) {
            Ok(Some(run)) => version.filter(|version| *version != run.state.version),
            Ok(None) => return Err(Answer::NotFound),
            Err(why) => return Err(Answer::Quarantined(why)),
        };
        let earlier = match earlier {
            Some(version) => Some(self.state_at(parent, version).map_err(Answer::Quarantined)?),
            None => None,
        };
        let submission = self.alerting(order.submission);
        let order = ForkOrder { submission, ..order };
        let Ok(Some(run)) = self.resident_run(parent) else { return Err(Answer::NotFound) };
        let point = earlier.as_ref().unwrap_or(&run.state);
        let begun = guarded(|| forks::fork(&run.state, point, order, moment));
        self.evict(parent);
        match begun {
            Ok(Ok(begun)) => Ok(begun),
            Ok(Err(Refusal::Rejected(rejection))) => Err(Answer::Rejected(rejection)),
            Ok(Err(Refusal::Illegal(illegal))) => Err(Answer::Quarantined(illegal.to_string())),
            Err(why) => Err(Answer::Quarantined(why)),
        }
    }

    /// A run as it was at a version of it.
    fn state_at(&self, run: ExecutionId, version: u64) -> Result<State, String> {
        let events = self.histories.history(run)?.unwrap_or_default();
        let count = usize::try_from(version).unwrap_or(usize::MAX).min(events.len());
        fold(run, &events[..count], self.histories.as_ref())
    }

    /// Takes in the part of a fork that a crash left. Call [`Partition::recover`] after all.
    pub fn adopt_unstarted(&mut self, fork: &State) {
        if let Some(origin) = fork.fork_origin() {
            self.unstarted.push((fork.id, origin.run));
        }
        self.adopt_cut_short(fork.id);
    }

    /// What forks that never started were to undo is their parents' again.
    pub(super) fn drop_unstarted(&mut self, moment: Moment) {
        let mut unstarted = std::mem::take(&mut self.unstarted);
        unstarted.sort_unstable();
        for (fork, parent) in unstarted {
            if parent.partition == self.id {
                self.decide(parent, Command::DropFork { fork }, None, moment);
            }
        }
    }
}
