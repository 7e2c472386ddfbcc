//! What a run of a test is given from outside: its input, and the signals that it waits for.

use serde_json::{Value, json};

use super::mocks::Mocks;
use crate::client::{Client, path_of};

/// What stands for the number of a run in the input, so that each has an order of its own.
const RUN_NUMBER: &str = "{{ run }}";

/// The input of a run: its number stands where the test's input has `{{ run }}`.
pub(crate) fn numbered(input: &Value, number: u32) -> Value {
    match input {
        Value::String(text) => text.replace(RUN_NUMBER, &number.to_string()).into(),
        Value::Array(list) => list.iter().map(|own| numbered(own, number)).collect(),
        Value::Object(fields) => {
            let own = fields.iter().map(|(name, own)| (name.clone(), numbered(own, number)));
            Value::Object(own.collect())
        }
        other => other.clone(),
    }
}

/// Sends what the steps of a run wait for, as its mocks have it. One that is sent again under its
/// id is the same signal, and one that is not taken is sent again.
pub(super) async fn send_signals(client: &Client, run: &Value, mocks: &Mocks) {
    let id = run["execution_id"].as_str().unwrap_or_default();
    for (step, own) in run["steps"].as_object().into_iter().flatten() {
        let Some(name) = own["signal"].as_str() else { continue };
        let Some(payload) = mocks.signal(step) else { continue };
        let path = path_of(&["api", "v1", "executions", id, "signals", name]);
        let body = json!({ "payload": payload, "id": format!("{step}/{}", own["round"]) });
        if let Err(error) = client.post(&path, &body).await {
            tracing::debug!(%error, step, "a signal is not taken");
        }
    }
}
