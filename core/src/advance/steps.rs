//! What follows for one step: it opens, and it starts.

use crate::event::{GraphEvent, RunEvent};
use crate::ids::StepIndex;
use crate::items::{self, ItemScope};
use crate::links;
use crate::payload::Payload;
use crate::plan::{TaskKind, Wait, wait_of};
use crate::scope::Scope;
use crate::state::State;
use crate::template::Work;
use crate::time::Timestamp;

use super::routes;

/// A step whose needs are settled, and at least one is done: its condition, then its input.
pub(super) fn opened(state: &State, step: StepIndex, work: &mut Work) -> RunEvent {
    let plan = &state.plan.steps[step.at()];
    let item = ItemScope::of(state, step);
    let scope: &dyn Scope = item.as_ref().map_or(state, |item| item);
    match plan.condition_holds(scope, work) {
        Ok(true) => match plan.render_input(scope, work) {
            Ok(input) => RunEvent::StepReady { step, round: state.step(step).round, input },
            Err(failure) => RunEvent::StepFailed { step, failure },
        },
        Ok(false) => RunEvent::StepSkipped { step },
        Err(failure) => RunEvent::StepFailed { step, failure },
    }
}

/// A ready step: pure ones are evaluated here, the others are handed to their executor.
pub(super) fn started(state: &State, step: StepIndex, now: Timestamp, work: &mut Work) -> RunEvent {
    let own = state.step(step);
    let input = own.input.clone().unwrap_or_else(Payload::null);
    if let Some(absent) = input.absent() {
        return RunEvent::StepFailed { step, failure: absent.failure("the input") };
    }
    match &state.plan.steps[step.at()].task {
        TaskKind::Transform => {
            RunEvent::StepSucceeded { step, attempt: own.attempt, output: input }
        }
        TaskKind::Wait => match wait_of(&input, now) {
            Ok(Wait::Until(due_at)) => RunEvent::StepWaiting { step, due_at },
            Ok(Wait::Signal { name, due_at }) => {
                RunEvent::Graph(GraphEvent::StepAwaitsSignal { step, name, due_at })
            }
            Err(failure) => RunEvent::StepFailed { step, failure },
        },
        TaskKind::Router => routes::chosen(state, step, work),
        TaskKind::Foreach => match links::loop_startable(state, step, &input) {
            Ok(0) => {
                RunEvent::StepSucceeded { step, attempt: own.attempt, output: items::nothing() }
            }
            Ok(_) => RunEvent::StepStarted { step, attempt: own.attempt.saturating_add(1) },
            Err(failure) => RunEvent::StepFailed { step, failure },
        },
        TaskKind::Workflow | TaskKind::Signal => match links::startable(state, step, &input) {
            Ok(()) => RunEvent::StepStarted { step, attempt: own.attempt.saturating_add(1) },
            Err(failure) => RunEvent::StepFailed { step, failure },
        },
        TaskKind::Effect(_) => {
            RunEvent::StepStarted { step, attempt: own.attempt.saturating_add(1) }
        }
    }
}
