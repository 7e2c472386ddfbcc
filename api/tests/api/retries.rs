//! When failed calls of a real service are made again, and when not.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::Server;
use crate::service::{Says, Service};

/// What the recorded events of a type say.
async fn events(server: &Server, run: &Value, kind: &str) -> Vec<Value> {
    let run = run["execution_id"].as_str().expect("an id");
    let path = format!("/api/v1/executions/{run}/events?type={kind}");
    let (status, found) = server.get(&path).await;
    assert_eq!(status, StatusCode::OK, "{found}");
    found["events"].as_array().expect("a list").clone()
}

fn at_ms(instant: &Value) -> i64 {
    let text = instant.as_str().expect("an instant");
    backstitch_core::time::Timestamp::parse(text).expect("an instant").0 / 1_000
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_says_when_is_not_asked_earlier() {
    let (server, service) = (Server::start().await, Service::start().await);
    let busy = Says { status: 503, retry_after: Some("1") };
    service.says(&[busy], 200);
    let retry = "{ max_attempts: 2, initial: 1ms, max: 2ms, jitter: false }";
    let with = format!("{{ method: POST, url: '{}' }}", service.url("charge"));
    let step = format!("{{ id: charge, type: http, retry: {retry}, with: {with} }}");
    server.define(&format!("id: w\nsteps:\n  - {step}\n")).await;
    let run = server.run("w", &json!({})).await;
    assert_eq!(run["status"], "completed", "{run}");
    let failed = events(&server, &run, "StepAttemptFailed").await;
    let retried = events(&server, &run, "StepRetryScheduled").await;
    let due_ms = at_ms(&retried[0]["data"]["due_at"]);
    assert!(due_ms - at_ms(&failed[0]["recorded_at"]) >= 990, "{failed:?} {retried:?}");
    let started = events(&server, &run, "StepStarted").await;
    assert!(at_ms(&started[1]["recorded_at"]) >= due_ms, "{started:?}");
    assert_eq!(service.calls().len(), 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_a_workflow_choose_by_status() {
    let (server, service) = (Server::start().await, Service::start().await);
    let definition = |word: &str| {
        let with = format!("{{ method: POST, url: '{}' }}", service.url("charge"));
        format!(
            "id: {word}\non_failure: halt\nretry_policies:\n  {word}: {{ initial: 1ms, {} }}\n\
             defaults: {{ retry: {word} }}\nsteps:\n  - {{ id: charge, type: http, with: {with} }}\n",
            if word == "chosen" { "on: [404, timeout]" } else { "never: [5xx]" }
        )
    };
    for word in ["chosen", "forbidden"] {
        let (status, defined) = server.define(&definition(word)).await;
        assert_eq!(status, StatusCode::CREATED, "{defined}");
    }
    // Found only by the third attempt.
    service.says(&[Says::status(404), Says::status(404)], 200);
    assert_eq!(server.run("chosen", &json!({})).await["status"], "completed");
    assert_eq!(service.calls().len(), 3);
    // Not what it waits for.
    service.says(&[], 503);
    assert_eq!(server.run("chosen", &json!({})).await["status"], "failed");
    assert_eq!(service.calls().len(), 4);
    assert_eq!(server.run("forbidden", &json!({})).await["status"], "failed");
    assert_eq!(service.calls().len(), 5);
    service.says(&[], 429);
    assert_eq!(server.run("forbidden", &json!({})).await["status"], "failed");
    assert_eq!(service.calls().len(), 8, "three attempts, as in `standard`");
    server.stop().await;
}
