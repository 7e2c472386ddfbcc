//! The way to talk to a running engine: cheap to clone, safe from anywhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backstitch_core::command::{
    CALLBACKS_MAX, Command, Rejection, Submission, WORDS_BYTES_MAX, is_callback_url,
};
use backstitch_core::definition::problem::{Problem, codes};
use backstitch_core::event::{Callback, Event, RunEvent, Submitted};
use backstitch_core::ids::{Digest, ExecutionId, LetterId, PartitionId, StreamId};
use backstitch_core::payload::{PAYLOAD_BYTES_MAX, Payload};
use backstitch_core::plan::Plan;
use backstitch_core::summary::{LetterSummary, RunSummary};
use backstitch_executors::Registry;
use backstitch_journal::{Cursor, Journal, LetterFilter, Page, Record, RunFilter};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::catalog::{Catalog, Revision};
use crate::clock;
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;
use crate::partition::{Abandon, Answer, Definition, Input};

/// Where an answer goes.
#[derive(Debug)]
pub struct Ticket(oneshot::Sender<Answer>);

impl Ticket {
    pub(crate) fn answer(self, answer: Answer) {
        // Whoever asked may have gone; the answer is then nobody's.
        drop(self.0.send(answer));
    }
}

impl Abandon for Ticket {
    fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }
}

/// A wish for a new run, as a client puts it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Tenant.
    pub namespace: Arc<str>,
    /// The workflow's id.
    pub workflow: String,
    /// Any JSON; checked against the workflow's `input_schema`.
    pub input: Value,
    /// Overrides of the workflow's variables: an object.
    pub variables: Value,
    /// Carried through; the execution id if empty.
    pub correlation_id: String,
    /// Who is told.
    pub callbacks: Vec<Callback>,
    /// The same key with the same request answers the same run.
    pub idempotency_key: Option<String>,
    /// Who asks.
    pub actor: String,
}

/// An accepted run. It is durable.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The run.
    pub execution: ExecutionId,
    /// Its status word when it was accepted.
    pub status: &'static str,
    /// Whether the idempotency key had been used for it before.
    pub repeated: bool,
}

/// A defined revision. It is durable.
#[derive(Debug, Clone)]
pub struct Defined {
    /// The workflow's id.
    pub workflow: Arc<str>,
    /// The revision's number, from 1.
    pub revision: u32,
    /// Its content.
    pub digest: Digest,
    /// Whether the content is new.
    pub created: bool,
}

/// What became of a retried letter.
#[derive(Debug, Clone)]
pub struct Retried {
    /// The run that goes on: the letter's own, or the new one that starts over.
    pub execution: ExecutionId,
    /// Whether it is a new run.
    pub new_run: bool,
    /// Its status word.
    pub status: &'static str,
}

/// Talks to a running engine.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    mailboxes: Vec<mpsc::Sender<Input<Ticket>>>,
    catalog: Arc<Catalog>,
    journal: Arc<Journal>,
    registry: Arc<Registry>,
    draining: Arc<AtomicBool>,
}

