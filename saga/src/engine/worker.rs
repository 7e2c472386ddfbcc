//! One partition's task: takes what waits, stages it, and acts once it is durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backstitch_core::command::Command;
use backstitch_core::ids::ExecutionId;
use backstitch_journal::{Batch, Commit, CommitBuilder, Fit, Head, Journal};
use tokio::sync::{mpsc, watch};

use crate::cache::ResultCache;
use crate::catalog::Catalog;
use crate::driver::Driver;
use crate::engine::Common;
use crate::engine::commits::{Staged, counted, push};
use crate::engine::published::publish;
use crate::engine::settling::settle;
use crate::handle::{Ticket, Wish};
use crate::hold::Hold;
use crate::live::{Live, News};
use crate::partition::{Input, Partition, Post, Release, Stage};
use crate::redrives::Redrives;
use crate::replays::Replays;
use crate::turns;
use crate::{clock, metrics};

/// Stages under way before a partition gathers more instead of staging at once.
const STAGES_IN_FLIGHT_MAX: usize = 4;

/// Records that may gather while no stage can be handed over, before no new input is taken.
const OPEN_RECORDS_MAX: usize = 1_024;

/// Inputs taken before a stage is closed, so that one commit stays small.
const INPUTS_PER_STAGE_MAX: usize = 256;

/// The longest sleep between looks at the clock: due times are re-derived from it each second.
const TIMER_SLEEP_MAX: Duration = Duration::from_secs(1);

/// Between two looks whether all that a held partition let out has ended.
const HELD_LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// How long a partition goes on before it makes checkpoints again, and how many at a time, so
/// that nobody waits long for it.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);
const CHECKPOINTS_AT_ONCE_MAX: usize = 64;

/// This node's ownership of its partitions; only a cluster counts it up.
const EPOCH: u64 = 1;

/// What comes back to a partition from its own work.
enum Notice {
    Report(ExecutionId, Command),
    Committed(u64),
    /// A run has a turn or a slot.
    Turn,
    Failed(String),
}

/// Why a worker woke up.
enum Wake {
    Notice(Notice),
    Wish(Option<Wish>),
    Post(Post),
    Stop,
    Timer,
}

/// What a partition starts with.
pub(crate) struct Start {
    pub(crate) partition: Partition<Ticket>,
    pub(crate) head: Head,
}

/// How a partition is reached, and reaches the others.
pub(crate) struct Mail {
    pub(crate) wishes: mpsc::Receiver<Wish>,
    pub(crate) posts: mpsc::Receiver<Post>,
    pub(crate) peers: Arc<[mpsc::Sender<Post>]>,
}

pub(crate) struct Worker {
    partition: Partition<Ticket>,
    head: Head,
    wishes: mpsc::Receiver<Wish>,
    posts: mpsc::Receiver<Post>,
    peers: Arc<[mpsc::Sender<Post>]>,
    notices: mpsc::UnboundedReceiver<Notice>,
    notify: mpsc::UnboundedSender<Notice>,
    journal: Arc<Journal>,
    catalog: Arc<Catalog>,
    driver: Driver,
    replays: Replays,
    redrives: Redrives,
    live: Live,
    stopping: watch::Receiver<bool>,
    hold: Hold,
    staged: std::collections::VecDeque<Staged>,
    resident: metrics::Resident,
    checkpointed_at: Instant,
}

impl Worker {
    pub(crate) fn new(
        start: Start,
        mail: Mail,
        journal: Arc<Journal>,
        catalog: Arc<Catalog>,
        (driver, shared, cache): (Driver, &Common, &ResultCache),
        (replays, redrives, live): (Replays, Redrives, Live),
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let Mail { wishes, posts, peers } = mail;
        // Bounded by the effects and stages in flight, which the partition itself limits.
        let (notify, notices) = mpsc::unbounded_channel();
        let resident = metrics::Resident::of(start.partition.id());
        let woken = notify.clone();
        // A worker that is gone needs no turn.
        let wake: turns::Wake = Arc::new(move || drop(woken.send(Notice::Turn)));
        let (turns, slots) = (shared.pool.seat(wake.clone()), shared.slots.seat(wake.clone()));
        let seated = start.partition.seated(turns, slots, shared.keys.seat(wake.clone()));
        let breakers = shared.breakers.seat(wake);
        let guarded = seated.guarded_by(breakers, driver.services());
        let mut partition = guarded.caching(cache.clone());
        partition.claim_slots();
        Self {
            partition,
            head: start.head,
            wishes,
            posts,
            peers,
            notices,
            notify,
            journal,
            catalog,
            driver,
            replays,
            redrives,
            live,
            stopping,
            hold: shared.hold.clone(),
            staged: std::collections::VecDeque::new(),
            resident,
            checkpointed_at: Instant::now(),
        }
    }

