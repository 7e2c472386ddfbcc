//! What follows before a run begins, and for one step that is ready.

use crate::event::{GraphEvent, RunEvent};
use crate::ids::StepIndex;
use crate::items;
use crate::links;
use crate::payload::Payload;
use crate::plan::{TaskKind, Wait, rendered, wait_of};
use crate::state::State;
use crate::template::Work;
use crate::time::Timestamp;

use super::routes;

/// The run's own numbers, before anything of it begins; it fails of what is no number.
pub(super) fn numbered(state: &State, work: &mut Work) -> Option<RunEvent> {
    let templates = &state.plan.numbers;
    let known = state.flow.as_ref().is_none_or(|flow| !flow.own_numbers.is_empty());
    if templates.is_empty() || known || state.has_begun() {
        return None;
    }
    Some(match rendered(templates, state, work) {
        Ok(numbers) => RunEvent::Graph(GraphEvent::NumbersSet { step: None, numbers }),
        Err(failure) => {
            RunEvent::RunFailing { failure, step: None, recourse: state.plan.on_failure }
        }
    })
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
