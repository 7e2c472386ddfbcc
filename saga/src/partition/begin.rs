//! How a run begins: once for each id, however often it is asked for.

use backstitch_core::command::Submission;
use backstitch_core::machine::{self, Decision, Refusal};
use backstitch_core::time::Moment;

use super::cell::{Cell, Run};
use super::fold::guarded;
use super::keyed::{Asking, Keyed};
use super::turns::{SlotOf, Turns};
use super::{Abandon, Answer, Partition};
use crate::slots::Claim;

/// What a run that is submitted claims.
fn claim(submission: &Submission, moment: Moment) -> Claim {
    let submitted = &submission.submitted;
    let origin = submission.origin.as_ref();
    let parent = origin.and_then(|origin| origin.parent.as_ref());
    // A chunk is a part of a run that has its slot.
    let chunk = parent.is_some_and(|parent| parent.items.is_some());
    let concurrency = submission.plan.concurrency.filter(|_| !chunk);
    Claim {
        run: submission.execution,
        workflow: (submitted.namespace.clone(), submitted.workflow.clone()),
        max_runs: concurrency.map(|own| usize::try_from(own.max_runs).unwrap_or(usize::MAX)),
        on_limit: concurrency.and_then(|own| own.on_limit).unwrap_or_default(),
        submitted_at: moment.stamp,
        priority: origin.map(|origin| origin.priority).unwrap_or_default(),
        parent: parent.map(|parent| parent.run),
    }
}

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
        if let Err(full) = self.slots.admits(&claim(&submission, moment)) {
            return self.answer(ticket, Answer::Full(full));
        }
        match self.begin(submission, moment) {
            Ok(Ok((run, decision))) => {
                let status = run.state.status().word();
                self.runs.insert(id, Cell::Run(Box::new(run)));
                self.record(id, decision, 0, moment);
                let answer = Answer::Submitted { execution: id, status, repeated: false };
                self.answer(ticket, answer);
            }
            Ok(Err(refusal)) => self.answer(ticket, Answer::Quarantined(refusal.to_string())),
            Err(why) => self.answer(ticket, Answer::Quarantined(why)),
        }
    }

    /// The run's beginning, with what there is room for; a turn that nothing used goes back.
    pub(super) fn begin(&self, submission: Submission, moment: Moment) -> Begun {
        let claim = claim(&submission, moment);
        let (namespace, plan) = (submission.submitted.namespace.clone(), submission.plan.clone());
        let mut keys = Keyed::default();
        let asking = Asking {
            seat: &self.keys,
            own: &mut keys,
            namespace: &namespace,
            plan: &plan,
            at: moment.stamp,
        };
        let shared = (&self.seat, &self.slots, &self.cache);
        let mut turns = Turns::new(shared, asking, &claim, 0, moment.now);
        let begun = guarded(|| machine::submit_within(submission, moment, &mut turns));
        let (taken, began) = (turns.taken, turns.began);
        if !matches!(begun, Ok(Ok(_))) {
            self.seat.give_back(taken);
            self.slots.forget(&claim);
            std::mem::take(&mut keys).abandon(claim.run, &self.keys);
        }
        Ok(begun?.map(|(state, decision)| {
            let mut run = Run::new(state);
            (run.standing.held, run.standing.keys) = (taken, keys);
            // It may have ended already, and lets go what it held all the same.
            if began {
                run.slot = SlotOf::Holds;
            }
            (run, decision)
        }))
    }
}
