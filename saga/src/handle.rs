//! The way to talk to a running engine: cheap to clone, safe from anywhere.

mod api_keys;
mod audited;
mod availability;
mod blocked;
mod breakers;
mod cached;
pub mod callbacks;
mod changes;
mod define;
pub(crate) mod events;
mod forks;
mod items;
mod letters;
mod lists;
mod log_levels;
mod migrations;
mod objects;
mod payloads;
mod policies;
mod reads;
mod redrives;
mod rehearsals;
mod replays;
mod request;
mod rollouts;
mod settings;
mod threads;
mod traces;
mod transfer;
mod travel;
mod waiting;
mod wish;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backstitch_core::audit::Mark;
use backstitch_core::command::{Command, Submission};
use backstitch_core::event::{Event, Origin, Priority, RunEvent, Submitted};
use backstitch_core::faults::faults_of;
use backstitch_core::ids::{ExecutionId, PartitionId};
use backstitch_core::payload::Payload;
use backstitch_core::plan::priority_of;
use backstitch_core::state::number_problems;
use backstitch_core::summary::RunStatus;
use backstitch_executors::Registry;
use backstitch_journal::Journal;
use serde_json::Value;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::cache::ResultCache;
use crate::catalog::{Catalog, Chosen};
use crate::clock;
use crate::engine::{Common, JournalHistories};
use crate::error::Error;
use crate::live::Live;
use crate::partition::{Answer, Input};
use crate::retention::Retention;
pub(crate) use request::unexpected;
use request::{check_words, deadline, request_digest};
pub(crate) use threads::{blocking, reading};

pub use api_keys::{MadeWithIt, is_key_text};
pub use audited::{Changed, Deed};
pub use availability::Availed;
pub use backstitch_core::export::ImportReport;
pub use define::{NAMESAKES_MAX, compile};
pub use events::{EventRows, HistoryCut};
pub use forks::{ForkMade, ForkWish};
pub use items::ItemsPage;
pub use letters::LetterStatistics;
pub(crate) use letters::REFERS_TO_SECRETS;
pub use lists::WorkflowStatistics;
pub use log_levels::LogLevels;
pub use migrations::{AllMigrated, MIGRATED_AT_ONCE_MAX, Migrated, MigrationWish};
pub use objects::ObjectChange;
pub use payloads::KeptPayload;
pub use redrives::RedriveWish;
pub use rehearsals::RehearsalWish;
pub use replays::{ReplayTarget, ReplayWish};
pub use request::{Accepted, Defined, Request, Retried, SubmittedText};
pub use rollouts::{ArmStatistics, RolledOut};
pub use settings::Reloaded;
pub use transfer::{Export, Import};
pub use travel::DIFF_EVENTS_MAX;
pub use wish::Ticket;
pub(crate) use wish::Wish;

/// Talks to a running engine.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    /// The request that it is used for.
    mark: Option<Arc<Mark>>,
}

struct Shared {
    mailboxes: Vec<mpsc::Sender<Wish>>,
    catalog: Arc<Catalog>,
    journal: Arc<Journal>,
    registry: Arc<Registry>,
    draining: Arc<AtomicBool>,
    large_prints: Semaphore,
    retention: Retention,
    limits: Common,
    cache: ResultCache,
    /// Held while an operator's order to a breaker, or to the log, is recorded and carried out.
    ordering: Mutex<()>,
    /// Held while an id is made from a name, so that two contents do not get one.
    naming: Mutex<()>,
    /// Held by whoever erases a payload.
    erasing: Mutex<()>,
    api_keys: api_keys::ApiKeys,
    configured: objects::Configured,
    live: Live,
}

/// Large runs whose JSON is made at the same time.
const LARGE_PRINTS_MAX: usize = 4;

impl Handle {
    pub(crate) fn new(
        mailboxes: Vec<mpsc::Sender<Wish>>,
        catalog: Arc<Catalog>,
        journal: Arc<Journal>,
        registry: Arc<Registry>,
        draining: Arc<AtomicBool>,
        retention: Retention,
        (limits, cache, live): (Common, ResultCache, Live),
    ) -> Self {
        let large_prints = Semaphore::new(LARGE_PRINTS_MAX);
        let shared = Shared {
            mailboxes,
            catalog,
            journal,
            registry,
            draining,
            large_prints,
            retention,
            limits,
            cache,
            ordering: Mutex::new(()),
            naming: Mutex::new(()),
            erasing: Mutex::new(()),
            api_keys: api_keys::ApiKeys::default(),
            configured: objects::Configured::default(),
            live,
        };
        Self { shared: Arc::new(shared), mark: None }
    }

