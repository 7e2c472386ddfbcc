//! Data that looks like a template or a header, and stays data wherever it goes.

use std::fs;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::tenants::{define, run};
use crate::guarded::{FIRST_KEY, Guarded};
use crate::server::{Server, answer};

const SECRET: &str = "sk-live-2kTz0pQ";
/// Templates of ours and of others.
const TEXT: &str = "{{ 7 * 7 }} {{ secrets.token }} {{ input.other }} {% for a in [1] %}x{% endfor %} \
                    {# gone #} {{- 'a' -}} ${7*7} #{7*7} <%= 7*7 %> $(id) `id` {{ ''.__class__ }} }} {{ {%";
/// What would begin another header, another request, or another line of a log.
pub const FORGED: &str = "a\r\nX-Evil: 1\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n\
                      2026-01-01T00:00:00.000000Z ERROR forged: \u{1b}[2J\u{7}\u{2028}";

/// What a service was sent: where, under which headers, and what.
pub type Heard = Arc<Mutex<Vec<(String, HeaderMap, String)>>>;

/// A service that says back what it is sent; below `/fails` with an error.
pub async fn echo() -> (String, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let heard = Heard::default();
    let told = heard.clone();
    let router = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: String| {
        told.lock().expect("no panic").push((uri.to_string(), headers, body.clone()));
        let fails = uri.path().starts_with("/fails");
        let status = if fails { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        async move { (status, body) }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, heard)
}

/// Data goes through headers, queries, bodies, answers, children, loops, notifications and outputs.
fn carrying(url: &str) -> String {
    json!({ "id": "carries", "steps": [
        { "id": "call", "type": "http", "with": {
            "method": "POST", "url": format!("{url}/call"),
            "headers": { "X-Data": "{{ input.text }}", "X-Secret": "{{ secrets.token }}" },
            "query": { "q": "{{ input.text }}" },
            "body": { "text": "{{ input.text }}", "mixed": "a {{ input.text }} b" },
        } },
        { "id": "again", "type": "http", "needs": ["call"], "with": {
            "method": "POST", "url": format!("{url}/again"), "body": "{{ steps.call.output.body }}",
        } },
        { "id": "made", "type": "transform", "needs": ["again"], "with": "{{ steps.again.output.body }}" },
        { "id": "below", "type": "workflow", "with": { "workflow": "below", "input": { "text": "{{ input.text }}" } } },
        { "id": "each", "type": "foreach", "with": { "items": "{{ [input.text] }}" },
          "each": { "type": "noop", "with": { "output": { "item": "{{ item }}" } } } },
        { "id": "said", "type": "notification", "with": { "message": "{{ input.text }}" } },
        { "id": "held", "type": "wait", "with": { "signal": "go", "timeout": "1d" } },
    ], "outputs": {
        "text": "{{ steps.made.output.text }}",
        "mixed": "{{ steps.made.output.mixed }}",
        "below": "{{ steps.below.output.text }}",
        "item": "{{ steps.each.output.results[0].output.item }}",
        "signal": "{{ steps.held.output }}",
    } })
    .to_string()
}

/// A server with a secret of the namespace `default`.
fn server(folder: &tempfile::TempDir) -> Guarded {
    fs::create_dir_all(folder.path().join("default")).expect("a folder");
    fs::write(folder.path().join("default/token"), SECRET).expect("a file");
    let folder = folder.path().display().to_string();
    Guarded::start_with(&["--secrets-dir", Box::leak(folder.into_boxed_str())])
}

#[tokio::test]
async fn what_looks_like_a_template_in_data_is_never_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, (url, heard)) = (server(&folder), echo().await);
    let below = "{ id: below, steps: [{ id: a, type: noop, with: { output: { text: '{{ input.text }}' } } }],
                   outputs: { text: '{{ steps.a.output.text }}' } }";
    define(&server, FIRST_KEY, below).await;
    define(&server, FIRST_KEY, &carrying(&url)).await;
    let body = json!({
        "input": { "text": TEXT, "other": "other" }, "tags": ["{{ 7 * 7 }}"],
        "correlation_id": "{{ secrets.token }}",
        "callbacks": [{ "event": "workflow.completed", "url": format!("{url}/told") }],
    });
    let asked = server.ask("POST", "/api/v1/workflows/carries/execute", FIRST_KEY);
    let (_, begun) = answer(asked.header("idempotency-key", "{{ 7 * 7 }}").json(&body)).await;
    let path = format!("/api/v1/executions/{}", begun["execution_id"].as_str().expect("an id"));
    let signal = json!({ "payload": { "text": TEXT } });
    let sent = server.post(&format!("{path}/signals/go"), FIRST_KEY, &signal).await;
    assert!(sent.0.is_success(), "{sent:?}");
    let done = loop {
        let (_, shown) = server.get(&path, FIRST_KEY).await;
        let told = shown["callbacks"][0]["status"] != "pending";
        if !["pending", "running"].map(Value::from).contains(&shown["status"]) && told {
            break shown;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(done["status"], "completed", "{done}");
    for name in ["text", "below", "item"] {
        assert_eq!(done["output"][name], TEXT, "{name}");
    }
    assert_eq!(done["output"]["mixed"], format!("a {TEXT} b"));
    assert!(done["output"]["signal"].to_string().contains("{{ secrets.token }}"), "{done}");
    let names = (&done["tags"][0], &done["correlation_id"], &done["idempotency_key"]);
    assert_eq!(
        names,
        (&json!("{{ 7 * 7 }}"), &json!("{{ secrets.token }}"), &json!("{{ 7 * 7 }}"))
    );
    let heard = heard.lock().expect("no panic").clone();
    let of = |path: &str| heard.iter().find(|own| own.0.starts_with(path)).expect("it was sent");
    let (uri, headers, body) = of("/call");
    assert_eq!(
        (headers["x-data"].as_bytes(), headers["x-secret"].as_bytes()),
        (TEXT.as_bytes(), SECRET.as_bytes())
    );
    assert_eq!(headers["x-correlation-id"], "{{ secrets.token }}");
    assert!(!uri.contains("49") && uri.contains("%7B%7B+7+*+7+%7D%7D"), "{uri}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body, json!({ "text": TEXT, "mixed": format!("a {TEXT} b") }));
    assert_eq!(serde_json::from_str::<Value>(&of("/again").2).expect("JSON"), body);
    let told: Value = serde_json::from_str(&of("/told").2).expect("JSON");
    assert!(told.to_string().contains(&json!(TEXT).to_string()), "{told}");
    for (uri, _, body) in &heard {
        assert!(!uri.contains(SECRET) && !body.contains(SECRET), "{uri} {body}");
    }
}

#[tokio::test]
async fn an_input_that_somebody_edits_is_data_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, (url, heard)) = (server(&folder), echo().await);
    let call =
        json!({ "method": "POST", "url": format!("{url}/fails"), "body": "{{ input.text }}" });
    let step = json!({ "id": "call", "type": "http", "retry": "none", "with": call });
    let fails = json!({ "id": "fails", "on_failure": "suspend", "steps": [step] });
    define(&server, FIRST_KEY, &fails.to_string()).await;
    run(&server, FIRST_KEY, "fails", &json!({ "text": TEXT }), 0).await;
    let letter = loop {
        let (_, page) = server.get("/api/v1/dlq", FIRST_KEY).await;
        if let Some(letter) = page["letters"][0]["letter_id"].as_str() {
            break letter.to_owned();
        }
    };
    let edited = json!({
        "input": { "method": "POST", "url": format!("{url}/edited"), "body": TEXT,
                   "headers": { "X-Data": TEXT } },
        "reason": "{{ secrets.token }}",
    });
    let path = format!("/api/v1/dlq/{letter}/retry");
    let (status, told) = server.post(&path, FIRST_KEY, &edited).await;
    assert_eq!(status, StatusCode::ACCEPTED.as_u16(), "{told}");
    let sent = loop {
        let edited = |own: &&(String, HeaderMap, String)| own.0 == "/edited";
        if let Some(own) = heard.lock().expect("no panic").iter().find(edited) {
            break own.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!((sent.1["x-data"].as_bytes(), sent.2.as_str()), (TEXT.as_bytes(), TEXT));
    let (_, audit) = server.get("/api/v1/audit", FIRST_KEY).await;
    assert!(
        !audit.to_string().contains(SECRET) && audit.to_string().contains("{{ secrets.token }}")
    );
}

#[tokio::test]
async fn no_text_makes_a_header_or_a_request_of_its_own() {
    let (server, (url, heard)) = (Server::start().await, echo().await);
    let calls = |id: &str, with: Value| json!({ "id": id, "steps": [{ "id": "call", "type": "http", "retry": "none", "with": with }] });
    for (id, with, works) in [
        ("value", json!({ "url": url, "headers": { "X-Data": "{{ input.text }}" } }), false),
        ("type", json!({ "url": url, "headers": { "Content-Type": "a/{{ input.text }}" } }), false),
        ("method", json!({ "url": url, "method": "GET{{ input.text }}" }), false),
        ("query", json!({ "url": url, "query": { "q": "{{ input.text }}" } }), true),
        ("path", json!({ "url": format!("{url}/{{{{ input.text }}}}") }), true),
        ("body", json!({ "url": url, "method": "POST", "body": "{{ input.text }}" }), true),
    ] {
        let (status, told) = server.post("/api/v1/workflows", &calls(id, with)).await;
        assert_eq!(status, StatusCode::CREATED, "{id}: {told}");
        let done = server.run(id, &json!({ "text": FORGED })).await;
        let heard = std::mem::take(&mut *heard.lock().expect("no panic"));
        assert_eq!(heard.len(), usize::from(works), "{id}: {done} {heard:?}");
        assert!(heard.iter().all(|(_, headers, _)| !headers.contains_key("x-evil")), "{heard:?}");
        assert_eq!(done["status"] == "completed", works, "{id}: {done}");
    }
    let callback = json!({ "callbacks": [
        { "event": "workflow.completed", "url": format!("{url}/told{FORGED}") },
    ] });
    server.define("{ id: quiet, steps: [{ id: a, type: noop }] }").await;
    let (status, told) = server.post("/api/v1/workflows/quiet/execute", &callback).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
    assert!(told.to_string().contains("BAD_URL"), "{told}");
    server.stop().await;
}
