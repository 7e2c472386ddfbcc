//! The node's own limit, and who of all that wait goes first.

use std::collections::HashMap;

use backstitch_core::event::Priority;
use backstitch_core::ids::ExecutionId;

use super::claim::{Claim, Since};
use super::shown::{Held, SlotHolder};
use crate::turns::WEIGHTS;

/// The node's own limit.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) holders: HashMap<ExecutionId, Held>,
    owed: [i64; 3],
}

impl Node {
    /// Those that hold a slot, those that go on longest first. Looks at all of them; for people
    /// only.
    pub(super) fn shown(&self) -> Vec<SlotHolder> {
        let mut all: Vec<_> = self.holders.iter().map(Held::shown).collect();
        all.sort_unstable_by_key(|own| (own.since.is_none(), own.since, own.run));
        all
    }

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

pub(super) fn class(priority: Priority) -> usize {
    match priority {
        Priority::High => 0,
        Priority::Medium => 1,
        Priority::Low => 2,
    }
}
