//! Deciding what people and signals do to a run.

use std::sync::Arc;

use crate::allot::admit_signal;
use crate::arrows::{Phase, StepStatus};
use crate::command::{Command, Rejection, SIGNALS_KEPT_MAX};
use crate::event::{ControlEvent, Recourse, RunEvent};
use crate::payload::Payload;
use crate::state::State;
use crate::time::Timestamp;

use super::fitting;

type Decided = Result<Vec<RunEvent>, Rejection>;

fn one(event: ControlEvent) -> Vec<RunEvent> {
    vec![RunEvent::Control(event)]
}

fn not_ended(state: &State) -> Result<(), Rejection> {
    match state.phase {
        Phase::Ended => Err(Rejection::AlreadyEnded { status: state.status().word() }),
        _ => Ok(()),
    }
}

fn suspended(state: &State) -> Result<(), Rejection> {
    not_ended(state)?;
    match state.phase {
        Phase::Suspended => Ok(()),
        _ => Err(Rejection::NotSuspended { status: state.status().word() }),
    }
}

/// Whether the suspended run waits for nothing else than a failed undo to be settled.
fn undo_settled(state: &State) -> Result<(), Rejection> {
    let step = state.unsettled_undo().map(|step| state.plan.step(step).id.to_string());
    step.map_or(Ok(()), |step| Err(Rejection::UndoFailed { step }))
}

/// A chunk of a loop is a part of its parent: what people do, they do to that one. Only what
/// its parent has begun may be forced to its end, for nobody else knows what hangs.
///
/// # Errors
/// [`Rejection::PartOfRun`].
pub(super) fn refuse_for_chunk(state: &State, command: &Command) -> Result<(), Rejection> {
    let Some(parent) = state.parent().filter(|parent| parent.items.is_some()) else {
        return Ok(());
    };
    let refused = match command {
        Command::Cancel { force, .. } => !force || state.cancel.is_none(),
        Command::Pause { .. }
        | Command::Resume { .. }
        | Command::OverrideStep { .. }
        | Command::RollBack { .. }
        | Command::RollBackTo { .. }
        | Command::Migrate { .. }
        | Command::Signal { .. } => true,
        Command::Continue
        | Command::ReportStep { .. }
        | Command::ReportUndo { .. }
        | Command::ReportCallback { .. }
        | Command::HoldCallback(..)
        | Command::SendAgain { .. }
        | Command::RetryLetter { .. }
        | Command::DiscardLetter { .. }
        | Command::AssignLetter { .. }
        | Command::NoteLetter { .. }
        | Command::RetryLetterWith { .. }
        | Command::SettleUndos { .. }
        | Command::Receive { .. }
        | Command::Acknowledge { .. }
        | Command::StartFork
        | Command::NoteFork { .. }
        | Command::GiveUpWaiting { .. }
        | Command::DropFork { .. } => false,
    };
    if refused { Err(Rejection::PartOfRun { run: parent.run }) } else { Ok(()) }
}

/// A cancel that came during unwinding changes nothing, unless it is forced; each counts once.
pub(super) fn cancel(
    state: &State,
    reason: String,
    actor: String,
    compensate: Option<bool>,
    force: bool,
) -> Decided {
    not_ended(state)?;
    let mut events = Vec::new();
    if state.cancel.is_none() {
        let by_policy = state.plan.on_failure == Recourse::Compensate;
        let compensate = compensate.unwrap_or(by_policy);
        let (reason, actor) = (reason.clone(), actor.clone());
        events.push(RunEvent::CancelRequested { reason, actor, compensate });
    }
    if force && !state.is_forced() {
        events.push(RunEvent::Control(ControlEvent::CancelForced { reason, actor }));
    }
    Ok(events)
}

pub(super) fn pause(state: &State, reason: String, actor: String) -> Decided {
    not_ended(state)?;
    if state.paused().is_some() {
        return Ok(Vec::new());
    }
    match state.phase {
        Phase::Forward => Ok(one(ControlEvent::Paused { reason, actor })),
        _ => Err(Rejection::NotPausable { status: state.status().word() }),
    }
}

