//! Deciding: the facts a command makes of a state. What follows from a fact is not decided
//! here but by [`crate::advance`], so that a run cut off after any event goes on rightly.

pub(crate) mod control;
mod deliveries;
mod fork;
mod letters;
mod rollback;
mod undos;

pub use deliveries::CALLBACK_ATTEMPTS_MAX;
pub use letters::edited_input;

use crate::allot::admit;
use crate::arrows::{Phase, StepStatus, UndoStatus};
use crate::command::{AttemptResult, Command, Rejection};
use crate::event::{LetterSubject, Outcome, Recourse, RunEvent, UnwindEvent};
use crate::evolve::{attempt_lost, timed_out};
use crate::failure::{Failure, codes};
use crate::ids::{ExecutionId, StepIndex};
use crate::links;
use crate::migration;
use crate::payload::{PAYLOAD_BYTES_MAX, Payload};
use crate::state::{Letter, State};
use crate::summary::LetterStatus;
use crate::time::Timestamp;

/// The facts that a command makes. A late or repeated command makes none.
///
/// # Errors
/// [`Rejection`] for a command that is wrong where the run stands.
pub fn decide(state: &State, command: Command, now: Timestamp) -> Result<Vec<RunEvent>, Rejection> {
    control::refuse_for_chunk(state, &command)?;
    Ok(match command {
        Command::Continue => Vec::new(),
        Command::ReportStep { step, attempt, result, retry_delay_ms } => {
            report_step(state, step, attempt, result, retry_delay_ms)
        }
        Command::ReportUndo { step, attempt, result, retry_delay_ms } => {
            report_undo(state, step, attempt, result, retry_delay_ms)
        }
        Command::ReportCallback { delivery, attempt, result, retry_delay_ms } => {
            deliveries::report(state, delivery, attempt, result, now.plus_ms(retry_delay_ms))
        }
        Command::HoldCallback(delivery, hold, due_at) => {
            deliveries::hold(state, delivery, hold, due_at)
        }
        Command::SendAgain { delivery, actor } => deliveries::send_again(state, delivery, actor)?,
        Command::Cancel { reason, actor, compensate, force } => {
            control::cancel(state, reason, actor, compensate, force)?
        }
        Command::Pause { reason, actor } => control::pause(state, reason, actor)?,
        Command::Resume { reason, actor } => control::resume(state, reason, actor)?,
        Command::OverrideStep { step, output, reason, actor } => {
            control::override_step(state, step, output, reason, actor)?
        }
        Command::RollBack { reason, actor } => control::roll_back(state, reason, actor, now)?,
        Command::RollBackTo { step, accept_unsafe, reason, actor } => {
            rollback::to_step(state, step, accept_unsafe, reason, actor, now)?
        }
        Command::Signal { name, payload, id, actor } => {
            control::signal(state, name, payload, id, actor)?
        }
        Command::RetryLetter { letter, actor, linked } => {
            let linked = retry_letter(state, letter, linked)?;
            vec![RunEvent::LetterRetried { letter, actor, linked }]
        }
        Command::DiscardLetter { letter, actor, reason } => {
            discard_letter(state, letter)?;
            vec![RunEvent::LetterDiscarded { letter, actor, reason }]
        }
        Command::AssignLetter { letter, assignee, reason, actor } => {
            letters::assign(state, letter, assignee, reason, actor)?
        }
        Command::NoteLetter { letter, text, actor } => letters::note(state, letter, text, actor)?,
        Command::RetryLetterWith { letter, edit, reason, actor } => {
            letters::retry_with(state, letter, &edit, reason, actor)?
        }
        Command::SettleUndos { step, settlement, note, actor } => {
            undos::settle(state, step, settlement, note, actor)?
        }
        Command::Receive { parcel, retry_delay_ms } => {
            links::receive(state, *parcel, retry_delay_ms)?
        }
        Command::Acknowledge { message, posted_at, refused } => {
            links::acknowledge(state, (message, posted_at), refused)
        }
        Command::StartFork => fork::start(state),
        Command::NoteFork { to, undoes, actor } => fork::note_fork(state, to, undoes, actor),
        Command::Migrate { plan, revision, reason, actor } => {
            migration::migrate(state, &plan, revision, reason, actor)?
        }
        Command::GiveUpWaiting { reason } => give_up_waiting(state, reason),
        Command::DropFork { fork } => fork::drop_fork(state, fork),
    })
}

/// A child that waits for ever to begin fails: its parent's step may be tried again. Nothing was
/// done that could be undone, and nobody is asked.
fn give_up_waiting(state: &State, reason: String) -> Vec<RunEvent> {
    if !state.waits_to_begin() || state.parent().is_none() {
        return Vec::new();
    }
    let failure = Failure::retryable(codes::LIMIT_CIRCLE, reason).clipped();
    vec![RunEvent::RunFailing { failure, step: None, recourse: Recourse::Halt }]
}

fn report_step(
    state: &State,
    step: StepIndex,
    attempt: u16,
    result: AttemptResult,
    retry_delay_ms: u64,
) -> Vec<RunEvent> {
    let Some(own) = state.steps.get(step.at()) else { return Vec::new() };
    if own.status != StepStatus::Running || own.attempt != attempt {
        return Vec::new();
    }
    vec![match result {
        AttemptResult::Answered(answer) => match answer.and_then(|own| fitting(state, own)) {
            Ok(output) => RunEvent::StepSucceeded { step, attempt, output },
            Err(failure) => {
                let failure = failure.clipped();
                RunEvent::StepAttemptFailed { step, attempt, failure, retry_delay_ms }
            }
        },
        AttemptResult::TimedOut => {
            let timeout_ms = state.timeout_ms(step);
            RunEvent::StepTimedOut { step, attempt, timeout_ms, retry_delay_ms }
        }
        AttemptResult::Lost => RunEvent::StepAttemptLost { step, attempt },
    }]
}

