//! Deciding that a run is rolled back to a step, and goes on from there.

use std::collections::BTreeSet;

use crate::arrows::{Phase, StepStatus};
use crate::command::Rejection;
use crate::event::{ControlEvent, Outcome, RunEvent};
use crate::ids::StepIndex;
use crate::plan::{ReplaySafety, TaskKind};
use crate::state::State;
use crate::time::Timestamp;

/// Everything that builds on the step is undone and done anew. Asked again while that is under
/// way, it records nothing.
///
/// # Errors
/// [`Rejection::UnknownStep`], [`Rejection::RollbackRefused`], [`Rejection::RollbackWindowOver`],
/// [`Rejection::PartOfRun`], [`Rejection::ForkUnsafe`].
pub(super) fn to_step(
    state: &State,
    step: String,
    accept_unsafe: bool,
    reason: String,
    actor: String,
    now: Timestamp,
) -> Result<Vec<RunEvent>, Rejection> {
    let known = state.plan.index_of(&step).filter(|own| !state.plan.step(*own).gone);
    let Some(index) = known else { return Err(Rejection::UnknownStep { step }) };
    if state.back_to().is_some_and(|own| own.step == index) {
        return Ok(Vec::new());
    }
    if state.phase == Phase::Ended {
        window(state, now)?;
    }
    let part = state.behind(index);
    if let Some(why) = refusal(state, index, &part) {
        return Err(Rejection::RollbackRefused { step, why });
    }
    let harmful = harmful(state, &part);
    if !accept_unsafe && !harmful.is_empty() {
        return Err(Rejection::ForkUnsafe { steps: harmful });
    }
    let to = Some(index);
    Ok(vec![RunEvent::Control(ControlEvent::RollbackRequested { to, reason, actor })])
}

/// A run that has completed goes on as long as its workflow says; a child's parent has gone on
/// with what it answered.
fn window(state: &State, now: Timestamp) -> Result<(), Rejection> {
    if let Some(parent) = state.parent() {
        return Err(Rejection::PartOfRun { run: parent.run });
    }
    let window_ms = state.plan.rollback_window_ms;
    let until = state.ending.as_ref().zip(window_ms).map(|(end, ms)| end.at.plus_ms(ms));
    match until.filter(|until| *until < now) {
        Some(until) => Err(Rejection::RollbackWindowOver { until }),
        None => Ok(()),
    }
}

/// Why the run does not go on from the step.
fn refusal(state: &State, step: StepIndex, part: &BTreeSet<StepIndex>) -> Option<String> {
    let status = state.status().word();
    let cancelled = state.cancel.as_ref().is_some_and(|cancel| cancel.in_force);
    let completed = state.ending.as_ref().is_some_and(|end| end.outcome == Outcome::Completed);
    match state.phase {
        _ if state.partial().is_some() => {
            return Some("another part of it is being undone".to_owned());
        }
        Phase::Ended if !completed => return Some(format!("it has ended {status}")),
        Phase::Failing | Phase::Unwinding => {
            return Some(format!("it is {status} and about to end"));
        }
        Phase::Forward | Phase::Suspended if cancelled => {
            return Some("it was cancelled".to_owned());
        }
        Phase::Forward | Phase::Suspended if state.is_unstarted_fork() => {
            return Some("it is a fork that has not started".to_owned());
        }
        Phase::Forward | Phase::Suspended | Phase::Ended => {}
    }
    let own = state.step(step);
    if own.status != StepStatus::Succeeded {
        return Some(format!("the step is {}, and only one that has succeeded stays", own.word()));
    }
    if part.is_empty() {
        return Some("nothing builds on the step".to_owned());
    }
    let elsewhere = part.iter().find(|step| state.is_undone_elsewhere(**step));
    elsewhere.map(|step| {
        format!("step `{}` is another run's of its lineage to undo", state.plan.step(*step).id)
    })
}

/// The steps that took effect, say that doing it twice does harm, and are not undone before.
fn harmful(state: &State, part: &BTreeSet<StepIndex>) -> Vec<String> {
    let harmful = part.iter().filter(|step| {
        let (plan, own) = (state.plan.step(**step), state.step(**step));
        let effect =
            matches!(plan.task, TaskKind::Effect(_) | TaskKind::Workflow | TaskKind::Foreach);
        let unsafe_again = effect && plan.replay == ReplaySafety::Unsafe && plan.undo.is_none();
        unsafe_again && (own.status == StepStatus::Succeeded || own.unsure)
    });
    let named = harmful.take(crate::forks::REASONS_MAX);
    named.map(|step| state.plan.step(*step).id.to_string()).collect()
}
