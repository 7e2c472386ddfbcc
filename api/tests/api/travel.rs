//! Time travel and the event history over HTTP.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{Server, TWO_STEPS};

/// A workflow whose output depends on its input.
const DOUBLE: &str = "
id: double
steps:
  - { id: first, type: transform, with: { n: '{{ input.n }}' } }
  - { id: second, type: noop, needs: [first], with: { output: { n: '{{ steps.first.output.n }}' } } }
";

fn id(run: &Value) -> &str {
    run["execution_id"].as_str().expect("an id")
}

fn code(answer: &(StatusCode, Value)) -> (u16, &str) {
    (answer.0.as_u16(), answer.1["error_code"].as_str().unwrap_or("none"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_shown_as_it_was_at_any_version_and_instant() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    let run = server.run("two", &json!({})).await;
    let path = format!("/api/v1/executions/{}", id(&run));
    let last = run["version"].as_u64().expect("a version");
    for version in 1..=last {
        let (status, shown) = server.get(&format!("{path}?version={version}")).await;
        assert_eq!((status, &shown["as_of"]["version"]), (StatusCode::OK, &json!(version)));
        assert_eq!(shown["version"], json!(version));
        let at = shown["as_of"]["at"].as_str().expect("an instant");
        let (_, by_instant) = server.get(&format!("{path}?at={at}")).await;
        assert!(by_instant["version"].as_u64() >= Some(version));
        assert_eq!(by_instant["as_of"]["at"], at);
    }
    let (_, mut newest) = server.get(&format!("{path}?version={last}")).await;
    newest.as_object_mut().expect("an object").remove("as_of");
    assert_eq!(newest, run, "the newest version is the run itself");
    for (query, expected) in [
        (format!("version={}", last + 1), (404, "POINT_NOT_FOUND")),
        ("version=0".to_owned(), (404, "POINT_NOT_FOUND")),
        ("at=2001-01-01T00:00:00Z".to_owned(), (404, "POINT_NOT_FOUND")),
        ("at=2999-01-01T00:00:00Z".to_owned(), (404, "POINT_NOT_FOUND")),
        ("at=yesterday".to_owned(), (400, "INVALID_REQUEST")),
        ("version=1&at=2001-01-01T00:00:00Z".to_owned(), (400, "INVALID_REQUEST")),
    ] {
        let answer = server.get(&format!("{path}?{query}")).await;
        assert_eq!(code(&answer), expected, "{query}: {}", answer.1);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_and_comparisons_name_the_step_and_the_field() {
    let server = Server::start().await;
    server.define(DOUBLE).await;
    let one = server.run("double", &json!({ "n": 1 })).await;
    let again = server.run("double", &json!({ "n": 1 })).await;
    let other = server.run("double", &json!({ "n": 2 })).await;
    let (status, diff) = server.get(&format!("/api/v1/executions/{}/diff", id(&one))).await;
    assert_eq!(status, StatusCode::OK, "{diff}");
    let changes = diff["changes"].as_array().expect("changes");
    let first = changes.iter().find(|own| own["path"] == "/steps/first/output").expect("it ended");
    assert_eq!((&first["step"], &first["field"]), (&json!("first"), &json!("output")));
    assert_eq!((&first["before"], &first["after"]), (&Value::Null, &json!({ "n": 1 })));
    let versions = one["version"].as_u64().expect("a version");
    assert_eq!(diff["events"].as_array().map(Vec::len), Some(versions as usize - 1));
    let path = format!("/api/v1/executions/{}/diff?from={versions}&to={versions}", id(&one));
    assert_eq!(server.get(&path).await.1["changes"], json!([]));

    let compare = |left, right| format!("/api/v1/executions/{}/compare/{}", id(left), id(right));
    let (status, same) = server.get(&compare(&one, &again)).await;
    assert_eq!((status, &same["first_divergence"]), (StatusCode::OK, &Value::Null), "{same}");
    let (_, compared) = server.get(&compare(&one, &other)).await;
    assert_eq!(compared["first_divergence"]["field"], "input.n", "{compared}");
    assert_eq!(compared["first_divergence"]["left"], 1);
    assert_eq!(compared["first_divergence"]["right"], 2);
    assert_eq!(compared["steps"][0]["output_equal"], false);
    let missing = "exec_000000000000000000000000000000000000";
    let answer = server.get(&format!("/api/v1/executions/{}/compare/{missing}", id(&one))).await;
    assert_eq!(code(&answer), (404, "EXECUTION_NOT_FOUND"));
    server.stop().await;
}

/// Every event of the history, page by page.
async fn history(server: &Server, query: &str) -> Vec<Value> {
    let (mut events, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/events?{query}&after={cursor}");
        let (status, page) = server.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        events.extend(page["events"].as_array().expect("a list").iter().cloned());
        cursor = page["next_cursor"].as_str().expect("a cursor").to_owned();
        if page["more"] == false {
            return events;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_history_is_every_event_once_in_order_through_filters() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    server.define(DOUBLE).await;
    let mut runs = Vec::new();
    for n in 0..4 {
        runs.push(server.run(["two", "double"][n % 2], &json!({ "n": n })).await);
    }
    let all = history(&server, "limit=3").await;
    assert_eq!(all, history(&server, "limit=1000").await);
    assert_eq!(all.len() as u64, server.records().await);
    assert!(all.is_sorted_by_key(|event| event["committed_at"].as_str().map(str::to_owned)));
    for run in &runs {
        let own = history(&server, &format!("execution_id={}", id(run))).await;
        let (_, told) = server.get(&format!("/api/v1/executions/{}/events", id(run))).await;
        let mut told = told["events"].as_array().expect("events").clone();
        for (event, told) in own.iter().zip(&mut told) {
            told["committed_at"] = event["committed_at"].clone();
            told.as_object_mut().expect("an object").remove("kept_beside");
        }
        assert_eq!(own, told);
    }
    let ended = history(&server, "type=ExecutionEnded,WorkflowDefined&workflow_id=two").await;
    let types: Vec<_> = ended.iter().map(|event| event["type"].as_str().expect("a type")).collect();
    assert_eq!(types, ["WorkflowDefined", "ExecutionEnded", "ExecutionEnded"]);
    let middle = all[all.len() / 2]["committed_at"].as_str().expect("an instant").to_owned();
    let early = history(&server, &format!("to={middle}")).await;
    let late = history(&server, &format!("from={middle}")).await;
    assert_eq!([early, late].concat(), all);
    let path = format!("/api/v1/executions/{}/events?type=StepReady&limit=1", id(&runs[0]));
    let (_, page) = server.get(&path).await;
    assert_eq!(page["events"].as_array().map(Vec::len), Some(1));
    let next = format!("{path}&after_version={}", page["next_after_version"]);
    let (_, rest) = server.get(&next).await;
    assert_eq!(rest["events"][0]["type"], "StepReady");
    assert_eq!(rest["next_after_version"], Value::Null);

    for (query, expected) in [
        ("type=StepRedy", (400, "INVALID_REQUEST")),
        ("after=nonsense", (400, "INVALID_REQUEST")),
        ("after=e1.1.0", (410, "CURSOR_OUTDATED")),
        ("after=e1.7.0.0.0.0", (410, "CURSOR_OUTDATED")),
        ("execution_id=exec_", (400, "INVALID_REQUEST")),
    ] {
        let answer = server.get(&format!("/api/v1/events?{query}")).await;
        assert_eq!(code(&answer), expected, "{query}: {}", answer.1);
    }
    server.stop().await;
}
