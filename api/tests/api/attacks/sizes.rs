//! The largest input of each route that records something: refused or taken, it ends no process.

use backstitch_core::ids::Digest;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::guarded::{FIRST_KEY, Guarded};
use crate::server::{TWO_STEPS, answer};

/// More than a commit holds, and nearly as much as a body may have.
const SIZES: [usize; 2] = [200 * 1024, 4 * 1024 * 1024];

/// What is recorded beside runs, with a large text wherever one is read.
fn requests(text: &str) -> Vec<(&'static str, String, Value)> {
    let many = vec![&text[..1_000]; text.len() / 1_000];
    let digest = Digest::of(b"x");
    let keys = || "/api/v1/admin/api-keys".to_owned();
    let policy = || "/api/v1/admin/retention/policy".to_owned();
    let redrives = || "/api/v1/dlq/retries".to_owned();
    let replays = || "/api/v1/replays".to_owned();
    let rollout = || "/api/v1/workflows/two/rollout".to_owned();
    let mut all = vec![
        ("POST", keys(), json!({ "name": text, "permissions": ["*"] })),
        ("POST", keys(), json!({ "name": "a", "permissions": [text] })),
        ("POST", keys(), json!({ "name": "a", "permissions": vec!["*"; text.len() / 8] })),
        ("POST", keys(), json!({ "name": "a", "permissions": ["*"], "namespace": text })),
        ("DELETE", "/api/v1/admin/api-keys/key_1".to_owned(), json!({ "reason": text })),
        ("PUT", policy(), json!({ "rules": [{ "name": text, "keep_for": "1d" }] })),
        ("PUT", policy(), json!({ "rules": [{ "tag": text, "workflow": text, "keep_count": 1 }] })),
        ("PUT", policy(), json!({ "rules": [{ "status": vec!["failed"; text.len() / 16] }] })),
        ("PUT", policy(), json!({ "rules": vec![json!({ "name": "a" }); text.len() / 64] })),
        ("POST", "/api/v1/breakers/svc/open".to_owned(), json!({ "reason": text })),
        ("POST", format!("/api/v1/admin/payloads/{digest}/erase"), json!({ "reason": text })),
        ("POST", "/api/v1/admin/cut".to_owned(), json!({ "keep_for": text })),
        ("POST", redrives(), json!({ "filter": { "code": text, "step": text } })),
        ("POST", redrives(), json!({ "filter": { "code": "x" }, "reason": text })),
        ("POST", replays(), json!({ "url": format!("http://127.0.0.1:9/{text}") })),
        (
            "POST",
            replays(),
            json!({ "url": "http://127.0.0.1:9/", "filter": { "workflow_id": text } }),
        ),
        ("PUT", rollout(), json!({ "stable": 1, "reason": text })),
        ("PUT", rollout(), json!({ "stable": 1, "beta": { "revision": 1, "tags": many } })),
        ("PUT", rollout(), json!({ "stable": 1, "beta": { "revision": 1, "subjects": [text] } })),
        ("POST", format!("{}/kill", rollout()), json!({ "reason": text })),
        ("POST", "/api/v1/admin/backups".to_owned(), json!({ "directory": text })),
    ];
    // A path has its own limit, far below a body's.
    let long = &text[..60_000];
    all.push(("POST", format!("/api/v1/breakers/{long}/open"), json!({})));
    all.push(("DELETE", format!("/api/v1/cache?reason={long}"), json!({})));
    all
}

#[tokio::test]
async fn the_largest_input_of_a_route_ends_no_server() {
    let server = Guarded::start();
    let define = server.ask("POST", "/api/v1/workflows", FIRST_KEY);
    let define = define.header("content-type", "application/yaml").body(TWO_STEPS);
    assert_eq!(answer(define).await.0, StatusCode::CREATED);
    for size in SIZES {
        for (method, path, body) in requests(&"x".repeat(size)) {
            let (status, told) = answer(server.ask(method, &path, FIRST_KEY).json(&body)).await;
            let path = &path[..path.len().min(60)];
            assert!(!status.is_server_error(), "{method} {path} of {size}: {status} {told}");
        }
    }
    alive(&server).await;
}

/// Nothing that was recorded has ended the server, and more can be.
async fn alive(server: &Guarded) {
    let (status, told) = answer(server.ask("DELETE", "/api/v1/cache", FIRST_KEY)).await;
    assert_eq!(status, StatusCode::OK, "{told}");
}

async fn exported(server: &Guarded) -> String {
    let define = server.ask("POST", "/api/v1/workflows", FIRST_KEY);
    let define = define.header("content-type", "application/yaml").body(TWO_STEPS);
    assert_eq!(answer(define).await.0, StatusCode::CREATED);
    let run = json!({ "wait_seconds": 60 });
    let (_, run) = server.post("/api/v1/workflows/two/execute", FIRST_KEY, &run).await;
    assert_eq!(run["status"], "completed");
    let response = server.ask("GET", "/api/v1/export", FIRST_KEY).send().await.expect("an answer");
    response.text().await.expect("a text")
}

/// The file with something else in the lines that hold it, and with a trailer that is right.
fn forged(file: &str, old: &str, new: &str) -> String {
    assert!(file.contains(old), "{old}");
    let lines: Vec<_> = file.lines().collect();
    let (trailer, lines) = lines.split_last().expect("there are lines");
    let lines: String = lines.iter().map(|line| line.replace(old, new) + "\n").collect();
    let mut trailer: Value = serde_json::from_str(trailer).expect("JSON");
    trailer["trailer"]["blake3"] = Digest::of(lines.as_bytes()).to_string().into();
    format!("{lines}{trailer}\n")
}

#[tokio::test]
async fn a_forged_export_ends_no_server() {
    let (source, server) = (Guarded::start(), Guarded::start());
    let file = exported(&source).await;
    let header: Value = serde_json::from_str(file.lines().next().expect("a line")).expect("JSON");
    let store = header["header"]["store"].as_str().expect("a store's id").to_owned();
    let import = |text: String| {
        let request = server.ask("POST", "/api/v1/import", FIRST_KEY);
        answer(request.header("content-type", "application/x-ndjson").body(text))
    };
    for size in [2_000, 200 * 1024] {
        let long = "x".repeat(size);
        for (old, new) in [
            (store.clone(), long.clone()),
            ("\"namespace\":\"default\"".to_owned(), format!("\"namespace\":\"{long}\"")),
            ("\"namespace\":\"default\"".to_owned(), "\"namespace\":\"a/b\"".to_owned()),
        ] {
            let (status, told) = import(forged(&file, &old, &new)).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
            assert_eq!(told["error_code"], "INVALID_EXPORT", "{told}");
        }
    }
    let (status, told) = import(forged(&file, &store, &store)).await;
    assert_eq!((status, &told["imported"]), (StatusCode::OK, &json!(1)), "{told}");
    alive(&server).await;
}
