//! What a message brings about where it comes in.
//!
//! What it brings about is recorded before the message itself: a message whose record a crash
//! took comes again, and finds done what was done. Each of these facts is made only where it is
//! still awaited, so it is made once.

use super::{Parcel, awaits, chunks, unrelated};
use crate::arrows::{Phase, UndoStatus};
use crate::command::Rejection;
use crate::decide::{control, fitting};
use crate::event::{ControlEvent, ItemCounts, LinkEvent, Message, Outcome, RunEvent};
use crate::failure::{Failure, codes};
use crate::ids::{ExecutionId, StepIndex};
use crate::items;
use crate::payload::Payload;
use crate::state::State;

/// The facts of a message that has come in; none if it came before.
///
/// # Errors
/// [`Rejection`] when the run is not the one to have it, which is final. A run of another tenant
/// answers as if it were not there.
pub(crate) fn receive(
    state: &State,
    parcel: Parcel,
    retry_delay_ms: u64,
) -> Result<Vec<RunEvent>, Rejection> {
    let Parcel { from, namespace, message, posted_at, body, output, .. } = parcel;
    if namespace != state.submitted.namespace {
        return Err(Rejection::NoSuchRun { run: state.id });
    }
    let heard = state.links.as_ref().and_then(|links| links.heard(from, message));
    // What was posted later is another's, who was begun under the removed sender's id.
    if heard.is_some_and(|heard| posted_at < heard) {
        return Ok(Vec::new());
    }
    let noted = Box::new(body.noted());
    let mut events = match body {
        Message::Start { .. } => return Ok(Vec::new()),
        Message::Signal { name, .. } => {
            let payload = output.unwrap_or_else(Payload::null);
            let id = match heard {
                None => format!("{from}/{message}"),
                Some(_) => format!("{from}/{message}/{posted_at}"),
            };
            match payload.absent() {
                Some(absent) => return Err(refusal(&absent.failure("the signal's payload"))),
                None => control::signal(state, name.into(), payload, Some(id), from.to_string())?,
            }
        }
        Message::Cancel { reason, compensate, .. } => {
            of_parent(state, from)?;
            going_on(state)?;
            cancel(state, from, reason, compensate)
        }
        Message::Force { reason, compensate, .. } => {
            of_parent(state, from)?;
            going_on(state)?;
            let mut events = cancel(state, from, reason.clone(), compensate);
            let actor = from.to_string();
            let forced = ControlEvent::CancelForced { reason, actor };
            events.extend((!state.is_forced()).then_some(RunEvent::Control(forced)));
            events
        }
        Message::RollBack { .. } => {
            of_parent(state, from)?;
            roll_back(state, from)
        }
        Message::Ended { step, attempt, outcome, failure } => {
            if awaits(state, step, attempt, from) {
                let answer = answer(state, from, outcome, failure, output);
                ended(state, (step, attempt, from), answer, retry_delay_ms)
            } else {
                going_on(state)?;
                Vec::new()
            }
        }
        Message::RolledBack { step, attempt, failure } => {
            if undo_awaits(state, step, attempt, from) {
                vec![rolled_back(state, (step, attempt, from), failure)]
            } else {
                going_on(state)?;
                Vec::new()
            }
        }
    };
    events.push(RunEvent::Link(LinkEvent::MessageReceived { from, message, body: noted }));
    Ok(events)
}

fn refusal(why: &Failure) -> Rejection {
    Rejection::MessageRefused { why: why.message.clone() }
}

fn of_parent(state: &State, from: ExecutionId) -> Result<(), Rejection> {
    let known = state.parent().is_some_and(|parent| parent.run == from);
    if known { Ok(()) } else { Err(refusal(&unrelated(from))) }
}

fn going_on(state: &State) -> Result<(), Rejection> {
    match state.phase {
        Phase::Ended => Err(Rejection::AlreadyEnded { status: state.status().word() }),
        _ => Ok(()),
    }
}

fn cancel(state: &State, from: ExecutionId, reason: String, compensate: bool) -> Vec<RunEvent> {
    let unwinds = state.phase == Phase::Unwinding && state.partial().is_none();
    let counts = state.cancel.is_none() && !unwinds;
    let event = RunEvent::CancelRequested { reason, actor: from.to_string(), compensate };
    counts.then_some(event).into_iter().collect()
}

