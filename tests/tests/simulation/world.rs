//! One life: partitions over a simulated log, clients that ask, and the faults in between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use backstitch_core::event::{Event, PartitionEvent, RunEvent, Submitted};
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StreamId};
use backstitch_core::plan::Plan;
use backstitch_core::state::State;
use backstitch_core::summary::ViewChange;
use backstitch_core::time::Timestamp;
use backstitch_saga::partition::{Abandon, Input, Partition, Release, Stage, StagedRecord, fold};
use backstitch_saga::retry;

use super::disk::{Disk, DiskHistories, Types, events_of};
use super::generate;
use super::random::Random;
use super::services::{Books, Flight, report};

pub const PARTITIONS: u16 = 3;
const WORKFLOWS: usize = 4;
/// Steps of a life before it settles.
const MOMENTS: usize = 400;
/// Steps a settled world may take to come to rest.
const SETTLE_MOMENTS_MAX: usize = 200_000;

/// A client's question; the answer names it.
#[derive(Debug, Clone, Copy)]
pub struct Ticket(pub usize);

impl Abandon for Ticket {
    fn is_abandoned(&self) -> bool {
        false
    }
}

/// What a client asked.
#[derive(Debug, Clone)]
pub enum Asked {
    Submit(ExecutionId, Digest),
    Show(ExecutionId),
    Retry(ExecutionId, u32),
    Remove(Vec<ExecutionId>),
    Other,
}

/// A commit on its way to the disk; the last of a stage answers for it.
pub struct Commit {
    records: Vec<StagedRecord>,
    stage: Option<u64>,
    quiescent: Vec<StreamId>,
    changes: Vec<ViewChange>,
}

