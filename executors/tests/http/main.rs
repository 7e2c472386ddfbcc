//! The `http` executor against real servers on loopback, well-behaved and broken ones.

mod answers;
mod failures;
mod guarded;
mod redirects;
mod requests;
mod server;

use std::time::Duration;

use backstitch_core::failure::{EffectKnown, Failure, FailureClass};
use backstitch_core::ids::{ExecutionId, PartitionId};
use backstitch_core::payload::Payload;
use backstitch_core::plan::WrittenHosts;
use backstitch_executors::{Answer, Attempt, HttpConfig, Registry, Task};
use serde_json::Value;

const RETRYABLE: FailureClass = FailureClass::Retryable;
const PERMANENT: FailureClass = FailureClass::Permanent;
const NONE: EffectKnown = EffectKnown::None;
const UNKNOWN: EffectKnown = EffectKnown::Unknown;

/// A task of a run, on its second attempt.
fn task(with: &Value) -> Task {
    let execution = ExecutionId { partition: PartitionId(3), digits: 0xfeed };
    Task {
        execution: Some(execution),
        step: "charge".into(),
        task_type: "http".into(),
        idempotency_key: format!("{execution}/charge/1"),
        attempt: 2,
        correlation_id: "order 17".into(),
        trace: None,
        input: Payload::of(with),
        hosts: WrittenHosts::default(),
        timeout: Duration::from_secs(30),
    }
}

/// A runtime has its own client: connections belong to the runtime they were made on.
fn attempt(task: Task) -> Attempt {
    let registry = Registry::builtin(HttpConfig::default()).expect("a client can be built");
    registry.get("http").expect("it is built in").run(task)
}

async fn run(with: Value) -> Answer {
    attempt(task(&with)).await
}

async fn output(with: Value) -> Value {
    run(with).await.expect("the request succeeds").value()
}

async fn failure(with: Value) -> Failure {
    run(with).await.expect_err("the request fails")
}

/// The failure in the three words the engine goes by.
fn words(failure: &Failure) -> (&str, FailureClass, EffectKnown) {
    (failure.code.as_str(), failure.class, failure.effect)
}

fn details(failure: &Failure) -> Value {
    failure.details.as_ref().expect("it has details").value()
}
