//! Runs as their durable events add up: the folds that live states are compared with.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use backstitch_core::ids::ExecutionId;
use backstitch_core::state::State;
use backstitch_saga::partition::fold;

use super::disk::{DiskHistories, events_of};
use super::world::World;

/// The last fold of each run.
#[derive(Default)]
pub struct Folds(RefCell<BTreeMap<ExecutionId, Arc<State>>>);

impl World {
    /// The run as its durable events add up.
    pub fn live_state(&self, run: ExecutionId) -> Arc<State> {
        let version = self.disk.lock().expect("no thread panicked").runs[&run].len();
        self.folded(run, version)
    }

    /// The run as its first durable events add up. The last fold of each is kept, for nothing
    /// happens to most runs between two looks.
    pub fn folded(&self, run: ExecutionId, version: usize) -> Arc<State> {
        let disk = self.disk.lock().expect("no thread panicked");
        let records = &disk.runs[&run][..version];
        let begun = records.first().map(|first| first.at);
        if let Some(kept) = self.folds.0.borrow().get(&run)
            && kept.version == version as u64
            && Some(kept.submitted_at) == begun
        {
            return kept.clone();
        }
        let events = events_of(records);
        drop(disk);
        let histories = DiskHistories(self.disk.clone());
        let state = fold(run, &events, &histories);
        let state = Arc::new(state.unwrap_or_else(|why| panic!("seed {}: {why}", self.seed)));
        self.folds.0.borrow_mut().insert(run, state.clone());
        state
    }
}
