//! How steps open, with the keyed limits they need, and how those that need any start.

use std::collections::BTreeSet;

use super::alone::Gate;
use super::{RENDER_WORK_PER_DECISION_MAX, STARTS_PER_LAYER_MAX, calls};
use crate::event::{GraphEvent, RunEvent};
use crate::failure::Failure;
use crate::ids::StepIndex;
use crate::items::ItemScope;
use crate::room::Turns;
use crate::scope::Scope;
use crate::state::State;
use crate::template::Work;
use crate::time::Timestamp;

/// A step whose needs are settled, and at least one is done: its condition, its keyed limits,
/// then its input.
pub(super) fn opened(state: &State, step: StepIndex, work: &mut Work) -> Vec<RunEvent> {
    rendered(state, step, work)
        .unwrap_or_else(|failure| vec![RunEvent::StepFailed { step, failure }])
}

fn rendered(state: &State, step: StepIndex, work: &mut Work) -> Result<Vec<RunEvent>, Failure> {
    let plan = &state.plan.steps[step.at()];
    let item = ItemScope::of(state, step);
    let scope: &dyn Scope = item.as_ref().map_or(state, |item| item);
    if !plan.condition_holds(scope, work)? {
        return Ok(vec![RunEvent::StepSkipped { step }]);
    }
    let keys = plan.render_limits(scope, work)?;
    let input = plan.render_input(scope, work)?;
    let keyed = RunEvent::Graph(GraphEvent::StepKeyed { step, keys });
    let ready = RunEvent::StepReady { step, round: state.step(step).round, input };
    Ok(if plan.limits.is_empty() { vec![ready] } else { vec![keyed, ready] })
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
