//! A permission that would include another: what a route's own permission does not allow.

use std::time::Duration;

use backstitch_api::http::{Access, Route, routes};
use backstitch_core::access::Permission;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::tenants::{define, run};
use crate::guarded::{FIRST_KEY, Guarded, is_refused};
use crate::server::{TWO_STEPS, answer};
use crate::tokens::{SECRET, claims, hs256};

const FAILS: &str = "
id: fails
steps:
  - { id: a, type: transform, with: '{{ input.missing.field }}' }
";

fn token(permissions: &[Permission]) -> String {
    let words: Vec<_> = permissions.iter().map(|own| own.word()).collect();
    hs256(&claims("ann", &words), SECRET.as_bytes())
}

/// What is sent to have a request of a route need a further permission.
fn request(route: &Route, further: Permission, run: &str, letter: &str) -> (String, Value) {
    let of = |body: Value| (route.path.to_owned(), body);
    match (route.method, route.path, further) {
        ("POST", "/api/v1/workflows/{workflow_id}/dry-run", _) => {
            ("/api/v1/workflows/two/dry-run".to_owned(), json!({ "recorded": run }))
        }
        ("GET", "/api/v1/workflows", _) => ("/api/v1/workflows?status=active".into(), Value::Null),
        ("POST", "/api/v1/workflows", _) => {
            ("/api/v1/workflows?execute=true".to_owned(), json!({ "id": "two" }))
        }
        ("DELETE", "/api/v1/workflows/{workflow_id}", _) => {
            ("/api/v1/workflows/two?purge=true".to_owned(), Value::Null)
        }
        ("GET", "/api/v1/workflows/{workflow_id}", _) => {
            (format!("/api/v1/workflows/{run}"), Value::Null)
        }
        (_, path, Permission::LettersRead) => {
            (path.replace("{letter_id}", letter), json!({ "assignee": "bob", "text": "seen" }))
        }
        (_, _, Permission::HistoryRead) => of(json!({ "url": "http://127.0.0.1:9/" })),
        (_, _, Permission::ViewsWrite) => of(json!({ "view": "runs" })),
        ("POST", "/api/v1/admin/api-keys", _) => {
            of(json!({ "name": "a", "permissions": ["keys:write"], "namespace": "other" }))
        }
        ("GET", "/api/v1/admin/api-keys", _) => {
            ("/api/v1/admin/api-keys?namespace=other".to_owned(), Value::Null)
        }
        // In `audited`.
        ("GET", "/api/v1/audit/{position}", _) => (String::new(), Value::Null),
        // In `secrets.rs`.
        ("POST", "/api/v1/dlq/{letter_id}/retry", _)
        | ("DELETE", "/api/v1/admin/api-keys/{key_id}", _)
        | (_, "/api/v1/statistics" | "/workflows/statistics", _)
        | (_, "/api/v1/workflows/{workflow_id}/statistics", _) => (String::new(), Value::Null),
        (method, path, _) => panic!("what {method} {path} asks for has no case here"),
    }
}

#[tokio::test]
async fn what_a_route_asks_for_beside_its_permission_is_asked_for() {
    let server = Guarded::start();
    define(&server, FIRST_KEY, TWO_STEPS).await;
    define(&server, FIRST_KEY, FAILS).await;
    let done = run(&server, FIRST_KEY, "two", &json!({}), 60).await;
    let failed = run(&server, FIRST_KEY, "fails", &json!({}), 60).await;
    let id = |run: &Value| run["execution_id"].as_str().expect("an id").to_owned();
    let (_, letters) = server.get("/api/v1/dlq", FIRST_KEY).await;
    let letter = letters["letters"][0]["letter_id"].as_str().expect("a letter").to_owned();
    assert_eq!(letters["letters"][0]["execution_id"], id(&failed).as_str());
    for route in routes() {
        let Access::Needs(needed) = route.access else { continue };
        for further in route.further.iter().map(|own| own.permission) {
            let (path, mut body) = request(&route, further, &id(&done), &letter);
            if path.is_empty() || further == Permission::LettersRead {
                // Shown with less, below.
                continue;
            }
            for (permissions, refused) in [(vec![needed], true), (vec![needed, further], false)] {
                let asked = server.ask(route.method, &path, &token(&permissions));
                let asked = if body.is_null() { asked } else { asked.json(&body) };
                let (status, told) = answer(asked).await;
                assert_eq!(is_refused(status, &told), refused, "{route:?}: {told}");
                if refused {
                    assert_eq!(told["details"]["permission"], further.word());
                }
            }
            body.take();
        }
    }
}

