//! Graphs of thousands of steps, in the core alone: read, compiled, and run from end to end.
//!
//! The steps are pure, so that nothing but the graph is measured: each needs two of the layer
//! before it, and every layer has a router and a handler.

use std::sync::Arc;

use backstitch_core::command::{Command, Submission};
use backstitch_core::event::Submitted;
use backstitch_core::ids::{DEFAULT_NAMESPACE, Digest, ExecutionId, PartitionId};
use backstitch_core::machine::{handle, submit};
use backstitch_core::payload::Payload;
use backstitch_core::plan::{Plan, TaskTypes};
use backstitch_core::summary::RunStatus;
use backstitch_core::time::{Moment, Timestamp};
use serde_json::{Value, json};

use crate::figures::Measured;
use crate::load::{Pace, blocking_loop};

/// Steps of the graphs, each twice the one before.
pub const STEPS: [usize; 2] = [5_000, 10_000];
/// Steps of a layer; the last two are its router and its handler.
const LAYER: usize = 100;
/// When the runs begin.
const START: Timestamp = Timestamp(1_800_000_000_000_000);

struct NoTypes;

impl TaskTypes for NoTypes {
    fn effectful(&self) -> &[&'static str] {
        &[]
    }

    fn check(&self, _: &str, _: &Value) -> Vec<(String, String)> {
        Vec::new()
    }
}

fn definition(steps: usize) -> Value {
    let id = |at: usize| format!("s{at}");
    let step = |at: usize| {
        let (layer, place) = (at / LAYER, at % LAYER);
        let before = |place: usize| id((layer - 1) * LAYER + place % (LAYER - 2));
        let needs = match layer {
            0 => Vec::new(),
            _ => vec![before(place), before(place + 1)],
        };
        match place {
            98 => json!({
                "id": id(at), "type": "router", "needs": needs, "on_failure": [id(at + 1)],
                "routes": [{ "when": "input.n > 5", "to": [id(layer * LAYER)] }],
                "default": [id(layer * LAYER + 1)],
            }),
            99 => json!({ "id": id(at), "type": "transform", "with": {} }),
            _ => json!({ "id": id(at), "type": "transform", "with": { "at": at }, "needs": needs }),
        }
    };
    json!({ "id": "graph", "steps": (0..steps).map(step).collect::<Vec<_>>() })
}

/// Reads and runs such a graph again and again.
///
/// # Errors
/// A run that does not complete.
pub fn measure(steps: usize, pace: Pace) -> Result<Measured, String> {
    let definition = definition(steps);
    blocking_loop(pace, || {
        let read = Plan::read(&definition, &NoTypes);
        let (_, plan) = read.map_err(|problems| format!("{problems:?}"))?;
        run(Arc::new(plan))
    })
}

fn run(plan: Arc<Plan>) -> Result<(), String> {
    let submitted = Box::new(Submitted {
        namespace: DEFAULT_NAMESPACE.into(),
        workflow: plan.workflow.clone(),
        revision: 1,
        digest: plan.digest,
        input: Payload::of(&json!({ "n": 7 })),
        variables: Payload::of(&json!({})),
        correlation_id: "bench".into(),
        idempotency_key: None,
        request: Digest::default(),
        callbacks: Vec::new(),
        deadline_at: None,
        retry_of: None,
        actor: "bench".to_owned(),
    });
    let execution = ExecutionId { partition: PartitionId(0), digits: 7 };
    let tags = Vec::new();
    let submission = Submission {
        execution,
        plan,
        submitted,
        tags,
        origin: None,
        targets: Vec::new(),
        alerts: Vec::new(),
        faults: Vec::new(),
        trace: None,
    };
    let begun = submit(submission, Moment::at(START)).map_err(|error| error.to_string())?;
    let (mut state, mut decision) = begun;
    while decision.cut {
        let next = handle(&mut state, Command::Continue, Moment::at(START));
        decision = next.map_err(|error| error.to_string())?;
    }
    match state.status() {
        RunStatus::Completed => Ok(()),
        other => Err(format!("the graph's run is {}", other.word())),
    }
}
