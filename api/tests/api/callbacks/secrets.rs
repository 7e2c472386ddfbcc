//! Secrets in callbacks: their receivers get them, and nobody else.

use std::fs;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::receiver::Receiver;
use crate::attacks::define;
use crate::guarded::{FIRST_KEY, Guarded};
use crate::secrets::{SECRET, echo, files_with, run, server};

const GENIE: &str = "eb243592-faa2-4ba2-a551-1afdf565c889";

/// A run of this id, once all of its callbacks were received or some have failed.
async fn told(server: &Guarded, run: &Value) -> Value {
    let path = format!("/api/v1/executions/{}", run["execution_id"].as_str().expect("an id"));
    loop {
        let (_, shown) = server.get(&path, FIRST_KEY).await;
        let callbacks = shown["callbacks"].as_array().expect("a list");
        let under_way = |own: &Value| own["status"] == "pending" && own["error"].is_null();
        if !callbacks.is_empty() && !callbacks.iter().any(under_way) {
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_has_its_secrets_when_it_is_sent_and_not_before_or_after() {
    let mut receiver = Receiver::start().await;
    receiver.answers(&[503]);
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(folder.path());
    let url = format!("{}/{{{{ secrets.token }}}}", receiver.url);
    let definition = json!({ "id": "paged", "steps": [{ "id": "a", "type": "noop" }], "callbacks": [{
        "event": "workflow.completed", "url": url, "format": "pagerduty",
        "routing_key": "{{ secrets.token }}",
        "headers": { "Authorization": "Bearer {{ secrets.token }}", "x-plain": "seen" },
    }] });
    // A routing key is a text like any other to those who hold the secret.
    define(&server, FIRST_KEY, &definition.to_string()).await;
    let done = run(&server, FIRST_KEY, "paged", &json!({})).await;
    let (first, second) = (receiver.next().await, receiver.next().await);
    for seen in [&first, &second] {
        assert_eq!(seen.json()["routing_key"], SECRET);
        assert_eq!(seen.json()["event_action"], "resolve");
        assert_eq!(seen.header("authorization"), format!("Bearer {SECRET}"));
        assert_eq!(seen.header("x-plain"), "seen");
        assert!(seen.path.ends_with(&format!("/hook/{SECRET}")), "{}", seen.path);
    }
    assert_eq!(first.body, second.body);
    let shown = told(&server, &done).await;
    assert!(
        shown["callbacks"][0]["url"].as_str().expect("a text").ends_with("{{ secrets.token }}")
    );
    let path = format!("/api/v1/executions/{}", done["execution_id"].as_str().expect("an id"));
    let (_, events) = server.get(&format!("{path}/events"), FIRST_KEY).await;
    let (_, exported) = server.get("/api/v1/workflows/paged", FIRST_KEY).await;
    for answer in [&shown, &events, &exported] {
        assert!(!answer.to_string().contains(SECRET), "{answer}");
    }
    assert!(!server.has_logged(SECRET));
    let (found, files) = files_with(&server.folder.path().join("data"), SECRET);
    assert!(found.is_empty() && files > 3, "{found:?} of {files}");
}

#[tokio::test(flavor = "multi_thread")]
async fn opsgenie_gets_its_key_and_what_a_receiver_says_back_is_blotted_out() {
    let mut receiver = Receiver::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (server, service) = (server(folder.path()), echo().await);
    fs::write(folder.path().join("default/genie"), GENIE).expect("a file");
    let callbacks = json!([
        { "event": "workflow.started", "url": receiver.url, "format": "opsgenie",
          "api_key": "{{ secrets.genie }}" },
        { "event": "workflow.completed", "url": receiver.url, "format": "opsgenie",
          "api_key": "{{ secrets.genie }}" },
    ]);
    let definition =
        json!({ "id": "told", "steps": [{ "id": "a", "type": "noop" }], "callbacks": callbacks });
    define(&server, FIRST_KEY, &definition.to_string()).await;
    let done = run(&server, FIRST_KEY, "told", &json!({})).await;
    let alias = done["execution_id"].as_str().expect("an id");
    let mut paths = Vec::new();
    for _ in 0..2 {
        let seen = receiver.next().await;
        assert_eq!(seen.header("authorization"), format!("GenieKey {GENIE}"));
        assert!(!seen.body.contains(GENIE), "{}", seen.body);
        paths.push(seen.path);
    }
    paths.sort();
    let close = format!("/hook/{alias}/close?identifierType=alias");
    assert_eq!(paths, ["/hook".to_owned(), close]);
    let callbacks = json!([{ "event": "workflow.completed", "url": format!("{service}/fails"),
                             "headers": { "authorization": "Bearer {{ secrets.token }}" } }]);
    let definition =
        json!({ "id": "fails", "steps": [{ "id": "a", "type": "noop" }], "callbacks": callbacks });
    define(&server, FIRST_KEY, &definition.to_string()).await;
    let done = run(&server, FIRST_KEY, "fails", &json!({})).await;
    let shown = told(&server, &done).await["callbacks"][0]["error"].to_string();
    assert!(shown.contains("Bearer [secret token]") && !shown.contains(SECRET), "{shown}");
    for secret in [SECRET, GENIE] {
        let (found, _) = files_with(&server.folder.path().join("data"), secret);
        assert!(found.is_empty() && !server.has_logged(secret), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_has_no_secrets_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(folder.path());
    let definition = json!({ "id": "quiet", "steps": [{ "id": "a", "type": "noop" }] });
    define(&server, FIRST_KEY, &definition.to_string()).await;
    let text = "{{ secrets.token }}";
    let event = "workflow.completed";
    for (field, callback) in [
        ("url", json!({ "event": event, "url": format!("http://h/{text}") })),
        ("headers.x", json!({ "event": event, "url": "http://h/", "headers": { "x": text } })),
        (
            "routing_key",
            json!({ "event": event, "url": "http://h/", "format": "pagerduty",
                    "routing_key": text }),
        ),
        (
            "api_key",
            json!({ "event": event, "url": "http://h/", "format": "opsgenie", "api_key": text }),
        ),
    ] {
        let path = "/api/v1/workflows/quiet/execute";
        let submitted = json!({ "callbacks": [callback] });
        let (status, refused) = server.post(path, FIRST_KEY, &submitted).await;
        let place = format!("callbacks[0].{field}");
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
        assert!(refused.to_string().contains(&place), "{refused}");
        let (status, refused) = server.post("/api/v1/callbacks/test", FIRST_KEY, &callback).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    }
}
