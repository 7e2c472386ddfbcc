//! How a run begins: once for each id, however often it is asked for.

use backstitch_core::command::Submission;
use backstitch_core::machine::{self, Decision, Refusal};
use backstitch_core::state::State;
use backstitch_core::time::Moment;

use super::calls::{Calling, Calls};
use super::cell::{Cell, Run};
use super::fold::guarded;
use super::keyed::{Asking, Keyed};
use super::turns::{SlotOf, Turns};
use super::{Abandon, Answer, Partition};
use crate::slots::Claim;

/// A run and its first decision; the outer error is a bug.
type Begun = Result<Result<(Run, Decision), Refusal>, String>;

impl<T: Abandon> Partition<T> {
    pub(super) fn submit(&mut self, submission: Submission, ticket: T, moment: Moment) {
        let id = submission.execution;
        if self.arriving.contains_key(&id) {
            return self.answer(ticket, Answer::KeyConflict(id));
        }
        if submission.has_derived_id() || self.is_here(id) {
            match self.resident_run(id) {
                Ok(Some(run)) => {
                    let known = run.state.submitted.request;
                    let status = run.state.status().word();
                    let answer = if known == submission.submitted.request {
                        Answer::Submitted { execution: id, status, repeated: true }
                    } else {
                        Answer::KeyConflict(id)
                    };
                    self.evict(id);
                    return self.answer(ticket, answer);
                }
                Ok(None) => {}
                Err(why) => return self.answer(ticket, Answer::Quarantined(why)),
            }
        }
        let answer = self.admit(submission, moment);
        self.answer(ticket, answer);
    }

    /// Begins a run if there is room for it, at least to wait.
    fn admit(&mut self, submission: Submission, moment: Moment) -> Answer {
        let id = submission.execution;
        if let Some(answer) = self.unavailable_for(&submission) {
            return answer;
        }
        let submission = self.alerting(submission);
        let (state, decision) = match guarded(|| machine::begin(submission, moment)) {
            Ok(Ok(begun)) => begun,
            Ok(Err(Refusal::Rejected(rejection))) => return Answer::Rejected(rejection),
            Ok(Err(Refusal::Illegal(illegal))) => return Answer::Quarantined(illegal.to_string()),
            Err(why) => return Answer::Quarantined(why),
        };
        let held = match self.slots.admits(&Claim::of(&state)) {
            Ok(held) => held,
            Err(full) => return Answer::Full(full),
        };
        match self.go_on(state, decision, moment) {
            Ok(Ok((mut run, decision))) => {
                // It may have ended before it began: its time was up already.
                if held {
                    run.slot = SlotOf::Holds;
                }
                let status = run.state.status().word();
                self.runs.insert(id, Cell::Run(Box::new(run)));
                self.record(id, decision, 0, moment);
                Answer::Submitted { execution: id, status, repeated: false }
            }
            Ok(Err(refusal)) => Answer::Quarantined(refusal.to_string()),
            Err(why) => Answer::Quarantined(why),
        }
    }

    /// A run that begins here, with what operators want to be told of it. A chunk is a part of a
    /// run of which they are told.
    pub(super) fn alerting(&self, submission: Submission) -> Submission {
        let parent = submission.origin.as_ref().and_then(|origin| origin.parent.as_ref());
        if parent.is_some_and(|parent| parent.items.is_some()) {
            return submission;
        }
        let (own, tags) = (&submission.submitted, submission.all_tags());
        let alerts = self.histories.alerts(&own.namespace, &own.workflow, &tags);
        Submission { alerts, ..submission }
    }

    /// What is answered if the workflow takes no new runs.
    pub(super) fn unavailable_for(&self, submission: &Submission) -> Option<Answer> {
        let own = &submission.submitted;
        let why = self.histories.admits(&own.namespace, &own.workflow).err()?;
        Some(Answer::Unavailable(own.workflow.clone(), why))
    }

    /// The run's beginning, with what there is room for.
    pub(super) fn begin(&self, submission: Submission, moment: Moment) -> Begun {
        let submission = self.alerting(submission);
        match guarded(|| machine::begin(submission, moment))? {
            Ok((state, decision)) => self.go_on(state, decision, moment),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// What follows of a run's beginning; a turn that nothing used goes back.
    fn go_on(&self, mut state: State, mut decision: Decision, moment: Moment) -> Begun {
        let claim = Claim::of(&state);
        let (namespace, plan) = (state.submitted.namespace.clone(), state.plan.clone());
        let mut keys = Keyed::default();
        let asking = Asking {
            seat: &self.keys,
            own: &mut keys,
            namespace: &namespace,
            plan: &plan,
            at: moment.stamp,
        };
        let shared = (&self.seat, &self.slots, &self.cache);
        let mut calls = Calls::default();
        let calling = Calling {
            run: claim.run,
            seat: &self.breakers,
            services: &*self.services,
            own: &mut calls,
            namespace: &namespace,
            now: moment.now,
        };
        let mut turns = Turns::new(shared, (asking, calling), &claim, 0, moment.now);
        let begun = guarded(|| machine::settle(&mut state, moment, &mut turns, &mut decision));
        let (taken, began) = (turns.taken, turns.began);
        if began {
            self.slots.began(&Claim::of(&state));
        }
        if !matches!(begun, Ok(Ok(()))) {
            self.seat.give_back(taken);
            self.slots.forget(&claim);
            std::mem::take(&mut keys).abandon(claim.run, &self.keys);
            std::mem::take(&mut calls).abandon(claim.run, &self.breakers, moment.now);
        }
        Ok(begun?.map(|()| {
            let mut run = Run::new(state);
            (run.standing.held, run.standing.keys) = (taken, keys);
            run.standing.calls = calls;
            // It may have ended already, and lets go what it held all the same.
            if began {
                run.slot = SlotOf::Holds;
            }
            (run, decision)
        }))
    }
}
