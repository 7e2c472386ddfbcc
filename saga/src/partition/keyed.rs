//! Which steps of a run hold places of keyed limits, and which wait for them.
//!
//! A place is let go once that is durable, as a slot is, so that a start finds no more attempts
//! under way than there may be.

use std::collections::BTreeSet;

use backstitch_core::arrows::{Phase, StepStatus};
use backstitch_core::command::Command;
use backstitch_core::effect::Effect;
use backstitch_core::ids::{ExecutionId, StepIndex};
use backstitch_core::state::{State, Subject, Wanted};
use backstitch_core::time::{Moment, Timestamp};

use super::calls::Calls;
use super::cell::Cell;
use super::{Abandon, Partition};
use crate::keys::{Ask, Asker, KeySeat};
use crate::slots::Claim;

/// Granted places that one call of [`Partition::fire`] sees to.
const GRANTS_PER_FIRE_MAX: usize = 1_024;

/// Steps of one run that asked for places of keyed limits.
#[derive(Debug, Default)]
pub(super) struct Keyed {
    waiting: BTreeSet<StepIndex>,
    held: BTreeSet<StepIndex>,
    /// Steps that changed since this was last settled.
    touched: Vec<StepIndex>,
}

/// A decision that may ask for places.
pub(super) struct Asking<'a> {
    pub(super) seat: &'a KeySeat,
    pub(super) own: &'a mut Keyed,
    pub(super) namespace: &'a std::sync::Arc<str>,
    pub(super) plan: &'a backstitch_core::plan::Plan,
    pub(super) at: Timestamp,
}

impl Asking<'_> {
    /// Whether a step holds the places it needs; one that does not waits for them.
    pub(super) fn holds(&mut self, claim: &Claim, step: StepIndex, wanted: &Wanted) -> bool {
        if self.own.held.contains(&step) {
            return true;
        }
        if self.own.waiting.contains(&step) {
            return false;
        }
        let ask = Ask {
            namespace: self.namespace.clone(),
            step: self.plan.step(step).id.clone(),
            keys: wanted.keys.clone(),
            order: (claim.priority, wanted.since, claim.run, step),
            at: self.at,
        };
        let held = self.seat.take_or_wait(ask);
        let own = if held { &mut self.own.held } else { &mut self.own.waiting };
        own.insert(step);
        held
    }
}

impl Keyed {
    /// Steps that hold what they need, whether they have started or not.
    pub(super) fn held(&self) -> &BTreeSet<StepIndex> {
        &self.held
    }

    /// Whether no step holds places or waits for any.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.held.is_empty()
    }

    /// The run never came to be.
    pub(super) fn abandon(self, run: ExecutionId, seat: &KeySeat) {
        self.waiting.into_iter().for_each(|step| seat.leave((run, step)));
        self.held.into_iter().for_each(|step| seat.release((run, step)));
    }

    pub(super) fn touch(&mut self, step: StepIndex) {
        if self.held.contains(&step) || self.waiting.contains(&step) {
            self.touched.push(step);
        }
    }

    /// After a start: what the run's attempts hold, and what waits.
    pub(super) fn claim(&mut self, state: &State, seat: &KeySeat, now: Timestamp) {
        let lets = state.let_start(now);
        for (step, _) in state.keyed.iter().flat_map(|keyed| keyed.wanted()) {
            let at = state.step(step).started_at.unwrap_or(state.updated_at);
            let Some(ask) = Ask::of(state, step, at) else { continue };
            if state.holds_keys(step) {
                self.held.insert(step);
                seat.holds(ask);
            } else if state.phase == Phase::Forward
                && state.step(step).status == StepStatus::Ready
                && state.held_call(Subject::Step(step)).is_none()
                && lets(step)
            {
                self.waiting.insert(step);
                seat.waited(ask);
            }
        }
    }

    /// Steps that need nothing any more: those that waited, and those that held places.
    /// One whose service is not to be called now lets others go first, and so does one that others
    /// of its run keep back because they run alone.
    fn given_up(
        &mut self,
        state: &State,
        calls: &Calls,
        now: Timestamp,
    ) -> (Vec<StepIndex>, Vec<StepIndex>) {
        let mut looked_at = std::mem::take(&mut self.touched);
        if state.phase != Phase::Forward || state.plan.has_exclusive {
            looked_at = self.held.iter().chain(&self.waiting).copied().collect();
        } else if state.calls.is_some() {
            // A call that was let on and then kept back again leaves no event behind.
            let waits = |step: &&StepIndex| state.held_call(Subject::Step(**step)).is_some();
            looked_at.extend(self.held.iter().filter(waits));
        }
        let lets = state.let_start(now);
        let over = |step: &StepIndex| {
            let own = state.step(*step);
            let call = Subject::Step(*step);
            let waits = state.held_call(call).is_some();
            let needs = match own.status {
                StepStatus::Running | StepStatus::Faulted => true,
                _ if state.phase != Phase::Forward || !lets(*step) => false,
                StepStatus::Ready | StepStatus::Retrying if waits => calls.may(call),
                StepStatus::Ready => true,
                StepStatus::Retrying => own.due_at.is_some_and(|at| at <= now),
                _ => false,
            };
            !needs || state.wanted(*step).is_none()
        };
        let over: Vec<_> = looked_at.into_iter().filter(over).collect();
        let waited = over.iter().copied().filter(|step| self.waiting.remove(step)).collect();
        let held = over.iter().copied().filter(|step| self.held.remove(step)).collect();
        (waited, held)
    }
}

