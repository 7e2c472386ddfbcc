//! What people and signals did to a run, as the API prints it.

use serde_json::{Value, json};

use super::suspend_word;
use crate::state::{Signal, Signals, State};

/// What a suspended run waits for; null for any other.
pub(super) fn suspended_json(state: &State) -> Value {
    let Some((reason, since)) = state.suspended() else { return Value::Null };
    json!({
        "reason": suspend_word(reason),
        "since": since.to_string(),
        "actor": state.paused().map(|said| &said.actor),
        "words": state.paused().map(|said| &said.reason),
    })
}

/// The step that the run is being rolled back to, and how many steps build on it; null for any
/// other run.
pub(super) fn rollback_json(state: &State) -> Value {
    let Some((part, back_to)) = state.partial().zip(state.back_to()) else { return Value::Null };
    json!({
        "to": state.plan.step(back_to.step).id,
        "steps": part.steps.len(),
        "reason": back_to.said.reason,
        "actor": back_to.said.actor,
        "requested_at": back_to.said.at.to_string(),
    })
}

/// The signals that no step has taken yet, oldest first.
pub(super) fn signals_json(state: &State) -> Vec<Value> {
    let kept = state.signals().into_iter().flat_map(Signals::kept);
    kept.map(|(_, own): (u32, &Signal)| {
        json!({ "name": own.name, "received_at": own.received_at.to_string() })
    })
    .collect()
}
