//! The engine: opens a journal, folds what it finds, runs one task per partition, and stops
//! as a whole when the journal can't be written.
//!
//! `Config` -> [`Engine::open`] -> [`Handle`]; [`Engine::run`] ends at shutdown or failure.

mod commits;
mod common;
mod journal_watch;
mod open_report;
mod published;
mod rebuild;
mod recovery;
mod settling;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backstitch_core::availability::Unavailable;
use backstitch_core::event::{Alert, Event};
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StreamId};
use backstitch_core::lineage::Plans;
use backstitch_core::plan::Plan;
use backstitch_core::rollout::Applicant;
use backstitch_core::time::Timestamp;
use backstitch_executors::Registry;
use backstitch_journal::{ChainCursor, Journal, Options};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::breakers::{self, Breakers};
use crate::cache::{ResultCache, warm};
use crate::catalog::{Catalog, Chosen, NotChosen};
use crate::driver::Driver;
use crate::error::Error;
use crate::handle::{Handle, Wish};
use crate::hold::Hold;
use crate::keys::Keys;
use crate::live::{self, Live};
use crate::partition::{Histories, Post, Recoverable};
use crate::policies::{self, Settled};
use crate::redrives::Redrives;
use crate::replays::Replays;
use crate::retention;
use crate::secrets::SecretStore;
use crate::slots::{self, Slots};
use crate::turns::Pool;
use crate::webhooks::Signer;
use crate::{clock, document_metrics, metrics};

pub(crate) use common::Common;
pub(crate) use rebuild::rebuild_view;
pub use rebuild::rebuild_views;
pub use recovery::Recovered;

/// Commands that wait for one partition; a sender waits for room.
const MAILBOX_MAX: usize = 1_024;

/// Messages between runs that wait for one partition. What finds no room is sent again later.
const POSTS_MAX: usize = 16_384;

/// How the engine is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the journal is.
    pub data_dir: PathBuf,
    /// How it is written.
    pub journal: Options,
    /// What steps can do.
    pub registry: Arc<Registry>,
    /// Signs callbacks.
    pub signer: Signer,
    /// Where the secrets are that steps refer to.
    pub secrets: SecretStore,
    /// Attempts under way at a time; more wait their turn.
    pub attempts_max: usize,
    /// Runs that go on at a time; more wait to begin.
    pub slots: slots::Settings,
    /// Circuit breakers and budgets of retries.
    pub breakers: breakers::Settings,
    /// Whether runs may be submitted with faults, and meet them.
    pub fault_injection: bool,
    /// Where it is held up, for whoever tests it; nowhere unless it is set.
    pub hold: Hold,
    /// Bytes of answers that may stand for later attempts; 0 for none.
    pub cache_bytes_max: usize,
    /// How long a shutdown waits for attempts under way.
    pub drain: Duration,
    /// What a shutdown does to runs that have not ended.
    pub shutdown: Shutdown,
    /// How long runs are kept.
    pub retention: retention::Settings,
    /// Where the node runs.
    pub policies: policies::Settings,
}

/// What a shutdown does to runs that have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shutdown {
    /// Attempts under way are waited for; the runs go on at the next start.
    #[default]
    Drain,
    /// The runs are cancelled, and their ends waited for; undos that are left go on at the next
    /// start.
    Cancel,
}

/// A running engine.
pub struct Engine {
    handle: Handle,
    journal: Arc<Journal>,
    workers: JoinSet<Result<(), String>>,
    stop: watch::Sender<bool>,
    recovered: Recovered,
    /// Where the journal ended, before anything followed of what it had.
    opened_at: ChainCursor,
    drain: Duration,
    shutdown: Shutdown,
    /// Ends with the engine.
    keepers: Option<JoinSet<()>>,
}