pub struct World {
    pub seed: u64,
    pub random: Random,
    pub now: Timestamp,
    pub partitions: Vec<Partition<Ticket>>,
    pub writing: Vec<VecDeque<Commit>>,
    pub acks: Vec<VecDeque<u64>>,
    pub disk: Arc<Mutex<Disk>>,
    pub books: Books,
    pub flights: Vec<Flight>,
    pub asked: Vec<Asked>,
    pub answered: Vec<bool>,
    pub accepted: BTreeSet<ExecutionId>,
    pub rows: BTreeMap<String, ViewChange>,
    pub workflows: Vec<Arc<Plan>>,
    pub known: Vec<(ExecutionId, Box<Submitted>, Arc<Plan>)>,
    pub faults: bool,
    pub crashes: u64,
    /// Runs that a start folded from a checkpoint on.
    pub checkpoints_used: u64,
    /// Questions asked before the last crash may stay without an answer.
    pub asked_before_crash: usize,
    /// Letters whose retry wants a new run.
    pub wants_new_run: Vec<(ExecutionId, u32)>,
    pub trace: Vec<String>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut disk = Disk::default();
        let mut workflows = Vec::new();
        for at in 0..WORKFLOWS {
            let definition = generate::workflow(&format!("w{at}"), &mut random);
            let (_, plan) = Plan::read(&definition, &Types)
                .unwrap_or_else(|problems| panic!("{definition:#}: {problems:?}"));
            let plan = Arc::new(plan);
            disk.plans.insert(plan.digest, plan.clone());
            workflows.push(plan);
        }
        let mut world = Self {
            seed,
            random,
            now: Timestamp(1_800_000_000_000_000),
            partitions: Vec::new(),
            writing: Vec::new(),
            acks: Vec::new(),
            disk: Arc::new(Mutex::new(disk)),
            books: Books::default(),
            flights: Vec::new(),
            asked: Vec::new(),
            answered: Vec::new(),
            accepted: BTreeSet::new(),
            rows: BTreeMap::new(),
            workflows,
            known: Vec::new(),
            faults: true,
            crashes: 0,
            checkpoints_used: 0,
            asked_before_crash: 0,
            wants_new_run: Vec::new(),
            trace: Vec::new(),
        };
        world.start();
        world
    }

    /// The bad days: clients ask, services fail, the process dies.
    pub fn live(&mut self) {
        for _ in 0..MOMENTS {
            self.moment();
        }
    }

    /// The good days after: no fault any more, until nothing is left to do; then an operator
    /// settles what waits for a person, until every run has ended.
    pub fn settle(&mut self) {
        self.faults = false;
        for at in 0..self.partitions.len() {
            self.hand_over(at);
        }
        for _ in 0..SETTLE_MOMENTS_MAX {
            if self.work() {
                continue;
            }
            let next_flight = self.flights.iter().map(|flight| flight.lands_at).min();
            let next_timer = self.partitions.iter().filter_map(Partition::next_timer).min();
            match next_flight.into_iter().chain(next_timer).min() {
                Some(at) => self.now = at.max(self.now),
                None if self.operate() => {}
                None => return,
            }
        }
        panic!("seed {}: the world does not come to rest", self.seed);
    }

    /// Every kind of event that became durable.
    pub fn event_kinds(&self) -> BTreeSet<&'static str> {
        let disk = self.disk.lock().expect("no thread panicked");
        let records = disk.runs.values().chain(disk.removed.values()).flatten();
        let records = records.chain(disk.own.values().flatten());
        records.map(|r| backstitch_core::report::event_json(&r.event, None).0).collect()
    }

    /// Everything that happened, for comparing two lives.
    pub fn trace(self) -> Vec<String> {
        let disk = self.disk.lock().expect("no thread panicked");
        let records = disk.runs.values().chain(disk.own.values()).flatten();
        let records = records.map(|r| format!("{} {} {} {:?}", r.stream, r.version, r.at, r.event));
        self.trace.into_iter().chain(records.collect::<Vec<_>>()).collect()
    }

    /// The run as the live partition shows it.
    pub fn live_state(&self, run: ExecutionId) -> State {
        let disk = self.disk.lock().expect("no thread panicked");
        let events = events_of(&disk.runs[&run]);
        drop(disk);
        let histories = DiskHistories(self.disk.clone());
        fold(run, &events, &histories).unwrap_or_else(|why| panic!("seed {}: {why}", self.seed))
    }

    fn moment(&mut self) {
        match self.random.below(100) {
            0..=29 => self.client(),
            30..=31 => self.crash(),
            32..=34 => self.checkpoint(),
            35..=49 => self.now = self.now.plus_ms(self.random.below(1_500)),
            _ => {
                self.work();
            }
        }
    }

    /// Some partition makes checkpoints, or an old one goes missing.
    fn checkpoint(&mut self) {
        let at = self.random.index(self.partitions.len());
        let made = self.partitions[at].checkpoints(1 + self.random.index(8));
        let lost = self.random.chance(10);
        let mut disk = self.disk.lock().expect("no thread panicked");
        if lost {
            disk.checkpoints.pop_first();
        }
        for (run, checkpoint) in made {
            let durable = disk.runs.get(&run).map_or(0, |records| records.len() as u64);
            assert!(checkpoint.version() <= durable, "a checkpoint is of durable events only");
            disk.checkpoints.insert(run, *checkpoint);
        }
    }

    /// One small step of whatever can go on; says whether anything could.
    fn work(&mut self) -> bool {
        let (at, start) = (self.now, self.random.below(4));
        for turn in 0..4 {
            let done = match (start + turn) % 4 {
                0 => self.write_some(),
                1 => self.ack_some(),
                2 => self.land_some(at),
                _ => self.fire_some(at),
            };
            if done {
                return true;
            }
        }
        false
    }

    fn write_some(&mut self) -> bool {
        let busy: Vec<_> =
            (0..self.writing.len()).filter(|&at| !self.writing[at].is_empty()).collect();
        if busy.is_empty() {
            return false;
        }
        let at = *self.random.pick(&busy);
        if self.faults && self.random.chance(1) {
            // A full disk or a conflict poisons the log: the process ends.
            self.writing[at].clear();
            self.crash();
            return true;
        }
        self.write_one(at);
        true
    }

    pub fn write_one(&mut self, at: usize) {
        let Some(commit) = self.writing[at].pop_front() else { return };
        let mut gone = BTreeSet::new();
        let mut disk = self.disk.lock().expect("no thread panicked");
        for record in commit.records {
            if let Event::Partition(PartitionEvent::RunsRemoved { runs, .. }) = &record.event {
                gone.extend(runs.iter().copied());
            }
            disk.write(record);
        }
        for stream in commit.quiescent {
            let StreamId::Execution(run) = stream else { panic!("only runs here") };
            disk.live.remove(&run);
        }
        drop(disk);
        gone.iter().for_each(|run| self.books.forget(run));
        self.rows.retain(|_, row| match row {
            ViewChange::Run(own) => !gone.contains(&own.execution),
            ViewChange::Letter(own) => !gone.contains(&own.letter.execution),
        });
        for change in commit.changes {
            self.row(change);
        }
        self.acks[at].extend(commit.stage);
    }

    pub fn row(&mut self, row: ViewChange) {
        let (key, version) = match &row {
            ViewChange::Run(own) => (own.execution.to_string(), own.version),
            ViewChange::Letter(own) => (own.letter.to_string(), own.version),
        };
        let known = self.rows.get(&key).map_or(0, |row| match row {
            ViewChange::Run(own) => own.version,
            ViewChange::Letter(own) => own.version,
        });
        if version >= known {
            self.rows.insert(key, row);
        }
    }

    fn ack_some(&mut self) -> bool {
        let busy: Vec<_> = (0..self.acks.len()).filter(|&at| !self.acks[at].is_empty()).collect();
        if busy.is_empty() {
            return false;
        }
        let at = *self.random.pick(&busy);
        let stage = self.acks[at].pop_front().expect("picked because it has one");
        let releases = self.partitions[at].committed(stage);
        self.let_out(releases);
        self.hand_over(at);
        true
    }

    fn land_some(&mut self, now: Timestamp) -> bool {
        let landed: Vec<_> =
            (0..self.flights.len()).filter(|&at| self.flights[at].lands_at <= now).collect();
        if landed.is_empty() {
            return false;
        }
        let flight = self.flights.swap_remove(*self.random.pick(&landed));
        if flight.takes_effect {
            self.books.apply(&flight.order);
        }
        let drawn = u32::try_from(self.random.next() >> 32).expect("32 bits");
        let wait_ms = retry::wait_ms(&flight.order.retry, flight.order.tries, drawn);
        let run = flight.order.execution;
        let at = usize::from(run.partition.0);
        self.take(at, Input::Command(run, report(&flight, wait_ms), None));
        if self.faults && self.random.chance(5) {
            self.take(at, Input::Command(run, report(&flight, wait_ms), None));
        }
        true
    }

    fn fire_some(&mut self, now: Timestamp) -> bool {
        let due = |partition: &Partition<Ticket>| {
            partition.has_more() || partition.next_timer().is_some_and(|at| at <= now)
        };
        let busy: Vec<_> =
            (0..self.partitions.len()).filter(|&at| due(&self.partitions[at])).collect();
        if busy.is_empty() {
            return false;
        }
        let at = *self.random.pick(&busy);
        self.partitions[at].fire(now);
        self.hand_over(at);
        true
    }

    pub fn take(&mut self, at: usize, input: Input<Ticket>) {
        let now = self.now;
        self.partitions[at].take(input, now);
        if !self.faults || self.random.chance(60) {
            self.hand_over(at);
        }
    }

    pub fn hand_over(&mut self, at: usize) {
        if let Some(stage) = self.partitions[at].stage() {
            self.split(at, stage);
        }
        let releases = self.partitions[at].releases();
        self.let_out(releases);
    }

    /// A stage becomes one commit, or several.
    fn split(&mut self, at: usize, stage: Stage) {
        let Stage { id, at: _, mut records, quiescent, changes } = stage;
        while records.len() > 1 && self.random.chance(25) {
            let mut cut = 1 + self.random.index(records.len() - 1);
            // A run is tagged in the commit that begins it.
            cut += usize::from(matches!(records[cut].event, Event::Run(RunEvent::Tagged { .. })));
            let rest = records.split_off(cut);
            self.writing[at].push_back(Commit {
                records,
                stage: None,
                quiescent: Vec::new(),
                changes: Vec::new(),
            });
            records = rest;
        }
        self.writing[at].push_back(Commit { records, stage: Some(id), quiescent, changes });
    }

    fn let_out(&mut self, releases: Vec<Release<Ticket>>) {
        for release in releases {
            match release {
                Release::Answer(ticket, answer) => self.answer(ticket, answer),
                Release::Perform(order) => self.perform(*order),
                Release::Abort(run, effect) => self.abort(run, effect),
                Release::Publish(..) | Release::Replay(..) => {}
            }
        }
    }

    pub fn ask(
        &mut self,
        run: ExecutionId,
        asked: Asked,
        input: impl FnOnce(Ticket) -> Input<Ticket>,
    ) {
        self.ask_partition(run.partition, asked, input);
    }

    pub fn ask_partition(
        &mut self,
        partition: PartitionId,
        asked: Asked,
        input: impl FnOnce(Ticket) -> Input<Ticket>,
    ) {
        let ticket = Ticket(self.asked.len());
        self.asked.push(asked);
        self.answered.push(false);
        self.take(usize::from(partition.0), input(ticket));
    }
}

/// What recovery shows of a run: the rows of its fold.
pub fn rows_of(state: &State) -> Vec<ViewChange> {
    let run = ViewChange::Run(backstitch_core::report::run_summary(state));
    let letters = backstitch_core::report::letter_summaries(state).map(ViewChange::Letter);
    std::iter::once(run).chain(letters).collect()
}