impl Handle {
    pub(crate) fn new(
        mailboxes: Vec<mpsc::Sender<Input<Ticket>>>,
        catalog: Arc<Catalog>,
        journal: Arc<Journal>,
        registry: Arc<Registry>,
        draining: Arc<AtomicBool>,
    ) -> Self {
        let shared = Shared { mailboxes, catalog, journal, registry, draining };
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn draining(&self) -> &AtomicBool {
        &self.shared.draining
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

    /// Checks a definition and compiles it, without recording it.
    ///
    /// # Errors
    /// [`Error::InvalidDefinition`] with every problem.
    pub fn compile(&self, definition: &Value) -> Result<(Plan, String), Error> {
        compile(definition, &self.shared.registry).map_err(Error::InvalidDefinition)
    }

    /// Adds a revision to a workflow; the same content again answers the revision it has.
    ///
    /// # Errors
    /// [`Error::InvalidDefinition`], [`Error::Draining`], [`Error::Stopped`].
    pub async fn define(
        &self,
        namespace: &Arc<str>,
        definition: &Value,
        actor: &str,
    ) -> Result<Defined, Error> {
        let (plan, text) = self.compile(definition)?;
        let (workflow, digest) = (plan.workflow.clone(), plan.digest);
        let definition = Box::new(Definition {
            namespace: namespace.clone(),
            workflow: workflow.clone(),
            text: text.into(),
            plan: Arc::new(plan),
            actor: actor.into(),
            defined_at: clock::now(),
        });
        let ask = |ticket| Input::Define(definition, ticket);
        match self.ask(WORKFLOWS_PARTITION, ask).await? {
            Answer::Defined { revision, created } => {
                Ok(Defined { workflow, revision, digest, created })
            }
            answer => Err(unexpected(answer, None)),
        }
    }

    /// Begins a run. When this answers, the run is durable.
    ///
    /// # Errors
    /// [`Error::WorkflowNotFound`], [`Error::InvalidSubmission`],
    /// [`Error::SubmissionTooLarge`], [`Error::KeyConflict`], [`Error::Draining`],
    /// [`Error::Stopped`].
    pub async fn submit(&self, request: Request) -> Result<Accepted, Error> {
        let submission = self.prepare(request)?;
        self.begin(submission).await
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
        let submission = self.prepare(request)?;
        let run = submission.execution;
        let accepted = self.begin(submission).await?;
        let ended = self.wait(run, limit).await?;
        Ok((accepted, ended))
    }

    /// The run, once it has its final word; nothing if that takes longer than `limit`.
    ///
    /// # Errors
    /// [`Error::ExecutionNotFound`], [`Error::Quarantined`], [`Error::Stopped`].
    pub async fn wait(
        &self,
        run: ExecutionId,
        limit: Duration,
    ) -> Result<Option<Arc<Value>>, Error> {
        let ask = self.ask(run.partition, |ticket| Input::WaitForEnd(run, ticket));
        match tokio::time::timeout(limit, ask).await {
            Err(_) => Ok(None),
            Ok(answer) => match answer? {
                Answer::Shown(shown) => Ok(Some(shown)),
                answer => Err(unexpected(answer, Some(run))),
            },
        }
    }

    /// The run as it stands: what `GET /api/v1/executions/{id}` answers.
    ///
    /// # Errors
    /// [`Error::ExecutionNotFound`], [`Error::Quarantined`], [`Error::Stopped`].
    pub async fn execution(&self, run: ExecutionId) -> Result<Arc<Value>, Error> {
        match self.ask(run.partition, |ticket| Input::Show(run, ticket)).await? {
            Answer::Shown(shown) => Ok(shown),
            answer => Err(unexpected(answer, Some(run))),
        }
    }

    /// The run's whole history, and the plan to read it by.
    ///
    /// # Errors
    /// [`Error::ExecutionNotFound`], [`Error::Journal`].
    pub async fn history(
        &self,
        run: ExecutionId,
    ) -> Result<(Vec<Record>, Option<Arc<Plan>>), Error> {
        let journal = self.shared.journal.clone();
        let read = move || journal.history(&StreamId::Execution(run));
        let records = blocking(read).await??.ok_or(Error::ExecutionNotFound(run))?;
        let plan = match records.first().map(|record| &record.event) {
            Some(Event::Run(RunEvent::Submitted(own))) => self.catalog().plan(&own.digest),
            _ => None,
        };
        Ok((records, plan))
    }

    /// Runs newest first, and where the next page begins.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub async fn runs(
        &self,
        filter: RunFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<RunSummary>, Error> {
        let journal = self.shared.journal.clone();
        Ok(blocking(move || journal.runs(&filter, after.as_ref(), limit)).await??)
    }

    /// Dead letters newest first, and where the next page begins.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub async fn letters(
        &self,
        filter: LetterFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<LetterSummary>, Error> {
        let journal = self.shared.journal.clone();
        Ok(blocking(move || journal.letters(&filter, after.as_ref(), limit)).await??)
    }

    /// Stops a run. Unsaid, the workflow's `on_failure` says whether what was done is undone.
    ///
    /// # Errors
    /// [`Error::ExecutionNotFound`], [`Error::Rejected`] when it has ended, ...
    pub async fn cancel(
        &self,
        run: ExecutionId,
        reason: String,
        actor: String,
        compensate: Option<bool>,
    ) -> Result<&'static str, Error> {
        self.command(run, Command::Cancel { reason, actor, compensate }).await
    }

    /// A dead letter with its whole context.
    ///
    /// # Errors
    /// [`Error::LetterNotFound`], and as [`Handle::execution`].
    pub async fn letter(&self, letter: LetterId) -> Result<Value, Error> {
        let missing = || Error::LetterNotFound(letter);
        let run = match self.execution(letter.execution).await {
            Err(Error::ExecutionNotFound(_)) => return Err(missing()),
            run => run?,
        };
        run["dead_letters"].get(letter.number as usize).cloned().ok_or_else(missing)
    }

    /// Has a dead letter's operation tried again: in place where its run allows it, otherwise
    /// by a new run of the same revision and input, linked to the old one. A retry that was
    /// cut short can be asked again and finds the run it began.
    ///
    /// # Errors
    /// [`Error::LetterNotFound`], [`Error::Rejected`], ...
    pub async fn retry_letter(&self, letter: LetterId, actor: &str) -> Result<Retried, Error> {
        let command = |linked| Command::RetryLetter {
            letter: letter.number,
            actor: actor.to_owned(),
            linked,
        };
        let run = letter.execution;
        match self.letter_command(letter, command(None)).await {
            Err(Error::Rejected(Rejection::NeedsNewRun)) => {}
            answer => return Ok(Retried { execution: run, new_run: false, status: answer? }),
        }
        let (records, plan) = self.history(run).await?;
        let plan = plan.ok_or_else(|| Error::Fold(format!("no plan for {run}")))?;
        let Some(Event::Run(RunEvent::Submitted(first))) =
            records.into_iter().next().map(|record| record.event)
        else {
            return Err(Error::Fold(format!("{run} has no submission")));
        };
        let execution = self.id_of(&["retry", &letter.to_string()]);
        let submitted = Box::new(Submitted {
            idempotency_key: None,
            deadline_at: deadline(&plan),
            retry_of: Some(run),
            actor: actor.to_owned(),
            ..*first
        });
        let accepted = self.begin(Submission { execution, plan, submitted }).await?;
        self.letter_command(letter, command(Some(execution))).await?;
        Ok(Retried { execution, new_run: true, status: accepted.status })
    }

    /// Gives a dead letter's operation up.
    ///
    /// # Errors
    /// [`Error::LetterNotFound`], [`Error::Rejected`], ...
    pub async fn discard_letter(
        &self,
        letter: LetterId,
        actor: String,
        reason: String,
    ) -> Result<&'static str, Error> {
        let number = letter.number;
        let command = Command::DiscardLetter { letter: number, actor, reason };
        self.letter_command(letter, command).await
    }

