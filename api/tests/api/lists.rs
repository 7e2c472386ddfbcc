//! Lists, statistics, the audit and the views behind them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Server, TWO_STEPS, answer};

const TAGGED: &str = "
id: tagged
tags: [nightly, billing]
steps:
  - { id: only, type: noop }
";
/// Fails at once and leaves a letter.
const FAILING: &str = "
id: failing
on_failure: halt
steps:
  - { id: only, type: noop, retry: none, with: { fail: { permanent: true } } }
";
/// Waits for longer than any test runs.
const WAITING: &str = "
id: waiting
steps:
  - { id: long, type: wait, with: { duration: 1h } }
";

async fn ids(server: &Server, query: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/executions?limit=2&{query}{cursor}");
        let (status, page) = server.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let rows = page["executions"].as_array().expect("a list");
        ids.extend(rows.iter().map(|row| text(&row["execution_id"])));
        let Some(next) = page["next_cursor"].as_str() else { return ids };
        cursor = format!("&cursor={next}");
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_of_the_definition_and_of_the_submission() {
    let server = Server::start().await;
    server.define(TAGGED).await;
    server.define(TWO_STEPS).await;
    let (_, tagged) = server.get("/api/v1/workflows?tag=billing").await;
    assert_eq!(tagged["workflows"].as_array().map(Vec::len), Some(1));
    assert_eq!(tagged["workflows"][0]["tags"], json!(["nightly", "billing"]));
    let (_, none) = server.get("/api/v1/workflows?tag=bill").await;
    assert_eq!(none["workflows"], json!([]));

    let execute = |workflow: &str, body: Value| {
        let path = format!("/api/v1/workflows/{workflow}/execute");
        answer(server.request(Method::POST, &path).json(&body))
    };
    let body = json!({ "tags": ["vip", "nightly"], "wait_seconds": 60 });
    let (_, run) = execute("tagged", body).await;
    assert_eq!(run["tags"], json!(["billing", "nightly", "vip"]));
    let (_, plain) = execute("two", json!({ "wait_seconds": 60, "tags": ["vip"] })).await;
    let (run, plain) = (text(&run["execution_id"]), text(&plain["execution_id"]));
    let (_, history) = server.get(&format!("/api/v1/executions/{run}/events")).await;
    assert_eq!(history["events"][1]["type"], "ExecutionTagged");
    assert_eq!(ids(&server, "tag=vip").await, [plain.clone(), run.clone()]);
    assert_eq!(ids(&server, "tag=vip&order=asc").await, [run.clone(), plain]);
    assert_eq!(ids(&server, "tag=vip&workflow_id=tagged").await[..], *std::slice::from_ref(&run));
    assert_eq!(ids(&server, "tag=billing&status=completed").await, [run]);
    assert_eq!(ids(&server, "tag=billing&status=failed").await, [""; 0]);

    let many: Vec<_> = (0..33).map(|n| format!("t{n}")).collect();
    let long = "x".repeat(129);
    for (tags, path) in [
        (json!(many), "tags"),
        (json!([""]), "tags[0]"),
        (json!(["ok", long]), "tags[1]"),
        (json!(["ok", 7]), "tags[1]"),
        (json!("vip"), "tags"),
    ] {
        let (status, refused) = execute("two", json!({ "tags": tags })).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused["details"]["problems"][0]["path"], path, "{refused}");
    }
    let bad = json!({ "id": "bad", "tags": many, "steps": [{ "id": "a", "type": "noop" }] });
    let (status, refused) = server.post("/api/v1/workflows", &bad).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused["details"]["problems"][0]["path"], "tags");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_listed_by_time_and_correlation() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    let mut runs = Vec::new();
    for n in 0..5 {
        let body = json!({ "correlation_id": format!("order-{}", n % 2), "wait_seconds": 60 });
        runs.push(server.post("/api/v1/workflows/two/execute", &body).await.1);
    }
    let id = |at: usize| text(&runs[at]["execution_id"]);
    let at = |at: usize| text(&runs[at]["submitted_at"]);
    assert_eq!(ids(&server, "correlation_id=order-1").await, [id(3), id(1)]);
    let since = format!("submitted_after={}", at(2));
    assert_eq!(ids(&server, &since).await, [id(4), id(3), id(2)]);
    let between = format!("submitted_after={}&submitted_before={}&order=asc", at(1), at(3));
    assert_eq!(ids(&server, &between).await, [id(1), id(2)]);
    let ended = format!("ended_before={}", text(&runs[1]["completed_at"]));
    assert_eq!(ids(&server, &ended).await, [id(0)]);
    for query in ["submitted_after=yesterday", "order=up", "tags=a", "ended_before=2026-01-01"] {
        let (status, refused) = server.get(&format!("/api/v1/executions?{query}")).await;
        assert_eq!(
            (status, &refused["error_code"]),
            (StatusCode::BAD_REQUEST, &json!("INVALID_REQUEST"))
        );
    }
    let (_, page) = server.get("/api/v1/executions?limit=2&order=asc").await;
    let cursor = text(&page["next_cursor"]);
    let (status, refused) = server.get(&format!("/api/v1/executions?cursor={cursor}")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text(&refused["message"]).contains("another list"), "{refused}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_listed_by_kind_code_and_run() {
    let server = Server::start().await;
    server.define(FAILING).await;
    let run = text(&server.run("failing", &json!({})).await["execution_id"]);
    server.run("failing", &json!({})).await;
    let count = async |query: &str| {
        let (status, page) = server.get(&format!("/api/v1/dlq?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        page["letters"].as_array().map(Vec::len)
    };
    assert_eq!(count("kind=step").await, Some(2));
    assert_eq!(count("kind=undo").await, Some(0));
    assert_eq!(count("code=NOOP_FAILED&kind=step").await, Some(2));
    assert_eq!(count("code=OTHER").await, Some(0));
    assert_eq!(count(&format!("execution_id={run}&order=asc")).await, Some(1));
    assert_eq!(count("opened_before=2020-01-01T00:00:00Z").await, Some(0));
    let (status, _) = server.get("/api/v1/dlq?execution_id=exec_1").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_follow_the_runs() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    server.define(FAILING).await;
    server.define(TAGGED).await;
    for _ in 0..3 {
        server.run("two", &json!({})).await;
    }
    let last = server.run("failing", &json!({})).await;
    // They are as of the last tick.
    let all = loop {
        let (status, all) = server.get("/api/v1/statistics").await;
        assert_eq!(status, StatusCode::OK);
        if all["total"]["ended"] == 4 {
            break all;
        }
    };
    assert_eq!(all["total"]["by_status"]["completed"], 3);
    assert_eq!(all["total"]["success_rate"], 0.75);
    let names: Vec<_> = all["workflows"].as_array().expect("a list").iter().collect();
    assert_eq!(names.len(), 3);
    assert_eq!((&names[1]["workflow_id"], &names[1]["executions"]), (&json!("tagged"), &json!(0)));
    assert_eq!(
        (&names[1]["success_rate"], &names[1]["last_execution"]),
        (&Value::Null, &Value::Null)
    );
    let (_, own) = server.get("/api/v1/workflows/failing/statistics").await;
    assert_eq!((&own["executions"], &own["success_rate"]), (&json!(1), &json!(0.0)));
    assert_eq!(own["last_execution"]["execution_id"], last["execution_id"]);
    assert!(own["duration_ms"]["average"].is_number() && own["duration_ms"]["p95"].is_number());
    let (status, _) = server.get("/api/v1/workflows/unknown/statistics").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_says_who_did_what() {
    let server = Server::start().await;
    server.define(WAITING).await;
    server.define(FAILING).await;
    let (_, waiting) = server.post("/api/v1/workflows/waiting/execute", &json!({})).await;
    let waiting = text(&waiting["execution_id"]);
    let cancel = format!("/api/v1/executions/{waiting}/cancel");
    server.post(&cancel, &json!({ "reason": "wrong order" })).await;
    let failed = server.run("failing", &json!({})).await;
    let letter = text(&failed["dead_letters"][0]["letter_id"]);
    server.post(&format!("/api/v1/dlq/{letter}/discard"), &json!({ "reason": "no use" })).await;
    let audit = async |query: &str| {
        let (status, page) = server.get(&format!("/api/v1/audit?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        page["audit"].as_array().expect("a list").clone()
    };
    let words = |rows: &[Value]| rows.iter().map(|row| text(&row["action"])).collect::<Vec<_>>();
    let all = audit("order=asc").await;
    let defined = "workflow.defined";
    assert_eq!(words(&all), [defined, defined, "execution.cancelled", "letter.discarded"]);
    assert_eq!((&all[2]["detail"], &all[2]["actor"]), (&json!("wrong order"), &json!("anonymous")));
    // The text of the definition stands before it.
    assert_eq!(text(&all[0]["position"]), "1:0:2");
    let run = text(&failed["execution_id"]);
    assert_eq!(words(&audit(&format!("target={run}")).await), ["letter.discarded"]);
    assert_eq!(words(&audit(&format!("target={letter}")).await), ["letter.discarded"]);
    assert_eq!(audit("action=execution.cancelled&actor=anonymous").await.len(), 1);
    assert_eq!(audit("actor=nobody").await.len(), 0);
    let period = format!("after={}&before={}", text(&all[1]["at"]), text(&all[3]["at"]));
    assert_eq!(audit(&period).await.len(), 2);
    let (status, _) = server.get("/api/v1/audit?action=execution.submitted").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    // It outlives the process.
    let server = Server::start_in(server.stop().await).await;
    let (_, again) = server.get("/api/v1/audit?order=asc").await;
    assert_eq!(again["audit"], json!(all));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_rebuilt_and_tell_how_they_stand() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    for _ in 0..3 {
        server.run("two", &json!({})).await;
    }
    let before = ids(&server, "").await;
    for view in ["runs", "letters", "audit"] {
        let (status, begun) =
            server.post("/api/v1/admin/views/rebuild", &json!({ "view": view })).await;
        assert_eq!((status, &begun["view"]), (StatusCode::ACCEPTED, &json!(view)));
        loop {
            let (_, standing) = server.get("/api/v1/admin/views").await;
            let views = standing["views"].as_array().expect("a list");
            let own = views.iter().find(|own| own["view"] == view).expect("it is there");
            assert_eq!(own["rebuild_error"], Value::Null);
            if own["rebuilds"] == 1 {
                assert_eq!(own["tree"], 2);
                break;
            }
        }
    }
    assert_eq!(ids(&server, "").await, before);
    let (status, refused) =
        server.post("/api/v1/admin/views/rebuild", &json!({ "view": "run" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused["message"].to_string().contains("runs"), "{refused}");
    let (status, _) = server.post("/api/v1/admin/views/rebuild", &json!({})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (_, info) = server.get("/info").await;
    assert_eq!(info["views"].as_array().map(Vec::len), Some(3));
    server.stop().await;
}
