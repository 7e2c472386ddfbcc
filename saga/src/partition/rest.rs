//! Runs at rest: out of memory while nothing can happen to them, and back as they were.
//!
//! A run that waits for an instant far enough off, a signal, another run, a person or a slot has
//! nothing that its history does not tell. Whoever addresses it, and the clock shortly before it
//! is due, have it folded again, from its checkpoint if it has one. Its slot and whoever waits
//! for its end stay where they are.

use backstitch_core::ids::ExecutionId;
use backstitch_core::state::State;
use backstitch_core::time::{Moment, Timestamp};

use super::cell::{Cell, Run};
use super::fold::recall;
use super::resting::{AtRest, RestPolicy, Rested};
use super::turns::SlotOf;
use super::{Abandon, Answer, Partition};
use crate::slots::Claim;

/// Runs that one call of [`Partition::fire`] brings back.
const WAKES_PER_FIRE_MAX: usize = 64;
/// Runs that are kept in case somebody's word comes soon; beyond it the longest idle go.
const IDLE_MAX: usize = 1_024;
/// Idle runs that one call of [`Partition::fire`] looks at.
const IDLE_PER_FIRE_MAX: usize = 256;

impl<T: Abandon> Partition<T> {
    /// Lets runs go to rest by another policy.
    #[must_use]
    pub fn resting(mut self, policy: RestPolicy) -> Self {
        self.resting.policy = policy;
        self
    }

    /// Takes in a run that was found at start-up, with the version of its checkpoint: into
    /// memory, or at rest if it can be. Call [`Partition::recover`] after all.
    pub fn adopt_found(&mut self, state: State, checkpointed: u64, now: Timestamp) {
        let partitions = self.histories.partitions();
        let due = state.next_due(now);
        // One that has not begun asks whether it may, which nobody would tell it of itself.
        let rests = !state.waits_to_begin()
            && self.resting.policy.is_long(&state, due, now)
            && state.is_at_rest(Moment { partitions, ..Moment::at(now) });
        if !rests {
            return self.adopt_checkpointed(state, checkpointed);
        }
        let slot = SlotOf::state(&state);
        if slot == SlotOf::Holds {
            self.resting.unclaimed.push(Claim::of(&state));
        }
        let (version, ended) = (state.version, state.status().is_ended());
        self.resting.checkpoint(&state, checkpointed);
        self.resting.insert(state.id, AtRest { version, due, slot, ended, claim: None });
    }

    /// What runs at rest hold, which only a start has to be told.
    pub(super) fn claim_rested_slots(&mut self) {
        let mut claims = std::mem::take(&mut self.resting.unclaimed);
        claims.sort_unstable_by_key(|claim| claim.run);
        for claim in claims {
            self.slots.holds(&claim);
            if let Some(own) = self.resting.runs.get_mut(&claim.run.digits) {
                own.claim = (!self.slots.passes(&claim)).then(|| Box::new(claim));
            }
        }
    }

    /// After a decision: notes a run that nothing is under way for.
    pub(super) fn note_idle(&mut self, id: ExecutionId, changed: bool, now: Timestamp) {
        let Some(Cell::Run(run)) = self.runs.get_mut(&id) else { return };
        run.active_at = now;
        let long = self.resting.policy.is_long(&run.state, run.timer, now);
        if self.draining || !run.is_idle() || !long {
            return;
        }
        if changed && run.state.waits_for_time_alone() {
            self.resting.settled.push_back((self.next_stage, id));
        } else if !run.noted_idle {
            run.noted_idle = true;
            let at = now.plus_ms(self.resting.policy.idle_ms(&run.state));
            self.resting.idle.insert((at, id));
        }
    }

    /// Lets runs go to rest that a stage has settled, and idle ones that are too many.
    pub(super) fn rest_settled(&mut self) {
        let durable = self.committed_stages;
        while let Some((_, id)) = self.resting.settled.pop_front_if(|own| own.0 < durable) {
            self.rest(id, self.clock);
        }
        for _ in IDLE_MAX..self.resting.idle.len() {
            let Some((_, id)) = self.resting.idle.pop_first() else { break };
            self.rest_or_wait(id, Timestamp(i64::MAX), self.clock);
        }
    }

    /// Lets runs go to rest that have been idle for long enough.
    pub(super) fn rest_idle(&mut self, now: Timestamp) {
        for _ in 0..IDLE_PER_FIRE_MAX {
            let Some(&(at, id)) = self.resting.idle.first().filter(|own| own.0 <= now) else {
                break;
            };
            self.resting.idle.remove(&(at, id));
            self.rest_or_wait(id, now, now);
        }
    }

