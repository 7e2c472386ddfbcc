//! A partition on a bench: a disk in memory, every stage durable at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use backstitch_core::audit::Mark;
use backstitch_core::availability::Unavailable;
use backstitch_core::command::Submission;
use backstitch_core::effect::Effect;
use backstitch_core::event::{Event, PartitionEvent, Submitted};
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StreamId};
use backstitch_core::lineage::Plans;
use backstitch_core::payload::Payload;
use backstitch_core::plan::{Plan, TaskTypes};
use backstitch_core::rollout::Applicant;
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;
use backstitch_saga::catalog::{Chosen, NotChosen};
use backstitch_saga::keys::KeySeat;
use backstitch_saga::partition::{
    Abandon, Answer, Histories, Input, Order, Partition, Post, Release, Stage, StagedRecord, fold,
};
use backstitch_saga::slots::SlotSeat;
use backstitch_saga::turns::Seat;
use serde_json::{Value, json};

pub const START: Timestamp = Timestamp(1_800_000_000_000_000);
pub const RUN: ExecutionId = ExecutionId { partition: PartitionId(0), digits: 1 };
pub const OTHER: ExecutionId = ExecutionId { partition: PartitionId(0), digits: 2 };

struct Types;

impl TaskTypes for Types {
    fn effectful(&self) -> &[&'static str] {
        &["task"]
    }

    fn check(&self, _: &str, _: &Value) -> Vec<(String, String)> {
        Vec::new()
    }
}

pub fn plan(definition: Value) -> Arc<Plan> {
    Arc::new(Plan::read(&definition, &Types).expect("a right definition").1)
}

pub fn submission(
    run: ExecutionId,
    plan: &Arc<Plan>,
    deadline_at: Option<Timestamp>,
) -> Submission {
    let submitted = Box::new(Submitted {
        namespace: "default".into(),
        workflow: plan.workflow.clone(),
        revision: 1,
        digest: plan.digest,
        input: Payload::of(&json!({})),
        variables: Payload::of(&json!({})),
        correlation_id: "c".into(),
        idempotency_key: None,
        request: Digest::default(),
        callbacks: Vec::new(),
        deadline_at,
        retry_of: None,
        actor: "test".into(),
    });
    Submission {
        execution: run,
        plan: plan.clone(),
        submitted,
        tags: Vec::new(),
        origin: None,
        targets: Vec::new(),
        alerts: Vec::new(),
        faults: Vec::new(),
        trace: None,
    }
}

/// What is durable of each run.
type Runs = BTreeMap<ExecutionId, Vec<(Event, Timestamp)>>;

#[derive(Clone, Default)]
struct Disk {
    runs: Arc<Mutex<Runs>>,
    plans: HashMap<Digest, Arc<Plan>>,
}

impl Disk {
    fn write(&self, record: &StagedRecord) {
        let mut runs = self.runs.lock().expect("no panic");
        match (&record.stream, &record.event) {
            (StreamId::Execution(run), event) => {
                let events = runs.entry(*run).or_default();
                assert_eq!(record.version, events.len() as u64 + 1, "versions have no gap");
                events.push((event.clone(), record.at));
            }
            (_, Event::Partition(PartitionEvent::RunsRemoved { runs: gone, .. })) => {
                runs.retain(|run, _| !gone.contains(run));
            }
            _ => {}
        }
    }
}

impl Plans for Disk {
    fn plan_of(&self, lineage: &[Digest]) -> Option<Arc<Plan>> {
        let [only] = lineage else { return None };
        self.plans.get(only).cloned()
    }
}

impl Histories for Disk {
    fn history(&self, run: ExecutionId) -> Result<Option<Vec<(Event, Timestamp)>>, String> {
        Ok(self.runs.lock().expect("no panic").get(&run).cloned())
    }

    fn version(&self, run: ExecutionId) -> Result<Option<u64>, String> {
        Ok(self.runs.lock().expect("no panic").get(&run).map(|events| events.len() as u64))
    }

    fn choose(
        &self,
        _: &str,
        workflow: &str,
        _: Option<u32>,
        _: &Applicant<'_>,
    ) -> Result<Chosen, NotChosen> {
        let plan = self.plans.values().find(|plan| *plan.workflow == *workflow);
        let plan = plan.ok_or(NotChosen::NoWorkflow)?.clone();
        Ok(Chosen { number: 1, plan, variant: None })
    }

    fn admits(&self, _: &str, _: &str) -> Result<(), Unavailable> {
        Ok(())
    }

    fn partitions(&self) -> u16 {
        1
    }
}

/// A ticket nobody looks at.
#[derive(Debug)]
pub struct Ticket;

impl Abandon for Ticket {
    fn is_abandoned(&self) -> bool {
        false
    }
}

pub struct Bench {
    pub partition: Partition<Ticket>,
    disk: Disk,
    pub orders: Vec<Order>,
    pub aborted: Vec<Effect>,
    pub records: Vec<StagedRecord>,
    pub quiescent: Vec<StreamId>,
    pub rows: usize,
    pub answers: Vec<Answer>,
    pub posts: Vec<Post>,
}