impl Engine {
    /// Opens the journal, folds it, and starts the partitions. Must be called on a runtime.
    ///
    /// # Errors
    /// [`Error::Journal`] when the journal can't be opened, [`Error::Fold`] when a workflow in
    /// it can't be read.
    pub fn open(config: Config) -> Result<Self, Error> {
        metrics::describe();
        document_metrics::describe();
        let opened = Journal::open(&config.data_dir, config.journal)?;
        open_report::tell(&opened.report);
        let catalog = Arc::new(Catalog::default());
        let (journal, starts, recovered) = recovery::recover(opened, &catalog)?;
        let retention = recovery::retention(&starts, config.retention);
        let cache = ResultCache::new(config.cache_bytes_max);
        if let Some(at) = recovery::cache_emptied_at(&starts) {
            cache.empty(at);
        }
        let recovered_keys = recovery::api_keys(&starts);
        let recovered_objects = recovery::objects(&starts);
        let (stop, stopping) = watch::channel(false);
        let (registry, faults) = (config.registry.clone(), config.fault_injection);
        let driver = Driver::new(registry, config.signer.clone(), config.secrets, faults);
        let (pool, slots) = (Pool::new(config.attempts_max), Slots::new(config.slots));
        let breakers = Breakers::new(config.breakers);
        recovery::breakers_set(&starts).iter().for_each(|(name, forced)| {
            breakers.force(name, Some(*forced), clock::now());
        });
        let (keys, faults, hold) = (Keys::default(), config.fault_injection, config.hold);
        let signer = config.signer;
        let flights = driver.flights();
        let shared = Common { pool, slots, keys, breakers, flights, faults, hold, signer };
        let mut workers = JoinSet::new();
        let (mailboxes, wishes): (Vec<_>, Vec<_>) =
            starts.iter().map(|_| mpsc::channel::<Wish>(MAILBOX_MAX)).unzip();
        let replays = Replays::new(
            journal.clone(),
            catalog.clone(),
            config.registry.clone(),
            mailboxes[usize::from(WORKFLOWS_PARTITION.0)].clone(),
            stopping.clone(),
        );
        let draining = Arc::new(AtomicBool::new(false));
        let registry = config.registry;
        let answered = journal.heads().iter().map(|head| head.position).collect();
        let (live, news) = Live::new(answered);
        let limits = (shared.clone(), cache.clone(), live.clone());
        let handle = Handle::new(
            mailboxes,
            catalog.clone(),
            journal.clone(),
            registry,
            draining,
            retention,
            limits,
        );
        handle.keep_api_keys(recovered_keys);
        catalog.policies().start_in(config.policies);
        handle.keep_objects(recovered_objects);
        if let Some((name, known)) = catalog.policies().unknown_environment() {
            return Err(Error::UnknownEnvironment { name, known });
        }
        let opened_at = handle.newest_cursor();
        let redrives = Redrives::new(handle.clone(), stopping.clone());
        let (peers, posts): (Vec<_>, Vec<_>) =
            starts.iter().map(|_| mpsc::channel::<Post>(POSTS_MAX)).unzip();
        let peers: Arc<[_]> = peers.into();
        let mut ready = Vec::new();
        for (start, (wishes, posts)) in starts.into_iter().zip(wishes.into_iter().zip(posts)) {
            let worker = worker::Worker::new(
                start,
                worker::Mail { wishes, posts, peers: peers.clone() },
                journal.clone(),
                catalog.clone(),
                (driver.clone(), &shared, &cache),
                (replays.clone(), redrives.clone(), live.clone()),
                stopping.clone(),
            );
            ready.push(worker);
        }
        // Each has said what its runs hold, so that it is known what is free.
        shared.slots.let_in();
        shared.keys.let_in();
        shared.breakers.let_in(clock::now());
        for worker in ready {
            workers.spawn(worker.run());
        }
        let mut keepers = JoinSet::new();
        keepers.spawn(retention::keep_cut(handle.clone()));
        keepers.spawn(live::hand_out(live, news, handle.clone()));
        cache.set_warming(true);
        keepers.spawn(warm::warm(handle.clone()));
        if let Some(every) = handle.retention().sweep_every() {
            keepers.spawn(retention::sweep(handle.clone(), every));
        }
        let keepers = Some(keepers);
        let (drain, shutdown) = (config.drain, config.shutdown);
        Ok(Self { handle, journal, workers, stop, recovered, opened_at, drain, shutdown, keepers })
    }

    /// A cheap way to talk to the engine.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What was found at the start.
    #[must_use]
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Where the journal ended when it was opened: attempts that a crash lost are told of behind it.
    #[must_use]
    pub fn opened_at(&self) -> &ChainCursor {
        &self.opened_at
    }

