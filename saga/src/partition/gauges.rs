//! How much a partition holds.

use backstitch_core::ids::ExecutionId;
use backstitch_core::state::{State, StepState};

use super::cell::{Cell, Run};
use super::{Abandon, Partition, RunMemory};

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

    /// Runs at rest: live, and not in memory.
    #[must_use]
    pub fn at_rest(&self) -> usize {
        self.resting.len()
    }

    /// What runs take in memory, as far as their own data go.
    pub(super) fn memory(&self) -> RunMemory {
        let of_state = |state: &State| {
            size_of::<Run>() + state.steps.len() * size_of::<StepState>() + state.payload_bytes
        };
        let (resident, at_rest) = (self.resident(), self.at_rest());
        let resident_bytes = self.states().map(of_state).sum();
        RunMemory { resident, resident_bytes, at_rest, at_rest_bytes: self.resting.bytes() }
    }

    /// Whether a run is in memory or at rest.
    pub(super) fn is_here(&self, run: ExecutionId) -> bool {
        self.runs.contains_key(&run) || self.resting.contains(run)
    }

    /// The runs in memory as they stand, for whoever looks at all of them.
    pub fn states(&self) -> impl Iterator<Item = &State> {
        self.runs.values().filter_map(|cell| match cell {
            Cell::Run(run) => Some(&run.state),
            Cell::Quarantined(_) => None,
        })
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
