//! What people do about a dead letter, through kills: who is to see to it, what was noted, and
//! the input its step is run again with.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use backstitch_tests::http::Connection;
use backstitch_tests::server::Server;
use serde_json::{Value, json};

use super::clients::get;
use super::scene::{send, serve, start_connected};

/// What a call was made with: its idempotency key and the card.
type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// A bank that refuses every card but one.
async fn bank() -> (String, Calls) {
    let calls = Calls::default();
    let own = calls.clone();
    let charge = move |headers: HeaderMap, Json(body): Json<Value>| {
        let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
        let key = key.expect("every effect has a key").to_owned();
        own.lock().expect("no panic").push((key, body["card"].clone()));
        let right = body["card"] == "right";
        std::future::ready(if right { StatusCode::OK } else { StatusCode::CONFLICT })
    };
    (serve(Router::new().route("/", post(charge))).await, calls)
}

/// Killed right behind the last answer: what was answered must be there again.
async fn killed(server: Server, folder: &Path) -> (Server, Connection) {
    server.kill().expect("a child of ours can be killed");
    start_connected(folder, &[]).await
}

/// The details of the rows that the audit has of such an action.
async fn audited(connection: &mut Connection, action: &str) -> Vec<Value> {
    let found = get(connection, &format!("/api/v1/audit?action={action}")).await;
    let rows = found["audit"].as_array().expect("rows").iter();
    rows.map(|row| row["detail"].clone()).collect()
}

async fn until(connection: &mut Connection, run: &str, status: &str) -> Value {
    loop {
        let shown = get(connection, run).await;
        if shown["status"] == status {
            return shown;
        }
    }
}

#[test]
fn what_is_done_about_a_letter_survives_kills() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let folder = folder.path();
        let (url, calls) = bank().await;
        let (server, mut connection) = start_connected(folder, &[]).await;
        let request =
            |card: &str| json!({ "method": "POST", "url": url, "body": { "card": card } });
        let definition = json!({ "id": "pay", "on_failure": "suspend", "steps": [
            { "id": "charge", "type": "http", "with": request("wrong") },
        ]});
        send(&mut connection, "POST", "/api/v1/workflows", &definition).await;
        let path = "/api/v1/workflows/pay/execute";
        let begun = send(&mut connection, "POST", path, &json!({})).await;
        let run = format!("/api/v1/executions/{}", begun["execution_id"].as_str().expect("an id"));
        let failed = until(&mut connection, &run, "suspended").await;
        let letter = failed["dead_letters"][0]["letter_id"].as_str().expect("an id");
        let letter = format!("/api/v1/dlq/{letter}");

        let given = json!({ "assignee": "bob", "reason": "knows the bank" });
        send(&mut connection, "POST", &format!("{letter}/assign"), &given).await;
        let (server, mut connection) = killed(server, folder).await;
        let listed = get(&mut connection, "/api/v1/dlq?assignee=bob").await;
        assert_eq!(listed["letters"].as_array().map(Vec::len), Some(1), "{listed:#}");
        assert_eq!(audited(&mut connection, "letter.assigned").await, ["bob: knows the bank"]);

        let note = json!({ "text": "the card was another's" });
        send(&mut connection, "POST", &format!("{letter}/notes"), &note).await;
        let (server, mut connection) = killed(server, folder).await;
        let shown = get(&mut connection, &letter).await;
        assert_eq!(shown["notes"][0]["text"], "the card was another's", "{shown:#}");
        assert_eq!(audited(&mut connection, "letter.noted").await, ["the card was another's"]);

        let edited = json!({ "input": request("right"), "reason": "the right card" });
        send(&mut connection, "POST", &format!("{letter}/retry"), &edited).await;
        let (server, mut connection) = killed(server, folder).await;
        until(&mut connection, &run, "completed").await;
        let shown = get(&mut connection, &letter).await;
        assert_eq!(shown["edited_input"], request("right"), "{shown:#}");
        assert_eq!((&shown["assignee"], &shown["status"]), (&json!("bob"), &json!("retried")));
        assert_eq!(shown["notes"].as_array().map(Vec::len), Some(1), "{shown:#}");
        assert_eq!(audited(&mut connection, "letter.edited").await, ["the right card"]);
        assert_eq!(audited(&mut connection, "letter.retried").await.len(), 1);
        server.kill().expect("a child of ours can be killed");

        let calls = calls.lock().expect("no panic");
        let (right, wrong): (Vec<_>, Vec<_>) = calls.iter().partition(|own| own.1 == "right");
        assert!(!right.is_empty(), "{calls:?}");
        assert!(right.iter().all(|own| own.0 == right[0].0), "one effect: {calls:?}");
        assert!(wrong.iter().all(|own| own.0 != right[0].0), "another input, another key");
    });
}
