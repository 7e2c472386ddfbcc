//! Deciding: a command carried out on a run, and what is done about what was decided.

use std::sync::Arc;

use backstitch_core::command::Command;
use backstitch_core::event::Event;
use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_core::machine::{self, Refusal};
use backstitch_core::time::Moment;

use super::calls::Calling;
use super::cell::Cell;
use super::fold::guarded;
use super::keyed::Asking;
use super::stage::StagedRecord;
use super::told;
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
            self.slots.began(&Claim::of(&run.state));
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

    /// Stages what was decided, orders what is newly owed, and keeps the run's timer.
    pub(super) fn record(
        &mut self,
        id: ExecutionId,
        decision: machine::Decision,
        version: u64,
        moment: Moment,
    ) {
        let Some(Cell::Run(run)) = self.runs.get_mut(&id) else { return };
        let (stream, cut) = (StreamId::Execution(id), decision.cut);
        run.stage_rows(&decision.events, &mut self.open);
        told::tell(&run.state, &decision.events, moment.stamp, &mut self.open.told);
        self.learn(id, &decision.events, moment.stamp);
        let Some(Cell::Run(run)) = self.runs.get_mut(&id) else { return };
        let changed = !decision.events.is_empty();
        if changed {
            run.stages = self.next_stage + 1;
        }
        for (event, version) in decision.events.into_iter().zip(version + 1..) {
            let (stream, event) = (stream.clone(), Event::Run(event));
            self.open.records.push(StagedRecord::new(stream, version, moment.stamp, event));
        }
        if decision.cut {
            self.cut.push_back(id);
        }
        run.is_cut = cut;
        let mut owed = run.newly_owed(moment.now);
        let stopped = run.stopped_turns(&owed);
        if stopped > 0 {
            self.stopping.push_back((self.next_stage, stopped));
        }
        if let Some(at) = run.timer.take() {
            self.timers.remove(&(at, id));
        }
        run.timer = run.state.next_due(moment.now);
        self.timers.extend(run.timer.map(|at| (at, id)));
        self.hold_callbacks(id, &mut owed, moment.now);
        self.expect_answers(&owed, moment.now);
        self.releases.extend(owed);
        self.settle_calls(id, moment);
        self.settle_keys(id, moment);
        self.settle_turns(id, cut, moment);
        self.settle_slot(id);
        let Some(Cell::Run(run)) = self.runs.get_mut(&id) else { return };
        if run.state.status().is_ended() {
            let tickets = self.waiters.take(id);
            let shown = (!tickets.is_empty()).then(|| Arc::new(run.state.clone()));
            for (ticket, shown) in tickets.into_iter().zip(shown.into_iter().cycle()) {
                self.answer(ticket, Answer::Shown(shown));
            }
        }
        if let Some(Cell::Run(run)) = self.runs.get(&id) {
            if run.may_leave() {
                self.ended.push(id);
                return;
            }
            if run.wants_checkpoint() {
                self.uncheckpointed.insert(id);
            }
            self.note_idle(id, changed, moment.now);
        }
    }
}
