//! Slots: how many runs of a workflow, and of the whole node, have begun and not ended.
//!
//! Nothing here is remembered: who holds a slot and who waits for one is read off the states of
//! runs, at the start and after every decision, so a slot can't leak. It is let go only once the
//! ending is durable, so that a crash never finds more holders than there may be. Children wait
//! for their own workflow's limit, but not for the node's: their parents hold a slot of it. One
//! that has a run of its own workflow above it, at any level, takes no slot at all: it would wait
//! for what cannot end before it.

mod above;
mod claim;
mod lines;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstitch_core::definition::OnLimit;
use backstitch_core::ids::ExecutionId;

use crate::catalog::Name;
use crate::turns::Wake;
pub use claim::{Claim, Full};
pub use lines::{Limit, Limits};
use lines::{Line, Node};

/// Runs that wait to begin, unless told otherwise; more are refused.
pub const QUEUE_MAX: usize = 1_000_000;

/// How many runs a node lets go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Runs that have begun and not ended, children aside; no limit if unsaid.
    pub runs_max: Option<usize>,
    /// Runs that wait to begin.
    pub queue_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { runs_max: None, queue_max: QUEUE_MAX }
    }
}

/// All slots of a node.
#[derive(Clone)]
pub struct Slots {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    settings: Settings,
    node: Node,
    lines: HashMap<Name, Line>,
    /// The run above each child that has begun or waits, with the child's seat.
    above: HashMap<ExecutionId, (u64, ExecutionId)>,
    seats: HashMap<u64, Holder>,
    next: u64,
}

struct Holder {
    granted: VecDeque<ExecutionId>,
    pending: Arc<AtomicUsize>,
    wake: Wake,
}

/// A partition's place at the slots. What its runs hold goes with it.
pub struct SlotSeat {
    slots: Slots,
    settings: Settings,
    number: u64,
    pending: Arc<AtomicUsize>,
}

impl Slots {
    /// No run holds any yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let inner = Inner {
            settings,
            node: Node::default(),
            lines: HashMap::new(),
            above: HashMap::new(),
            seats: HashMap::new(),
            next: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// A seat that is woken when one of its runs may begin.
    #[must_use]
    pub fn seat(&self, wake: Wake) -> SlotSeat {
        let mut inner = self.lock();
        let (number, pending) = (inner.next, Arc::new(AtomicUsize::new(0)));
        inner.next += 1;
        let granted = VecDeque::new();
        inner.seats.insert(number, Holder { granted, pending: pending.clone(), wake });
        let settings = inner.settings;
        drop(inner);
        SlotSeat { slots: self.clone(), settings, number, pending }
    }

    /// Lets in whoever may begin, once every partition has said what its runs hold: before that
    /// nobody knows what is free.
    pub fn let_in(&self) {
        let mut inner = self.lock();
        inner.release_within();
        drop(inner);
        self.hand_on();
    }

    fn hand_on(&self) {
        let woken = self.lock().hand_on();
        woken.iter().for_each(|wake| wake());
    }

    /// Every limit, who holds what of it and who waits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let inner = self.lock();
        let mut workflows: Vec<_> =
            inner.lines.iter().map(|(name, line)| line.shown(name)).collect();
        workflows.sort_by(|one, two| {
            (&one.namespace, &one.workflow).cmp(&(&two.namespace, &two.workflow))
        });
        Limits {
            runs_max: inner.settings.runs_max,
            queue_max: inner.settings.queue_max,
            running: inner.node.holders.len(),
            waiting: inner.waiting(),
            workflows,
        }
    }

    /// The limit that a waiting run waits for, and how many are before it.
    #[must_use]
    pub fn waits_for(&self, claim: &Claim) -> Option<(Limit, usize)> {
        let inner = self.lock();
        let line = inner.lines.get(&claim.workflow)?;
        let before = line.position(claim)?;
        Some((line.shown(&claim.workflow), before))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn waiting(&self) -> [usize; 3] {
        let mut waiting = [0; 3];
        for line in self.lines.values() {
            let own = line.lengths();
            waiting.iter_mut().zip(own).for_each(|(all, own)| *all += own);
        }
        waiting
    }

    fn node_is_full(&self) -> bool {
        self.settings.runs_max.is_some_and(|max| self.node.holders.len() >= max)
    }

    fn note_parent(&mut self, seat: u64, claim: &Claim) {
        self.above.extend(claim.parent.map(|parent| (claim.run, (seat, parent))));
    }

    fn hold(&mut self, seat: u64, claim: &Claim) {
        if self.is_within(claim) {
            if let Some(line) = self.lines.get_mut(&claim.workflow) {
                line.leave(claim);
            }
            return;
        }
        self.lines.entry(claim.workflow.clone()).or_default().hold(seat, claim);
        if !claim.is_child() {
            self.node.holders.insert(claim.run, seat);
        }
    }

    fn has_room(&self, claim: &Claim) -> bool {
        let line = self.lines.get(&claim.workflow);
        let full = line.is_some_and(|line| line.is_full(claim.max_runs));
        !full && (claim.is_child() || !self.node_is_full())
    }

    /// Lets in whoever may begin now; answers whom to wake.
    fn hand_on(&mut self) -> Vec<Wake> {
        let mut woken = Vec::new();
        loop {
            let node_is_full = self.node_is_full();
            let heads = self.lines.values().flat_map(|line| line.heads(node_is_full));
            let Some((seat, claim)) = self.node.next(heads) else { break };
            if let Some(line) = self.lines.get_mut(&claim.workflow) {
                line.leave(&claim);
            }
            let Some(holder) = self.seats.get_mut(&seat) else { continue };
            holder.granted.push_back(claim.run);
            holder.pending.fetch_add(1, Ordering::AcqRel);
            woken.push(holder.wake.clone());
            self.hold(seat, &claim);
        }
        woken
    }

    fn forget(&mut self, claim: &Claim) {
        self.above.remove(&claim.run);
        self.node.holders.remove(&claim.run);
        if let Some(line) = self.lines.get_mut(&claim.workflow) {
            line.leave(claim);
            line.release(claim.run);
            if line.is_idle() {
                self.lines.remove(&claim.workflow);
            }
        }
    }
}