pub(super) fn resume(state: &State, reason: String, actor: String) -> Decided {
    not_ended(state)?;
    if state.paused().is_none() {
        if state.phase == Phase::Forward {
            return Ok(Vec::new());
        }
        suspended(state)?;
        undo_settled(state)?;
        if let Some(step) = state.sets.failed.first() {
            let step = state.plan.step(*step).id.to_string();
            return Err(Rejection::StepsFailed { step });
        }
    }
    Ok(one(ControlEvent::Resumed { reason, actor }))
}

pub(super) fn override_step(
    state: &State,
    step: String,
    output: Option<Payload>,
    reason: String,
    actor: String,
) -> Decided {
    suspended(state)?;
    undo_settled(state)?;
    let Some(index) = state.plan.index_of(&step) else {
        return Err(Rejection::UnknownStep { step });
    };
    let own = state.step(index);
    let open = match own.status {
        StepStatus::Pending | StepStatus::Ready | StepStatus::Waiting | StepStatus::Retrying => {
            true
        }
        StepStatus::Failed => state.sets.failed.contains(&index),
        StepStatus::Running
        | StepStatus::Faulted
        | StepStatus::Succeeded
        | StepStatus::Skipped
        | StepStatus::Pruned
        | StepStatus::Cancelled => false,
    };
    if !open {
        return Err(Rejection::StepNotOpen { step, status: own.word() });
    }
    let output = output.map(|output| bounded(state, output)).transpose()?;
    Ok(one(ControlEvent::StepOverridden { step: index, output, reason, actor }))
}

/// A suspended run is undone, and one that has ended with what it did still standing.
pub(super) fn roll_back(state: &State, reason: String, actor: String, now: Timestamp) -> Decided {
    if state.phase == Phase::Ended {
        may_roll_back(state, now)?;
        return Ok(one(ControlEvent::RollbackRequested { to: None, reason, actor }));
    }
    if state.controls.as_ref().is_some_and(|own| own.rollback.is_some()) {
        return Ok(Vec::new());
    }
    suspended(state)?;
    Ok(one(ControlEvent::RollbackRequested { to: None, reason, actor }))
}

/// Whether an ended run can be undone by hand: a child is undone with its parent.
fn may_roll_back(state: &State, now: Timestamp) -> Result<(), Rejection> {
    if let Some(parent) = state.parent() {
        return Err(Rejection::PartOfRun { run: parent.run });
    }
    if !state.anything_stands() {
        return Err(Rejection::AlreadyEnded { status: state.status().word() });
    }
    match state.rollback_until().filter(|until| *until < now) {
        Some(until) => Err(Rejection::RollbackWindowOver { until }),
        None => Ok(()),
    }
}

pub(crate) fn signal(
    state: &State,
    name: Arc<str>,
    payload: Payload,
    id: Option<String>,
    actor: String,
) -> Decided {
    // Whoever lost the answer asks again, and the signal may have ended the run.
    let known = |id: &String| state.signals().is_some_and(|signals| signals.knows(id));
    if id.as_ref().is_some_and(known) {
        return Ok(Vec::new());
    }
    not_ended(state)?;
    if let Some(signals) = state.signals()
        && signals.kept_count() >= SIGNALS_KEPT_MAX
        && !signals.wants(&name)
    {
        return Err(Rejection::TooManySignals);
    }
    let payload = bounded(state, payload)?;
    admit_signal(state, payload.length_bytes()).map_err(|why| Rejection::TooLarge { why })?;
    Ok(one(ControlEvent::SignalReceived { name, payload, id, actor }))
}

fn bounded(state: &State, payload: Payload) -> Result<Payload, Rejection> {
    fitting(state, payload).map_err(|failure| Rejection::TooLarge { why: failure.message })
}