    /// Lets a run go to rest if it has been idle until `by`; otherwise its time comes later.
    fn rest_or_wait(&mut self, id: ExecutionId, by: Timestamp, now: Timestamp) {
        let Some(Cell::Run(run)) = self.runs.get_mut(&id) else { return };
        run.noted_idle = false;
        let idle_ms = self.resting.policy.idle_ms(&run.state);
        let rests_at = run.active_at.plus_ms(idle_ms);
        let is_durable = run.stages <= self.committed_stages;
        if is_durable && (rests_at <= by || rests_at > now.plus_ms(idle_ms)) {
            self.rest(id, now);
        } else if run.is_idle() {
            run.noted_idle = true;
            let at = if is_durable { rests_at } else { now.plus_ms(idle_ms) };
            self.resting.idle.insert((at, id));
        }
    }

    /// Lets a run leave memory for as long as nothing happens to it, if that can be.
    fn rest(&mut self, id: ExecutionId, now: Timestamp) {
        let Some(Cell::Run(run)) = self.runs.get(&id) else { return };
        let rests = !self.draining
            && run.is_idle()
            && !run.may_leave()
            && run.stages <= self.committed_stages
            && self.resting.policy.is_long(&run.state, run.timer, now);
        if !rests {
            return;
        }
        let Some(Cell::Run(run)) = self.runs.remove(&id) else { return };
        let state = &run.state;
        let (version, ended, slot) = (state.version, state.status().is_ended(), run.slot);
        let claim = (slot != SlotOf::Neither).then(|| Claim::of(state));
        let claim = claim.filter(|claim| !self.slots.passes(claim)).map(Box::new);
        if let Some(at) = run.timer {
            self.timers.remove(&(at, id));
        }
        self.resting.checkpoint(state, run.checkpointed);
        self.resting.insert(id, AtRest { version, due: run.timer, slot, ended, claim });
    }

    /// Brings back runs that are due soon.
    pub(super) fn wake_due(&mut self, now: Timestamp) {
        let soon = now.plus_ms(self.resting.policy.wake_ahead_ms);
        for _ in 0..WAKES_PER_FIRE_MAX {
            let Some(&(_, digits)) = self.resting.due.first().filter(|(at, _)| *at <= soon) else {
                break;
            };
            // One that does not come back is set aside, and shown as such.
            drop(self.wake(self.resting.id(digits)));
        }
    }

    /// Brings a run at rest back as it was; one that is not at rest is left alone.
    ///
    /// # Errors
    /// Why its history does not tell it any more: it is set aside.
    pub(super) fn wake(&mut self, id: ExecutionId) -> Result<(), String> {
        if !self.resting.contains(id) {
            return Ok(());
        }
        let Some(own) = self.resting.remove(id) else { return Ok(()) };
        match recalled(recall(id, self.histories.as_ref()), own.version) {
            Ok((state, checkpointed)) => {
                let mut run = Run::back(state, checkpointed, self.clock);
                (run.slot, run.timer, run.active_at) = (own.slot, own.due, self.clock);
                self.timers.extend(own.due.map(|at| (at, id)));
                self.runs.insert(id, Cell::Run(Box::new(run)));
                self.note_idle(id, false, self.clock);
                Ok(())
            }
            Err(why) => {
                tracing::error!(execution_id = %id, "set aside as it was to go on: {why}");
                own.claim.iter().for_each(|claim| self.slots.forget(claim));
                self.quarantine(id, why.clone());
                for ticket in self.waiters.take(id) {
                    self.answer(ticket, Answer::Quarantined(why.clone()));
                }
                Err(why)
            }
        }
    }

    /// Runs at rest, for whoever looks at all of them.
    pub fn rested(&self) -> impl Iterator<Item = Rested> + '_ {
        self.resting.runs.iter().map(|(digits, own)| Rested {
            run: self.resting.id(*digits),
            version: own.version,
            due: own.due,
            holds_slot: own.slot == SlotOf::Holds,
        })
    }
}

/// What was folded, if it is the run that went to rest.
fn recalled(
    folded: Result<Option<(State, u64)>, String>,
    version: u64,
) -> Result<(State, u64), String> {
    match folded? {
        Some((state, checkpointed)) if state.version == version => Ok((state, checkpointed)),
        Some((state, _)) => Err(format!(
            "its history has {} events, and had {version} when it went to rest",
            state.version
        )),
        None => Err(format!("its history of {version} events is not there any more")),
    }
}
