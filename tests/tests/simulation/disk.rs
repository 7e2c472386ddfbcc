//! What survives every crash, and how partitions look it up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use backstitch_core::availability::Unavailable;
use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::event::{Alert, Event, PartitionEvent, RunEvent};
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, RedriveId, StreamId};
use backstitch_core::lineage::{Plans, Texts};
use backstitch_core::plan::{Plan, TaskTypes};
use backstitch_core::rollout::Applicant;
use backstitch_core::time::Timestamp;
use backstitch_saga::catalog::{Catalog, Chosen, NotChosen};
use backstitch_saga::partition::{Histories, Recoverable, StagedRecord, fold, fold_more};
use serde_json::Value;

use super::random::Random;
use super::told;
use super::world::PARTITIONS;

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
    /// Revisions that come later.
    pub later: HashMap<Digest, Arc<Plan>>,
    /// The canonical JSON of every revision.
    pub texts: HashMap<Digest, Arc<str>>,
    /// Runs that a start goes on with: all but those last handed over as quiescent.
    pub live: BTreeSet<ExecutionId>,
    /// The partitions' own streams.
    pub own: BTreeMap<PartitionId, Vec<StagedRecord>>,
    /// The redrives' streams.
    pub redrives: BTreeMap<RedriveId, Vec<StagedRecord>>,
    /// The workflows' streams.
    pub workflows: BTreeMap<StreamId, Vec<StagedRecord>>,
    /// Which revisions new runs get, as every node knows it.
    pub catalog: Catalog,
    /// The requests that each id began with, one for each of its lives.
    pub requests: BTreeMap<ExecutionId, Vec<Digest>>,
    /// Checkpoints that reached the disk; some are lost again.
    pub checkpoints: BTreeMap<ExecutionId, Checkpoint>,
    /// Runs that were removed and have not begun again, with what they were.
    pub removed: BTreeMap<ExecutionId, Vec<StagedRecord>>,
}

impl Disk {
    /// Compiles a definition and keeps its text.
    pub fn keep(&mut self, definition: &Value, random: &mut Random) -> Arc<Plan> {
        let (read, mut plan) = Plan::read(definition, &Types)
            .unwrap_or_else(|problems| panic!("{definition:#}: {problems:?}"));
        // Small enough that a few items are several chunks.
        for each in plan.steps.iter_mut().filter_map(|step| step.each.as_mut()) {
            each.chunk_items = 1 + u32::try_from(random.below(3)).expect("small");
        }
        self.texts.insert(plan.digest, read.canonical_text().into());
        Arc::new(plan)
    }

    pub fn write(&mut self, record: StagedRecord) {
        if let StreamId::Execution(run) = &record.stream {
            self.live.insert(*run);
            self.removed.remove(run);
            if let Event::Run(RunEvent::Submitted(own)) = &record.event {
                self.requests.entry(*run).or_default().push(own.request);
            }
        }
        let stream = self.stream_of(&record);
        assert_eq!(record.version, stream.len() as u64 + 1, "versions have no gap");
        if let Event::Partition(PartitionEvent::RunsRemoved { runs, .. }) = &record.event {
            for run in runs {
                let records = self.runs.remove(run).expect("a run is removed once");
                self.live.remove(run);
                self.checkpoints.remove(run);
                self.removed.insert(*run, records);
            }
        }
        self.stream_of(&record).push(record);
    }

    /// Whether a durable event says that the run was removed, be it back or not.
    pub fn own_removed(&self, run: ExecutionId) -> bool {
        self.own.values().flatten().any(|record| match &record.event {
            Event::Partition(PartitionEvent::RunsRemoved { runs, .. }) => runs.contains(&run),
            _ => false,
        })
    }

    fn stream_of(&mut self, record: &StagedRecord) -> &mut Vec<StagedRecord> {
        match &record.stream {
            StreamId::Execution(run) => self.runs.entry(*run).or_default(),
            StreamId::Partition(id) => self.own.entry(*id).or_default(),
            StreamId::Workflow { .. } => self.workflows.entry(record.stream.clone()).or_default(),
            StreamId::Redrive(id) => self.redrives.entry(*id).or_default(),
            StreamId::Replay(_) => panic!("nothing of {} here", record.stream),
        }
    }
}

#[derive(Debug, Clone)]
pub struct DiskHistories(pub Arc<Mutex<Disk>>);

impl Plans for Disk {
    fn plan_of(&self, lineage: &[Digest]) -> Option<Arc<Plan>> {
        match lineage {
            [only] => self.plans.get(only).or_else(|| self.later.get(only)).cloned(),
            _ => Texts(|digest: &Digest| self.texts.get(digest).cloned()).plan_of(lineage),
        }
    }
}

impl Plans for DiskHistories {
    fn plan_of(&self, lineage: &[Digest]) -> Option<Arc<Plan>> {
        self.0.lock().expect("no thread panicked").plan_of(lineage)
    }
}

impl Histories for DiskHistories {
    fn history(&self, run: ExecutionId) -> Result<Option<Vec<(Event, Timestamp)>>, String> {
        let disk = self.0.lock().expect("no thread panicked");
        Ok(disk.runs.get(&run).map(|records| events_of(records)))
    }

    /// A checkpoint and what came after it, which is the same as the whole history.
    fn recoverable(&self, run: ExecutionId) -> Result<Option<Recoverable>, String> {
        let Some(whole) = self.history(run)? else { return Ok(None) };
        let checkpoint = self.0.lock().expect("no panic").checkpoints.get(&run).cloned();
        let Some(checkpoint) = checkpoint.map(Box::new) else {
            return Ok(Some(Recoverable { checkpoint: None, events: whole }));
        };
        let version = usize::try_from(checkpoint.version()).expect("few events");
        let events = whole[version..].to_vec();
        let state = fold_more(run, (*checkpoint).clone(), &events, self)?;
        let alike = Checkpoint::of(&state) == Checkpoint::of(&fold(run, &whole, self)?);
        assert!(alike, "{run} folded from version {version} is not its replay");
        Ok(Some(Recoverable { checkpoint: Some(checkpoint), events }))
    }

    fn version(&self, run: ExecutionId) -> Result<Option<u64>, String> {
        let disk = self.0.lock().expect("no thread panicked");
        Ok(disk.runs.get(&run).map(|records| records.len() as u64))
    }

    fn choose(
        &self,
        namespace: &str,
        workflow: &str,
        wanted: Option<u32>,
        run: &Applicant<'_>,
    ) -> Result<Chosen, NotChosen> {
        let disk = self.0.lock().expect("no thread panicked");
        disk.catalog.choose(namespace, workflow, wanted, run)
    }

    fn admits(&self, namespace: &str, workflow: &str) -> Result<(), Unavailable> {
        let disk = self.0.lock().expect("no thread panicked");
        disk.catalog.admits(namespace, workflow)
    }

    fn alerts(&self, _: &str, workflow: &str, _: &[Arc<str>]) -> Vec<Alert> {
        told::alerts_of(workflow)
    }

    fn partitions(&self) -> u16 {
        PARTITIONS
    }
}

pub fn events_of(records: &[StagedRecord]) -> Vec<(Event, Timestamp)> {
    records.iter().map(|record| (record.event.clone(), record.at)).collect()
}
