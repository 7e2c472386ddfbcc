//! The workflows that are run: so many `noop` steps, one after the other.

use backstitch_core::ids::DEFAULT_NAMESPACE;
use backstitch_saga::handle::Request;
use serde_json::{Value, json};

/// Steps of a run.
pub const STEPS: [usize; 2] = [1, 10];
/// How long a run is waited for, in seconds.
pub const WAIT_SECONDS: u64 = 30;

/// The workflow's id.
pub fn id(steps: usize) -> String {
    format!("noop-{steps}")
}

/// Its definition.
pub fn definition(steps: usize) -> Value {
    let step = |at: usize| match at {
        1 => json!({ "id": "step-1", "type": "noop" }),
        _ => {
            let need = format!("step-{}", at - 1);
            json!({ "id": format!("step-{at}"), "type": "noop", "needs": [need] })
        }
    };
    json!({ "id": id(steps), "steps": (1..=steps).map(step).collect::<Vec<_>>() })
}

/// A submission, as the engine takes it.
pub fn submission(steps: usize) -> Request {
    Request {
        namespace: DEFAULT_NAMESPACE.into(),
        workflow: id(steps),
        input: json!({}),
        variables: json!({}),
        correlation_id: String::new(),
        tags: Vec::new(),
        callbacks: Vec::new(),
        idempotency_key: None,
        actor: "bench".to_owned(),
    }
}
