//! The line of one key, and what is shown of it.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use backstitch_core::event::Priority;
use backstitch_core::ids::{ExecutionId, StepIndex};
use backstitch_core::time::Timestamp;

use super::{Ask, Asker};

/// Holders and waiters of one key that are named; counts say how many there are.
const NAMED_MAX: usize = 100;

/// Who goes first within a key: by priority, then since when it waits; the same after every
/// start.
pub type Order = (Priority, Timestamp, ExecutionId, StepIndex);

/// One key, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyShown {
    /// The key.
    pub key: Arc<str>,
    /// The smallest limit of those who asked.
    pub max: u32,
    /// Steps that hold a place.
    pub running: usize,
    /// The first of them, the step's id, and since when.
    pub holders: Vec<(ExecutionId, Arc<str>, Timestamp)>,
    /// Steps that wait: high, medium, low.
    pub waiting: [usize; 3],
    /// The first of them.
    pub waiters: Vec<ExecutionId>,
}

/// One key.
#[derive(Debug, Default)]
pub(super) struct Line {
    holders: BTreeSet<Asker>,
    waiting: BTreeSet<Order>,
    /// The smallest and the largest limit met.
    least: Option<u32>,
    most: u32,
}

impl Line {
    pub(super) fn has_room(&self, max: u32) -> bool {
        self.holders.len() < max as usize
    }

    /// Whether there is room for anybody at all.
    pub(super) fn may_have_room(&self) -> bool {
        self.has_room(self.most)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.holders.is_empty() && self.waiting.is_empty()
    }

    pub(super) fn hold(&mut self, asker: Asker, max: u32) {
        self.meet(max);
        self.holders.insert(asker);
    }

    pub(super) fn release(&mut self, asker: Asker) {
        self.holders.remove(&asker);
    }

    pub(super) fn wait(&mut self, order: Order, max: u32) {
        self.meet(max);
        self.waiting.insert(order);
    }

    pub(super) fn leave(&mut self, order: &Order) {
        self.waiting.remove(order);
    }

    fn meet(&mut self, max: u32) {
        self.least = Some(self.least.map_or(max, |known| known.min(max)));
        self.most = self.most.max(max);
    }

    /// The first that waits, behind another.
    pub(super) fn next(&self, behind: Option<Order>) -> Option<Order> {
        let from = behind.map_or(Bound::Unbounded, Bound::Excluded);
        self.waiting.range((from, Bound::Unbounded)).next().copied()
    }

    pub(super) fn before(&self, order: &Order) -> usize {
        self.waiting.range(..order).count()
    }

    pub(super) fn shown(&self, key: &Arc<str>, asks: &HashMap<Asker, (u64, Ask)>) -> KeyShown {
        let holder = |asker: &Asker| {
            let (_, ask) = asks.get(asker)?;
            Some((asker.0, ask.step.clone(), ask.at))
        };
        let waiting = |wanted: Priority| {
            self.waiting.iter().filter(|(priority, ..)| *priority == wanted).count()
        };
        KeyShown {
            key: key.clone(),
            max: self.least.unwrap_or_default(),
            running: self.holders.len(),
            holders: self.holders.iter().take(NAMED_MAX).filter_map(holder).collect(),
            waiting: [Priority::High, Priority::Medium, Priority::Low].map(waiting),
            waiters: self.waiting.iter().take(NAMED_MAX).map(|order| order.2).collect(),
        }
    }
}
