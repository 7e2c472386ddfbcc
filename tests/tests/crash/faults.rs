//! Faults on purpose over a kill: they are the run's, and are met only where the server takes them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use backstitch_tests::http::Connection;
use serde_json::{Value, json};

use super::clients::get;
use super::scene::{send, serve, start_connected};
use super::verdict::wait_until_all_ended;

const TAKEN: [(&str, &str); 1] = [("BACKSTITCH_FAULT_INJECTION", "true")];

type Calls = Arc<Mutex<Vec<String>>>;

/// A service that notes the key of every call.
async fn service() -> (String, Calls) {
    let calls = Calls::default();
    let own = calls.clone();
    let note = move |headers: HeaderMap| {
        let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
        own.lock().expect("no panic").push(key.expect("every effect has a key").to_owned());
        std::future::ready("{}")
    };
    (serve(Router::new().route("/", post(note))).await, calls)
}

/// Begins a run with these faults, and waits until its service was called once more.
async fn called(connection: &mut Connection, calls: &Calls, faults: Value) -> String {
    let before = calls.lock().expect("no panic").len();
    let body = json!({ "faults": faults });
    let begun = send(connection, "POST", "/api/v1/workflows/calls/execute", &body).await;
    while calls.lock().expect("no panic").len() == before {
        tokio::task::yield_now().await;
    }
    begun["execution_id"].as_str().expect("an id").to_owned()
}

#[test]
fn faults_outlive_a_kill_and_are_met_where_the_server_takes_them() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let (url, calls) = service().await;
        let (server, mut connection) = start_connected(folder.path(), &TAKEN).await;
        let definition = json!({ "id": "calls", "steps": [{
            "id": "call", "type": "http", "timeout": "1d",
            "retry": { "max_attempts": 5, "initial": "1ms", "max": "1ms" },
            "with": { "method": "POST", "url": url, "body": {} },
        }]});
        send(&mut connection, "POST", "/api/v1/workflows", &definition).await;
        // Its answer comes after the kill.
        let late = json!({ "step": "call", "kind": "delay", "delay": "1h", "attempt": 1 });
        let lost = json!({ "step": "call", "kind": "crash_before_ack", "attempt": 2 });
        let run = called(&mut connection, &calls, json!([late, lost])).await;
        server.kill().expect("a child of ours can be killed");

        let (server, mut connection) = start_connected(folder.path(), &TAKEN).await;
        wait_until_all_ended(&mut connection).await;
        let shown = get(&mut connection, &format!("/api/v1/executions/{run}")).await;
        assert_eq!(shown["status"], "completed", "{shown:#}");
        assert_eq!(shown["steps"]["call"]["attempts"], 3, "{shown:#}");
        assert_eq!(shown["faults"][1]["kind"], "crash_before_ack", "{shown:#}");
        let keys = calls.lock().expect("no panic").clone();
        assert_eq!(keys.len(), 3, "late, lost, answered: {keys:?}");
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");

        let ever = json!({ "step": "call", "kind": "fail", "permanent": true });
        let run = called(&mut connection, &calls, json!([late, ever])).await;
        server.kill().expect("a child of ours can be killed");
        let (server, mut connection) = start_connected(folder.path(), &[]).await;
        wait_until_all_ended(&mut connection).await;
        let shown = get(&mut connection, &format!("/api/v1/executions/{run}")).await;
        assert_eq!(shown["status"], "completed", "this server spoils nothing: {shown:#}");
        assert_eq!(shown["faults"][1]["kind"], "fail", "{shown:#}");
        server.kill().expect("a child of ours can be killed");
    });
}