    /// Runs until `shutdown` completes or the journal fails. At shutdown no new work is taken,
    /// attempts under way are waited for up to the drain limit, and what they answer is
    /// recorded; the rest goes on at the next start. With [`Shutdown::Cancel`] the runs are
    /// cancelled before that.
    ///
    /// # Errors
    /// A sentence, when the journal failed: the process must end.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), String> {
        let failed = tokio::select! {
            () = shutdown => None,
            ended = self.workers.join_next() => Some(sentence(ended)),
            why = journal_watch::until_poisoned(&self.journal) => Some(why),
        };
        self.handle.draining().store(true, Ordering::SeqCst);
        self.handle.live().close();
        drop(self.keepers.take());
        if let Some(why) = failed {
            return Err(why);
        }
        if self.shutdown == Shutdown::Cancel
            && tokio::time::timeout(self.drain, self.handle.cancel_all()).await.is_err()
        {
            tracing::warn!("cancelled runs that have not ended go on at the next start");
        }
        self.stop.send_replace(true);
        let drained = async {
            while let Some(ended) = self.workers.join_next().await {
                if !matches!(ended, Ok(Ok(()))) {
                    return Err(sentence(Some(ended)));
                }
            }
            Ok(())
        };
        match tokio::time::timeout(self.drain, drained).await {
            Ok(drained) => drained?,
            Err(_) => tracing::warn!("attempts still under way are left to the next start"),
        }
        let journal = self.journal.clone();
        let closed = tokio::task::spawn_blocking(move || journal.close()).await;
        match closed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("closing the journal: {error}")),
            Err(error) => Err(format!("closing the journal: {error}")),
        }
    }
}

fn sentence(ended: Option<Result<Result<(), String>, tokio::task::JoinError>>) -> String {
    match ended {
        Some(Ok(Err(why))) => why,
        Some(Err(error)) => format!("a partition failed: {error}"),
        Some(Ok(Ok(()))) | None => "a partition ended by itself".to_owned(),
    }
}

/// Histories from the journal, plans from the catalog.
#[derive(Clone)]
pub(crate) struct JournalHistories {
    pub(crate) journal: Arc<Journal>,
    pub(crate) catalog: Arc<Catalog>,
}

impl Plans for JournalHistories {
    fn plan_of(&self, lineage: &[Digest]) -> Option<Arc<Plan>> {
        self.catalog.plan_of(lineage)
    }
}

impl Histories for JournalHistories {
    fn history(&self, run: ExecutionId) -> Result<Option<Vec<(Event, Timestamp)>>, String> {
        let records = self.journal.history(&StreamId::Execution(run));
        let records = records.map_err(|error| error.to_string())?;
        Ok(records.map(|records| {
            records.into_iter().map(|record| (record.event, record.recorded_at)).collect()
        }))
    }

    fn recoverable(&self, run: ExecutionId) -> Result<Option<Recoverable>, String> {
        let found = self.journal.recoverable(&run).map_err(|error| error.to_string())?;
        Ok(found.map(|found| {
            let (checkpoint, events) = (found.checkpoint, recovery::timed(found.records));
            Recoverable { checkpoint, events }
        }))
    }

    fn version(&self, run: ExecutionId) -> Result<Option<u64>, String> {
        let version = self.journal.last_version(&StreamId::Execution(run));
        version.map_err(|error| error.to_string())
    }

    fn choose(
        &self,
        namespace: &str,
        workflow: &str,
        wanted: Option<u32>,
        run: &Applicant<'_>,
    ) -> Result<Chosen, NotChosen> {
        let chosen = self.catalog.choose(namespace, workflow, wanted, run)?;
        match self.catalog.policies().settled(namespace, chosen.plan.digest) {
            Ok(Settled::AsItIs) => Ok(chosen),
            Ok(Settled::Adapted(plan)) => Ok(Chosen { plan, ..chosen }),
            Ok(Settled::DoesNotFit(_)) => Err(NotChosen::DoesNotFit),
            Err(_) => Err(NotChosen::Unsettled(chosen.number)),
        }
    }

    fn admits(&self, namespace: &str, workflow: &str) -> Result<(), Unavailable> {
        self.catalog.admits(namespace, workflow)
    }

    fn alerts(&self, namespace: &str, workflow: &str, tags: &[Arc<str>]) -> Vec<Alert> {
        self.catalog.alerts().of_run(namespace, workflow, tags)
    }

    fn partitions(&self) -> u16 {
        self.journal.partition_count()
    }
}

/// The partition that holds the streams of all workflows, replays and redrives.
pub const WORKFLOWS_PARTITION: PartitionId = PartitionId(0);