    /// Runs until told to stop and nothing is in flight any more.
    ///
    /// # Errors
    /// A sentence, when the journal can't be written.
    pub(crate) async fn run(mut self) -> Result<(), String> {
        self.partition.recover(clock::now());
        self.flush()?;
        let mut open = true;
        loop {
            let sleep = self.sleep();
            let draining = self.partition.is_draining();
            let has_room = self.has_room();
            let wake = tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stop| *stop), if !draining => Wake::Stop,
                Some(notice) = self.notices.recv() => Wake::Notice(notice),
                Some(post) = self.posts.recv(), if has_room => Wake::Post(post),
                wish = self.wishes.recv(), if open && has_room => Wake::Wish(wish),
                () = tokio::time::sleep(sleep) => Wake::Timer,
            };
            match wake {
                Wake::Notice(notice) => self.notice(notice)?,
                Wake::Wish(Some(wish)) => self.grant(wish),
                Wake::Post(post) => self.partition.take(Input::Post(post), clock::now()),
                Wake::Wish(None) => open = false,
                Wake::Stop => self.partition.drain(),
                Wake::Timer => {}
            }
            self.gather()?;
            self.partition.fire_if_due(clock::now());
            self.flush()?;
            if self.is_held() && self.is_spent() {
                self.hold.tell(self.partition.open_records());
            }
            if self.partition.is_draining() && self.is_idle() {
                while self.checkpoint() {}
                return Ok(());
            }
            if self.partition.has_checkpoints(CHECKPOINTS_AT_ONCE_MAX) {
                self.checkpoint();
            }
            if self.checkpointed_at.elapsed() >= CHECKPOINT_INTERVAL && !self.checkpoint() {
                self.checkpointed_at = Instant::now();
            }
        }
    }

    /// Makes some checkpoints; answers whether there may be more.
    fn checkpoint(&mut self) -> bool {
        let made = self.partition.checkpoints(CHECKPOINTS_AT_ONCE_MAX);
        let more = made.len() == CHECKPOINTS_AT_ONCE_MAX;
        self.journal.checkpoint(made);
        more
    }

    /// Whether a hold keeps what waits from being made durable.
    fn is_held(&self) -> bool {
        self.hold.stops(self.partition.open_records())
    }

    /// Whether everything that follows of what is durable has ended, and been heard of.
    fn is_spent(&self) -> bool {
        let heard = self.notices.is_empty() && self.posts.is_empty();
        self.partition.stages_in_flight() == 0 && self.driver.is_idle() && heard
    }

    fn is_idle(&self) -> bool {
        self.partition.stages_in_flight() == 0 && self.partition.effects_in_flight() == 0
    }

    fn sleep(&self) -> Duration {
        if self.is_held() {
            return HELD_LOOK_INTERVAL;
        }
        if self.partition.has_more() {
            return Duration::ZERO;
        }
        let Some(at) = self.partition.next_timer() else { return TIMER_SLEEP_MAX };
        let us = u64::try_from(at.0.saturating_sub(clock::now().0)).unwrap_or(0);
        Duration::from_micros(us).min(TIMER_SLEEP_MAX)
    }

    /// Takes what else waits, without waiting for it.
    fn gather(&mut self) -> Result<(), String> {
        for _ in 0..INPUTS_PER_STAGE_MAX {
            let notice = self.notices.try_recv().ok();
            let has_room = self.has_room();
            let post = if has_room { self.posts.try_recv().ok() } else { None };
            let wish = if has_room { self.wishes.try_recv().ok() } else { None };
            if notice.is_none() && post.is_none() && wish.is_none() {
                break;
            }
            if let Some(post) = post {
                self.partition.take(Input::Post(post), clock::now());
            }
            if let Some(notice) = notice {
                self.notice(notice)?;
            }
            if let Some(wish) = wish {
                self.grant(wish);
            }
        }
        Ok(())
    }

    fn grant(&mut self, wish: Wish) {
        self.partition.take_marked(wish.input, wish.mark.as_ref(), clock::now());
    }

    /// Whether new work may be taken: while the disk stalls, clients wait in their mailbox.
    fn has_room(&self) -> bool {
        self.partition.stages_in_flight() < STAGES_IN_FLIGHT_MAX
            || self.partition.open_records() < OPEN_RECORDS_MAX
    }

    fn notice(&mut self, notice: Notice) -> Result<(), String> {
        match notice {
            Notice::Report(run, command) => {
                self.partition.take(Input::Command(run, command, None), clock::now());
            }
            Notice::Committed(stage) => {
                if let Some(staged) = self.staged.pop_front() {
                    staged.tell(&self.live);
                }
                let releases = self.partition.committed(stage);
                if self.partition.stages_in_flight() == 0 && self.hold.is_silent() {
                    self.hold.tell(self.partition.open_records());
                    return Ok(());
                }
                self.act(releases);
            }
            // Seen to with what is due.
            Notice::Turn => {}
            Notice::Failed(why) => return Err(why),
        }
        Ok(())
    }

    /// Hands the open stage over, and lets out what waits for nothing.
    fn flush(&mut self) -> Result<(), String> {
        if self.partition.stages_in_flight() < STAGES_IN_FLIGHT_MAX
            && !self.is_held()
            && let Some(stage) = self.partition.stage()
        {
            self.append(stage)?;
        }
        if !self.hold.is_silent() {
            let releases = self.partition.releases();
            self.act(releases);
        }
        self.resident.set(self.partition.resident(), self.partition.at_rest());
        Ok(())
    }

    fn act(&mut self, releases: Vec<Release<Ticket>>) {
        for release in releases {
            match release {
                Release::Answer(ticket, answer) => ticket.answer(answer),
                Release::Post(post) => self.post(post),
                Release::Replay(id, state) => self.replays.follow(id, *state),
                Release::Redrive(id, state) => self.redrives.follow(id, *state),
                Release::Publish(definition, answer) => {
                    publish(&self.catalog, &definition, &answer)
                }
                Release::PublishRollout(name, rollout) => self.catalog.roll_out(name, rollout),
                Release::PublishAvailability(name, own) => self.catalog.avail(name, *own),
                Release::Settle { name, revision, again } => {
                    settle(self.redrives.handle(), name, revision, again, self.peers.clone());
                }
                Release::Abort(run, effect) => self.driver.abort(run, effect),
                Release::Perform(order) => {
                    let notify = self.notify.clone();
                    let report = Box::new(move |run, command| {
                        // A worker that is gone left the attempt to the next start.
                        drop(notify.send(Notice::Report(run, command)));
                    });
                    self.driver.perform(*order, report);
                }
            }
        }
    }

    /// A post that finds no room is lost: it is sent again. One to a partition that there is
    /// not is answered here, since nobody else will.
    fn post(&self, post: Post) {
        let peer = |post: &Post| self.peers.get(usize::from(post.partition().0));
        let Some(post) = (if peer(&post).is_some() { Some(post) } else { post.refused() }) else {
            return;
        };
        if let Some(peer) = peer(&post) {
            drop(peer.try_send(post));
        }
    }

    /// Makes the stage one commit, or several if it is large; the last one answers for all.
    fn append(&mut self, stage: Stage) -> Result<(), String> {
        let Stage { id, at, records, quiescent, changes, told } = stage;
        self.hold.count(records.len());
        let (since, events, first) = (Instant::now(), counted(&records), self.head.position + 1);
        let mut builder = self.builder();
        let mut rest = records.as_slice();
        while let Some(record) = rest.first() {
            let (mut fit, mut taken) = push(&mut builder, rest);
            if fit == Fit::Full {
                let commit = builder.finish(at);
                self.send(commit, Vec::new(), Vec::new(), None);
                builder = self.builder();
                (fit, taken) = push(&mut builder, rest);
            }
            if fit != Fit::Fits {
                return Err(format!("an event of {} is larger than a commit", record.stream));
            }
            rest = &rest[taken..];
        }
        let commit = builder.finish(at);
        let partition = self.partition.id();
        let last = first + records.len() as u64 - 1;
        let news = self.live.is_followed().then_some(News { partition, first, records });
        self.staged.push_back(Staged { since, events, told, partition, last, news });
        self.send(commit, quiescent, changes, Some(id));
        Ok(())
    }

    fn builder(&self) -> CommitBuilder {
        self.journal.commit_builder(self.partition.id(), EPOCH, &self.head)
    }

    fn send(
        &mut self,
        commit: Commit,
        quiescent: Vec<backstitch_core::ids::StreamId>,
        changes: Vec<backstitch_core::summary::ViewChange>,
        answers: Option<u64>,
    ) {
        self.head = commit.head();
        let notify = self.notify.clone();
        let batch = Batch { commit, quiescent, changes };
        self.journal.append(
            batch,
            Box::new(move |result| {
                let notice = match (result, answers) {
                    (Ok(()), Some(stage)) => Notice::Committed(stage),
                    (Ok(()), None) => return,
                    (Err(error), _) => Notice::Failed(error.to_string()),
                };
                // A worker that is gone has nobody left to tell.
                drop(notify.send(notice));
            }),
        );
    }
}
