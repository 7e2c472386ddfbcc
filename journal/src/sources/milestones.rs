//! Places in segments with where every partition stands there, so that whoever reads all partitions
//! on from some positions begins near them.
//!
//! A place once written never changes, so a milestone is right as long as its segment is there.
//! Losing one costs time only.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::commit::Head;
use crate::locks::lock;

/// Bytes of a segment with one milestone at most.
const STRIDE_BYTES: u64 = 256 * 1024;
/// Milestones kept; those of the oldest segments are forgotten. One takes less than a kibibyte
/// with 16 partitions.
const MILESTONES_MAX: usize = 2_048;

/// A place between two groups of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Milestone {
    /// Where the next group begins.
    pub offset: u64,
    /// Its number.
    pub next_group: u64,
    /// Where each partition stands before it.
    pub heads: Vec<Head>,
}

/// The milestones of one chain, by segment and stride.
#[derive(Debug, Default)]
pub(super) struct Milestones(Mutex<BTreeMap<(u64, u64), Milestone>>);

impl Milestones {
    /// The last place in a segment that has everything behind these positions behind it.
    pub(super) fn find(&self, segment: u64, positions: &[u64]) -> Option<Milestone> {
        let milestones = lock(&self.0);
        let mut own = milestones.range((segment, 0)..=(segment, u64::MAX)).rev();
        own.find(|(_, milestone)| are_before(&milestone.heads, positions))
            .map(|(_, own)| own.clone())
    }

    /// Keeps a place if its stride has none.
    pub(super) fn pass(&self, segment: u64, offset: u64, next_group: u64, heads: &[Head]) {
        let mut milestones = lock(&self.0);
        let own = milestones.entry((segment, offset / STRIDE_BYTES));
        own.or_insert_with(|| Milestone { offset, next_group, heads: heads.to_vec() });
        if milestones.len() > MILESTONES_MAX {
            milestones.pop_first();
        }
    }
}

/// Whether nothing behind the positions comes before the heads.
pub(super) fn are_before(heads: &[Head], positions: &[u64]) -> bool {
    let positions = positions.iter().copied().chain(std::iter::repeat(0));
    heads.iter().zip(positions).all(|(head, position)| head.position <= position)
}