#[tokio::test]
async fn an_answer_leaves_out_what_its_reader_may_not_read() {
    let server = Guarded::start();
    define(&server, FIRST_KEY, FAILS).await;
    let failed = run(&server, FIRST_KEY, "fails", &json!({ "secret": "s3cret" }), 60).await;
    let (_, letters) = server.get("/api/v1/dlq", FIRST_KEY).await;
    let letter = letters["letters"][0]["letter_id"].as_str().expect("a letter").to_owned();
    let (write, read) = (Permission::LettersWrite, Permission::LettersRead);
    for (word, body) in
        [("assign", json!({ "assignee": "bob" })), ("notes", json!({ "text": "seen" }))]
    {
        let path = format!("/api/v1/dlq/{letter}/{word}");
        let (status, told) = server.post(&path, &token(&[write]), &body).await;
        assert_eq!((status, &told), (StatusCode::OK, &json!({ "letter_id": letter })));
        let (_, told) = server.post(&path, &token(&[write, read]), &body).await;
        assert!(told.as_object().is_some_and(|own| own.len() > 5), "{told}");
    }
    let (reader, both) = (
        token(&[Permission::WorkflowsRead]),
        token(&[Permission::WorkflowsRead, Permission::ExecutionsRead]),
    );
    let id = failed["execution_id"].as_str().expect("an id");
    for path in [
        "/api/v1/statistics",
        "/api/v1/workflows/fails/statistics",
        "/workflows/statistics",
        "/api/v1/workflows/fails",
    ] {
        // Statistics know of a run with the next tick.
        while !server.get(path, &both).await.1.to_string().contains(id) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (status, told) = server.get(path, &reader).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(!told.to_string().contains(id), "{path}: {told}");
    }
}

#[tokio::test]
async fn who_lives_is_told_to_everybody_and_how_much_to_nobody() {
    let server = Guarded::start();
    assert_eq!(server.get("/health", "").await.1, json!({ "status": "healthy" }));
    let (_, told) = server.get("/orchestrator/health", "").await;
    let names: Vec<_> = told.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["status", "timestamp"]);
    let reader = token(&[Permission::OperationsRead]);
    assert!(server.get("/info", &reader).await.1["warnings"].is_array());
    assert!(server.get("/health/system", &reader).await.1["metrics"].is_object());
}

#[tokio::test]
async fn nobody_is_called_as_the_program_is_or_a_run() {
    let server = Guarded::start_with(&["--jwt-require-namespace", "on"]);
    let of = |subject: &str, namespace: Value| {
        let mut claims = claims(subject, &["workflows:read"]);
        claims["namespace"] = namespace;
        hs256(&claims, SECRET.as_bytes())
    };
    let status = async |token: String| server.get("/api/v1/workflows", &token).await.0;
    assert_eq!(status(of("ann", json!("other"))).await, StatusCode::OK);
    assert_eq!(status(of("ann", Value::Null)).await, StatusCode::UNAUTHORIZED);
    let without = hs256(&claims("ann", &["workflows:read"]), SECRET.as_bytes());
    assert_eq!(status(without).await, StatusCode::UNAUTHORIZED);
    for taken in
        ["retention", "backstitch", "anonymous", "shutdown", "exec_1", "key_1", "redrive_1"]
    {
        let answered = status(of(taken, json!("other"))).await;
        assert_eq!(answered, StatusCode::UNAUTHORIZED, "{taken}");
    }
}

#[tokio::test]
async fn who_was_refused_is_logged_and_no_path_fills_the_log() {
    let server = Guarded::start();
    let (id, key) = server.key(&["workflows:read"], "default").await;
    let path = format!("/api/v1/breakers/{}/open", "x".repeat(20_000));
    let asked = server.ask("POST", &path, &key).header("x-request-id", "refused-one");
    let (status, told) = answer(asked.json(&json!({}))).await;
    assert!(is_refused(status, &told), "{told}");
    let line = server.logged(["a request to change something", "refused-one"]);
    assert_eq!((&line["actor"], &line["status"]), (&json!(id), &json!(403)));
    assert_eq!(line["path"].as_str().map(str::len), Some(256));
}
