//! Those of one workflow that wait with the same keys: the first of each class goes first.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstitch_core::ids::{ExecutionId, PartitionId};
use backstitch_core::time::Timestamp;

use super::claim::{Claim, Since};
use super::node::class;

/// Priorities, for each of three kinds: runs that wait for the node too, children, which do not,
/// and children below a run that has their workflow's slot. No kind waits behind another, which
/// may have to wait for what this one needs not.
pub(super) const CLASSES: usize = 9;

/// The keys, ascending.
pub(super) type LaneName = Arc<[Arc<str>]>;

/// Before everybody.
const FIRST: Since = (Timestamp(i64::MIN), ExecutionId { partition: PartitionId(0), digits: 0 });

/// Those that wait with the same keys.
#[derive(Debug, Default)]
pub(super) struct Lane {
    waiting: BTreeMap<(usize, Since), (u64, Claim)>,
    /// Who of them is listed as one that its keys have room for.
    pub(super) listed: Vec<(usize, Since)>,
}

/// The lane that a run waits in.
pub(super) fn lane_of(claim: &Claim) -> LaneName {
    let mut keys: Vec<_> = claim.keys.iter().map(|own| own.key.clone()).collect();
    keys.sort_unstable();
    keys.into()
}

/// The class that a run waits in.
pub(super) fn class_of(claim: &Claim) -> usize {
    class(claim.priority) + 3 * kind(claim)
}

/// The classes of the same kind.
pub(super) fn classes_like(claim: &Claim) -> std::ops::Range<usize> {
    let first = 3 * kind(claim);
    first..first + 3
}

fn kind(claim: &Claim) -> usize {
    match (claim.is_child(), claim.whole) {
        (false, _) => 0,
        (true, true) => 1,
        (true, false) => 2,
    }
}

impl Lane {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn insert(&mut self, seat: u64, claim: &Claim) {
        self.waiting.insert((class_of(claim), claim.since()), (seat, claim.clone()));
    }

    pub(super) fn remove(&mut self, class: usize, since: Since) {
        self.waiting.remove(&(class, since));
    }

    pub(super) fn get(&self, class: usize, since: Since) -> Option<&(u64, Claim)> {
        self.waiting.get(&(class, since))
    }

    /// The first of each class.
    pub(super) fn heads(&self) -> impl Iterator<Item = (usize, Since, &(u64, Claim))> {
        let mut from = (0, FIRST);
        std::iter::from_fn(move || {
            let (&(class, since), head) = self.waiting.range(from..).next()?;
            from = (class + 1, FIRST);
            Some((class, since, head))
        })
    }

    /// Whether a run of the same kind waits.
    pub(super) fn has_waiting(&self, like: &Claim) -> bool {
        let classes = classes_like(like);
        self.waiting.range((classes.start, FIRST)..(classes.end, FIRST)).next().is_some()
    }

    /// How many of its class are before one.
    pub(super) fn before(&self, class: usize, since: Since) -> usize {
        self.waiting.range((class, FIRST)..(class, since)).count()
    }

    pub(super) fn claims(&self) -> impl Iterator<Item = &(u64, Claim)> {
        self.waiting.values()
    }

    /// How many wait: high, medium, low.
    pub(super) fn lengths(&self) -> [usize; 3] {
        let mut lengths = [0; 3];
        self.waiting.keys().for_each(|(class, _)| lengths[class % 3] += 1);
        lengths
    }
}
