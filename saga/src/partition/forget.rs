//! Letting an erased content go from the memory of runs that hold it.

use backstitch_core::ids::Digest;

use super::cell::Cell;
use super::{Abandon, Answer, Partition};

impl<T: Abandon> Partition<T> {
    /// The record that says so is durable: what a start would not find any more, no run keeps.
    /// An attempt that is under way has its input already.
    pub(super) fn forget(&mut self, digest: &Digest, ticket: T) {
        for cell in self.runs.values_mut() {
            if let Cell::Run(run) = cell {
                run.state.forget(digest);
            }
        }
        self.answer(ticket, Answer::Forgotten);
    }
}
