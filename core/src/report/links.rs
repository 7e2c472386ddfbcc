//! What ties a run to others, as the API prints it.

use serde_json::{Value, json};

use super::graph_events::{items_json, message_json, run_key};
use crate::state::State;

/// The run and step whose child this run is.
pub(super) fn parent_json(state: &State) -> Value {
    state.parent().map_or(Value::Null, |parent| {
        json!({
            "execution_id": parent.run.to_string(),
            "step": parent.step.0,
            "attempt": parent.attempt,
            "depth": parent.depth,
            "items": parent.items.map(items_json),
        })
    })
}

/// Every run that is or was a step of this one.
pub(super) fn children_json(state: &State) -> Value {
    let all = state.links.iter().flat_map(|links| &links.children);
    let rows = all.flat_map(|(step, children)| {
        let id = &state.plan.steps[step.at()].id;
        children.iter().map(move |child| {
            json!({
                "step": id,
                "attempt": child.attempt,
                "execution_id": child.run.to_string(),
                "begun": child.begun,
                "items": child.items.map(items_json),
            })
        })
    });
    rows.collect()
}

/// What other runs have not acknowledged yet.
pub(super) fn messages_json(state: &State) -> Value {
    let outbox = state.links.iter().flat_map(|links| &links.outbox);
    let rows = outbox.map(|(number, own)| {
        json!({
            "message": number,
            "to": own.to.to_string(),
            "posted_at": own.posted_at.to_string(),
            "body": message_json(&own.body),
        })
    });
    rows.collect()
}

/// The limits of runs with the same key that it counts against.
pub(super) fn keys_json(state: &State) -> Value {
    state.run_keys().iter().map(run_key).collect()
}
