//! Slots: how many runs of a workflow, and of the whole node, have begun and not ended.
//!
//! Nothing here is remembered: who holds a slot and who waits for one is read off the states of
//! runs, at the start and after every decision, so a slot can't leak. It is let go only once the
//! ending is durable, so that a crash never finds more holders than there may be. Children wait
//! for their own workflow's limits, but not for the node's: their parents hold a slot of it. One
//! that has a run above it, at any level, that holds a slot of a limit takes none of that limit:
//! it would wait for what cannot end before it.

mod above;
mod circle;
mod claim;
mod displace;
mod lane;
mod line;
mod node;
mod seat;
mod shown;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstitch_core::ids::ExecutionId;

use crate::catalog::Name;
use crate::holders::Holders;
use crate::turns::Wake;
pub use circle::Circle;
pub use claim::{Claim, Full};
pub use displace::Displaced;
use line::Line;
use node::Node;
pub use seat::SlotSeat;
use shown::Held;
pub use shown::{KeyedRuns, Limit, Limits, SlotHolder, Waits};

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
    lines: BTreeMap<Name, Line>,
    /// The run above each child that has begun or waits, with the child's seat.
    above: HashMap<ExecutionId, (u64, ExecutionId)>,
    /// Runs that have ended and hold their slots until that is durable, with their seats: they
    /// hold nothing for what is below them.
    ending: HashMap<ExecutionId, u64>,
    /// The children that wait, and which of them are below each run.
    waits_in: BTreeMap<ExecutionId, circle::Waits>,
    below: BTreeMap<ExecutionId, BTreeSet<ExecutionId>>,
    seats: HashMap<u64, Holder>,
    next: u64,
}

/// What a partition is to be told.
struct Holder {
    granted: VecDeque<ExecutionId>,
    displaced: VecDeque<Displaced>,
    circles: VecDeque<Circle>,
    /// How many wait in all of them, to be looked at without the lock.
    pending: Arc<AtomicUsize>,
    wake: Wake,
}

impl Slots {
    /// No run holds any yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let inner = Inner {
            settings,
            node: Node::default(),
            lines: BTreeMap::new(),
            above: HashMap::new(),
            ending: HashMap::new(),
            waits_in: BTreeMap::new(),
            below: BTreeMap::new(),
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
        let holder = Holder {
            granted: VecDeque::new(),
            displaced: VecDeque::new(),
            circles: VecDeque::new(),
            pending: pending.clone(),
            wake,
        };
        inner.seats.insert(number, holder);
        let settings = inner.settings;
        drop(inner);
        SlotSeat::new(self.clone(), settings, number, pending)
    }

    /// Lets in whoever may begin, once every partition has said what its runs hold: before that
    /// nobody knows what is free.
    pub fn let_in(&self) {
        let mut inner = self.lock();
        inner.release_within();
        let mut woken = inner.displace_all();
        woken.extend(inner.open_circles());
        drop(inner);
        woken.iter().for_each(|wake| wake());
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
        let workflows = inner.lines.iter().map(|(name, line)| line.shown(name)).collect();
        Limits {
            runs_max: inner.settings.runs_max,
            queue_max: inner.settings.queue_max,
            running: inner.node.holders.len(),
            waiting: inner.waiting(),
            workflows,
        }
    }

    /// How many runs the node lets go on, if that is limited.
    #[must_use]
    pub fn runs_max(&self) -> Option<usize> {
        self.lock().settings.runs_max
    }

    /// Those that hold a slot of the node, as a tenant is told: the longest of its own first.
    #[must_use]
    pub fn of_node(&self, namespace: &str, most: usize) -> Holders<SlotHolder> {
        let all = self.lock().node.shown();
        Holders::of(namespace, all, most)
    }

    /// Whether somebody waits who may begin.
    #[must_use]
    pub fn is_idle_for_somebody(&self) -> bool {
        let inner = self.lock();
        let node_is_full = inner.node_is_full();
        inner.lines.values().any(|line| line.heads(node_is_full).next().is_some())
    }

    /// What a waiting run waits for, and how many are before it.
    #[must_use]
    pub fn waits_for(&self, claim: &Claim) -> Option<Waits> {
        let inner = self.lock();
        let line = inner.lines.get(&claim.workflow)?;
        let (_, waiting) = line.waiting_claim(claim.run)?;
        let full = waiting.keys.iter().filter(|own| line.is_key_full(own));
        Some(Waits {
            limit: line.shown(&claim.workflow),
            keys: full.filter_map(|own| line.key(&own.key)).collect(),
            before: line.before(claim.run)?,
            waiting: inner.waiting().iter().sum(),
        })
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

    /// The run holds what it wants and no run above it holds for it.
    fn hold(&mut self, seat: u64, claim: &Claim) {
        self.note_left(claim.run);
        self.ending.remove(&claim.run);
        let wanted = self.wanted(claim).into_owned();
        if wanted.whole || !wanted.keys.is_empty() {
            self.lines.entry(claim.workflow.clone()).or_default().hold(seat, &wanted);
        } else if let Some(line) = self.lines.get_mut(&claim.workflow) {
            line.leave(claim);
        }
        if !claim.is_child() {
            self.node.holders.insert(claim.run, Held::of(seat, claim));
        }
    }

    fn note_begun(&mut self, claim: &Claim) {
        if let Some(held) = self.node.holders.get_mut(&claim.run) {
            held.since = claim.begun_at;
        }
        if let Some(line) = self.lines.get_mut(&claim.workflow) {
            line.note_begun(claim);
        }
    }

    fn has_room(&self, claim: &Claim) -> bool {
        let line = self.lines.get(&claim.workflow);
        line.is_none_or(|line| line.has_room(claim)) && (claim.is_child() || !self.node_is_full())
    }

    /// Has a partition told that a run of it is to make room; answers whom to wake.
    fn tell(&mut self, seat: u64, own: Displaced) -> Option<Wake> {
        let holder = self.seats.get_mut(&seat)?;
        holder.displaced.push_back(own);
        holder.pending.fetch_add(1, Ordering::AcqRel);
        Some(holder.wake.clone())
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
        self.note_left(claim.run);
        self.above.remove(&claim.run);
        self.ending.remove(&claim.run);
        self.node.holders.remove(&claim.run);
        if let Some(line) = self.lines.get_mut(&claim.workflow) {
            line.leave(claim);
            line.release(claim);
            if line.is_idle() {
                self.lines.remove(&claim.workflow);
            }
        }
    }
}

#[cfg(test)]
mod tests;
