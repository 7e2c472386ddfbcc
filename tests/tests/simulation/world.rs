//! One life: partitions over a simulated log, clients that ask, and the faults in between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use backstitch_core::event::{BreakerOrder, FaultKind, Submitted};
use backstitch_core::ids::{Digest, ExecutionId, LetterId, PartitionId, RedriveId};
use backstitch_core::plan::Plan;
use backstitch_core::summary::ViewChange;
use backstitch_core::time::Timestamp;
use backstitch_saga::breakers::Breakers;
use backstitch_saga::cache::ResultCache;
use backstitch_saga::catalog::Name;
use backstitch_saga::keys::Keys;
use backstitch_saga::partition::{Abandon, Input, Partition, Release, RestPolicy};
use backstitch_saga::retry;
use backstitch_saga::slots::{Settings, Slots};
use backstitch_saga::turns::Pool;

use super::breakers::{self, Outages};
use super::commits::Commit;
use super::disk::Disk;
use super::folds::Folds;
use super::generate;
use super::posts::Flying;
use super::random::Random;
use super::services::{Books, Flight, report};
use super::watch::Watch;
use super::{cached, limits, migrations, redrives, rest, rollouts};

/// When lives begin.
const START: Timestamp = Timestamp(1_800_000_000_000_000);
pub const PARTITIONS: u16 = 3;
const WORKFLOWS: usize = 4;
/// Turns that the partitions share at most.
const POOL_MAX: usize = 6;
/// Runs that may go on at a time at most, where there is a limit.
const RUNS_MAX: usize = 5;
/// Steps of a life before it settles.
const MOMENTS: usize = 400;
/// How often all runs in memory and at rest are looked at: each is folded for that.
const LOOKS_AT_RUNS_PERCENT: u64 = 4;
/// Steps a settled world may take to come to rest: workflows that call each other in loops, retried
/// one after the other, make lives of a few thousand runs, each of some sixty steps.
const SETTLE_MOMENTS_MAX: usize = 1_000_000;

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
    Fork(ExecutionId),
    Rollout(Name),
    Breaker(Name, BreakerOrder),
    Redrive(RedriveId),
    Redriven(RedriveId, LetterId),
    Other,
}

