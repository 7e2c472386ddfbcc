//! Folding: what each event does to a run's state.
//!
//! Follows the arrows of [`crate::arrows`] and keeps the derived sets; decides nothing. An
//! event that has no arrow from where the run stands is an [`IllegalTransition`].

pub(crate) mod again;
mod calls;
mod chunks;
mod control;
mod deliveries;
mod flow;
mod fork;
mod graph;
mod letters;
mod limits;
pub(crate) mod link;
mod migrate;
mod signals;

use std::sync::Arc;

use crate::arrows::{
    DeliveryMove, PHASE_ARROWS, Phase, PhaseMove, STEP_ARROWS, StepMove, StepStatus, follow,
};
use crate::event::{CallbackEvent, CallbackForm, ForkEvent, LetterSubject, RunEvent, Target};
use crate::failure::{EffectKnown, Failure, codes};
use crate::ids::{ExecutionId, StepIndex};
use crate::plan::Plan;
use crate::state::{Cancel, Ending, Failing, State, StepState, Subject};
use crate::time::Timestamp;

pub use calls::refusal;
pub(crate) use control::{resolve_letters, rolled_back};
use deliveries::{move_delivery, schedule};
use letters::apply_letter;

/// An event that can't have happened where the run stands: the journal or the engine is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {version} of {execution} does not fit: {why}")]
pub struct IllegalTransition {
    /// The run.
    pub execution: ExecutionId,
    /// The version the event would have had.
    pub version: u64,
    /// What is wrong.
    pub why: String,
}

/// Folds one event that was recorded at `at`.
///
/// # Errors
/// [`IllegalTransition`]; the state may then be half changed and must not be used.
pub fn evolve(state: &mut State, event: &RunEvent, at: Timestamp) -> Result<(), IllegalTransition> {
    evolve_onto(state, event, None, at)
}

/// The same; an event that pins the run to another revision needs the plan of its lineage.
///
/// # Errors
/// As [`evolve`].
pub fn evolve_onto(
    state: &mut State,
    event: &RunEvent,
    plan: Option<&Arc<Plan>>,
    at: Timestamp,
) -> Result<(), IllegalTransition> {
    let version = state.version + 1;
    let was_ended = state.phase == Phase::Ended;
    let folded = match (event, plan) {
        (RunEvent::Fork(own @ ForkEvent::Migrated { .. }), Some(plan)) => {
            migrate::migrate(state, own, plan, at)
        }
        _ => apply(state, event, at),
    };
    folded.map_err(|why| IllegalTransition { execution: state.id, version, why })?;
    state.version = version;
    state.payload_bytes = state.payload_bytes.saturating_add(event.payload_bytes());
    state.updated_at = at;
    if was_ended && state.phase != Phase::Ended && state.has_begun() {
        state.begun_at = Some(at);
    }
    Ok(())
}