    async fn letter_command(
        &self,
        letter: LetterId,
        command: Command,
    ) -> Result<&'static str, Error> {
        match self.command(letter.execution, command).await {
            Err(Error::ExecutionNotFound(_) | Error::Rejected(Rejection::UnknownLetter { .. })) => {
                Err(Error::LetterNotFound(letter))
            }
            answer => answer,
        }
    }

    async fn command(&self, run: ExecutionId, command: Command) -> Result<&'static str, Error> {
        let ask = |ticket| Input::Command(run, command, Some(ticket));
        match self.ask(run.partition, ask).await? {
            Answer::Done { status } => Ok(status),
            answer => Err(unexpected(answer, Some(run))),
        }
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

    async fn ask(
        &self,
        partition: PartitionId,
        input: impl FnOnce(Ticket) -> Input<Ticket>,
    ) -> Result<Answer, Error> {
        let run = ExecutionId { partition, digits: 0 };
        let mailbox = self.shared.mailboxes.get(usize::from(partition.0));
        let mailbox = mailbox.ok_or(Error::ExecutionNotFound(run))?;
        let (ticket, answer) = oneshot::channel();
        mailbox.send(input(Ticket(ticket))).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)
    }

    /// Checks a request whole and draws what its run needs. Nothing is recorded yet.
    fn prepare(&self, request: Request) -> Result<Submission, Error> {
        if self.shared.draining.load(Ordering::SeqCst) {
            return Err(Error::Draining);
        }
        let found = self.catalog().latest(&request.namespace, &request.workflow);
        let Revision { number, plan, .. } =
            found.ok_or_else(|| Error::WorkflowNotFound { workflow: request.workflow.clone() })?;
        let mut problems = check_words(&request);
        if let Err(wrong) = plan.check_input(&request.input) {
            problems.extend(wrong);
        }
        if !problems.is_empty() {
            return Err(Error::InvalidSubmission(problems));
        }
        let (input, variables) = (Payload::of(&request.input), Payload::of(&request.variables));
        let bytes = input.text().len() + variables.text().len();
        if bytes > PAYLOAD_BYTES_MAX {
            return Err(Error::SubmissionTooLarge { bytes, max: PAYLOAD_BYTES_MAX });
        }
        let now = clock::now();
        let execution = match &request.idempotency_key {
            Some(key) => self.id_of(&[&request.namespace, &request.workflow, key]),
            None => {
                let partition = self.partition_of(clock::draw_u32());
                ExecutionId { partition, digits: clock::draw_digits(now) }
            }
        };
        let digest = request_digest(&request);
        let correlation_id = match request.correlation_id.as_str() {
            "" => execution.to_string().into(),
            given => given.into(),
        };
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
            callbacks: request.callbacks,
            deadline_at: deadline(&plan),
            retry_of: None,
            actor: request.actor,
        });
        Ok(Submission { execution, plan, submitted })
    }

    fn partition_of(&self, drawn: u32) -> PartitionId {
        let partitions = u32::try_from(self.shared.mailboxes.len()).unwrap_or(1);
        PartitionId(u16::try_from(drawn % partitions).unwrap_or(0))
    }

    /// The id whose digits are a hash of some words: the same words, the same run.
    fn id_of(&self, words: &[&str]) -> ExecutionId {
        let mut hasher = blake3::Hasher::new();
        for word in words {
            hasher.update(&(word.len() as u64).to_le_bytes());
            hasher.update(word.as_bytes());
        }
        let hash = *hasher.finalize().as_bytes();
        let [a, b, c, d, rest @ ..] = hash;
        let mut digits = [0_u8; 16];
        digits.copy_from_slice(&rest[..16]);
        let partition = self.partition_of(u32::from_le_bytes([a, b, c, d]));
        ExecutionId { partition, digits: u128::from_le_bytes(digits) }
    }
}