impl Bench {
    pub fn new(last_at: Timestamp, plans: &[&Arc<Plan>]) -> Self {
        let plans = plans.iter().map(|plan| (plan.digest, Arc::clone(plan))).collect();
        let disk = Disk { plans, ..Disk::default() };
        let partition = Partition::new(PartitionId(0), last_at, Box::new(disk.clone()));
        let (orders, records, quiescent) = (Vec::new(), Vec::new(), Vec::new());
        let (aborted, answers, posts) = (Vec::new(), Vec::new(), Vec::new());
        Self { partition, disk, orders, aborted, records, quiescent, rows: 0, answers, posts }
    }

    pub fn caching(mut self, cache: backstitch_saga::cache::ResultCache) -> Self {
        self.partition = self.partition.caching(cache);
        self
    }

    /// A partition that begins anew over what another has made durable.
    pub fn over(before: Self, plans: &[&Arc<Plan>]) -> Self {
        let last_at = before.records.last().map_or(START, |record| record.at);
        let runs = before.disk.runs.clone();
        drop(before);
        let mut own = Self::new(last_at, plans);
        own.disk.runs = runs;
        own.partition = Partition::new(PartitionId(0), last_at, Box::new(own.disk.clone()));
        own
    }

    /// The fold of what is durable of a run.
    pub fn folded(&self, run: ExecutionId) -> State {
        let events = self.disk.history(run).expect("it reads").expect("it is there");
        fold(run, &events, &self.disk).expect("it folds")
    }

    /// Loses all but so many events of a run.
    pub fn cut_history(&mut self, run: ExecutionId, events: usize) {
        let mut runs = self.disk.runs.lock().expect("no panic");
        match events {
            0 => drop(runs.remove(&run)),
            _ => runs.get_mut(&run).expect("it is there").truncate(events),
        }
    }

    /// The same with its turns and slots from there.
    pub fn seated(mut self, seat: Seat, slots: SlotSeat, keys: KeySeat) -> Self {
        self.partition = self.partition.seated(seat, slots, keys);
        self
    }

    /// Takes an input and answers what was answered last.
    pub fn take_and_answer(&mut self, input: Input<()>) -> Answer {
        self.take(input, START);
        self.flush();
        self.answers.pop().expect("it is answered")
    }

    pub fn take(&mut self, input: Input<()>, now: Timestamp) {
        self.take_marked(input, None, now);
    }

    /// Takes what a request asks for.
    pub fn take_marked(&mut self, input: Input<()>, mark: Option<&Arc<Mark>>, now: Timestamp) {
        let input = match input {
            Input::Submit(submission, ()) => Input::Submit(submission, Ticket),
            Input::Command(run, command, asked) => {
                Input::Command(run, command, asked.map(|()| Ticket))
            }
            Input::Fork(fork, ()) => Input::Fork(fork, Ticket),
            Input::Import(import, ()) => Input::Import(import, Ticket),
            Input::Replay(id, command, asked) => Input::Replay(id, command, asked.map(|()| Ticket)),
            Input::Record(event, ()) => Input::Record(event, Ticket),
            Input::Remove(removal, ()) => Input::Remove(removal, Ticket),
            Input::Post(post) => Input::Post(post),
            Input::Show(run, ()) => Input::Show(run, Ticket),
            Input::WaitForEnd(run, ()) => Input::WaitForEnd(run, Ticket),
            Input::CancelAll(()) => Input::CancelAll(Ticket),
            Input::Redrive(id, command, asked) => {
                Input::Redrive(id, command, asked.map(|()| Ticket))
            }
            Input::ShowRedrives(wanted, ()) => Input::ShowRedrives(wanted, Ticket),
            _ => panic!("nothing else here"),
        };
        self.partition.take_marked(input, mark, now);
    }

    /// Makes durable what is staged, and lets out what waited for it.
    pub fn flush(&mut self) {
        self.quiescent.clear();
        if let Some(stage) = self.partition.stage() {
            self.commit(stage);
        }
        let releases = self.partition.releases();
        self.let_out(releases);
    }

    /// Makes one stage durable, and lets out what waited for it.
    pub fn commit(&mut self, stage: Stage) {
        self.quiescent = stage.quiescent;
        self.rows += stage.changes.len();
        for record in stage.records {
            self.disk.write(&record);
            self.records.push(record);
        }
        let releases = self.partition.committed(stage.id);
        self.let_out(releases);
    }

    fn let_out(&mut self, releases: Vec<Release<Ticket>>) {
        for release in releases {
            match release {
                Release::Answer(_, answer) => self.answers.push(answer),
                Release::Perform(order) => self.orders.push(*order),
                Release::Post(post) => self.posts.push(post),
                Release::Abort(_, effect) => self.aborted.push(effect),
                Release::Publish(..)
                | Release::PublishRollout(..)
                | Release::PublishAvailability(..)
                | Release::Settle { .. }
                | Release::Replay(..)
                | Release::Redrive(..) => {}
            }
        }
    }
}