fn apply(state: &mut State, event: &RunEvent, at: Timestamp) -> Result<(), String> {
    match event {
        RunEvent::Submitted(_) => Err("a run is submitted once".to_owned()),
        RunEvent::Tagged { tags } => {
            if state.version != 1 {
                return Err("a run is tagged when it is submitted".to_owned());
            }
            state.tags = tags.as_slice().into();
            Ok(())
        }
        RunEvent::StepReady { step, round, input } => {
            let own = step_mut(state, *step)?;
            own.round = *round;
            own.input = Some(input.clone());
            letters::note_round(state, *step, *round);
            move_step(state, *step, StepMove::Ready, at)
        }
        RunEvent::StepWaiting { step, due_at } => {
            let own = step_mut(state, *step)?;
            own.due_at = Some(*due_at);
            own.started_at.get_or_insert(at);
            move_step(state, *step, StepMove::Wait, at)
        }
        RunEvent::StepStarted { step, attempt } => {
            move_step(state, *step, StepMove::Start, at)?;
            let own = step_mut(state, *step)?;
            own.attempt = *attempt;
            own.started_at.get_or_insert(at);
            Ok(())
        }
        RunEvent::StepSucceeded { step, attempt, output } => {
            current(*attempt, step_mut(state, *step)?.attempt)?;
            let own = step_mut(state, *step)?;
            own.output = Some(output.clone());
            own.failure = None;
            own.started_at.get_or_insert(at);
            move_step(state, *step, StepMove::Succeed, at)
        }
        RunEvent::StepAttemptFailed { step, attempt, failure, retry_delay_ms } => {
            fault(state, *step, *attempt, failure.clone(), *retry_delay_ms, at)
        }
        RunEvent::StepTimedOut { step, attempt, timeout_ms, retry_delay_ms } => {
            let failure = timed_out(*timeout_ms);
            fault(state, *step, *attempt, failure, *retry_delay_ms, at)
        }
        RunEvent::StepAttemptLost { step, attempt } => {
            fault(state, *step, *attempt, attempt_lost(), 0, at)
        }
        RunEvent::StepRetryScheduled { step, due_at } => {
            step_mut(state, *step)?.due_at = Some(*due_at);
            move_step(state, *step, StepMove::Retry, at)
        }
        RunEvent::StepFailed { step, failure } => {
            step_mut(state, *step)?.failure = Some(Box::new(failure.clone()));
            move_step(state, *step, StepMove::Fail, at)?;
            state.note(CallbackEvent::StepFailed, LetterSubject::Step(*step), Some(failure));
            Ok(())
        }
        RunEvent::StepSkipped { step } => move_step(state, *step, StepMove::Skip, at),
        RunEvent::StepsPruned { steps } => {
            steps.iter().try_for_each(|&step| move_step(state, step, StepMove::Prune, at))
        }
        RunEvent::StepCancelled { step } => move_step(state, *step, StepMove::Cancel, at),
        RunEvent::CancelRequested { reason, actor, compensate } => {
            let unwound = matches!(state.phase, Phase::Unwinding | Phase::Ended);
            let in_force = !unwound || state.partial().is_some();
            let (reason, actor) = (reason.clone(), actor.clone());
            let compensate = *compensate;
            state.cancel = Some(Cancel { reason, actor, compensate, in_force, at });
            Ok(())
        }
        RunEvent::DeadlinePassed => {
            state.deadline_passed = true;
            state.sets.overdue = state.phase == Phase::Forward || state.paused().is_some();
            state.sets.due.retain(|(_, subject)| *subject != Subject::Deadline);
            Ok(())
        }
        RunEvent::RunFailing { failure, step, recourse } => {
            move_run(state, PhaseMove::Fail)?;
            let (failure, step, recourse) = (failure.clone(), *step, *recourse);
            state.failing = Some(Failing { failure, step, recourse });
            state.sets.overdue = false;
            state.sets.given_up = None;
            state.end_partial();
            if let Some(controls) = &mut state.controls {
                (controls.paused, controls.suspended_at) = (None, None);
            }
            Ok(())
        }
        RunEvent::RunSuspended { reason: _ } => {
            state.controls_mut().suspended_at = Some(at);
            move_run(state, PhaseMove::Suspend)
        }
        RunEvent::RunEnded { outcome, compensation, output } => {
            move_run(state, PhaseMove::End)?;
            let (outcome, compensation, output) = (*outcome, *compensation, output.clone());
            state.ending = Some(Ending { outcome, compensation, output, at });
            state.end_partial();
            cancel_pending(state, at)
        }
        RunEvent::UnwindingStarted
        | RunEvent::UndoReady { .. }
        | RunEvent::UndoStarted { .. }
        | RunEvent::UndoSucceeded { .. }
        | RunEvent::UndoAttemptFailed { .. }
        | RunEvent::UndoRetryScheduled { .. }
        | RunEvent::UndoFailed { .. }
        | RunEvent::Unwind(_) => crate::unwind::apply(state, event, at),
        RunEvent::LetterOpened { .. }
        | RunEvent::LetterRetried { .. }
        | RunEvent::LetterDiscarded { .. } => apply_letter(state, event, at),
        RunEvent::CallbackScheduled { delivery, event, url } => {
            let (url, form) = (url.clone(), CallbackForm::Backstitch);
            schedule(state, *delivery, (Target { event: *event, url, form }, None), None, at)
        }
        RunEvent::Delivery(event) => deliveries::apply(state, event, at),
        RunEvent::CallbackDelivered { delivery, attempt, status } => {
            let own = move_delivery(state, *delivery, DeliveryMove::Deliver, None)?;
            (own.attempt, own.answered, own.failure) = (*attempt, Some(*status), None);
            Ok(())
        }
        RunEvent::CallbackAttemptFailed { delivery, attempt, failure, retry_at } => {
            let by = if retry_at.is_some() { DeliveryMove::Retry } else { DeliveryMove::Fault };
            let own = move_delivery(state, *delivery, by, *retry_at)?;
            (own.attempt, own.tries) = (*attempt, own.tries + 1);
            own.failure = Some(Box::new(failure.clone()));
            Ok(())
        }
        RunEvent::Control(event) => control::apply(state, event, at),
        RunEvent::Graph(event) => graph::apply(state, event, at),
        RunEvent::Link(event) => link::apply(state, event, at),
        RunEvent::Fork(event) => fork::apply(state, event, at),
        RunEvent::Service(event) => calls::apply(state, event, at),
        RunEvent::Letter(event) => letters::apply_handling(state, event, at),
        RunEvent::CallbackFailed { delivery, failure } => {
            let own = move_delivery(state, *delivery, DeliveryMove::Fail, None)?;
            own.failure = Some(Box::new(failure.clone()));
            state.sets.unlettered.push(LetterSubject::Callback(*delivery));
            Ok(())
        }
    }
}

