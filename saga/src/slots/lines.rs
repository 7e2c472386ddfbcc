//! The line of one workflow, and what is shown of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use backstitch_core::event::Priority;
use backstitch_core::ids::ExecutionId;
use backstitch_core::time::Timestamp;

use super::Claim;
use crate::catalog::Name;
use crate::turns::WEIGHTS;

/// Holders of one limit that are named; the count says how many there are.
const HOLDERS_SHOWN_MAX: usize = 100;

/// Since when a run waits: the same after every start.
type Since = (Timestamp, ExecutionId);

/// One workflow's runs at a time, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Its tenant.
    pub namespace: Arc<str>,
    /// Its id.
    pub workflow: Arc<str>,
    /// The smallest limit of the revisions that its runs are pinned to, if any has one.
    pub max_runs: Option<usize>,
    /// Runs that have begun and not ended.
    pub running: usize,
    /// The first of them by id.
    pub holders: Vec<ExecutionId>,
    /// Runs that wait: high, medium, low.
    pub waiting: [usize; 3],
}

/// Every limit, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The node's own.
    pub runs_max: Option<usize>,
    /// How many may wait.
    pub queue_max: usize,
    /// Runs that hold a slot of the node; only counted where there is a limit.
    pub running: usize,
    /// Runs that wait: high, medium, low.
    pub waiting: [usize; 3],
    /// By workflow, those with a run that holds or waits.
    pub workflows: Vec<Limit>,
}

/// The node's own limit.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) holders: HashMap<ExecutionId, u64>,
    owed: [i64; 3],
}

impl Node {
    /// Who of the heads of all lines is next: by weight of its class, then by its time.
    pub(super) fn next<'a>(
        &mut self,
        heads: impl Iterator<Item = (Since, &'a (u64, Claim))>,
    ) -> Option<(u64, Claim)> {
        let mut first: [Option<(Since, &(u64, Claim))>; 3] = [None; 3];
        for (since, head) in heads {
            let own = &mut first[class(head.1.priority)];
            if own.is_none_or(|(known, _)| since < known) {
                *own = Some((since, head));
            }
        }
        let mut total = 0;
        for (class, weight) in WEIGHTS.into_iter().enumerate() {
            if first[class].is_some() {
                self.owed[class] += weight;
                total += weight;
            } else {
                self.owed[class] = 0;
            }
        }
        let waiting = (0..WEIGHTS.len()).filter(|&class| first[class].is_some());
        let next = waiting.max_by_key(|&class| (self.owed[class], std::cmp::Reverse(class)))?;
        self.owed[next] -= total;
        first[next].map(|(_, (seat, claim))| (*seat, claim.clone()))
    }
}

fn class(priority: Priority) -> usize {
    match priority {
        Priority::High => 0,
        Priority::Medium => 1,
        Priority::Low => 2,
    }
}

/// One workflow's runs.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Those that have begun, with their seats.
    holders: BTreeMap<ExecutionId, u64>,
    /// Those that wait, the first before the last, with their seats: by class, children behind
    /// the others, so that none waits behind a run that has to wait for the node.
    waiting: [BTreeMap<Since, (u64, Claim)>; 6],
    /// Where each waits.
    places: HashMap<ExecutionId, (usize, Since)>,
    /// The limits of the revisions met.
    max_runs: Option<usize>,
}

impl Line {
    pub(super) fn is_full(&self, max_runs: Option<usize>) -> bool {
        max_runs.is_some_and(|max| self.holders.len() >= max)
    }

    /// Whether a run of the same kind waits.
    pub(super) fn has_waiting(&self, is_child: bool) -> bool {
        let (others, children) = self.waiting.split_at(3);
        let own = if is_child { children } else { others };
        own.iter().any(|line| !line.is_empty())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.holders.is_empty() && self.places.is_empty()
    }

    pub(super) fn holds(&self, claim: &Claim) -> bool {
        self.holders.contains_key(&claim.run)
    }

    pub(super) fn holders(&self) -> impl Iterator<Item = ExecutionId> + '_ {
        self.holders.keys().copied()
    }

    pub(super) fn is_held_by(&self, run: ExecutionId) -> bool {
        self.holders.contains_key(&run)
    }

    pub(super) fn hold(&mut self, seat: u64, claim: &Claim) {
        self.leave(claim);
        self.meet(claim);
        self.holders.insert(claim.run, seat);
    }

    pub(super) fn release(&mut self, run: ExecutionId) {
        self.holders.remove(&run);
    }

    pub(super) fn wait(&mut self, seat: u64, claim: &Claim) {
        if self.places.contains_key(&claim.run) || self.holds(claim) {
            return;
        }
        self.meet(claim);
        let class = class(claim.priority) + if claim.is_child() { 3 } else { 0 };
        let since = (claim.submitted_at, claim.run);
        self.waiting[class].insert(since, (seat, claim.clone()));
        self.places.insert(claim.run, (class, since));
    }

    pub(super) fn leave(&mut self, claim: &Claim) {
        if let Some((class, since)) = self.places.remove(&claim.run) {
            self.waiting[class].remove(&since);
        }
    }

    fn meet(&mut self, claim: &Claim) {
        self.max_runs = match (self.max_runs, claim.max_runs) {
            (Some(known), Some(own)) => Some(known.min(own)),
            (known, own) => own.or(known),
        };
    }

    /// The first of each class that there is room for.
    pub(super) fn heads(&self, node_is_full: bool) -> impl Iterator<Item = (Since, &(u64, Claim))> {
        let first = self.waiting.iter().filter_map(|line| line.first_key_value());
        first.map(|(since, head)| (*since, head)).filter(move |(_, (_, claim))| {
            !self.is_full(claim.max_runs) && (claim.is_child() || !node_is_full)
        })
    }

    pub(super) fn lengths(&self) -> [usize; 3] {
        std::array::from_fn(|class| self.waiting[class].len() + self.waiting[class + 3].len())
    }

    pub(super) fn position(&self, claim: &Claim) -> Option<usize> {
        let (class, since) = self.places.get(&claim.run)?;
        Some(self.waiting[*class].range(..*since).count())
    }

    pub(super) fn forget_seat(&mut self, seat: u64) {
        self.holders.retain(|_, own| *own != seat);
        for line in &mut self.waiting {
            line.retain(|_, (own, claim)| {
                let gone = *own == seat;
                if gone {
                    self.places.remove(&claim.run);
                }
                !gone
            });
        }
    }

    pub(super) fn shown(&self, name: &Name) -> Limit {
        Limit {
            namespace: name.0.clone(),
            workflow: name.1.clone(),
            max_runs: self.max_runs,
            running: self.holders.len(),
            holders: self.holders.keys().take(HOLDERS_SHOWN_MAX).copied().collect(),
            waiting: self.lengths(),
        }
    }
}
