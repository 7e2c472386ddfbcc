//! How steps open, with the keyed limits they need, and how those that need any start.

use std::collections::BTreeSet;

use super::alone::Gate;
use super::{RENDER_WORK_PER_DECISION_MAX, STARTS_PER_LAYER_MAX, calls};
use crate::event::{GraphEvent, RunEvent};
use crate::failure::Failure;
use crate::ids::StepIndex;
use crate::items::ItemScope;
use crate::plan::rendered;
use crate::room::Turns;
use crate::scope::Scope;
use crate::state::State;
use crate::template::Work;
use crate::time::Timestamp;

/// A step whose needs are settled, and at least one is done: its condition, its numbers if it
/// has templates for them, its keyed limits, then its input.
pub(super) fn opened(state: &State, step: StepIndex, work: &mut Work, events: &mut Vec<RunEvent>) {
    if let Err(failure) = open(state, step, work, events) {
        events.push(RunEvent::StepFailed { step, failure });
    }
}

fn open(
    state: &State,
    step: StepIndex,
    work: &mut Work,
    events: &mut Vec<RunEvent>,
) -> Result<(), Failure> {
    let plan = &state.plan.steps[step.at()];
    let item = ItemScope::of(state, step);
    let scope: &dyn Scope = item.as_ref().map_or(state, |item| item);
    if !plan.condition_holds(scope, work)? {
        events.push(RunEvent::StepSkipped { step });
        return Ok(());
    }
    let known = state.flow.as_ref().is_some_and(|flow| flow.numbers.contains_key(&step));
    if !plan.numbers.is_empty() && !known {
        let numbers = rendered(&plan.numbers, scope, work)?;
        events.push(RunEvent::Graph(GraphEvent::NumbersSet { step: Some(step), numbers }));
    }
    let keys = plan.render_limits(scope, work)?;
    let (input, round) = match state.edited_input(step) {
        Some((input, round)) => (input.clone(), round),
        None => (plan.render_input(scope, work)?, state.step(step).round),
    };
    if !plan.limits.is_empty() {
        events.push(RunEvent::Graph(GraphEvent::StepKeyed { step, keys }));
    }
    events.push(RunEvent::StepReady { step, round, input });
    Ok(())
}

/// Starts steps that have the places they need: all are asked for, since each has keys of its own.
pub(super) fn start(
    (state, now): (&State, Timestamp),
    (gate, passed): (Gate, &BTreeSet<StepIndex>),
    turns: &mut Turns<'_>,
    work: &mut Work,
    events: &mut Vec<RunEvent>,
) {
    let ready = state.keyed.iter().flat_map(|keyed| &keyed.ready);
    let ready = ready.filter(|step| !passed.contains(step) && gate.lets(state, **step));
    let mut starts = 0;
    for &step in ready {
        let rendered = work.units >= RENDER_WORK_PER_DECISION_MAX && !events.is_empty();
        if rendered || starts >= STARTS_PER_LAYER_MAX {
            break;
        }
        if turns.take_for(state, step) {
            starts += 1;
            events.push(calls::begun(state, step, now, turns, work));
        }
    }
}
