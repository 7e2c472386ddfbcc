//! Calls of services: whether they may be made now, and those that waited.

use std::collections::BTreeSet;

use super::alone::Gate;
use super::steps::started;
use super::{RENDER_WORK_PER_DECISION_MAX, STARTS_PER_LAYER_MAX, cached, checks};
use crate::arrows::StepStatus;
use crate::breaker::{Call, OnOpen, Passage};
use crate::event::{RunEvent, ServiceEvent};
use crate::evolve::refusal;
use crate::ids::StepIndex;
use crate::plan::TaskKind;
use crate::room::Turns;
use crate::state::{State, Subject};
use crate::template::Work;
use crate::time::Timestamp;

/// What becomes of a step that would start now and whose service is not to be called; nothing if
/// it may be. The turn that was taken for it goes to another.
pub(super) fn stopped(state: &State, step: StepIndex, turns: &mut Turns<'_>) -> Option<RunEvent> {
    let Passage::Held(hold) = turns.passes(&call(state, step)?) else { return None };
    turns.put_back();
    let policy = state.plan.step(step).breaker.as_deref();
    let refused = policy.is_some_and(|own| own.on_open == OnOpen::Fail);
    Some(RunEvent::Service(match refused {
        true => ServiceEvent::CallRefused { step, hold },
        false => ServiceEvent::CallHeld { step, undo: false, hold },
    }))
}

/// What becomes of a ready step that has its turn.
pub(super) fn begun(
    state: &State,
    step: StepIndex,
    now: Timestamp,
    turns: &mut Turns<'_>,
    work: &mut Work,
) -> RunEvent {
    let recalled = cached::recalled(state, step, turns, work);
    let stopped = recalled.or_else(|| stopped(state, step, turns));
    stopped.unwrap_or_else(|| started(state, step, now, work))
}

/// The same for an undo.
pub(super) fn undo_stopped(
    state: &State,
    step: StepIndex,
    turns: &mut Turns<'_>,
) -> Option<RunEvent> {
    let Passage::Held(hold) = turns.passes(&undo_call(state, step)?) else { return None };
    turns.put_back();
    let policy = state.undo_breaker(step);
    let refused = policy.is_some_and(|own| own.on_open == OnOpen::Fail);
    Some(match refused {
        true => {
            let failure = checks::last_failure(state, step, refusal(&hold));
            RunEvent::UndoFailed { step, failure }
        }
        false => RunEvent::Service(ServiceEvent::CallHeld { step, undo: true, hold }),
    })
}

/// Starts steps that waited and may be made now.
pub(super) fn start(
    (state, now): (&State, Timestamp),
    (gate, passed): (Gate, &BTreeSet<StepIndex>),
    turns: &mut Turns<'_>,
    work: &mut Work,
    events: &mut Vec<RunEvent>,
) {
    let held = state.held_calls().filter_map(|(subject, _)| match subject {
        Subject::Step(step) => Some(step),
        _ => None,
    });
    let held = held.filter(|step| !passed.contains(step) && gate.lets(state, *step));
    let mut starts = 0;
    for step in held {
        let rendered = work.units >= RENDER_WORK_PER_DECISION_MAX && !events.is_empty();
        if rendered || turns.is_refused() || starts >= STARTS_PER_LAYER_MAX {
            break;
        }
        let free = call(state, step).is_some_and(|call| turns.passes(&call) == Passage::Free);
        if !free || !turns.take_for(state, step) {
            continue;
        }
        starts += 1;
        let own = state.step(step);
        events.push(match own.status {
            StepStatus::Ready => {
                let recalled = cached::recalled(state, step, turns, work);
                recalled.unwrap_or_else(|| started(state, step, now, work))
            }
            _ => RunEvent::StepStarted { step, attempt: own.attempt.saturating_add(1) },
        });
    }
}

/// Undos that waited and may be made now; each has its turn.
pub(super) fn undos(state: &State, turns: &mut Turns<'_>) -> Vec<StepIndex> {
    let mut free = Vec::new();
    let held = state.held_calls().filter_map(|(subject, _)| match subject {
        Subject::Undo(step) => Some(step),
        _ => None,
    });
    for step in held {
        if turns.is_refused() || free.len() >= STARTS_PER_LAYER_MAX {
            break;
        }
        let may = undo_call(state, step).is_some_and(|call| turns.passes(&call) == Passage::Free);
        if may && turns.take() {
            free.push(step);
        }
    }
    free
}

/// The call that the step's next attempt makes; nothing if it calls nobody.
fn call(state: &State, step: StepIndex) -> Option<Call<'_>> {
    let (plan, own) = (state.plan.step(step), state.step(step));
    let TaskKind::Effect(task_type) = &plan.task else { return None };
    Some(Call {
        subject: Subject::Step(step),
        task_type,
        input: own.input.as_ref(),
        policy: plan.breaker.as_deref(),
        again: own.tries > 0,
        held: state.held_call(Subject::Step(step)).map(|own| &own.hold),
    })
}

fn undo_call(state: &State, step: StepIndex) -> Option<Call<'_>> {
    let (plan, own) = (state.plan.step(step).undo.as_ref()?, state.step(step).undo.as_ref()?);
    if plan.rolls_back() {
        return None;
    }
    Some(Call {
        subject: Subject::Undo(step),
        task_type: state.undo_type(step)?,
        input: own.input.as_ref(),
        policy: state.undo_breaker(step),
        again: own.tries > 0,
        held: state.held_call(Subject::Undo(step)).map(|own| &own.hold),
    })
}