/// The failure of an attempt that ran past its timeout.
#[must_use]
pub fn timed_out(timeout_ms: u64) -> Failure {
    Failure::retryable(codes::TASK_TIMEOUT, format!("no answer within {timeout_ms} ms"))
        .of_unknown_effect()
}

/// The failure of an attempt whose process went away.
#[must_use]
pub fn attempt_lost() -> Failure {
    let message = "the process that ran the attempt ended before it reported";
    Failure::retryable(codes::ATTEMPT_LOST, message).of_unknown_effect()
}

pub(crate) fn current(given: u16, known: u16) -> Result<(), String> {
    if given == known { Ok(()) } else { Err(format!("attempt {given} where {known} is current")) }
}

fn fault(
    state: &mut State,
    step: StepIndex,
    attempt: u16,
    failure: Failure,
    retry_delay_ms: u64,
    at: Timestamp,
) -> Result<(), String> {
    let own = step_mut(state, step)?;
    current(attempt, own.attempt)?;
    if failure.code == codes::ATTEMPT_LOST {
        own.lost += 1;
    } else {
        own.tries += 1;
    }
    own.unsure |= failure.effect == EffectKnown::Unknown;
    own.retry_delay_ms = retry_delay_ms;
    own.failure = Some(Box::new(failure));
    move_step(state, step, StepMove::Fault, at)
}

pub(crate) fn step_mut(state: &mut State, step: StepIndex) -> Result<&mut StepState, String> {
    let steps = state.steps.len();
    state.steps.get_mut(step.at()).ok_or_else(|| format!("step {} of {steps}", step.0))
}

pub(crate) fn move_run(state: &mut State, by: PhaseMove) -> Result<(), String> {
    let from = state.phase;
    state.phase = follow(PHASE_ARROWS, from, by)?;
    if from == Phase::Ended
        && let Some(links) = &mut state.links
    {
        links.reported = false;
    }
    Ok(())
}

