//! What survives every crash, and how partitions look it up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::event::Event;
use backstitch_core::ids::{Digest, ExecutionId};
use backstitch_core::plan::{Plan, TaskTypes};
use backstitch_core::time::Timestamp;
use backstitch_saga::partition::{Histories, StagedRecord};
use serde_json::Value;

/// The task types of the simulated services.
pub struct Types;

impl TaskTypes for Types {
    fn effectful(&self) -> &[&'static str] {
        &["service"]
    }

    fn check(&self, _: &str, _: &Value) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// What survives every crash: the durable records of each run, and the plans.
#[derive(Debug, Default)]
pub struct Disk {
    pub runs: BTreeMap<ExecutionId, Vec<StagedRecord>>,
    pub plans: HashMap<Digest, Arc<Plan>>,
    /// Runs that a start goes on with: all but those last handed over as quiescent.
    pub live: BTreeSet<ExecutionId>,
    /// Checkpoints that reached the disk; some are lost again.
    pub checkpoints: BTreeMap<ExecutionId, Checkpoint>,
}

#[derive(Debug, Clone)]
pub struct DiskHistories(pub Arc<Mutex<Disk>>);

impl Histories for DiskHistories {
    fn history(&self, run: ExecutionId) -> Result<Option<Vec<(Event, Timestamp)>>, String> {
        let disk = self.0.lock().expect("no thread panicked");
        Ok(disk.runs.get(&run).map(|records| events_of(records)))
    }

    fn plan(&self, digest: &Digest) -> Option<Arc<Plan>> {
        self.0.lock().expect("no thread panicked").plans.get(digest).cloned()
    }
}

pub fn events_of(records: &[StagedRecord]) -> Vec<(Event, Timestamp)> {
    records.iter().map(|record| (record.event.clone(), record.at)).collect()
}