impl SlotSeat {
    /// Whether the run is bound by any limit at all.
    fn binds(&self, claim: &Claim) -> bool {
        claim.max_runs.is_some() || (self.settings.runs_max.is_some() && !claim.is_child())
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
        let line = inner.lines.get(&claim.workflow);
        if line.is_some_and(|line| line.holds(claim)) {
            return true;
        }
        // Whoever waits goes before who comes.
        let waits = line.is_some_and(|line| line.has_waiting(claim.is_child()));
        if !inner.is_within(claim) && (waits || !inner.has_room(claim)) {
            return false;
        }
        inner.hold(self.number, claim);
        true
    }

    /// Whether a run that is submitted may be taken in, to begin or to wait. One that must not
    /// wait holds its slot from here on.
    ///
    /// # Errors
    /// [`Full`]; nothing is to be recorded then.
    pub fn admits(&self, claim: &Claim) -> Result<(), Full> {
        if !self.binds(claim) {
            return Ok(());
        }
        let mut inner = self.slots.lock();
        let line = inner.lines.get(&claim.workflow);
        let waits = line.is_some_and(|line| line.has_waiting(claim.is_child()));
        let full = line.is_some_and(|line| line.is_full(claim.max_runs));
        if let (OnLimit::Reject, Some(max_runs), true) = (claim.on_limit, claim.max_runs, full) {
            return Err(Full::Workflow { workflow: claim.workflow.1.clone(), max_runs });
        }
        if !waits && inner.has_room(claim) {
            if claim.on_limit == OnLimit::Reject {
                inner.hold(self.number, claim);
            }
            return Ok(());
        }
        let queue_max = inner.settings.queue_max;
        let waiting: usize = inner.waiting().iter().sum();
        if waiting >= queue_max { Err(Full::Queue { queue_max }) } else { Ok(()) }
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
        if self.passes(claim) {
            return;
        }
        let mut inner = self.slots.lock();
        inner.note_parent(self.number, claim);
        if self.binds(claim) {
            inner.lines.entry(claim.workflow.clone()).or_default().wait(self.number, claim);
        }
    }

    /// The run waits to begin.
    pub fn waits(&self, claim: &Claim) {
        self.waited(claim);
        if self.binds(claim) {
            self.slots.hand_on();
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

    /// How many of the partition's runs may begin and have not been told.
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

    /// The slots it is a seat of.
    #[must_use]
    pub fn slots(&self) -> &Slots {
        &self.slots
    }
}

impl Drop for SlotSeat {
    /// Nobody is let in instead: where the partition begins anew, its runs hold what they held.
    fn drop(&mut self) {
        let mut inner = self.slots.lock();
        let own = self.number;
        inner.seats.remove(&own);
        inner.above.retain(|_, (seat, _)| *seat != own);
        inner.node.holders.retain(|_, seat| *seat != own);
        inner.lines.values_mut().for_each(|line| line.forget_seat(own));
        inner.lines.retain(|_, line| !line.is_idle());
    }
}

#[cfg(test)]
mod tests;