/// Checks a definition and compiles it; answers it with its canonical JSON.
///
/// # Errors
/// Every problem.
pub fn compile(definition: &Value, registry: &Registry) -> Result<(Plan, String), Vec<Problem>> {
    let (definition, plan) = Plan::read(definition, registry)?;
    Ok((plan, definition.canonical_text()))
}

fn deadline(plan: &Plan) -> Option<backstitch_core::time::Timestamp> {
    plan.timeout_ms.map(|timeout_ms| clock::now().plus_ms(timeout_ms))
}

fn check_words(request: &Request) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut bad = |path: String, code: &'static str, message: String| {
        problems.push(Problem { path, code, message });
    };
    let words = BTreeMap::from([
        ("correlation_id", request.correlation_id.as_str()),
        ("idempotency_key", request.idempotency_key.as_deref().unwrap_or("none")),
    ]);
    for (path, word) in words {
        if word.len() > WORDS_BYTES_MAX || word.chars().any(char::is_control) {
            let message = format!("at most {WORDS_BYTES_MAX} bytes, without control characters");
            bad(path.to_owned(), codes::BAD_VALUE, message);
        }
    }
    if request.idempotency_key.as_deref() == Some("") {
        bad("idempotency_key".to_owned(), codes::BAD_VALUE, "is empty".to_owned());
    }
    if !request.variables.is_object() {
        bad("variables".to_owned(), codes::WRONG_TYPE, "must be an object".to_owned());
    }
    if request.callbacks.len() > CALLBACKS_MAX {
        let message = format!("at most {CALLBACKS_MAX} callbacks are taken");
        bad("callbacks".to_owned(), codes::OUT_OF_RANGE, message);
    }
    for (at, callback) in request.callbacks.iter().enumerate() {
        if !is_callback_url(&callback.url) {
            let message = "must be an http or https URL without user or password".to_owned();
            bad(format!("callbacks[{at}].url"), codes::BAD_URL, message);
        }
    }
    problems
}

/// What tells a repeat from another request under the same key.
fn request_digest(request: &Request) -> Digest {
    let callbacks: Vec<_> = request
        .callbacks
        .iter()
        .map(|own| json!([backstitch_core::report::callback_word(own.event), own.url]))
        .collect();
    let whole = json!([
        request.namespace,
        request.workflow,
        request.input,
        request.variables,
        request.correlation_id,
        callbacks,
    ]);
    Digest::of(whole.to_string().as_bytes())
}

fn unexpected(answer: Answer, run: Option<ExecutionId>) -> Error {
    match (answer, run) {
        (Answer::NotFound, Some(run)) => Error::ExecutionNotFound(run),
        (Answer::KeyConflict(run), _) => Error::KeyConflict(run),
        (Answer::Rejected(rejection), _) => Error::Rejected(rejection),
        (Answer::Quarantined(why), _) => Error::Quarantined(why),
        (Answer::Draining, _) => Error::Draining,
        (answer, _) => Error::Fold(format!("the partition answered {answer:?}")),
    }
}

async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Stopped)
}
