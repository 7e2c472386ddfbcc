//! What follows of what people and signals do: suspending, rolling back, giving up by force,
//! and steps that take the signals they wait for.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use crate::event::{GraphEvent, LetterSubject, Recourse, RunEvent};
use crate::evolve::rolled_back as rolled_back_by;
use crate::failure::{Failure, codes};
use crate::ids::StepIndex;
use crate::payload::Payload;
use crate::plan::TaskKind;
use crate::state::{Signal, State};
use crate::time::Timestamp;

use super::{STARTS_PER_LAYER_MAX, failure_of, resolve_faults, stopped};

pub(super) fn suspended(state: &State, now: Timestamp, events: &mut Vec<RunEvent>) {
    if let Some(step) = state.sets.given_up {
        let failure = failure_of(state, LetterSubject::Step(step));
        let recourse = Recourse::Compensate;
        events.push(RunEvent::RunFailing { failure, step: Some(step), recourse });
    } else if let Some(event) = rolled_back(state) {
        events.push(event);
    } else if let Some(event) = stopped(state, now) {
        events.push(event);
    } else {
        resolve_faults(state, now, events);
    }
}

/// Somebody has the suspended run rolled back. It fails of what suspended it, if anything did.
fn rolled_back(state: &State) -> Option<RunEvent> {
    let said = state.controls.as_ref()?.rollback.as_ref()?;
    let recourse = Recourse::Compensate;
    Some(match &state.failing {
        Some(why) => {
            let (failure, step) = (why.failure.clone(), why.step);
            RunEvent::RunFailing { failure, step, recourse }
        }
        None => {
            let failure = rolled_back_by(&said.actor, &said.reason);
            RunEvent::RunFailing { failure, step: None, recourse }
        }
    })
}

/// The attempts under way of a run that somebody forced to stop: whether they took effect is
/// unknown. Children are told to stop and waited for: nobody else would stop them.
pub(super) fn given_up(state: &State) -> impl Iterator<Item = RunEvent> + '_ {
    let running = if state.is_forced() { STARTS_PER_LAYER_MAX } else { 0 };
    let attempt =
        |step: &&StepIndex| matches!(state.plan.steps[step.at()].task, TaskKind::Effect(_));
    let attempts = state.sets.running.iter().filter(attempt);
    attempts.take(running).map(|&step| {
        let message = "the attempt was given up by force before it ended";
        let failure = Failure::retryable(codes::CANCELLED_BY_FORCE, message).of_unknown_effect();
        let (attempt, retry_delay_ms) = (state.step(step).attempt, 0);
        RunEvent::StepAttemptFailed { step, attempt, failure, retry_delay_ms }
    })
}

/// Steps that take the signal they waited for; answers which.
pub(super) fn signalled(state: &State, events: &mut Vec<RunEvent>) -> BTreeSet<StepIndex> {
    let Some(signals) = state.signals() else { return BTreeSet::new() };
    let mut taking = BTreeSet::new();
    for (step, number, signal) in signals.pairs().take(STARTS_PER_LAYER_MAX) {
        taking.insert(step);
        events.push(match signal.payload.absent() {
            Some(absent) => {
                RunEvent::StepFailed { step, failure: absent.failure("the signal's payload") }
            }
            None => {
                let output = taken(signal);
                RunEvent::Graph(GraphEvent::StepSignalled { step, signal: number, output })
            }
        });
    }
    taking
}

fn taken(signal: &Signal) -> Payload {
    Payload::of(&json!({
        "signal": signal.name,
        "payload": signal.payload.value(),
        "received_at": signal.received_at.to_string(),
    }))
}

/// The signal did not come in time.
pub(super) fn unsignalled(step: StepIndex, name: &Arc<str>) -> RunEvent {
    let message = format!("no signal `{name}` came in time");
    RunEvent::StepFailed { step, failure: Failure::permanent(codes::SIGNAL_TIMEOUT, message) }
}
