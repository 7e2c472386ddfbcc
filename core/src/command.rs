//! What anybody may ask of a run, and why it may be refused.

mod rejection;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::event::{Alert, Fault, Hold, Origin, Submitted, Target, UndoSettlement};
use crate::failure::Failure;
use crate::ids::{ExecutionId, StepIndex};
use crate::letters::InputEdit;
use crate::links::Parcel;
use crate::payload::Payload;
use crate::plan::Plan;
use crate::time::Timestamp;
use crate::trace::TraceContext;

pub use rejection::Rejection;

/// A wish concerning one run.
#[derive(Debug, Clone)]
pub enum Command {
    /// An executor has answered for a step's attempt, or is known not to.
    ReportStep {
        /// Which step.
        step: StepIndex,
        /// Which attempt; a report for any but the current one changes nothing.
        attempt: u16,
        /// The answer.
        result: AttemptResult,
        /// The wait drawn for a next attempt.
        retry_delay_ms: u64,
    },
    /// The same for an undo's attempt.
    ReportUndo {
        /// Which step.
        step: StepIndex,
        /// Which attempt.
        attempt: u16,
        /// The answer.
        result: AttemptResult,
        /// The wait drawn for a next attempt.
        retry_delay_ms: u64,
    },
    /// A callback's receiver has answered, or not.
    ReportCallback {
        /// Which delivery.
        delivery: u32,
        /// Which attempt.
        attempt: u16,
        /// The status of the answer, or why there is none.
        result: Result<u16, Failure>,
        /// The wait drawn for a next attempt.
        retry_delay_ms: u64,
    },
    /// A delivery's service is not to be called now: for what it waits, and when it is due again.
    HoldCallback(u32, Hold, Timestamp),
    /// Send a callback again that was received, or that failed.
    SendAgain {
        /// Which delivery.
        delivery: u32,
        /// Who.
        actor: String,
    },
    /// Time has passed, or a decision was cut short: see what is due.
    Continue,
    /// Stop the run.
    Cancel {
        /// Why, in the caller's words.
        reason: String,
        /// Who.
        actor: String,
        /// Whether to undo what was done; unsaid, the workflow's `on_failure` says.
        compensate: Option<bool>,
        /// Whether what is under way is given up: attempts, or undos if the run unwinds.
        force: bool,
    },
    /// Start no step until the run is resumed.
    Pause {
        /// Why, in the caller's words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Have a suspended run go on.
    Resume {
        /// Why, in the caller's words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Settle a step of a suspended run by hand.
    OverrideStep {
        /// The step's id.
        step: String,
        /// What it is taken to have answered; without one it is skipped.
        output: Option<Payload>,
        /// Why, in the caller's words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Undo what a suspended run did.
    RollBack {
        /// Why, in the caller's words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Undo everything that builds on a step, and do it anew.
    RollBackTo {
        /// The step's id; it stays as it is.
        step: String,
        /// Whether steps may run again, not undone, that say that this does harm.
        accept_unsafe: bool,
        /// Why, in the caller's words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Hand the run a signal.
    Signal {
        /// What steps wait for; [`crate::plan::signal_name_problem`] bounds it.
        name: Arc<str>,
        /// What it carries.
        payload: Payload,
        /// The sender's, at most [`WORDS_BYTES_MAX`]: the same id again is a repeat.
        id: Option<String>,
        /// Who.
        actor: String,
    },
    /// Try a dead letter's operation again.
    RetryLetter {
        /// Which letter of the run.
        letter: u32,
        /// Who.
        actor: String,
        /// The new run that starts over, where the letter can't be retried in place.
        linked: Option<ExecutionId>,
    },
    /// Give a dead letter's operation up.
    DiscardLetter {
        /// Which letter of the run.
        letter: u32,
        /// Who.
        actor: String,
        /// Why, in their words.
        reason: String,
    },
    /// Say who is to see to a dead letter.
    AssignLetter {
        /// Which letter of the run.
        letter: u32,
        /// Who is to; nobody any more, if unsaid.
        assignee: Option<String>,
        /// Why, in their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Write something down about a dead letter.
    NoteLetter {
        /// Which letter of the run.
        letter: u32,
        /// What: at most [`WORDS_BYTES_MAX`].
        text: String,
        /// Who.
        actor: String,
    },
    /// Have a dead letter's step tried again where it stands, with another input.
    RetryLetterWith {
        /// Which letter of the run.
        letter: u32,
        /// What becomes of its input.
        edit: InputEdit,
        /// Why, in their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Say what becomes of undos that wait for a person or have failed.
    SettleUndos {
        /// The step's id; all that wait or failed, if unsaid.
        step: Option<String>,
        /// What becomes of them.
        settlement: UndoSettlement,
        /// What was done or why it stays, in their words.
        note: String,
        /// Who.
        actor: String,
    },
    /// A message of another run has come in.
    Receive {
        /// The message.
        parcel: Box<Parcel>,
        /// The wait drawn for a next attempt, should it end one.
        retry_delay_ms: u64,
    },
    /// The receiver of a message has answered for it.
    Acknowledge {
        /// Which message.
        message: u32,
        /// When it was posted: an answer for a removed run's is none for its successor's.
        posted_at: Timestamp,
        /// Why it was refused, which is final.
        refused: Option<Failure>,
    },
    /// All that a fork keeps is told: it goes on.
    StartFork,
    /// A fork of the run was made.
    NoteFork {
        /// The fork.
        to: ExecutionId,
        /// The steps that it undoes from now on, ascending.
        undoes: Vec<StepIndex>,
        /// Who had it so.
        actor: String,
    },
    /// Go on with another revision.
    Migrate {
        /// The plan of the run's lineage with the revision behind it.
        plan: Arc<Plan>,
        /// The revision's number.
        revision: u32,
        /// Why, in the caller's words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// The run has not begun and never will: what it waits for waits for it.
    GiveUpWaiting {
        /// Who waits for whom, in words.
        reason: String,
    },
    /// A fork of the run never started.
    DropFork {
        /// The fork.
        fork: ExecutionId,
    },
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub enum AttemptResult {
    /// The executor answered.
    Answered(Result<Payload, Failure>),
    /// It did not within the attempt's timeout.
    TimedOut,
    /// The process that ran it went away.
    Lost,
}

/// A wish for a new run, complete with everything the shell drew for it.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The new run's id.
    pub execution: ExecutionId,
    /// What it is pinned to.
    pub plan: Arc<Plan>,
    /// The rest.
    pub submitted: Box<Submitted>,
    /// Tags beside those of the definition.
    pub tags: Vec<Arc<str>>,
    /// Where it comes from, if there is anything to say.
    pub origin: Option<Box<Origin>>,
    /// Who is told in forms of their own.
    pub targets: Vec<Target>,
    /// What operators want to be told of it; known where it begins.
    pub alerts: Vec<Alert>,
    /// What goes wrong with its attempts on purpose.
    pub faults: Vec<Fault>,
    /// Where it stands in whose trace; as follows from what it is if unsaid.
    pub trace: Option<Box<TraceContext>>,
}

impl Submission {
    /// Whether the id was derived, not drawn: then the run may exist already.
    #[must_use]
    pub fn has_derived_id(&self) -> bool {
        let child = self.origin.as_ref().is_some_and(|origin| origin.parent.is_some());
        child || self.submitted.idempotency_key.is_some() || self.submitted.retry_of.is_some()
    }

    /// The run's tags: the definition's and its own, ascending, each once.
    #[must_use]
    pub fn all_tags(&self) -> Vec<Arc<str>> {
        let parent = self.origin.as_ref().and_then(|origin| origin.parent.as_ref());
        // A chunk is a part of a run that has them.
        let chunk = parent.is_some_and(|parent| parent.items.is_some());
        let of_plan: &[_] = if chunk { &[] } else { &self.plan.tags };
        let all: BTreeSet<_> = of_plan.iter().chain(&self.tags).cloned().collect();
        all.into_iter().collect()
    }
}

/// Signals of one run that no step has taken yet.
pub const SIGNALS_KEPT_MAX: usize = 1_000;

/// Notes of one dead letter.
pub const NOTES_PER_LETTER_MAX: usize = 100;

/// Tags of one definition, and of one submission.
pub const TAGS_MAX: usize = 32;

/// The longest tag, in bytes.
pub const TAG_BYTES_MAX: usize = 128;

/// What is wrong with a tag, if anything: 1 to [`TAG_BYTES_MAX`] bytes, no control characters.
#[must_use]
pub fn tag_problem(tag: &str) -> Option<String> {
    let fits = (1..=TAG_BYTES_MAX).contains(&tag.len()) && !tag.chars().any(char::is_control);
    let range = || format!("a tag has 1 to {TAG_BYTES_MAX} bytes, without control characters");
    (!fits).then(range)
}

/// Callbacks a client may name with one submission.
pub const CALLBACKS_MAX: usize = 16;

/// The longest reason, actor or correlation id, in bytes.
pub const WORDS_BYTES_MAX: usize = 1_024;

/// Whether a URL may be called back: `http` or `https` with a host, without user or password.
#[must_use]
pub fn is_callback_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    rest.is_some_and(|rest| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // Braces would refer to secrets, which only definitions do.
        let plain = url.bytes().all(|byte| byte.is_ascii_graphic() && !b"{}".contains(&byte));
        !host.is_empty() && !host.starts_with(':') && !host.contains('@') && plain
    }) && url.len() <= WORDS_BYTES_MAX
}
