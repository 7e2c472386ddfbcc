//! Under which generation of the store a position was written.
//!
//! Along a partition's chain the generation never goes down, so where it rises is looked up in
//! halves, once after each start and only in a store that was restored. A position whose commit
//! was cut away counts as of the first commit that is left. Knows commits by their place.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Mutex;

use backstitch_core::ids::PartitionId;

use crate::error::Error;
use crate::journal::Journal;
use crate::locks::lock;

/// Where a partition's generations begin: the first position of each, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generations(Vec<(u64, u32)>);

impl Generations {
    /// The generation that a position was written under.
    #[must_use]
    pub fn of(&self, position: u64) -> u32 {
        let behind = self.0.partition_point(|(first, _)| *first <= position);
        self.0.get(behind.saturating_sub(1)).map_or(0, |(_, generation)| *generation)
    }
}

/// What was looked up since the journal was opened.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<HashMap<PartitionId, Generations>>);

impl Journal {
    /// Where a partition's generations begin.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the chain is not whole.
    pub fn generations(&self, partition: PartitionId) -> Result<Generations, Error> {
        let newest = self.origin().generation;
        if newest <= FIRST {
            return Ok(Generations(vec![(1, newest)]));
        }
        let known = &self.parts().generations.0;
        if let Some(found) = lock(known).get(&partition) {
            return Ok(found.clone());
        }
        let found = self.look_up(partition, newest)?;
        lock(known).insert(partition, found.clone());
        Ok(found)
    }

    fn look_up(&self, partition: PartitionId, newest: u32) -> Result<Generations, Error> {
        let index = usize::from(partition.0);
        let position = |heads: &[crate::commit::Head]| heads.get(index).map_or(0, |h| h.position);
        let (begun, end) = (position(&self.beginning()?), position(&self.heads()));
        let mut rises: Vec<(u64, u32)> = Vec::new();
        let mut from = begun + 1;
        while from <= end {
            let generation = self.generation_at(partition, from)?.unwrap_or(newest);
            rises.push((from, generation));
            // The first position behind that is of a later generation.
            let (mut low, mut high) = (from + 1, end + 1);
            while low < high {
                let middle = low.midpoint(high);
                match self.generation_at(partition, middle)? {
                    Some(found) if found <= generation => low = middle + 1,
                    _ => high = middle,
                }
            }
            from = low;
        }
        // Whatever comes later is of the newest.
        if rises.last().is_none_or(|(_, generation)| *generation < newest) {
            rises.push((end + 1, newest));
        }
        Ok(Generations(rises))
    }

    /// The generation of the commit that holds a position.
    fn generation_at(&self, partition: PartitionId, position: u64) -> Result<Option<u32>, Error> {
        let mut found = None;
        self.commits_after(partition, position.saturating_sub(1), &mut |commit| {
            found = Some(commit.origin().generation);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }
}

/// The generation of a store that was never restored.
const FIRST: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_of_the_last_generation_that_began_before_it() {
        let own = Generations(vec![(3, 1), (10, 2), (11, 4)]);
        let found: Vec<_> = [1, 3, 9, 10, 11, 500].into_iter().map(|at| own.of(at)).collect();
        assert_eq!(found, [1, 1, 1, 2, 4, 4]);
    }
}
