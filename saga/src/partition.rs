//! One partition without its IO: owns its runs, decides, and says what to make durable and
//! what to do once that is durable.
//!
//! No clock, no tasks, no log: time is an argument, replies are opaque tickets `T`, and the
//! simulation drives this same code. Everything an input causes is attached to the stage (a
//! commit to be) that makes it durable, and let out by [`Partition::committed`], in order.

mod availability;
mod begin;
mod cached;
mod calls;
mod cell;
mod checkpoints;
mod decide;
mod definitions;
mod fold;
mod forget;
mod forks;
mod gauges;
mod import;
mod input;
mod keyed;
mod life;
mod migrations;
mod order;
mod own;
mod posts;
mod reads;
mod redrives;
mod removal;
mod replays;
mod rest;
mod resting;
mod rollouts;
mod stage;
mod timers;
mod told;
mod turns;
mod waiters;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use backstitch_core::audit::Mark;
use backstitch_core::ids::{ExecutionId, PartitionId, StreamId};
use backstitch_core::partition::PartitionState;
use backstitch_core::time::{Moment, Timestamp};

use crate::breakers::{
    BreakerSeat, Breakers, Dependencies, Independent, Settings as BreakerSettings,
};
use crate::cache::{Answered, ResultCache};
use crate::keys::{Asker, KeySeat, Keys};
use crate::slots::{Claim, Settings, SlotSeat, Slots};
use crate::turns::{Pool, Seat};
use calls::CallbacksHeld;
use cell::Cell;
use definitions::Workflows;
use resting::Resting;
use turns::SlotOf;
use waiters::Waiters;

pub use availability::AvailabilityOrder;
pub use cached::answers;
pub use checkpoints::EVENTS_PER_CHECKPOINT;
pub use definitions::{Definition, Expected, Kept};
pub use fold::{fold, fold_more, recall};
pub(crate) use fold::{fold_found, guarded};
pub use forks::Fork;
pub use import::Import;
pub use input::{Abandon, Answer, Histories, Input, Recoverable, RunMemory};
pub use order::{CALLBACK_TIMEOUT_MS, Order};
pub use posts::{Post, RESEND_AFTER_MS};
pub use redrives::REDRIVES_LISTED_MAX;
pub use removal::Removal;
pub use replays::REPLAYS_LISTED_MAX;
pub use resting::{RestPolicy, Rested};
pub use rollouts::{RolloutAct, RolloutOrder};
pub use stage::{Release, Stage, StagedRecord};
pub use timers::TIMERS_PER_FIRE_MAX;
pub use told::Told;

/// One partition.
pub struct Partition<T> {
    id: PartitionId,
    runs: HashMap<ExecutionId, Cell>,
    resting: Resting,
    waiters: Waiters<T>,
    workflows: Workflows,
    replays: replays::Replays,
    redrives: redrives::Redrives,
    own: PartitionState,
    /// Runs whose removal is staged and not durable yet, with the stage.
    leaving: HashMap<ExecutionId, u64>,
    /// Runs whose import is staged and not durable yet, with the stage: nobody sees a part.
    arriving: HashMap<ExecutionId, u64>,
    /// Runs whose import or fork a crash cut short; they are removed at the start.
    cut_short: Vec<ExecutionId>,
    /// Forks that a crash kept from starting, with the runs they come from.
    unstarted: Vec<(ExecutionId, ExecutionId)>,
    histories: Box<dyn Histories + Send>,
    timers: BTreeSet<(Timestamp, ExecutionId)>,
    /// Messages sent, and when each is sent again unless its receiver answers.
    resends: BTreeSet<(Timestamp, ExecutionId, u32)>,
    cut: VecDeque<ExecutionId>,
    /// Where its turns come from.
    seat: Seat,
    /// Where its runs' slots come from.
    slots: SlotSeat,
    /// Where its steps' places of keyed limits come from.
    keys: KeySeat,
    /// Where its calls of services are let through, and who says which service they call.
    breakers: BreakerSeat,
    services: Arc<dyn Dependencies>,
    /// Callbacks that wait to be told that they are not sent now.
    callbacks_held: CallbacksHeld,
    /// Places to be let go once so many stages are durable.
    freed_keys: VecDeque<(u64, Asker)>,
    /// Where answers are taken from and brought to.
    cache: ResultCache,
    /// Answers to be brought there once a stage is durable.
    learned: VecDeque<(u64, Answered)>,
    /// Slots to be let go, and runs that have others make room, once a stage is durable.
    settled: VecDeque<(u64, SlotOf, Claim)>,
    /// The stage of the last ending among them, by run: one may be reopened and end once more.
    endings: HashMap<ExecutionId, u64>,
    /// Turns of attempts that are stopped once a stage is durable: they are under way until then.
    stopping: VecDeque<(u64, usize)>,
    open: Stage,
    releases: Vec<Release<T>>,
    /// Answers that rest on what is durable already.
    at_once: Vec<Release<T>>,
    in_flight: VecDeque<(u64, Vec<Release<T>>, Vec<ExecutionId>)>,
    ended: Vec<ExecutionId>,
    /// Runs that have gone far enough since their last checkpoint.
    uncheckpointed: BTreeSet<ExecutionId>,
    next_stage: u64,
    committed_stages: u64,
    last_at: Timestamp,
    /// The wall clock as it was told last.
    clock: Timestamp,
    draining: bool,
}

