//! Carrying out a command on a run: with what there is room for, and what follows of it.

use backstitch_core::command::Command;
use backstitch_core::ids::ExecutionId;
use backstitch_core::machine::{self, Refusal};
use backstitch_core::time::Moment;

use super::calls::Calling;
use super::cell::Cell;
use super::fold::guarded;
use super::keyed::Asking;
use super::turns::{SlotOf, Turns};
use super::{Abandon, Answer, Partition};
use crate::slots::Claim;

impl<T: Abandon> Partition<T> {
    pub(super) fn decide(
        &mut self,
        id: ExecutionId,
        command: Command,
        ticket: Option<T>,
        moment: Moment,
    ) {
        let answer = self.carry_out(id, command, moment);
        self.answer_maybe(ticket, answer);
    }

    pub(super) fn carry_out(
        &mut self,
        id: ExecutionId,
        command: Command,
        moment: Moment,
    ) -> Answer {
        let draining = self.draining;
        let command = match self.with_lineage(id, command) {
            Ok(command) => command,
            Err(answer) => return answer,
        };
        self.settle_aside(id, &command);
        let run = match self.resident_run(id) {
            Ok(Some(run)) => run,
            Ok(None) => return Answer::NotFound,
            Err(why) => return Answer::Quarantined(why),
        };
        let given = run.spare_turns();
        let was_in_flight = run.settle_effect(&command);
        let freed = run.spare_turns() - given;
        run.standing.held -= freed;
        let version = run.state.version;
        // What the report set free is for whoever waits longest.
        self.seat.give_back(freed);
        if was_in_flight {
            self.report_call(id, &command, moment.now);
        }
        let Some(Cell::Run(run)) = self.runs.get_mut(&id) else { return Answer::NotFound };
        let claim = Claim::of(&run.state);
        let (namespace, plan) = (run.state.submitted.namespace.clone(), run.state.plan.clone());
        let asking = Asking {
            seat: &self.keys,
            own: &mut run.standing.keys,
            namespace: &namespace,
            plan: &plan,
            at: moment.stamp,
        };
        let shared = (&self.seat, &self.slots, &self.cache);
        let calling = Calling {
            run: id,
            seat: &self.breakers,
            services: &*self.services,
            own: &mut run.standing.calls,
            namespace: &namespace,
            now: moment.now,
        };
        let mut turns = Turns::new(shared, (asking, calling), &claim, given, moment.now);
        let state = &mut run.state;
        let decided = guarded(|| {
            if draining {
                machine::record(state, command, moment)
            } else {
                machine::handle_within(state, command, moment, &mut turns)
            }
        });
        let (taken, began) = (turns.taken, turns.began);
        run.standing.held += taken;
        if began {
            run.slot = SlotOf::Holds;
        }
        match decided {
            Ok(Ok(decision)) => {
                let status = run.state.status().word();
                self.record(id, decision, version, moment);
                Answer::Done { status }
            }
            Ok(Err(Refusal::Rejected(rejection))) => {
                self.settle_turns(id, false, moment);
                self.evict(id);
                Answer::Rejected(rejection)
            }
            Ok(Err(Refusal::Illegal(illegal))) => self.set_aside(id, illegal.to_string()),
            Err(why) => self.set_aside(id, why),
        }
    }

    pub(super) fn answer_maybe(&mut self, ticket: Option<T>, answer: Answer) {
        if let Some(ticket) = ticket {
            self.answer(ticket, answer);
        }
    }
}
