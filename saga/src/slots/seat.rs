//! A partition's place at the slots: what it asks for its runs, and what it is told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backstitch_core::event::OnLimit;
use backstitch_core::ids::ExecutionId;

use super::claim::{Claim, Full, most};
use super::line::Line;
use super::{Circle, Displaced, Settings, Slots};

/// A partition's place at the slots. What its runs hold goes with it.
pub struct SlotSeat {
    slots: Slots,
    settings: Settings,
    number: u64,
    pending: Arc<AtomicUsize>,
}

impl SlotSeat {
    pub(super) fn new(
        slots: Slots,
        settings: Settings,
        number: u64,
        pending: Arc<AtomicUsize>,
    ) -> Self {
        Self { slots, settings, number, pending }
    }

    /// Whether the run is bound by any limit at all.
    fn binds(&self, claim: &Claim) -> bool {
        claim.max_runs.is_some()
            || !claim.keys.is_empty()
            || (self.settings.runs_max.is_some() && !claim.is_child())
    }

    /// Whether the run concerns nobody here: it is bound by nothing, and no child.
    pub(crate) fn passes(&self, claim: &Claim) -> bool {
        !self.binds(claim) && !claim.is_child()
    }

    /// Whether a run may begin now. If so it holds its slots.
    #[must_use]
    pub fn begins(&self, claim: &Claim) -> bool {
        if self.passes(claim) {
            return true;
        }
        let mut inner = self.slots.lock();
        inner.note_parent(self.number, claim);
        if !self.binds(claim) {
            return true;
        }
        let wanted = inner.wanted(claim).into_owned();
        let line = inner.lines.get(&claim.workflow);
        let free = !wanted.whole && wanted.keys.is_empty();
        if !free && line.is_some_and(|line| line.holds(&wanted)) {
            return true;
        }
        // Whoever waits goes before who comes.
        let waits = line.is_some_and(|line| line.has_waiting(&wanted));
        if !free && (waits || !inner.has_room(&wanted)) {
            // What is above it may have begun since it came to wait.
            if let Some(line) = inner.lines.get_mut(&claim.workflow)
                && line.waiting_claim(claim.run).is_some()
            {
                line.wait(self.number, &wanted);
            }
            return false;
        }
        inner.hold(self.number, claim);
        true
    }

    /// Takes in a run that is submitted, to begin or to wait. One that must not wait holds its
    /// slot from here on: answers whether it does.
    ///
    /// # Errors
    /// [`Full`]; nothing is to be recorded then.
    pub fn admits(&self, claim: &Claim) -> Result<bool, Full> {
        if !self.binds(claim) {
            return Ok(false);
        }
        let mut inner = self.slots.lock();
        let line = inner.lines.get(&claim.workflow);
        if let Some(full) = line.and_then(|line| refuses(line, claim)) {
            return Err(full);
        }
        let waits = line.is_some_and(|line| line.has_waiting(claim));
        if !waits && inner.has_room(claim) {
            let strict = claim.says(OnLimit::Reject);
            if strict {
                inner.hold(self.number, claim);
            }
            return Ok(strict);
        }
        let queue_max = inner.settings.queue_max;
        let waiting: usize = inner.waiting().iter().sum();
        if waiting >= queue_max { Err(Full::Queue { queue_max }) } else { Ok(false) }
    }

    /// The run was let in and has begun: notes since when, for people.
    pub fn began(&self, claim: &Claim) {
        if self.binds(claim) {
            self.slots.lock().note_begun(claim);
        }
    }

    /// The run has begun and not ended, whatever the limits say.
    pub fn holds(&self, claim: &Claim) {
        if self.passes(claim) {
            return;
        }
        let mut inner = self.slots.lock();
        inner.note_parent(self.number, claim);
        if self.binds(claim) {
            inner.hold(self.number, claim);
        }
    }

    /// The run was found waiting at a start; [`Slots::let_in`] is called once all have said so.
    pub fn waited(&self, claim: &Claim) {
        self.stand(claim);
        if claim.says(OnLimit::CancelRunning)
            && let Some(line) = self.slots.lock().lines.get_mut(&claim.workflow)
        {
            line.displacing.insert(claim.run);
        }
    }

    fn stand(&self, claim: &Claim) {
        if self.passes(claim) {
            return;
        }
        let mut inner = self.slots.lock();
        inner.note_parent(self.number, claim);
        if self.binds(claim) {
            let wanted = inner.wanted(claim).into_owned();
            inner.lines.entry(claim.workflow.clone()).or_default().wait(self.number, &wanted);
            inner.note_waiting(self.number, &wanted);
        }
    }