fn report_undo(
    state: &State,
    step: StepIndex,
    attempt: u16,
    result: AttemptResult,
    retry_delay_ms: u64,
) -> Vec<RunEvent> {
    let Some(own) = state.steps.get(step.at()).and_then(|step| step.undo.as_ref()) else {
        return Vec::new();
    };
    if own.status != UndoStatus::Running || own.attempt != attempt {
        return Vec::new();
    }
    let timeout_ms = state.undo_timeout_ms(step);
    let answer = match result {
        AttemptResult::Answered(answer) => answer.and_then(|own| fitting(state, own)),
        AttemptResult::TimedOut => Err(timed_out(timeout_ms)),
        AttemptResult::Lost => Err(attempt_lost()),
    };
    vec![match answer {
        Ok(output) if own.asks() => {
            RunEvent::Unwind(UnwindEvent::CheckAnswered { step, attempt, output })
        }
        Ok(output) => RunEvent::UndoSucceeded { step, attempt, output },
        Err(failure) => {
            let lost = failure.code == codes::ATTEMPT_LOST;
            let retry_delay_ms = if lost { 0 } else { retry_delay_ms };
            let failure = failure.clipped();
            RunEvent::UndoAttemptFailed { step, attempt, failure, retry_delay_ms }
        }
    }]
}

/// Every payload that enters is bounded here, whoever sent it.
pub(crate) fn fitting(state: &State, output: Payload) -> Result<Payload, Failure> {
    let bytes = output.length_bytes();
    if bytes <= PAYLOAD_BYTES_MAX {
        return admit(state, output);
    }
    let message = format!("the output has {bytes} bytes; at most {PAYLOAD_BYTES_MAX} are kept");
    Err(Failure::permanent(codes::PAYLOAD_TOO_LARGE, message).of_unknown_effect())
}

fn open_letter(state: &State, number: u32) -> Result<LetterSubject, Rejection> {
    let letter =
        state.letters.get(number as usize).ok_or(Rejection::UnknownLetter { letter: number })?;
    match letter.status {
        LetterStatus::Open => Ok(letter.subject),
        LetterStatus::Retried => {
            Err(Rejection::LetterNotOpen { letter: number, status: "retried" })
        }
        LetterStatus::Discarded => {
            Err(Rejection::LetterNotOpen { letter: number, status: "discarded" })
        }
        LetterStatus::Resolved => {
            Err(Rejection::LetterNotOpen { letter: number, status: "resolved" })
        }
    }
}

/// Answers the linked run to record: only where the step can't be retried in place.
fn retry_letter(
    state: &State,
    number: u32,
    linked: Option<ExecutionId>,
) -> Result<Option<ExecutionId>, Rejection> {
    let not_yet = Rejection::NotYet { status: state.status().word() };
    let subject = open_letter(state, number)?;
    letters::refuse_if_undone(state, subject)?;
    let part = state.partial().is_some();
    match (subject, state.phase) {
        (LetterSubject::Callback(_), _)
        | (LetterSubject::Undo(_), Phase::Unwinding | Phase::Ended) => Ok(None),
        (LetterSubject::Undo(_), Phase::Suspended) if part => Ok(None),
        (LetterSubject::Step(_), Phase::Suspended) if !part => Ok(None),
        (LetterSubject::Step(_), Phase::Ended) if can_go_on(state) => Ok(None),
        (LetterSubject::Step(_), Phase::Ended) => linked.map(Some).ok_or(Rejection::NeedsNewRun),
        (LetterSubject::Step(_) | LetterSubject::Undo(_), _) => Err(not_yet),
    }
}

/// A halted run goes on once all its failed steps are retried: one that is given up while
/// another was retried would leave that one waiting for ever.
fn discard_letter(state: &State, number: u32) -> Result<(), Rejection> {
    let subject = open_letter(state, number)?;
    if state.partial().is_some() && matches!(subject, LetterSubject::Step(_)) {
        return Err(Rejection::NotYet { status: state.status().word() });
    }
    let waits = state.phase == Phase::Ended
        && matches!(subject, LetterSubject::Step(_))
        && !state.sets.open.is_empty();
    if waits { Err(Rejection::OthersWait { letter: number }) } else { Ok(()) }
}

/// Whether the steps of a halted run can go on where they stand: none was given up.
fn can_go_on(state: &State) -> bool {
    let given_up = |step: &StepIndex| {
        let own = |letter: &&Letter| letter.subject == LetterSubject::Step(*step);
        let last = state.letters.iter().rev().find(own);
        last.is_some_and(|letter| letter.status == LetterStatus::Discarded)
    };
    is_halted(state) && !state.sets.failed.iter().any(given_up)
}

/// Whether the run was halted: its steps stand as they were.
fn is_halted(state: &State) -> bool {
    let halted = state.failing.as_ref().is_some_and(|why| why.recourse == Recourse::Halt);
    let failed = state.ending.as_ref().is_some_and(|end| end.outcome == Outcome::Failed);
    halted && failed
}
