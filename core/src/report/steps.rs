//! One step of a run and its undo, as the API prints them.

use serde_json::{Value, json};

use super::{failure_json, instant};
use crate::ids::StepIndex;
use crate::payload::Payload;
use crate::state::{State, UndoState};

pub(super) fn step_json(state: &State, step: StepIndex) -> Value {
    let own = state.step(step);
    json!({
        "status": own.word(),
        "attempts": own.attempt,
        "round": own.round,
        "by_hand": own.by_hand,
        "started_at": instant(own.started_at),
        "completed_at": instant(own.completed_at),
        "due_at": instant(own.due_at),
        "signal": state.awaits(step),
        "input": own.input.as_ref().map(Payload::value),
        "output": own.output.as_ref().map(Payload::value),
        "error": own.failure.as_deref().map(failure_json),
        "undo": own.undo.as_deref().map(undo_json),
    })
}

fn undo_json(own: &UndoState) -> Value {
    json!({
        "status": own.word(),
        "attempts": own.attempt,
        "started_at": instant(own.started_at),
        "completed_at": instant(own.completed_at),
        "due_at": instant(own.due_at),
        "input": own.input.as_ref().map(Payload::value),
        "output": own.output.as_ref().map(Payload::value),
        "error": own.failure.as_deref().map(failure_json),
    })
}
