//! Secrets that steps refer to: they reach the service, and nobody else sees them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::attacks::define;
use crate::guarded::{FIRST_KEY, Guarded};

pub const SECRET: &str = "sk-live-8uQx0Zt5w";

/// A service that says back what it hears, in every form that it knows.
pub async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(|uri: Uri, headers: HeaderMap, body: String| async move {
        let heard = headers["authorization"].to_str().expect("a text").to_owned();
        let coded = STANDARD.encode(format!("user:{heard}"));
        let said = json!({ "heard": heard, "coded": coded, "uri": uri.to_string(), "body": body });
        let status = if uri.path() == "/fails" { 422 } else { 200 };
        (StatusCode::from_u16(status).expect("a status"), axum::Json(said))
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// A server with secrets of the namespace `default`, and one folder for `other`.
pub fn server(folder: &Path) -> Guarded {
    fs::create_dir_all(folder.join("default")).expect("a folder");
    fs::write(folder.join("default/token"), format!("{SECRET}\n")).expect("a file");
    let folder = folder.display().to_string();
    Guarded::start_with(&["--secrets-dir", Box::leak(folder.into_boxed_str())])
}

pub fn definition(id: &str, url: &str) -> String {
    json!({ "id": id, "steps": [{
        "id": "call", "type": "http", "retry": "none",
        "with": {
            "method": "POST", "url": url,
            "headers": { "authorization": "Bearer {{ secrets.token }}" },
            "query": { "key": "{{ secrets[\"token\"] }}" },
            "body": { "data": "{{ input.data }}", "token": "{{ secrets.token }}" },
        },
        "undo": { "type": "noop" },
    }], "on_failure": "suspend" })
    .to_string()
}

/// A new run, once it goes no further by itself.
pub async fn run(server: &Guarded, token: &str, workflow: &str, input: &Value) -> Value {
    let path = format!("/api/v1/workflows/{workflow}/execute");
    let (_, begun) = server.post(&path, token, &json!({ "input": input })).await;
    let path = format!("/api/v1/executions/{}", begun["execution_id"].as_str().expect("an id"));
    loop {
        let (_, shown) = server.get(&path, token).await;
        if !["pending", "running"].contains(&shown["status"].as_str().expect("a status")) {
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The files below a folder that have a text in them, and how many there are.
pub fn files_with(folder: &Path, text: &str) -> (Vec<String>, usize) {
    let (mut found, mut files) = (Vec::new(), 0);
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            let (below, count) = files_with(&path, text);
            found.extend(below);
            files += count;
            continue;
        }
        files += 1;
        let bytes = fs::read(&path).unwrap_or_default();
        let has = bytes.windows(text.len()).any(|own| own == text.as_bytes());
        found.extend(has.then(|| path.display().to_string()));
    }
    (found, files)
}

#[tokio::test]
async fn a_secret_reaches_the_service_and_stays_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut server, url) = (server(folder.path()), echo().await);
    define(&server, FIRST_KEY, &definition("calls", &format!("{url}/calls"))).await;
    define(&server, FIRST_KEY, &definition("fails", &format!("{url}/fails"))).await;
    // What somebody submits is data, whatever it looks like.
    let forged = json!({ "data": { "$secret": "token" } });
    let done = run(&server, FIRST_KEY, "calls", &forged).await;
    assert_eq!(done["status"], "completed", "{done}");
    let said = &done["steps"]["call"]["output"]["body"];
    assert_eq!(said["heard"], "Bearer [secret token]");
    assert_eq!(said["uri"], "/calls?key=[secret token]");
    let body = r#"{"data":{"$secret":"token"},"token":"[secret token]"}"#;
    assert_eq!(said["body"], body, "the forged one reached the service as it was submitted");
    let path = format!("/api/v1/executions/{}", done["execution_id"].as_str().expect("an id"));
    let (_, shown) = server.get(&path, FIRST_KEY).await;
    let input = &shown["steps"]["call"]["input"];
    assert_eq!(
        input["headers"]["authorization"],
        json!({ "$secret": ["Bearer ", { "name": "token" }] })
    );
    let failed = run(&server, FIRST_KEY, "fails", &json!({ "data": 1 })).await;
    assert_eq!(failed["status"], "suspended", "{failed}");
    let (_, letters) = server.get("/api/v1/dlq", FIRST_KEY).await;
    assert!(letters.to_string().contains("[secret token]"), "{letters}");
    // Whoever may settle letters could send it elsewhere.
    let letter = letters["letters"][0]["letter_id"].as_str().expect("an id");
    let retry = format!("/api/v1/dlq/{letter}/retry");
    let (_, letter) = server.get(&format!("/api/v1/dlq/{letter}"), FIRST_KEY).await;
    let edited = json!({ "input": letter["input"], "reason": "again" });
    let (_, settler) = server.key(&["letters:read", "letters:write"], "default").await;
    let refused = server.post(&retry, &settler, &edited).await;
    assert_eq!(refused.0, StatusCode::FORBIDDEN, "{refused:?} {letter}");
    let patch = json!({ "url": format!("{url}/else") });
    let filter = json!({ "workflow_id": "fails" });
    let bulk = json!({ "filter": filter, "input_patch": patch, "reason": "moved" });
    let (status, told) = server.post("/api/v1/dlq/retries", FIRST_KEY, &bulk).await;
    assert_eq!(status, StatusCode::CONFLICT, "{told}");
    assert!(told["message"].as_str().expect("a text").contains("secrets"), "{told}");
    // A kill leaves the reference, and what it refers to is read anew.
    let changed = "sk-live-changed-since";
    fs::write(folder.path().join("default/token"), changed).expect("a file");
    server.start_again();
    while server.get("/ready", "").await.0 != StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.post(&retry, FIRST_KEY, &edited).await.0, StatusCode::ACCEPTED);
    let letters = loop {
        let (_, letters) = server.get("/api/v1/dlq?status=open", FIRST_KEY).await;
        if letters["letters"].as_array().is_some_and(|own| !own.is_empty()) {
            break letters.to_string();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(letters.contains("Bearer [secret token]"), "{letters}");
    let (_, export) = server.get(&format!("{path}/events"), FIRST_KEY).await;
    assert!(!export.to_string().contains(SECRET));
    // Neither the journal nor what is made of it has the secret in any form.
    let coded = STANDARD.encode(format!("user:Bearer {SECRET}"));
    for text in [SECRET, changed, &coded[16..32]] {
        let (found, files) = files_with(server.folder.path(), text);
        assert!(found.is_empty() && files > 3, "{text}: {found:?} of {files}");
    }
}

#[tokio::test]
async fn a_secret_is_of_its_namespace_and_of_tasks_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, url) = (server(folder.path()), echo().await);
    let (_, other) = server.key(&["*"], "other").await;
    define(&server, &other, &definition("calls", &url)).await;
    let failed = run(&server, &other, "calls", &json!({ "data": 1 })).await;
    assert_eq!(failed["status"], "suspended", "{failed}");
    let (_, letters) = server.get("/api/v1/dlq", &other).await;
    let text = letters.to_string();
    assert!(text.contains("SECRET_UNAVAILABLE") && text.contains("is not there"), "{text}");
    for (step, why) in [
        (json!({ "type": "transform", "with": "{{ secrets.token }}" }), "`with` of tasks alone"),
        (json!({ "type": "noop", "when": "secrets.token == 'x'" }), "`with` of tasks alone"),
        (json!({ "type": "noop", "with": { "output": "{{ secrets.token }}" } }), "no secrets here"),
        (
            json!({ "type": "http", "with": { "url": "http://a/{{ secrets.token | upper }}" } }),
            "stands alone in its braces",
        ),
    ] {
        let mut own = step;
        own["id"] = "a".into();
        let definition = json!({ "id": "wrong", "steps": [own] });
        let (status, told) = server.post("/api/v1/workflows", FIRST_KEY, &definition).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{definition}: {told}");
        assert!(told.to_string().contains(why), "{definition}: {told}");
    }
}
