//! Bad input: a clear 4xx with a stable code, a healthy server, an untouched journal.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::server::{Server, TWO_STEPS, answer};

const DEFINE: &str = "/api/v1/workflows";
const EXECUTE: &str = "/api/v1/workflows/strict/execute";
/// Takes only inputs with an `order_id`.
const STRICT: &str = "
id: strict
input_schema: { type: object, required: [order_id] }
steps: [{ id: only, type: noop }]
";

/// Sends a request that must be refused, and sees to the server's health and the journal.
async fn check(server: &Server, request: RequestBuilder, status: u16, code: &str) -> Value {
    let before = server.records().await;
    let (got, body) = answer(request).await;
    let shown: String = body.to_string().chars().take(600).collect();
    assert_eq!((got.as_u16(), &body["error_code"]), (status, &json!(code)), "{shown}");
    assert_eq!(body["success"], false);
    assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{shown}");
    assert!(body["details"].is_object(), "{shown}");
    assert!(body["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{shown}");
    assert_eq!(server.get("/health").await.0, StatusCode::OK);
    assert_eq!(server.records().await, before, "the journal grew");
    body
}

fn text(
    server: &Server,
    path: &str,
    media_type: &str,
    body: impl Into<reqwest::Body>,
) -> RequestBuilder {
    server.request(Method::POST, path).header("content-type", media_type).body(body)
}

/// A YAML definition that must be refused with one of its problems.
async fn check_definition(server: &Server, yaml: &str, problem: &str) -> String {
    let request = text(server, DEFINE, "application/yaml", yaml.to_owned());
    let body = check(server, request, 422, "INVALID_WORKFLOW_DEFINITION").await;
    let problems = body["details"]["problems"].as_array().expect("problems");
    let found = problems.iter().find(|found| found["code"] == problem);
    let found = found.unwrap_or_else(|| panic!("no {problem} in {problems:?}"));
    let text = |name: &str| found[name].as_str().expect("a text");
    format!("{}: {}", text("path"), text("message"))
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_definitions() {
    let server = Server::start().await;
    let step = |fields: &str| format!("id: w\nsteps: [{{ id: a, type: noop, {fields} }}]");
    let endless = |list: &str| {
        let open: String =
            ["a", "b", "c", "d"].map(|x| format!("{{% for {x} in {list} %}}")).concat();
        let close = "{% endfor %}".repeat(4);
        format!("id: w\nsteps: [{{ id: a, type: transform, with: {{ x: '{open}.{close}' }} }}]")
    };
    for (yaml, problem, says) in [
        (
            "id: w\nsteps: [{id: a, type: noop, needs: [b]}, {id: b, type: noop, needs: [a]}]",
            "CYCLE",
            "a",
        ),
        (
            "id: w\nsteps: [{id: reserve, type: noop}, {id: b, type: noop, needs: [resreve]}]",
            "UNKNOWN_STEP",
            "reserve",
        ),
        ("id: w\nsteps: [{id: a, type: noop}, {id: a, type: noop}]", "DUPLICATE_ID", "a"),
        ("id: w\nsteps: []", "NO_STEPS", "step"),
        ("id: w\nsteps: [{id: a, type: htpp}]", "UNKNOWN_TASK_TYPE", "http"),
        (&step("when: '{{ input. }}'"), "BAD_EXPRESSION", "steps[0].when"),
        (&step("neds: []"), "UNKNOWN_FIELD", "needs"),
        (&step("timeout: soon"), "BAD_DURATION", "soon"),
        (&step("timeout: 9999d"), "OUT_OF_RANGE", "steps[0].timeout"),
        (&step("retry: { max_attempts: -1 }"), "OUT_OF_RANGE", "steps[0].retry.max_attempts"),
        (&endless("range(1000000)"), "BAD_EXPRESSION", "steps[0].with.x"),
        (&endless("input.list"), "EXPRESSION_LIMIT", "steps[0].with.x"),
    ] {
        let said = check_definition(&server, yaml, problem).await;
        assert!(said.contains(says), "{said} does not say {says}");
    }
    let steps: Vec<String> =
        (0..100_000).map(|n| format!("{{\"id\":\"s{n}\",\"type\":\"noop\"}}")).collect();
    let many = format!("{{\"id\":\"w\",\"steps\":[{}]}}", steps.join(","));
    let request = text(&server, DEFINE, "application/json", many);
    let body = check(&server, request, 422, "INVALID_WORKFLOW_DEFINITION").await;
    assert_eq!(body["details"]["problems"][0]["code"], "TOO_MANY_STEPS", "{body}");
    let request = text(&server, "/api/v1/workflows/validate", "application/json", "{}");
    check(&server, request, 422, "INVALID_WORKFLOW_DEFINITION").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_texts() {
    let server = Server::start().await;
    let json = "application/json";
    let body =
        check(&server, text(&server, DEFINE, json, "{\"id\": "), 400, "INVALID_REQUEST").await;
    assert!(body["message"].to_string().contains("line 1 column 7"), "{body}");
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    for request in [
        text(&server, DEFINE, "application/yaml", "a: [b"),
        text(&server, DEFINE, "application/yaml", "a: 1\na: 2"),
        text(&server, DEFINE, json, vec![b'"', 0xff, b'"']),
        text(&server, DEFINE, json, deep),
        text(&server, DEFINE, json, ""),
        text(&server, EXECUTE, json, "{]"),
    ] {
        check(&server, request, 400, "INVALID_REQUEST").await;
    }
    let large = format!("\"{}\"", "x".repeat(10 * 1024 * 1024));
    let body = check(&server, text(&server, DEFINE, json, large), 413, "PAYLOAD_TOO_LARGE").await;
    assert_eq!(body["details"]["bytes_max"], 5 * 1024 * 1024);
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/xml"] {
        let request = text(&server, DEFINE, media_type, "{}");
        check(&server, request, 415, "UNSUPPORTED_MEDIA_TYPE").await;
    }
    let packed = text(&server, DEFINE, json, "{}").header("content-encoding", "gzip");
    let body = check(&server, packed, 415, "UNSUPPORTED_MEDIA_TYPE").await;
    assert!(body["message"].to_string().contains("gzip"), "{body}");
    let untyped = server.request(Method::POST, DEFINE).body("{}");
    check(&server, untyped, 415, "UNSUPPORTED_MEDIA_TYPE").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_submissions() {
    let server = Server::start().await;
    server.define(STRICT).await;
    let execute = |body: Value| server.request(Method::POST, EXECUTE).json(&body);
    let good = json!({ "order_id": "o" });
    for (body, problem, says) in [
        (json!({}), "INPUT_MISMATCH", "order_id"),
        (json!({ "input": good, "inputs": 1 }), "UNKNOWN_FIELD", "did you mean `input`?"),
        (json!({ "input": good, "wait_seconds": 61 }), "OUT_OF_RANGE", "0 to 60"),
        (json!({ "input": good, "wait_seconds": "1" }), "WRONG_TYPE", "number"),
        (json!({ "input": good, "variables": [] }), "WRONG_TYPE", "object"),
        (
            json!({ "input": good, "callbacks": [{ "event": "workflow.complete", "url": "http://a" }] }),
            "BAD_VALUE",
            "workflow.completed",
        ),
        (
            json!({ "input": good, "callbacks": [{ "event": "workflow.failed", "url": "ftp://a" }] }),
            "BAD_URL",
            "http",
        ),
        (json!([]), "WRONG_TYPE", "object"),
    ] {
        let refused = check(&server, execute(body), 422, "INVALID_INPUT").await;
        let problems = refused["details"]["problems"].as_array().expect("problems");
        let found = problems.iter().find(|found| found["code"] == problem);
        assert!(
            found.is_some_and(|found| found.to_string().contains(says)),
            "{problem}: {refused}"
        );
    }
    let large = json!({ "input": { "order_id": "x".repeat(4_300_000) } });
    check(&server, execute(large), 413, "PAYLOAD_TOO_LARGE").await;
    let key = execute(json!({ "input": good })).header("idempotency-key", "");
    check(&server, key, 400, "INVALID_REQUEST").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_ids_paths_methods_and_parameters() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    let run = format!("exec_{}", "0".repeat(36));
    let far = format!("exec_ffff{}", "0".repeat(32));
    let letter = format!("dlq_{}_0", "0".repeat(36));
    let (get, post) = (Method::GET, Method::POST);
    for (method, path, status, code) in [
        (&get, "/api/v1/workflows/none".to_owned(), 404, "WORKFLOW_NOT_FOUND"),
        (&get, "/api/v1/workflows/two?revision=2".to_owned(), 404, "WORKFLOW_NOT_FOUND"),
        (&post, "/api/v1/workflows/none/execute".to_owned(), 404, "WORKFLOW_NOT_FOUND"),
        (&get, format!("/api/v1/executions/{run}"), 404, "EXECUTION_NOT_FOUND"),
        (&get, format!("/api/v1/executions/{far}"), 404, "EXECUTION_NOT_FOUND"),
        (&get, format!("/api/v1/executions/{run}/events"), 404, "EXECUTION_NOT_FOUND"),
        (&post, format!("/api/v1/executions/{run}/cancel"), 404, "EXECUTION_NOT_FOUND"),
        (&get, "/api/v1/executions/nonsense".to_owned(), 404, "EXECUTION_NOT_FOUND"),
        (&get, format!("/api/v1/dlq/{letter}"), 404, "DEAD_LETTER_NOT_FOUND"),
        (&post, format!("/api/v1/dlq/{letter}/retry"), 404, "DEAD_LETTER_NOT_FOUND"),
        (&post, "/api/v1/dlq/nonsense/discard".to_owned(), 404, "DEAD_LETTER_NOT_FOUND"),
        (&get, "/api/v1/nothing".to_owned(), 404, "NOT_FOUND"),
        (&get, "/".to_owned(), 404, "NOT_FOUND"),
        (&get, "/api/v1/workflows/%ff".to_owned(), 400, "INVALID_REQUEST"),
        (&Method::DELETE, "/api/v1/limits".to_owned(), 405, "METHOD_NOT_ALLOWED"),
        (&get, "/api/v1/workflows/two/execute".to_owned(), 405, "METHOD_NOT_ALLOWED"),
        (&get, "/api/v1/executions?limit=0".to_owned(), 400, "INVALID_REQUEST"),
        (&get, "/api/v1/executions?limit=1001".to_owned(), 400, "INVALID_REQUEST"),
        (&get, "/api/v1/executions?limit=ten".to_owned(), 400, "INVALID_REQUEST"),
        (&get, "/api/v1/executions?status=complete".to_owned(), 400, "INVALID_REQUEST"),
        (&get, "/api/v1/executions?stauts=completed".to_owned(), 400, "INVALID_REQUEST"),
        (&get, "/api/v1/executions?cursor=nonsense".to_owned(), 400, "INVALID_REQUEST"),
        (&get, "/api/v1/dlq?status=lost".to_owned(), 400, "INVALID_REQUEST"),
        (&get, "/health?x=1".to_owned(), 400, "INVALID_REQUEST"),
        (&post, "/api/v1/workflows/two/execute?wait=1".to_owned(), 400, "INVALID_REQUEST"),
        (&get, format!("/api/v1/executions/{run}?full=1"), 400, "INVALID_REQUEST"),
        (&get, "/api/v1/dlq?kind=other".to_owned(), 400, "INVALID_REQUEST"),
    ] {
        check(&server, server.request(method.clone(), &path), status, code).await;
    }
    let wrong = server.request(Method::DELETE, DEFINE).send().await.expect("an answer");
    assert_eq!(wrong.headers()["allow"], "GET,HEAD,POST");
    let wrong = server.request(Method::DELETE, DEFINE);
    let wrong = check(&server, wrong, 405, "METHOD_NOT_ALLOWED").await;
    assert!(wrong["message"].to_string().contains("it takes GET, HEAD, POST"), "{wrong}");
    let none = server.request(Method::GET, "/info?x=1");
    let none = check(&server, none, 400, "INVALID_REQUEST").await;
    assert!(none["message"].to_string().contains("this path takes none"), "{none}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_of_the_loopback() {
    let server = Server::start().await;
    for (name, value) in [("host", "evil.example.com"), ("origin", "https://evil.example.com")] {
        let request = server.request(Method::GET, "/health").header(name, value);
        check(&server, request, 403, "FORBIDDEN_HOST").await;
    }
    let local = server.request(Method::GET, "/health").header("origin", "http://localhost:3000");
    assert_eq!(answer(local).await.0, StatusCode::OK);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_too_large() {
    let server = Server::start().await;
    let large = server.request(Method::GET, "/health").header("x-large", "x".repeat(100_000));
    // Refused below the router, so without the envelope.
    assert_eq!(answer(large).await.0, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(server.get("/health").await.0, StatusCode::OK);
    server.stop().await;
}
