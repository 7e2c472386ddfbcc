//! How much a partition holds.

use super::cell::Cell;
use super::{Abandon, Partition};

impl<T: Abandon> Partition<T> {
    /// Effects ordered whose outcome was not reported yet.
    #[must_use]
    pub fn effects_in_flight(&self) -> usize {
        self.runs.values().map(Cell::effects_in_flight).sum()
    }

    /// Runs in memory.
    #[must_use]
    pub fn resident(&self) -> usize {
        self.runs.len()
    }

    /// Records that wait to be staged.
    #[must_use]
    pub fn open_records(&self) -> usize {
        self.open.records.len()
    }

    /// Stages handed out by [`Partition::stage`] and not yet committed.
    #[must_use]
    pub fn stages_in_flight(&self) -> usize {
        self.in_flight.len()
    }
}