impl<T: Abandon> Partition<T> {
    /// An empty partition whose records are not older than `last_at`.
    #[must_use]
    pub fn new(id: PartitionId, last_at: Timestamp, histories: Box<dyn Histories + Send>) -> Self {
        Self {
            id,
            runs: HashMap::new(),
            resting: Resting::new(id),
            waiters: Waiters::new(),
            workflows: Workflows::default(),
            replays: replays::Replays::new(),
            redrives: redrives::Redrives::new(),
            own: PartitionState::default(),
            leaving: HashMap::new(),
            arriving: HashMap::new(),
            cut_short: Vec::new(),
            unstarted: Vec::new(),
            histories,
            timers: BTreeSet::new(),
            resends: BTreeSet::new(),
            cut: VecDeque::new(),
            seat: Pool::new(usize::MAX).seat(Arc::new(|| {})),
            slots: Slots::new(Settings::default()).seat(Arc::new(|| {})),
            keys: Keys::default().seat(Arc::new(|| {})),
            breakers: Breakers::new(BreakerSettings::default()).seat(Arc::new(|| {})),
            services: Arc::new(Independent),
            callbacks_held: CallbacksHeld::new(),
            freed_keys: VecDeque::new(),
            cache: ResultCache::new(0),
            learned: VecDeque::new(),
            settled: VecDeque::new(),
            endings: HashMap::new(),
            stopping: VecDeque::new(),
            open: Stage::default(),
            releases: Vec::new(),
            at_once: Vec::new(),
            in_flight: VecDeque::new(),
            ended: Vec::new(),
            uncheckpointed: BTreeSet::new(),
            next_stage: 0,
            committed_stages: 0,
            last_at,
            clock: last_at,
            draining: false,
        }
    }

    /// Which partition this is.
    #[must_use]
    pub fn id(&self) -> PartitionId {
        self.id
    }

    /// Whether only facts are recorded any more.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Takes an input that a request asks for: the deeds that it comes to say so.
    pub fn take_marked(&mut self, input: Input<T>, mark: Option<&Arc<Mark>>, now: Timestamp) {
        let from = self.open.records.len();
        // What others did to a run that is imported they did elsewhere.
        let imports = matches!(input, Input::Import(..));
        self.take(input, now);
        if let Some(mark) = mark {
            let own = |stream: &StreamId| !imports || matches!(stream, StreamId::Partition(_));
            self.open.mark(from, mark, own);
        }
    }