/// A child that has ended is opened again to unwind, once; one that somebody reopened is
/// stopped first.
fn roll_back(state: &State, from: ExecutionId) -> Vec<RunEvent> {
    let reason = UNDONE_BY_PARENT.to_owned();
    match state.phase {
        Phase::Ended if state.anything_stands() => vec![undone_by(from)],
        Phase::Unwinding if state.partial().is_some() => cancel(state, from, reason, true),
        Phase::Ended | Phase::Unwinding => Vec::new(),
        Phase::Forward | Phase::Failing | Phase::Suspended => cancel(state, from, reason, true),
    }
}

const UNDONE_BY_PARENT: &str = "its parent is being undone";

/// The child has ended and is opened again.
pub(super) fn undone_by(parent: ExecutionId) -> RunEvent {
    let (to, reason, actor) = (None, UNDONE_BY_PARENT.to_owned(), parent.to_string());
    RunEvent::Control(ControlEvent::RollbackRequested { to, reason, actor })
}

/// What the child's ending is for the step.
fn answer(
    state: &State,
    child: ExecutionId,
    outcome: Outcome,
    failure: Option<Failure>,
    output: Option<Payload>,
) -> Result<Payload, Failure> {
    if outcome != Outcome::Completed {
        let message = format!("{child} did not complete");
        return Err(failure.unwrap_or_else(|| Failure::permanent(codes::CHILD_FAILED, message)));
    }
    let output = output.unwrap_or_else(Payload::null);
    match output.absent() {
        Some(absent) => Err(absent.failure("the child's output").of_unknown_effect()),
        None => fitting(state, output),
    }
}

fn ended(
    state: &State,
    (step, attempt, run): (StepIndex, u16, ExecutionId),
    answer: Result<Payload, Failure>,
    retry_delay_ms: u64,
) -> Vec<RunEvent> {
    // A child that has ended has begun.
    let outbox = state.links.iter().flat_map(|links| &links.outbox);
    let own = outbox.filter(|(_, outgoing)| {
        outgoing.to == run && matches!(outgoing.body, Message::Start { .. })
    });
    let mut events: Vec<_> = own
        .map(|(&message, _)| {
            RunEvent::Link(LinkEvent::MessageAcknowledged { message, refused: None })
        })
        .collect();
    if chunks::is_loop(state, step) {
        let (counts, results, failure) = match answer {
            Ok(output) => {
                let (counts, results) = items::answered(state, step, &output);
                (counts, results, None)
            }
            Err(failure) => (ItemCounts::default(), None, Some(failure.clipped())),
        };
        let ended =
            LinkEvent::ChunkEnded { step, attempt, run, counts, results, failure, retry_delay_ms };
        events.push(RunEvent::Link(ended));
        return events;
    }
    events.push(match answer {
        Ok(output) => RunEvent::StepSucceeded { step, attempt, output },
        Err(failure) => {
            let failure = failure.clipped();
            RunEvent::StepAttemptFailed { step, attempt, failure, retry_delay_ms }
        }
    });
    events
}

/// Whether a step's undo waits for this child.
fn undo_awaits(state: &State, step: StepIndex, attempt: u16, from: ExecutionId) -> bool {
    let undo = state.steps.get(step.at()).and_then(|own| own.undo.as_ref());
    let running =
        undo.is_some_and(|own| own.status == UndoStatus::Running && own.attempt == attempt);
    if !running || !chunks::is_loop(state, step) {
        return running;
    }
    let links = state.links.as_ref().filter(|links| !links.to_roll_back.contains(&step));
    let asked = links.and_then(|links| links.to_undo(step, attempt));
    asked.is_some_and(|chunk| chunk.run == from)
}

fn rolled_back(
    state: &State,
    (step, attempt, run): (StepIndex, u16, ExecutionId),
    failure: Option<Failure>,
) -> RunEvent {
    if chunks::is_loop(state, step) {
        let failure = failure.map(Failure::clipped);
        return RunEvent::Link(LinkEvent::ChunkUndone { step, attempt, run, failure });
    }
    match failure {
        None => RunEvent::UndoSucceeded { step, attempt, output: Payload::null() },
        Some(failure) => {
            let failure = failure.clipped();
            RunEvent::UndoAttemptFailed { step, attempt, failure, retry_delay_ms: 0 }
        }
    }
}