impl<T: Abandon> Partition<T> {
    /// After a decision: what steps need no more is let go.
    pub(super) fn settle_keys(&mut self, id: ExecutionId, moment: Moment) {
        let Some(Cell::Run(run)) = self.runs.get_mut(&id) else { return };
        let (keys, calls) = (&mut run.standing.keys, &run.standing.calls);
        let (waited, held) = keys.given_up(&run.state, calls, moment.now);
        if waited.is_empty() && held.is_empty() {
            return;
        }
        let stages = run.stages;
        for step in waited {
            self.keys.leave((id, step));
            // It may have been given its places a moment ago.
            self.freed_keys.push_back((stages, (id, step)));
        }
        self.freed_keys.extend(held.into_iter().map(|step| (stages, (id, step))));
        // Where nothing was recorded there is nothing to wait for.
        self.free_keys();
    }

    /// Lets go what steps durably need no more.
    pub(super) fn free_keys(&mut self) {
        while let Some((_, (id, step))) =
            self.freed_keys.pop_front_if(|(stages, _)| *stages <= self.committed_stages)
        {
            let again = match self.runs.get(&id) {
                Some(Cell::Run(run)) => {
                    let own = &run.standing.keys;
                    own.held.contains(&step) || own.waiting.contains(&step)
                }
                Some(Cell::Quarantined(aside)) => aside.keys.contains(&step),
                None => false,
            };
            if !again {
                self.keys.release((id, step));
            }
        }
    }

    /// Goes on with steps that were given their places.
    pub(super) fn use_keys(&mut self, moment: Moment) {
        for _ in 0..GRANTS_PER_FIRE_MAX {
            let Some((id, step)) = self.keys.next_granted() else { break };
            let Some(Cell::Run(run)) = self.runs.get_mut(&id) else {
                self.keys.release((id, step));
                continue;
            };
            if run.standing.keys.waiting.remove(&step) {
                self.keys.began((id, step), moment.now);
                run.standing.keys.held.insert(step);
                self.decide(id, Command::Continue, None, moment);
            }
        }
    }

    /// A run is worked on no more: answers the steps whose attempts go on, with their places.
    pub(super) fn give_up_keys(
        &self,
        run: ExecutionId,
        in_flight: &BTreeSet<Effect>,
        own: Keyed,
    ) -> BTreeSet<StepIndex> {
        let of_step = |effect: &Effect| match effect {
            Effect::RunStep { step, .. } => Some(*step),
            _ => None,
        };
        let under_way: BTreeSet<_> = in_flight.iter().filter_map(of_step).collect();
        own.waiting.iter().for_each(|step| self.keys.leave((run, *step)));
        own.held.difference(&under_way).for_each(|step| self.keys.release((run, *step)));
        own.held.intersection(&under_way).copied().collect()
    }

    /// Steps of the partition that hold places, as those who give them know it.
    #[must_use]
    pub fn keys_held(&self) -> Vec<Asker> {
        self.keys.held()
    }

    /// Steps that hold places, as the partition knows it: those that were given some and not
    /// told, and those whose places are let go once that is durable, are among them.
    #[must_use]
    pub fn keyed(&self) -> BTreeSet<Asker> {
        let given = |asker: &Asker| self.keys.keys().is_held(*asker);
        let of_runs = self.runs.iter().flat_map(|(id, cell)| {
            let (held, waiting): (Vec<_>, Vec<_>) = match cell {
                Cell::Run(run) => {
                    let own = &run.standing.keys;
                    (own.held.iter().copied().collect(), own.waiting.iter().copied().collect())
                }
                Cell::Quarantined(aside) => (aside.keys.iter().copied().collect(), Vec::new()),
            };
            let waiting = waiting.into_iter().map(|step| (*id, step)).filter(given);
            held.into_iter().map(|step| (*id, step)).chain(waiting).collect::<Vec<_>>()
        });
        let freed = self.freed_keys.iter().map(|(_, asker)| *asker).filter(given);
        of_runs.chain(freed).collect()
    }
}
