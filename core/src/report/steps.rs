//! One step of a run and its undo, as the API prints them.

use serde_json::{Value, json};

use super::services::held_json;
use super::{failure_json, instant};
use crate::arrows::{StepStatus, UndoStatus};
use crate::ids::StepIndex;
use crate::payload::Payload;
use crate::state::{CheckState, CheckVerdict, State, Subject, UndoState};

pub(super) fn step_json(state: &State, step: StepIndex) -> Value {
    let own = state.step(step);
    json!({
        "status": own.word(),
        "attempts": own.attempt,
        "round": own.round,
        "by_hand": own.by_hand,
        "started_at": instant(own.started_at),
        "completed_at": instant(own.completed_at),
        // Since when it is ready is for `why`.
        "due_at": instant(own.due_at.filter(|_| own.status != StepStatus::Ready)),
        "signal": state.awaits(step),
        "input": own.input.as_ref().map(Payload::value),
        "output": own.output.as_ref().map(Payload::value),
        "error": own.failure.as_deref().map(failure_json),
        "handled": state.is_handled(step),
        "cached_from": state.cache_source(step).map(|source| json!({
            "execution_id": source.run.to_string(), "step": source.step,
        })),
        "held": held_json(state, Subject::Step(step)),
        "undo": own.undo.as_deref().map(|undo| undo_json(state, step, undo)),
    })
}

/// What was agreed for the run, and what took longer than was agreed for it and its steps.
pub(super) fn sla_json(state: &State) -> Value {
    let breaches = state.breaches().iter().map(|own| {
        let step = own.step.map(|step| state.plan.step(step).id.clone());
        json!({ "step": step, "limit_ms": own.limit_ms, "at": own.at.to_string() })
    });
    let breaches: Vec<_> = breaches.collect();
    json!({ "limit_ms": state.run_sla_ms(), "breaches": breaches })
}

/// The failures that handlers made good.
pub(super) fn handled_failures_json(state: &State) -> Value {
    let handled = state.handled_failures().map(|step| {
        let error = state.step(step).failure.as_deref().map(failure_json);
        json!({ "step": state.plan.step(step).id, "error": error })
    });
    handled.collect()
}

fn undo_json(state: &State, step: StepIndex, own: &UndoState) -> Value {
    let mut made = json!({
        "status": own.word(),
        "attempts": own.attempt.saturating_sub(own.attempts_before()),
        "started_at": Value::Null,
        "completed_at": instant(own.completed_at),
        "due_at": instant(own.due_at.filter(|_| own.status != UndoStatus::Ready)),
        "input": Value::Null,
        "output": own.output.as_ref().map(Payload::value),
        "error": own.failure.as_deref().map(failure_json),
        "held": held_json(state, Subject::Undo(step)),
        "check": own.check.as_deref().map(|check| check_json(own, check)),
    });
    if !own.asks() {
        made["started_at"] = json!(instant(own.started_at));
        made["input"] = json!(own.input.as_ref().map(Payload::value));
    }
    if let Some(by_hand) = own.by_hand.as_deref() {
        made["by_hand"] = json!({
            "settlement": by_hand.settlement.word(),
            "note": by_hand.said.reason,
            "actor": by_hand.said.actor,
            "at": by_hand.said.at.to_string(),
        });
    }
    made
}

/// Whether the step took effect, as its service said; nothing as long as it did not.
fn check_json(undo: &UndoState, own: &CheckState) -> Value {
    let (input, started_at) = match undo.asks() {
        true => (&undo.input, undo.started_at),
        false => (&own.input, own.started_at),
    };
    json!({
        "took_effect": own.verdict.as_ref().map(|own| *own != CheckVerdict::NoEffect),
        "attempts": undo.attempts_before(),
        "started_at": instant(started_at),
        "completed_at": instant(own.completed_at),
        "input": input.as_ref().map(Payload::value),
        "answer": own.answer.as_ref().map(Payload::value),
        "output": own.found().map(Payload::value),
    })
}
