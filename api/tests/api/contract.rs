//! The contract: every path does what it says.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Server, TWO_STEPS, answer};

/// Fails at its second step, which was told to; the first one is undone.
const FAILING: &str = "
id: failing
steps:
  - { id: first, type: noop, undo: { type: noop } }
  - { id: second, type: noop, needs: [first], retry: none, with: { fail: { permanent: true } } }
";
/// Waits for longer than any test runs.
const WAITING: &str = "
id: waiting
steps:
  - { id: first, type: noop, undo: { type: noop } }
  - { id: long, type: wait, needs: [first], with: { duration: 1h } }
";

#[tokio::test(flavor = "multi_thread")]
async fn workflows_are_defined_shown_and_revised() {
    let server = Server::start().await;
    let (status, defined) = server.define(TWO_STEPS).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(defined["workflow_id"], "two");
    assert_eq!((&defined["revision"], &defined["created"]), (&json!(1), &json!(true)));
    let (status, again) = server.define(TWO_STEPS).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&again["revision"], &again["digest"]), (&json!(1), &defined["digest"]));
    let (_, shown) = server.get("/api/v1/workflows/two").await;
    let mut definition = shown["definition"].clone();
    assert_eq!(definition["steps"][1]["needs"], json!(["first"]));
    definition["version"] = "2".into();
    let (status, revised) = server.post("/api/v1/workflows", &definition).await;
    assert_eq!((status, &revised["revision"]), (StatusCode::CREATED, &json!(2)));
    let (_, first) = server.get("/api/v1/workflows/two?revision=1").await;
    assert_eq!(first["digest"], defined["digest"]);
    let (_, revisions) = server.get("/api/v1/workflows/two/revisions").await;
    assert_eq!(revisions["revisions"].as_array().map(Vec::len), Some(2));
    let (_, list) = server.get("/api/v1/workflows").await;
    assert_eq!(list["workflows"][0]["revision"], 2);
    let before = server.records().await;
    let (status, valid) = server.post("/api/v1/workflows/validate", &definition).await;
    assert_eq!((status, &valid["valid"]), (StatusCode::OK, &json!(true)));
    assert_eq!(valid["unknown_outcomes"], json!([]), "nothing of it is undone");
    assert_eq!(server.records().await, before);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_accepted_waited_for_shown_and_listed() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    let run = server.run("two", &json!({ "name": "Ada" })).await;
    assert_eq!(run["status"], "completed");
    assert_eq!(run["output"]["greeting"], "hello Ada");
    assert_eq!(run["steps"]["second"]["status"], "succeeded");
    assert_eq!(run["submitted_by"], "anonymous");
    let id = run["execution_id"].as_str().expect("an id");
    assert!(id.starts_with("exec_"), "{id}");
    let (status, shown) = server.get(&format!("/api/v1/executions/{id}")).await;
    assert_eq!((status, &shown), (StatusCode::OK, &run));

    let (_, history) = server.get(&format!("/api/v1/executions/{id}/events")).await;
    let events = history["events"].as_array().expect("events");
    assert_eq!(events[0]["type"], "ExecutionSubmitted");
    assert_eq!(events.last().expect("an end")["type"], "ExecutionEnded");
    for (event, version) in events.iter().zip(1_u64..) {
        assert_eq!(event["version"], version);
        let position = event["position"].as_str().expect("a position");
        assert!(position.starts_with("1:") && position.split(':').count() == 3, "{position}");
    }
    let path = format!("/api/v1/executions/{id}/events?after_version=2&limit=1");
    let (_, page) = server.get(&path).await;
    assert_eq!(page["events"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&page["events"][0]["version"], &page["next_after_version"]),
        (&json!(3), &json!(3))
    );

    for _ in 0..4 {
        server.run("two", &json!({})).await;
    }
    let mut seen = Vec::new();
    let mut path = "/api/v1/executions?status=completed&workflow_id=two&limit=2".to_owned();
    loop {
        let (status, page) = server.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        seen.extend(page["executions"].as_array().cloned().unwrap_or_default());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path =
            format!("/api/v1/executions?status=completed&workflow_id=two&limit=2&cursor={cursor}");
    }
    assert_eq!(seen.len(), 5);
    assert_eq!(seen[4]["execution_id"], id, "newest first");
    let (_, none) = server.get("/api/v1/executions?status=failed").await;
    assert_eq!(none["executions"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_idempotency_key_answers_the_same_run() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    let submit = |body: Value| {
        let request = server.request(Method::POST, "/api/v1/workflows/two/execute");
        answer(request.header("idempotency-key", "k-1").json(&body))
    };
    let (status, first) = submit(json!({ "input": { "name": "Ada" } })).await;
    assert_eq!((status, &first["repeated"]), (StatusCode::ACCEPTED, &json!(false)));
    let (status, again) = submit(json!({ "input": { "name": "Ada" } })).await;
    assert_eq!((status, &again["repeated"]), (StatusCode::ACCEPTED, &json!(true)));
    assert_eq!(again["execution_id"], first["execution_id"]);
    let (status, other) = submit(json!({ "input": { "name": "Bob" } })).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(other["error_code"], "IDEMPOTENCY_KEY_CONFLICT");
    assert_eq!(other["details"]["execution_id"], first["execution_id"]);
    let (status, waited) = submit(json!({ "input": { "name": "Ada" }, "wait_seconds": 60 })).await;
    assert_eq!((status, &waited["execution_id"]), (StatusCode::OK, &first["execution_id"]));
    // No body at all is an empty object.
    let bare = answer(server.request(Method::POST, "/api/v1/workflows/two/execute")).await;
    assert_eq!(bare.0, StatusCode::ACCEPTED);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_is_undone_and_its_letters_are_settled() {
    let server = Server::start().await;
    server.define(FAILING).await;
    let run = server.run("failing", &json!({})).await;
    assert_eq!((&run["status"], &run["compensation"]), (&json!("compensated"), &json!("done")));
    assert_eq!(run["steps"]["first"]["undo"]["status"], "succeeded");
    assert_eq!(run["error"]["error_code"], "WORKFLOW_EXECUTION_FAILED");
    let (_, open) = server.get("/api/v1/dlq?kind=step&workflow_id=failing").await;
    let letter = open["letters"][0]["letter_id"].as_str().expect("a letter").to_owned();
    let (_, none) = server.get("/api/v1/dlq?kind=callback").await;
    assert_eq!(none["letters"], json!([]));
    let (status, shown) = server.get(&format!("/api/v1/dlq/{letter}")).await;
    assert_eq!((status, &shown["execution_id"]), (StatusCode::OK, &run["execution_id"]));

    let (status, retried) = server.post(&format!("/api/v1/dlq/{letter}/retry"), &json!({})).await;
    assert_eq!((status, &retried["new_execution"]), (StatusCode::ACCEPTED, &json!(true)));
    let (_, linked) = server
        .get(&format!("/api/v1/executions/{}", retried["execution_id"].as_str().expect("an id")))
        .await;
    assert_eq!(linked["retry_of"], run["execution_id"]);
    let discard = format!("/api/v1/dlq/{letter}/discard");
    let (status, late) = server.post(&discard, &json!({ "reason": "late" })).await;
    assert_eq!(
        (status, &late["error_code"]),
        (StatusCode::CONFLICT, &json!("DEAD_LETTER_NOT_OPEN"))
    );

    let other = server.run("failing", &json!({})).await;
    let letter = other["dead_letters"][0]["letter_id"].as_str().expect("a letter");
    let discard = format!("/api/v1/dlq/{letter}/discard");
    let (status, refused) = server.post(&discard, &json!({})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "a reason is required: {refused}");
    assert_eq!(refused["details"]["problems"][0]["path"], "reason", "{refused}");
    let (status, _) = server.post(&discard, &json!({ "reason": "known" })).await;
    assert_eq!(status, StatusCode::OK);
    let (_, discarded) = server.get("/api/v1/dlq?status=discarded").await;
    assert_eq!(discarded["letters"][0]["letter_id"], letter);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_run_is_cancelled_once() {
    let server = Server::start().await;
    server.define(WAITING).await;
    let path = "/api/v1/workflows/waiting/execute";
    let (status, accepted) = server.post(path, &json!({ "wait_seconds": 0.05 })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    let id = accepted["execution_id"].as_str().expect("an id");
    let cancel = format!("/api/v1/executions/{id}/cancel");
    let body = json!({ "reason": "no longer wanted", "compensate": true });
    let (status, _) = server.post(&cancel, &body).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let run = loop {
        let (_, run) = server.get(&format!("/api/v1/executions/{id}")).await;
        if run["completed_at"].is_string() {
            break run;
        }
    };
    assert_eq!(run["status"], "cancelled");
    assert_eq!(run["cancel"]["reason"], "no longer wanted");
    let (status, ended) = server.post(&cancel, &json!({})).await;
    assert_eq!((status, &ended["error_code"]), (StatusCode::CONFLICT, &json!("EXECUTION_ENDED")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_loses_nothing() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    server.define(WAITING).await;
    let run = server.run("two", &json!({})).await;
    let (_, live) = server.post("/api/v1/workflows/waiting/execute", &json!({})).await;
    // Whoever waits for a run's end while the server stops is told what was accepted.
    let waiting = server.request(Method::POST, "/api/v1/workflows/waiting/execute");
    let waiting = waiting.header("idempotency-key", "w").json(&json!({ "wait_seconds": 60 }));
    let waiting = tokio::spawn(answer(waiting));
    let listed = |page: &Value| page["executions"].as_array().map_or(0, Vec::len);
    while listed(&server.get("/api/v1/executions?workflow_id=waiting").await.1) < 2 {}
    let folder = server.stop().await;
    let (status, accepted) = waiting.await.expect("an answer");
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");

    let server = Server::start_in(folder).await;
    for id in [&run["execution_id"], &live["execution_id"], &accepted["execution_id"]] {
        let id = id.as_str().expect("an id");
        let (status, _) = server.get(&format!("/api/v1/executions/{id}")).await;
        assert_eq!(status, StatusCode::OK);
    }
    let (_, info) = server.get("/info").await;
    assert_eq!(info["recovered"]["live"], 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_has_statistics() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    server.run("two", &json!({})).await;
    // What was written reaches the store with its next tick.
    let stored = loop {
        let (status, found) = server.get("/api/v1/stats/db").await;
        assert_eq!(status, StatusCode::OK, "{found}");
        if found["rocksdb.estimate-num-keys"].as_u64().is_some_and(|keys| keys > 0) {
            break found;
        }
    };
    assert!(stored["log"]["records"].as_u64() > Some(0), "{stored}");
    assert!(stored["log"]["sync"]["count"].as_u64() > Some(0), "{stored}");
    for part in ["store", "views"] {
        let part = &stored[part];
        assert!(part["file_bytes"].as_u64() >= part["live_bytes"].as_u64(), "{stored}");
        assert_eq!(part["trees"][0]["scrub"]["state"], "idle", "{stored}");
    }
    assert!(stored["memory"]["resident_bytes"].as_u64() > Some(0), "{stored}");
    let (status, same) = server.get("/v1/stats/db").await;
    assert_eq!(status, StatusCode::OK);
    assert!(same["rocksdb.estimate-num-keys"].is_u64(), "{same}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_tells_about_itself() {
    let server = Server::start().await;
    let (_, info) = server.get("/info").await;
    assert_eq!((&info["name"], &info["fsync"]), (&json!("backstitch"), &json!("always")));
    assert_eq!(info["journal"]["partitions"], 4);
    server.define(TWO_STEPS).await;
    server.run("two", &json!({})).await;
    let (status, metrics) = server.get("/metrics").await;
    let metrics = metrics.as_str().expect("text");
    assert_eq!(status, StatusCode::OK);
    assert!(metrics.contains("route=\"/api/v1/workflows/{workflow_id}/execute\""), "{metrics}");
    assert!(metrics.contains("backstitch_http_request_duration_seconds_bucket"), "{metrics}");
    for queue in ["turns", "slots", "keys"] {
        let line = format!("backstitch_waiting{{queue=\"{queue}\",priority=\"low\"}}");
        assert!(metrics.contains(&line), "{metrics}");
    }
    assert!(!metrics.contains("/api/v1/workflows/two"), "paths are no labels");
    server.stop().await;
}

#[tokio::test]
async fn requests_have_an_id_and_say_who_acts() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    let path = "/api/v1/workflows/two/execute";
    let ask = |id: &str, user: &str| {
        let request = server.request(Method::POST, path).json(&json!({ "wait_seconds": 60 }));
        request.header("x-request-id", id).header("x-user-id", user).send()
    };
    let given =
        |answer: &reqwest::Response| answer.headers()["x-request-id"].to_str().map(str::to_owned);
    let answer = ask("corr-1.2:a", "ann").await.expect("an answer");
    assert_eq!(given(&answer).ok().as_deref(), Some("corr-1.2:a"));
    let run: Value = answer.json().await.expect("JSON");
    assert_eq!(run["submitted_by"], "ann");
    let answer = ask("two words", "ann").await.expect("an answer");
    assert!(given(&answer).is_ok_and(|id| id.starts_with("req_") && id.len() == 36));
    let answer = ask("x", &"a".repeat(257)).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}