pub struct World {
    pub seed: u64,
    pub random: Random,
    pub now: Timestamp,
    /// What attempts of all partitions share.
    pub pool: Pool,
    /// What runs of all partitions share.
    pub slots: Slots,
    pub keys: Keys,
    pub breakers: Breakers,
    pub outages: Outages,
    /// Answers that all partitions share.
    pub cache: ResultCache,
    /// When runs leave memory for a while.
    pub rest: RestPolicy,
    pub partitions: Vec<Partition<Ticket>>,
    pub writing: Vec<VecDeque<Commit>>,
    pub acks: Vec<VecDeque<u64>>,
    pub disk: Arc<Mutex<Disk>>,
    pub books: Books,
    pub flights: Vec<Flight>,
    /// Messages between partitions, on their way.
    pub posts: Vec<Flying>,
    pub asked: Vec<Asked>,
    pub answered: Vec<bool>,
    pub accepted: BTreeSet<ExecutionId>,
    pub rows: BTreeMap<String, ViewChange>,
    pub watch: Watch,
    pub workflows: Vec<Arc<Plan>>,
    /// A later revision of each.
    pub later: Vec<Arc<Plan>>,
    pub known: Vec<(ExecutionId, Box<Submitted>, Arc<Plan>)>,
    pub faults: bool,
    pub crashes: u64,
    /// Runs that a start folded from a checkpoint on.
    pub checkpoints_used: u64,
    /// Runs at rest that were looked at.
    pub rested: u64,
    /// The last fold of each run's durable events.
    pub folds: Folds,
    /// Questions asked before the last crash may stay without an answer.
    pub asked_before_crash: usize,
    /// Letters whose retry wants a new run.
    pub wants_new_run: Vec<(ExecutionId, u32)>,
    /// The arms that clients' runs fell into.
    pub variants: BTreeMap<ExecutionId, String>,
    /// The tasks of redrives.
    pub jobs: BTreeMap<RedriveId, redrives::Job>,
    pub trace: Vec<String>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut disk = Disk::default();
        let (mut workflows, mut later) = (Vec::new(), Vec::new());
        for at in 0..WORKFLOWS {
            let children: Vec<_> = (at + 1..WORKFLOWS).map(|at| format!("w{at}")).collect();
            let mut concurrency = None;
            for number in 1..=rollouts::REVISIONS {
                let mut value = generate::workflow(&format!("w{at}"), &children, &mut random);
                value["version"] = format!("{number}").into();
                // A limit is of the revision that is to begin; here all of a workflow have one.
                let fields = value.as_object_mut().expect("a definition");
                let own = fields.remove("concurrency");
                let limit = concurrency.get_or_insert(own).clone();
                fields.extend(limit.map(|limit| ("concurrency".to_owned(), limit)));
                let plan = disk.keep(&value, &mut random);
                rollouts::define(&mut disk, &plan, START);
                if number == rollouts::REVISIONS {
                    workflows.push(plan);
                    let plan = disk.keep(&migrations::revised(&value, &mut random), &mut random);
                    disk.later.insert(plan.digest, plan.clone());
                    later.push(plan);
                }
            }
        }
        let pool = Pool::new(1 + random.index(POOL_MAX));
        let runs_max = random.chance(30).then(|| 1 + random.index(RUNS_MAX));
        let queue_max = if random.chance(30) { random.index(4) } else { usize::MAX };
        let slots = Slots::new(Settings { runs_max, queue_max });
        let mut world = Self {
            seed,
            pool,
            slots,
            keys: Keys::default(),
            breakers: breakers::fresh(seed),
            outages: Outages::default(),
            cache: cached::empty(),
            rest: rest::policy(&mut random),
            random,
            now: START,
            partitions: Vec::new(),
            writing: Vec::new(),
            acks: Vec::new(),
            disk: Arc::new(Mutex::new(disk)),
            books: Books::default(),
            flights: Vec::new(),
            posts: Vec::new(),
            asked: Vec::new(),
            answered: Vec::new(),
            accepted: BTreeSet::new(),
            rows: BTreeMap::new(),
            watch: Watch::new(runs_max),
            workflows,
            later,
            known: Vec::new(),
            faults: true,
            crashes: 0,
            checkpoints_used: 0,
            rested: 0,
            folds: Folds::default(),
            asked_before_crash: 0,
            wants_new_run: Vec::new(),
            variants: BTreeMap::new(),
            jobs: BTreeMap::new(),
            trace: Vec::new(),
        };
        world.start();
        world
    }

    /// The bad days: clients ask, services fail, the process dies.
    pub fn live(&mut self) {
        for _ in 0..MOMENTS {
            self.moment();
            self.check_step();
        }
    }

    /// The good days after: no fault any more, until nothing is left to do; then an operator
    /// settles what waits for a person, until every run has ended.
    pub fn settle(&mut self) {
        self.faults = false;
        for at in 0..self.partitions.len() {
            self.hand_over(at);
        }
        for moment in 0..SETTLE_MOMENTS_MAX {
            // What was asked before may be answered late.
            if moment % MOMENTS == 0 {
                self.release_breakers();
            }
            let worked = self.work();
            self.check_step();
            if worked {
                continue;
            }
            let next_flight = self.flights.iter().map(|flight| flight.lands_at).min();
            let next_post = self.posts.iter().map(|post| post.lands_at).min();
            let next_timer = self.partitions.iter().filter_map(Partition::next_timer).min();
            match next_flight.into_iter().chain(next_post).chain(next_timer).min() {
                Some(at) => self.now = at.max(self.now),
                None if self.release_breakers() || self.operate() => {}
                None => return,
            }
        }
        self.tell_restless();
        panic!("seed {}: the world does not come to rest", self.seed);
    }

    /// What holds after every step.
    fn check_step(&mut self) {
        limits::turns(self);
        limits::keys(self);
        breakers::agree(self);
        limits::slots(self);
        if self.random.chance(LOOKS_AT_RUNS_PERCENT) {
            self.rested += rest::rests(self);
            rest::states(self);
        }
    }

    /// Everything that happened, for comparing two lives.
    pub fn trace(self) -> Vec<String> {
        let disk = self.disk.lock().expect("no thread panicked");
        let records = disk.runs.values().chain(disk.own.values()).chain(disk.workflows.values());
        let records = records.chain(disk.redrives.values()).flatten();
        let records = records.map(|r| format!("{} {} {} {:?}", r.stream, r.version, r.at, r.event));
        self.trace.into_iter().chain(records.collect::<Vec<_>>()).collect()
    }

    fn moment(&mut self) {
        match self.random.below(100) {
            0..=29 => self.client(),
            30 => self.crash(),
            31 => self.crash_some(),
            32..=33 => self.checkpoint(),
            34 if self.random.chance(30) => self.drain(),
            34 => self.checkpoint(),
            35 if self.random.chance(50) => self.outage(),
            35 => self.order_breaker(),
            36..=49 => self.now = self.now.plus_ms(self.random.below(1_500)),
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
    pub fn work(&mut self) -> bool {
        let (at, start) = (self.now, self.random.below(6));
        for turn in 0..6 {
            let done = match (start + turn) % 6 {
                0 => self.write_some(),
                1 => self.ack_some(),
                2 => self.land_some(at),
                3 => self.land_post(at),
                4 => self.redrive_some(),
                _ => self.fire_some(at),
            };
            if done {
                return true;
            }
        }
        false
    }

    fn land_some(&mut self, now: Timestamp) -> bool {
        let landed: Vec<_> =
            (0..self.flights.len()).filter(|&at| self.flights[at].lands_at <= now).collect();
        if landed.is_empty() {
            return false;
        }
        let mut flight = self.flights.swap_remove(*self.random.pick(&landed));
        self.books.land(&mut flight);
        let fault = flight.order.fault.clone();
        if self.faults && flight.asks() && fault == Some(FaultKind::CrashBeforeAck) {
            // The process dies with the answer in its hand.
            self.crash();
            return true;
        }
        let drawn = u32::try_from(self.random.next() >> 32).expect("32 bits");
        let (order, result) = (&flight.order, &flight.result);
        let wait_ms = retry::wait_after_ms(&order.retry, order.tries, drawn, result);
        let run = flight.order.execution;
        let at = usize::from(run.partition.0);
        self.take(at, Input::Command(run, report(&flight, wait_ms), None));
        if fault == Some(FaultKind::Duplicate) || (self.faults && self.random.chance(5)) {
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

    pub fn let_out(&mut self, releases: Vec<Release<Ticket>>) {
        for release in releases {
            match release {
                Release::Answer(ticket, answer) => self.answer(ticket, answer),
                Release::Perform(order) => self.perform(*order),
                Release::Post(post) => self.send_post(post),
                Release::Abort(run, effect) => self.abort(run, effect),
                Release::PublishRollout(name, rollout) => {
                    self.disk.lock().expect("no panic").catalog.roll_out(name, rollout);
                }
                Release::Redrive(id, state) => self.redriven(id, *state),
                Release::Publish(..)
                | Release::PublishAvailability(..)
                | Release::Settle { .. }
                | Release::Replay(..) => {}
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