    /// Takes one input.
    pub fn take(&mut self, input: Input<T>, now: Timestamp) {
        if let Input::Post(post) = &input {
            self.last_at = self.last_at.max(post.at());
        }
        let moment = self.tick(now);
        match input {
            Input::Submit(_, ticket)
            | Input::Fork(_, ticket)
            | Input::Define(_, ticket)
            | Input::Keep(_, ticket)
            | Input::Rollout(_, ticket)
            | Input::Availability(_, ticket)
            | Input::Import(_, ticket)
            | Input::Record(_, ticket)
            | Input::Remove(_, ticket)
                if self.draining =>
            {
                self.answer(ticket, Answer::Draining);
            }
            Input::Submit(submission, ticket) => self.submit(submission, ticket, moment),
            Input::Fork(fork, ticket) => self.fork(*fork, ticket, moment),
            Input::Command(_, _, Some(ticket)) if self.draining => {
                self.answer(ticket, Answer::Draining);
            }
            Input::Command(run, command, ticket) => self.decide(run, command, ticket, moment),
            Input::Post(post) => self.receive(post, moment),
            Input::Show(run, ticket) => self.show(run, ticket),
            Input::WaitForEnd(run, ticket) => self.wait_for_end(run, ticket),
            Input::Replay(id, command, ticket) => self.replay(id, command, ticket, moment),
            Input::ShowReplays(wanted, ticket) => self.show_replays(wanted, ticket),
            Input::Redrive(id, command, ticket) => self.redrive(id, command, ticket, moment),
            Input::ShowRedrives(wanted, ticket) => self.show_redrives(wanted, ticket),
            Input::Define(definition, ticket) => self.define(definition, ticket, moment),
            Input::Keep(definition, ticket) => self.keep(definition, ticket, moment),
            Input::Rollout(order, ticket) => self.roll_out(*order, ticket, moment),
            Input::Availability(order, ticket) => self.avail(*order, ticket, moment),
            Input::Import(import, ticket) => self.import(*import, ticket, moment),
            Input::Barrier(ticket) => self.answer(ticket, Answer::Passed),
            Input::Visible(run, ticket) => self.visible(run, ticket),
            Input::Record(event, ticket) => self.record_own(*event, ticket, moment),
            Input::Remove(removal, ticket) => self.remove(*removal, ticket, moment),
            Input::CancelAll(ticket) => self.cancel_all(ticket, moment),
            Input::Forget(digest, ticket) => self.forget(&digest, ticket),
            Input::Weigh(ticket) => self.answer(ticket, Answer::Weighed(self.memory())),
        }
    }

    /// What is to be made durable next, if anything is. Every stage must be reported to
    /// [`Partition::committed`], in order.
    pub fn stage(&mut self) -> Option<Stage> {
        if self.open.records.is_empty() {
            return None;
        }
        let mut stage = std::mem::take(&mut self.open);
        (stage.id, stage.at) = (self.next_stage, self.last_at);
        self.next_stage += 1;
        // A run may have been reopened since it ended, within this very stage.
        self.ended.retain(|id| match self.runs.get(id) {
            Some(Cell::Run(run)) => run.may_leave(),
            Some(Cell::Quarantined(_)) | None => false,
        });
        stage.quiescent.extend(self.ended.iter().copied().map(StreamId::Execution));
        let releases = std::mem::take(&mut self.releases);
        self.in_flight.push_back((stage.id, releases, std::mem::take(&mut self.ended)));
        Some(stage)
    }

    /// The stage is durable: answers what may now be let out.
    ///
    /// # Panics
    /// If stages are reported out of order: then nothing is safe.
    pub fn committed(&mut self, stage: u64) -> Vec<Release<T>> {
        let (expected, releases, ended) =
            self.in_flight.pop_front().expect("a stage is committed once, after it was staged");
        assert_eq!(expected, stage, "stages are committed in order");
        self.committed_stages = stage + 1;
        let gone = self.leaving.extract_if(|_, staged| *staged <= stage).map(|(run, _)| run);
        let gone = gone.collect();
        self.arriving.retain(|_, staged| *staged > stage);
        for run in ended {
            self.evict(run);
        }
        self.settle_slots();
        self.free_keys();
        self.free_stopped();
        self.rest_settled();
        self.pass_on(&gone);
        releases
    }

    /// What may be let out without waiting for any stage. A callback that falls due is owed with
    /// nothing recorded of that, and what it rests on may be under way.
    pub fn releases(&mut self) -> Vec<Release<T>> {
        let mut releases = std::mem::take(&mut self.at_once);
        if self.open.records.is_empty() && self.in_flight.is_empty() {
            releases.append(&mut self.releases);
        }
        releases
    }

    /// What is due is due by the wall clock; what is recorded is stamped so that the time of a
    /// partition never goes back and no two moments of it are the same.
    fn tick(&mut self, now: Timestamp) -> Moment {
        self.last_at = now.max(Timestamp(self.last_at.0 + 1));
        if now < self.clock {
            self.resting.clock_set_back(now);
        }
        self.clock = now;
        Moment { now, stamp: self.last_at, partitions: self.histories.partitions() }
    }
}