/// Follows a step's arrow and keeps the sets: out of the old status's, into the new one's.
fn move_step(
    state: &mut State,
    step: StepIndex,
    by: StepMove,
    at: Timestamp,
) -> Result<(), String> {
    let own = step_mut(state, step)?;
    let (from, to) = (own.status, follow(STEP_ARROWS, own.status, by)?);
    own.status = to;
    let due_at = own.due_at;
    let takes_turns = state.takes_turns(step);
    // A run that was given up before it began never did, nor does a fork by what it keeps.
    let begins = from == StepStatus::Pending && by != StepMove::Cancel;
    if begins && !state.is_unstarted_fork() {
        state.begun_at.get_or_insert(at);
    }
    if matches!(to, StepStatus::Ready) {
        limits::start(state, step, at);
    } else if to.is_settled() {
        limits::stop(state, step);
    }
    if from == StepStatus::Pending && to != StepStatus::Cancelled {
        flow::spare(state, step);
    }
    let sets = &mut state.sets;
    let ready = match &mut state.keyed {
        Some(keyed) if keyed.has(step) => &mut keyed.ready,
        _ if takes_turns => &mut sets.queued,
        _ => &mut sets.ready,
    };
    match from {
        StepStatus::Pending => drop(sets.open.remove(&step)),
        StepStatus::Ready => {
            ready.remove(&step);
            if to != StepStatus::Waiting {
                state.steps[step.at()].due_at = None;
            }
        }
        StepStatus::Running => drop(sets.running.remove(&step)),
        StepStatus::Faulted => drop(sets.faulted.remove(&step)),
        StepStatus::Failed => drop(sets.failed.remove(&step)),
        StepStatus::Waiting | StepStatus::Retrying => {
            let due_at = state.steps[step.at()].due_at.take().unwrap_or_default();
            sets.due.remove(&(due_at, Subject::Step(step)));
            if let Some(controls) = &mut state.controls {
                controls.signals.leave(step);
            }
        }
        StepStatus::Succeeded
        | StepStatus::Skipped
        | StepStatus::Pruned
        | StepStatus::Cancelled => {}
    }
    match to {
        StepStatus::Pending => {
            let own = &mut state.steps[step.at()];
            (own.tries, own.lost, own.completed_at) = (0, 0, None);
            if own.open_needs == 0 {
                sets.open.insert(step);
            }
        }
        StepStatus::Ready => {
            ready.insert(step);
            state.steps[step.at()].due_at = Some(at);
        }
        StepStatus::Running => drop(sets.running.insert(step)),
        StepStatus::Faulted => drop(sets.faulted.insert(step)),
        StepStatus::Waiting | StepStatus::Retrying => {
            sets.due.extend(due_at.map(|due_at| (due_at, Subject::Step(step))));
        }
        StepStatus::Failed if state.plan.steps[step.at()].allow_failure => {
            flow::settle(state, step, true, at);
        }
        StepStatus::Failed => flow::fail(state, step, at),
        StepStatus::Succeeded | StepStatus::Skipped => flow::settle(state, step, true, at),
        StepStatus::Pruned => flow::settle(state, step, false, at),
        StepStatus::Cancelled => state.steps[step.at()].completed_at = Some(at),
    }
    if let Some(calls) = &mut state.calls {
        calls.release(Subject::Step(step));
    }
    if (to.is_settled() || to == StepStatus::Pending)
        && let Some(keyed) = &mut state.keyed
    {
        keyed.forget(step);
    }
    link::step_moved(state, step);
    state.sets.touched.push(Subject::Step(step));
    Ok(())
}

/// What never became ready is given up with the run; a completed run leaves nothing.
fn cancel_pending(state: &mut State, at: Timestamp) -> Result<(), String> {
    let pending = |step: &StepIndex| state.step(*step).status == StepStatus::Pending;
    let steps: Vec<_> = (0..).map(StepIndex).take(state.steps.len()).filter(pending).collect();
    steps.into_iter().try_for_each(|step| move_step(state, step, StepMove::Cancel, at))
}