    pub(crate) fn draining(&self) -> &AtomicBool {
        &self.shared.draining
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::SeqCst)
    }

    pub(crate) fn retention(&self) -> &Retention {
        &self.shared.retention
    }

    pub(crate) fn histories(&self) -> JournalHistories {
        let (journal, catalog) = (self.shared.journal.clone(), self.shared.catalog.clone());
        JournalHistories { journal, catalog }
    }

    /// Whether new work is taken.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.shared.draining.load(Ordering::SeqCst)
            && self.shared.journal.poisoned().is_none()
            && self.shared.mailboxes.iter().all(|mailbox| !mailbox.is_closed())
    }

    /// The journal behind the engine.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.shared.journal
    }

    /// The workflows that may be used.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.shared.catalog
    }

    /// What steps can do.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// Begins a run. When this answers, the run is durable.
    ///
    /// # Errors
    /// [`Error::WorkflowNotFound`], [`Error::InvalidSubmission`], [`Error::SubmissionTooLarge`],
    /// [`Error::KeyConflict`], [`Error::Draining`], [`Error::Stopped`].
    pub async fn submit(&self, request: Request) -> Result<Accepted, Error> {
        match self.prepare(request.clone()).await {
            Ok(submission) => self.begin(submission).await,
            Err(error) => self.repeated(&request).await.ok_or(error),
        }
    }

    /// The run of a request that was accepted before under its key. The workflow may have
    /// changed since, so that the same request would be refused today.
    async fn repeated(&self, request: &Request) -> Option<Accepted> {
        let key = request.idempotency_key.as_ref()?;
        let execution = self.id_of(&[&request.namespace, &request.workflow, key]);
        let (records, _) = self.history(execution).await.ok()?;
        let Event::Run(RunEvent::Submitted(known)) = &records.first()?.event else { return None };
        if known.request != request_digest(request) {
            return None;
        }
        let shown = self.execution(execution).await.ok()?;
        let status = RunStatus::of_word(shown["status"].as_str()?)?.word();
        Some(Accepted { execution, status, repeated: true })
    }

    /// Begins a run and waits up to `limit` for its final word.
    ///
    /// # Errors
    /// As [`Handle::submit`].
    pub async fn submit_and_wait(
        &self,
        request: Request,
        limit: Duration,
    ) -> Result<(Accepted, Option<Arc<Value>>), Error> {
        let accepted = self.submit(request).await?;
        let ended = self.wait(accepted.execution, limit).await?;
        Ok((accepted, ended))
    }

    /// Has a command carried out on a run; answers the run's status word after it. When this
    /// answers, what it changed is durable.
    ///
    /// # Errors
    /// [`Error::ExecutionNotFound`], [`Error::ExecutionRemoved`], [`Error::Rejected`] when it is
    /// wrong where the run stands, [`Error::Draining`], [`Error::Stopped`].
    pub async fn command(&self, run: ExecutionId, command: Command) -> Result<&'static str, Error> {
        let ask = |ticket| Input::Command(run, command, Some(ticket));
        match self.ask(run.partition, ask).await? {
            Answer::Done { status } => Ok(status),
            Answer::NotFound => Err(self.missing(run).await?),
            answer => Err(unexpected(answer, Some(run))),
        }
    }

    /// Cancels every run that has not ended and waits for their ends. Whoever waits no more
    /// finds every cancel durable or not made.
    pub(crate) async fn cancel_all(&self) {
        let mut ends = JoinSet::new();
        for partition in (0..).map(PartitionId).take(self.shared.mailboxes.len()) {
            let Ok(Answer::Cancelled(runs)) = self.ask(partition, Input::CancelAll).await else {
                continue;
            };
            for run in runs {
                let handle = self.clone();
                ends.spawn(async move {
                    drop(handle.ask(run.partition, |t| Input::WaitForEnd(run, t)).await);
                });
            }
        }
        while ends.join_next().await.is_some() {}
    }

    async fn begin(&self, submission: Submission) -> Result<Accepted, Error> {
        let run = submission.execution;
        metrics::counter!(crate::metrics::RUNS_SUBMITTED).increment(1);
        let ask = |ticket| Input::Submit(submission, ticket);
        match self.ask(run.partition, ask).await? {
            Answer::Submitted { execution, status, repeated } => {
                Ok(Accepted { execution, status, repeated })
            }
            answer => Err(unexpected(answer, Some(run))),
        }
    }

    /// Checks a request whole and draws what its run needs. Nothing is recorded yet.
    async fn prepare(&self, request: Request) -> Result<Submission, Error> {
        if self.shared.draining.load(Ordering::SeqCst) {
            return Err(Error::Draining);
        }
        if !request.faults.is_empty() && !self.shared.limits.faults {
            return Err(Error::FaultsNotAllowed);
        }
        let now = clock::now();
        let execution = match &request.idempotency_key {
            Some(key) => self.id_of(&[&request.namespace, &request.workflow, key]),
            None => {
                let partition = self.partition_of(clock::draw_u32());
                ExecutionId { partition, digits: clock::draw_digits(now) }
            }
        };
        let tags: Vec<Arc<str>> = request.tags.iter().map(|tag| tag.as_str().into()).collect();
        let chosen = self.choose(&request, &tags, &execution.to_string())?;
        let Chosen { number, plan, variant } = self.pinned(&request.namespace, chosen).await?;
        let mut problems = check_words(&request);
        if let Err(wrong) = plan.check_input(&request.input) {
            problems.extend(wrong);
        }
        let faults = faults_of(&plan, &request.faults).unwrap_or_else(|wrong| {
            problems.extend(wrong);
            Vec::new()
        });
        if !problems.is_empty() {
            return Err(Error::InvalidSubmission(problems));
        }
        let (input, variables) = (Payload::of(&request.input), Payload::of(&request.variables));
        request::check_given(&input, &variables)?;
        let digest = request_digest(&request);
        let correlation_id = match request.correlation_id.as_str() {
            "" => execution.to_string().into(),
            given => given.into(),
        };
        let trace = request.trace.map(Box::new);
        let (callbacks, targets) = request::parted(request.callbacks);
        let submitted = Box::new(Submitted {
            namespace: request.namespace,
            workflow: plan.workflow.clone(),
            revision: number,
            digest: plan.digest,
            input,
            variables,
            correlation_id,
            idempotency_key: request.idempotency_key,
            request: digest,
            callbacks,
            deadline_at: deadline(&plan),
            retry_of: None,
            actor: request.actor,
        });
        let wrong = number_problems(&plan, execution, &submitted, now);
        if !wrong.is_empty() {
            return Err(Error::InvalidSubmission(wrong));
        }
        let priority = match request.priority {
            Some(priority) => priority,
            None => priority_of(&plan, execution, &submitted, now)
                .map_err(|wrong| Error::InvalidSubmission(vec![wrong]))?,
        };
        let origin = origin(priority, variant);
        let alerts = Vec::new();
        Ok(Submission { execution, plan, submitted, tags, origin, targets, alerts, faults, trace })
    }

    fn partition_of(&self, drawn: u32) -> PartitionId {
        let partitions = u32::try_from(self.shared.mailboxes.len()).unwrap_or(1);
        PartitionId(u16::try_from(drawn % partitions).unwrap_or(0))
    }

    /// The run that an idempotency key of a workflow leads to, whether or not there is one.
    #[must_use]
    pub fn run_of_key(&self, namespace: &str, workflow: &str, key: &str) -> ExecutionId {
        self.id_of(&[namespace, workflow, key])
    }

    /// The id whose digits are a hash of some words: the same words, the same run.
    fn id_of(&self, words: &[&str]) -> ExecutionId {
        ExecutionId::derived(words, self.shared.mailboxes.len())
    }
}

/// What is recorded of where a run comes from, if there is anything to say.
fn origin(priority: Priority, variant: Option<String>) -> Option<Box<Origin>> {
    let origin = Origin { parent: None, priority, variant };
    (origin != Origin::default()).then(|| Box::new(origin))
}
