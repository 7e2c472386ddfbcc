//! Exports, imports and replays over HTTP.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Server, TWO_STEPS, answer};

async fn export(server: &Server, path: &str) -> String {
    let response = server.request(Method::GET, path).send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    response.text().await.expect("a text")
}

async fn import(server: &Server, text: &str) -> (StatusCode, Value) {
    let request = server.request(Method::POST, "/api/v1/import");
    answer(request.header("content-type", "application/x-ndjson").body(text.to_owned())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_go_from_one_server_to_another() {
    let (one, other) = (Server::start().await, Server::start().await);
    one.define(TWO_STEPS).await;
    let mut runs = Vec::new();
    for name in ["Ada", "Bob", "Eve"] {
        runs.push(one.run("two", &json!({ "name": name })).await);
    }
    let first =
        format!("/api/v1/executions/{}/export", runs[0]["execution_id"].as_str().expect("id"));
    let text = export(&one, &first).await;
    let (status, report) = import(&other, &text).await;
    assert_eq!((status, &report["imported"]), (StatusCode::OK, &json!(1)), "{report}");
    let whole = export(&one, "/api/v1/export?workflow_id=two&status=completed").await;
    assert_eq!(whole.matches("{\"definition\"").count(), 1);
    let (_, report) = import(&other, &whole).await;
    assert_eq!((&report["imported"], &report["skipped"]), (&json!(2), &json!(1)), "{report}");
    for run in &runs {
        let id = run["execution_id"].as_str().expect("an id");
        assert_eq!(other.get(&format!("/api/v1/executions/{id}")).await.1, *run);
    }
    let (_, list) = other.get("/api/v1/executions?workflow_id=two").await;
    assert_eq!(list["executions"].as_array().map(Vec::len), Some(3));
    let none = export(&one, "/api/v1/export?tag=vip").await;
    assert!(!none.contains("{\"definition\""), "{none}");
    let (_, shown) = one
        .get(&format!("/api/v1/executions/{}", runs[1]["execution_id"].as_str().expect("an id")))
        .await;
    let correlation = shown["correlation_id"].as_str().expect("there is one");
    let of_one = export(&one, &format!("/api/v1/export?correlation_id={correlation}")).await;
    assert_eq!(of_one.matches("{\"run\"").count(), 1, "{of_one}");
    let ended = export(&one, "/api/v1/export?ended_after=2020-01-01T00:00:00Z").await;
    assert_eq!(ended.matches("{\"run\"").count(), 3, "{ended}");
    let (status, _) = one.get("/api/v1/export?submitted_before=soon").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let redacted = export(&one, "/api/v1/export?redact=name").await;
    assert!(!redacted.contains("\"name\":\"Ada\""), "{redacted}");
    let (status, report) = import(&other, &redacted).await;
    assert_eq!((status, &report["conflicts"]), (StatusCode::OK, &json!(3)), "{report}");

    let lines: Vec<_> = whole.split_inclusive('\n').collect();
    let (status, bad) = import(&other, &lines[..lines.len() - 1].concat()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(bad["error_code"], "INVALID_EXPORT");
    assert_eq!(
        (&bad["details"]["line"], &bad["details"]["skipped"]),
        (&json!(lines.len()), &json!(0))
    );
    let (status, bad) = import(&other, "{\"name\":1}\n").await;
    assert_eq!((status, &bad["details"]["line"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(1)));
    let (status, _) = other.post("/api/v1/import", &json!({})).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (status, _) = one.get("/api/v1/export?redact=a,,b").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_of_a_file_that_was_changed() {
    let (one, other) = (Server::start().await, Server::start().await);
    one.define(TWO_STEPS).await;
    let run = one.run("two", &json!({ "name": "Ada" })).await;
    one.run("two", &json!({ "name": "Bob" })).await;
    let whole = export(&one, "/api/v1/export").await;
    let changed = whole.replace("Ada", "Eve");
    assert_ne!(changed, whole);
    let (status, bad) = import(&other, &changed).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let reason = bad["details"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("something was changed"), "{bad}");
    assert_eq!(bad["details"]["imported"], 0, "{bad}");
    let path = format!("/api/v1/executions/{}", run["execution_id"].as_str().expect("an id"));
    assert_eq!(other.get(&path).await.0, StatusCode::NOT_FOUND);
    let (status, report) = import(&other, &whole).await;
    assert_eq!((status, &report["imported"]), (StatusCode::OK, &json!(2)), "{report}");
    assert_eq!(other.get(&path).await.1, run);
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_asked_for_watched_stopped_and_resumed() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    server.run("two", &json!({})).await;
    // Nobody listens at this port for long: the first attempt fails and the replay stops.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook", nobody.local_addr().expect("an address"));
    drop(nobody);
    let wish = json!({
        "url": url, "from": "2001-01-01T00:00:00Z", "max_attempts": 1,
        "filter": { "type": ["StepSucceeded"], "workflow_id": "two" },
    });
    let (status, begun) = server.post("/api/v1/replays", &wish).await;
    assert_eq!((status, &begun["status"]), (StatusCode::ACCEPTED, &json!("running")), "{begun}");
    let path = format!("/api/v1/replays/{}", begun["replay_id"].as_str().expect("an id"));
    let stopped = loop {
        let (_, shown) = server.get(&path).await;
        if shown["status"] == "stopped" {
            break shown;
        }
    };
    let reason = stopped["stopped"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("was not taken in 1 attempt"), "{reason}");
    assert_eq!(stopped["filter"]["from"], "2001-01-01T00:00:00.000000Z");
    let (status, _) = server.post(&format!("{path}/resume"), &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let (status, _) = server.post(&format!("{path}/stop"), &json!({ "reason": "enough" })).await;
    assert_eq!(status, StatusCode::OK);
    let (_, list) = server.get("/api/v1/replays").await;
    assert_eq!(list["replays"].as_array().map(Vec::len), Some(1));
    let nothing = json!({ "url": url, "filter": { "type": "LogCut" } });
    let (_, begun) = server.post("/api/v1/replays", &nothing).await;
    let path = format!("/api/v1/replays/{}", begun["replay_id"].as_str().expect("an id"));
    while server.get(&path).await.1["status"] != "completed" {}
    let (status, done) = server.post(&format!("{path}/stop"), &json!({})).await;
    assert_eq!((status, &done["error_code"]), (StatusCode::CONFLICT, &json!("REPLAY_COMPLETED")));

    let wrong = json!({
        "url": "ftp://x", "from": "yesterday", "rate_per_second": 0, "max_attempts": 1.5,
        "filter": { "type": "StepRedy", "colour": 1, "execution_id": "x" },
    });
    let (status, refused) = server.post("/api/v1/replays", &wrong).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let paths: Vec<_> = refused["details"]["problems"]
        .as_array()
        .expect("problems")
        .iter()
        .map(|problem| problem["path"].as_str().expect("a path"))
        .collect();
    for path in [
        "from",
        "rate_per_second",
        "max_attempts",
        "filter.type",
        "filter.colour",
        "filter.execution_id",
    ] {
        assert!(paths.contains(&path), "{path}: {paths:?}");
    }
    let (status, missing) = server.get("/api/v1/replays/replay_1").await;
    assert_eq!(
        (status, &missing["error_code"]),
        (StatusCode::NOT_FOUND, &json!("REPLAY_NOT_FOUND"))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_makes_a_view_anew_as_a_whole_only() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    server.run("two", &json!({ "name": "Ada" })).await;
    let path = "/api/v1/replays";
    let (status, begun) = server.post(path, &json!({ "view": "runs" })).await;
    assert_eq!((status, &begun["view"]), (StatusCode::ACCEPTED, &json!("runs")), "{begun}");
    assert_eq!(begun["url"], Value::Null);
    let own = format!("{path}/{}", begun["replay_id"].as_str().expect("an id"));
    let ended = loop {
        let (_, shown) = server.get(&own).await;
        if shown["status"] != "running" {
            break shown;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(ended["positions"], ended["to_positions"]);
    let (_, views) = server.get("/api/v1/admin/views").await;
    assert_eq!(views["views"][0]["rebuilds"], 1, "{views}");
    let (_, list) = server.get("/api/v1/executions").await;
    assert_eq!(list["executions"].as_array().map(Vec::len), Some(1));
    let range = json!({ "view": "runs", "from": "2026-01-01T00:00:00Z", "rate_per_second": 1 });
    let (status, refused) = server.post(path, &range).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused["details"]["problems"].as_array().map(Vec::len), Some(2), "{refused}");
    assert!(refused.to_string().contains("made anew as a whole"), "{refused}");
    let (status, refused) = server.post(path, &json!({ "view": "rums" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.to_string().contains("runs"), "{refused}");
    let (status, late) = server.post(&format!("{own}/stop"), &json!({ "reason": "x" })).await;
    assert_eq!((status, &late["error_code"]), (StatusCode::CONFLICT, &json!("REPLAY_COMPLETED")));
    let server = Server::start_in(server.stop().await).await;
    assert_eq!(server.get(&own).await.1["status"], "completed");
    let (_, audit) = server.get("/api/v1/audit?action=replay.requested").await;
    assert_eq!(audit["audit"].as_array().map(Vec::len), Some(1), "{audit}");
    server.stop().await;
}
