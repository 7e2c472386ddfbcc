//! Open circuits and a killed server: who waited waits, and the service is tried, not stormed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use backstitch_tests::http::Connection;
use serde_json::{Value, json};

use super::clients::get;
use super::scene::{send, serve, start_connected};
use super::verdict::wait_until_all_ended;

/// Runs that call the service.
const RUNS: usize = 8;

/// A service that is down until it is told otherwise.
#[derive(Default)]
struct Health {
    well: AtomicBool,
    calls: AtomicUsize,
}

async fn service() -> (String, Arc<Health>) {
    let health = Arc::new(Health::default());
    let told = health.clone();
    let answer = move || {
        told.calls.fetch_add(1, Ordering::SeqCst);
        let well = told.well.load(Ordering::SeqCst);
        std::future::ready(if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE })
    };
    (serve(Router::new().route("/", post(answer))).await, health)
}

/// The one breaker, once so many calls wait for it.
async fn until(connection: &mut Connection, waiting: usize) -> Value {
    loop {
        let breakers = get(connection, "/api/v1/breakers").await;
        let own = breakers["breakers"][0].clone();
        if own["waiting"] == waiting {
            return own;
        }
    }
}

#[test]
fn who_waits_for_a_service_waits_after_a_kill_and_uses_up_no_attempt() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let (url, health) = service().await;
        // Longer than the test takes: only an operator's word ends it.
        let rules = [("BACKSTITCH_BREAKERS", r#"{"failures": 2, "open_for": "1h"}"#)];
        let (server, mut connection) = start_connected(folder.path(), &rules).await;
        let definition = json!({ "id": "calling", "steps": [{
            "id": "call", "type": "http", "breaker": "payments",
            "retry": { "max_attempts": RUNS, "initial": "1ms", "max": "1ms" },
            "with": { "method": "POST", "url": url, "body": {} },
        }]});
        send(&mut connection, "POST", "/api/v1/workflows", &definition).await;
        for _ in 0..RUNS {
            let path = "/api/v1/workflows/calling/execute";
            send(&mut connection, "POST", path, &json!({})).await;
        }
        let own = until(&mut connection, RUNS).await;
        assert_eq!((&own["key"], &own["state"]), (&json!("payments"), &json!("open")), "{own:#}");
        let calls = health.calls.load(Ordering::SeqCst);
        server.kill().expect("a child of ours can be killed");

        let (server, mut connection) = start_connected(folder.path(), &rules).await;
        let own = until(&mut connection, RUNS).await;
        assert_eq!(own["state"], "open", "{own:#}");
        assert_eq!(health.calls.load(Ordering::SeqCst), calls, "nobody was asked");
        let open = json!({ "reason": "not yet" });
        send(&mut connection, "POST", "/api/v1/breakers/payments/open", &open).await;
        server.kill().expect("a child of ours can be killed");

        let (server, mut connection) = start_connected(folder.path(), &rules).await;
        let own = until(&mut connection, RUNS).await;
        assert_eq!(own["forced"], "open", "{own:#}");
        health.well.store(true, Ordering::SeqCst);
        send(&mut connection, "POST", "/api/v1/breakers/payments/reset", &json!({})).await;
        wait_until_all_ended(&mut connection).await;
        let runs = get(&mut connection, "/api/v1/executions?limit=100").await;
        let runs = runs["executions"].as_array().expect("a list");
        assert_eq!(runs.len(), RUNS);
        assert!(runs.iter().all(|run| run["status"] == "completed"), "{runs:#?}");
        server.kill().expect("a child of ours can be killed");
    });
}