    /// The run waits to begin.
    pub fn waits(&self, claim: &Claim) {
        self.stand(claim);
        if self.binds(claim) {
            self.slots.hand_on();
            let woken = self.slots.lock().open_circle(&claim.workflow, claim.run);
            woken.iter().for_each(|wake| wake());
        }
    }

    /// That the run waits is durable: who is to make room for it is told so.
    pub fn displaces(&self, claim: &Claim) {
        let woken = self.slots.lock().displace(&claim.workflow, claim.run);
        woken.iter().for_each(|wake| wake());
    }

    /// The run has ended, and that is not durable yet: it holds its slots, and what is below it and
    /// comes to go on takes its own.
    pub fn ends(&self, claim: &Claim) {
        if !self.passes(claim) {
            self.slots.lock().ending.insert(claim.run, self.number);
        }
    }

    /// The run neither holds nor waits any more, and that is durable.
    pub fn forget(&self, claim: &Claim) {
        if self.passes(claim) {
            return;
        }
        self.slots.lock().forget(claim);
        self.slots.hand_on();
    }

    /// How many of the partition's runs may begin, are to make room or are given up, and have not
    /// been told.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    /// The next run that may begin.
    #[must_use]
    pub fn next_granted(&self) -> Option<ExecutionId> {
        if self.granted() == 0 {
            return None;
        }
        let mut inner = self.slots.lock();
        let own = inner.seats.get_mut(&self.number)?;
        let run = own.granted.pop_front()?;
        own.pending.fetch_sub(1, Ordering::AcqRel);
        Some(run)
    }

    /// The next run that is to make room.
    #[must_use]
    pub fn next_displaced(&self) -> Option<Displaced> {
        if self.granted() == 0 {
            return None;
        }
        let mut inner = self.slots.lock();
        let own = inner.seats.get_mut(&self.number)?;
        let displaced = own.displaced.pop_front()?;
        own.pending.fetch_sub(1, Ordering::AcqRel);
        Some(displaced)
    }

    /// The next run that is to be given up because it waits for what waits for it.
    #[must_use]
    pub fn next_circle(&self) -> Option<Circle> {
        if self.granted() == 0 {
            return None;
        }
        let mut inner = self.slots.lock();
        let own = inner.seats.get_mut(&self.number)?;
        let circle = own.circles.pop_front()?;
        own.pending.fetch_sub(1, Ordering::AcqRel);
        Some(circle)
    }

    /// Runs of the partition that hold slots, of whichever limit.
    #[must_use]
    pub fn held(&self) -> BTreeSet<ExecutionId> {
        let inner = self.slots.lock();
        let of_node = inner.node.holders.iter().filter(|(_, held)| held.seat == self.number);
        let of_node = of_node.map(|(run, _)| *run);
        of_node.chain(inner.lines.values().flat_map(|line| line.held(self.number))).collect()
    }

    /// The slots it is a seat of.
    #[must_use]
    pub fn slots(&self) -> &Slots {
        &self.slots
    }
}

/// The limit that refuses what is beyond it, if one has no room for a run.
fn refuses(line: &Line, claim: &Claim) -> Option<Full> {
    let workflow = || claim.workflow.1.clone();
    if let (OnLimit::Reject, Some(max_runs)) = (claim.on_limit, claim.max_runs)
        && line.is_full(Some(max_runs))
    {
        return Some(Full::Workflow { workflow: workflow(), max_runs });
    }
    let strict = claim.keys.iter().filter(|own| own.on_limit == OnLimit::Reject);
    let full = strict.into_iter().find(|own| line.is_key_full(own))?;
    let (key, max_runs) = (full.key.clone(), most(full.max_runs));
    Some(Full::Key { workflow: workflow(), key, max_runs })
}

impl Drop for SlotSeat {
    /// Nobody is let in instead: where the partition begins anew, its runs hold what they held.
    fn drop(&mut self) {
        let mut inner = self.slots.lock();
        let own = self.number;
        inner.seats.remove(&own);
        inner.above.retain(|_, (seat, _)| *seat != own);
        inner.ending.retain(|_, seat| *seat != own);
        let waiting = inner.waits_in.iter().filter(|(_, waits)| waits.seat == own);
        let waiting: Vec<_> = waiting.map(|(run, _)| *run).collect();
        waiting.into_iter().for_each(|run| inner.note_left(run));
        inner.node.holders.retain(|_, held| held.seat != own);
        inner.lines.values_mut().for_each(|line| line.forget_seat(own));
        inner.lines.retain(|_, line| !line.is_idle());
    }
}
