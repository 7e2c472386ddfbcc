//! Why a command may be refused.

use super::{NOTES_PER_LETTER_MAX, SIGNALS_KEPT_MAX};
use crate::failure::Failure;
use crate::ids::ExecutionId;
use crate::time::Timestamp;

/// Why a command was refused. Nothing was recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The run already has its final word.
    #[error("the run has already ended: {status}")]
    AlreadyEnded {
        /// The final word.
        status: &'static str,
    },
    /// The run has no such letter.
    #[error("the run has no dead letter {letter}")]
    UnknownLetter {
        /// The number asked for.
        letter: u32,
    },
    /// The run has no such callback.
    #[error("the run has no callback {delivery}")]
    UnknownDelivery {
        /// The number asked for.
        delivery: u32,
    },
    /// The callback is being delivered.
    #[error("callback {delivery} is still being delivered; it is sent again once that is over")]
    DeliveryPending {
        /// The number asked for.
        delivery: u32,
    },
    /// The letter was retried or discarded before.
    #[error("dead letter {letter} is not open: it was {status}")]
    LetterNotOpen {
        /// The number asked for.
        letter: u32,
        /// What became of it.
        status: &'static str,
    },
    /// The step's run has ended and can't go on where it stands: retrying means a new run, and
    /// none was named.
    #[error("the run can't go on where it stands; retrying its step starts a new run")]
    NeedsNewRun,
    /// The undo of the step neither waits for a person nor has an open letter.
    #[error("the undo of step `{step}` is {status}: {settlement} is said of one that waits for it")]
    UndoNotOpen {
        /// The step.
        step: String,
        /// Where its undo stands.
        status: &'static str,
        /// What was to become of it.
        settlement: &'static str,
    },
    /// No undo of the run waits for a person or has an open letter.
    #[error("the run is {status}, and no undo of it waits for a person to say so")]
    NoUndoOpen {
        /// Where it stands.
        status: &'static str,
    },
    /// Another failed step of the halted run was retried and waits for this one.
    #[error("another step was retried and waits for this one; retry dead letter {letter} too")]
    OthersWait {
        /// The number asked for.
        letter: u32,
    },
    /// A message of another run is not for this one.
    #[error("the message is refused: {why}")]
    MessageRefused {
        /// Why.
        why: String,
    },
    /// For whoever sent the message there is no such run: it is another tenant's.
    #[error("there is no run {run}")]
    NoSuchRun {
        /// The run that the message is for.
        run: ExecutionId,
    },
    /// The time in which an ended run can be rolled back is over.
    #[error("the run could be rolled back until {until}, as its workflow says")]
    RollbackWindowOver {
        /// When it was over.
        until: Timestamp,
    },
    /// The run is a chunk of a loop, or a child.
    #[error("the run is a part of {run}: do it to that one")]
    PartOfRun {
        /// The run it belongs to.
        run: ExecutionId,
    },
    /// The run's parent has undone it, or is about to, and counts on that.
    #[error(
        "the run is undone with {run}, whose step it was, so its dead letters are not retried: \
         retry that one, or discard the letter"
    )]
    UndoneWithParent {
        /// The parent.
        run: ExecutionId,
    },
    /// The step is no loop.
    #[error("step `{step}` is no `foreach`, so it has no items")]
    NoItems {
        /// Its id.
        step: String,
    },
    /// Only a run whose steps start can be paused.
    #[error("the run is {status}; only a running one can be paused")]
    NotPausable {
        /// Where it stands.
        status: &'static str,
    },
    /// What was asked is done to suspended runs only.
    #[error("the run is {status}; this is done to a suspended run: pause it first")]
    NotSuspended {
        /// Where it stands.
        status: &'static str,
    },
    /// The run can't be resumed while a step of it has failed.
    #[error(
        "step `{step}` has failed: retry its dead letter, skip it or set its output, or roll the \
         run back"
    )]
    StepsFailed {
        /// The first of them.
        step: String,
    },
    /// The run does not go on while an undo of it has failed.
    #[error(
        "the undo of step `{step}` has failed: retry its dead letter, or say that it was done by \
         hand (`done`) or is left as it is (`accept`)"
    )]
    UndoFailed {
        /// The first of them.
        step: String,
    },
    /// The run can't be rolled back to the step.
    #[error("the run can't be rolled back to step `{step}`: {why}")]
    RollbackRefused {
        /// As asked.
        step: String,
        /// Why.
        why: String,
    },
    /// The run's workflow has no such step.
    #[error("the run has no step `{step}`")]
    UnknownStep {
        /// As asked.
        step: String,
    },
    /// The step runs or is settled.
    #[error("step `{step}` is {status}; only one that neither runs nor is settled can be set")]
    StepNotOpen {
        /// As asked.
        step: String,
        /// Where it stands.
        status: &'static str,
    },
    /// What the command carries is more than the run may hold.
    #[error("{why}")]
    TooLarge {
        /// What, and how much is left.
        why: String,
    },
    /// The letter is retried with the input it has, or not at all.
    #[error("the letter's input can't be edited: {why}")]
    InputNotEditable {
        /// Why.
        why: &'static str,
    },
    /// As many notes as a letter keeps are written.
    #[error("a dead letter keeps {NOTES_PER_LETTER_MAX} notes, and has as many")]
    TooManyNotes,
    /// As many signals as a run keeps wait to be taken.
    #[error("{SIGNALS_KEPT_MAX} signals of the run wait to be taken; it keeps no more")]
    TooManySignals,
    /// The run can't be forked so.
    #[error("the run can't be forked: {}", .reasons.join("; "))]
    ForkRefused {
        /// Every reason.
        reasons: Vec<String>,
    },
    /// Steps that took effect would do so again, and say that this does harm.
    #[error(
        "steps marked `replay: unsafe` would run again: {}; with `accept_unsafe` they do",
        .steps.join(", ")
    )]
    ForkUnsafe {
        /// Which.
        steps: Vec<String>,
    },
    /// The run can't go on with the revision.
    #[error("the run can't be migrated: {}", .reasons.join("; "))]
    MigrationRefused {
        /// Every reason.
        reasons: Vec<String>,
    },
    /// The run's own limits have no key for what it is submitted with.
    #[error("{}", .why.message)]
    NoLimitKey {
        /// Why.
        why: Box<Failure>,
    },
    /// The run is still unwinding; its step letters wait until it has ended.
    #[error("the run is still {status}; retry its dead letters once it has ended")]
    NotYet {
        /// Where it stands.
        status: &'static str,
    },
}
