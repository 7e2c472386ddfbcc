//! Keyed limits and a killed server: never more at a time than there may be, before and after.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::post;
use backstitch_tests::http::Connection;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::clients::get;
use super::scene::{send, serve, start_connected};
use super::verdict::wait_until_all_ended;

/// Runs of one customer.
const RUNS: usize = 6;

/// How many calls of a customer with a limit are under way, and how many there were at most.
#[derive(Default)]
struct Calls {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A call under way; it ends with its connection, too.
struct Call(Arc<Calls>);

impl Call {
    fn begin(calls: &Arc<Calls>) -> Self {
        let now = calls.now.fetch_add(1, Ordering::SeqCst) + 1;
        calls.most.fetch_max(now, Ordering::SeqCst);
        Self(calls.clone())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A service that answers once the gate is open.
async fn service() -> (String, watch::Sender<bool>, Arc<Calls>) {
    let (gate, opened) = watch::channel(false);
    let calls = Arc::new(Calls::default());
    let counted = calls.clone();
    let pass = move || {
        let (mut opened, call) = (opened.clone(), Call::begin(&counted));
        async move {
            opened.wait_for(|open| *open).await.expect("the gate stays");
            drop(call);
            "{}"
        }
    };
    let url = serve(Router::new().route("/", post(pass))).await;
    (url, gate, calls)
}

/// The one key, once so many steps hold it and so many wait.
async fn until(connection: &mut Connection, running: usize, waiting: usize) -> Value {
    loop {
        let limits = get(connection, "/api/v1/limits").await;
        let key = limits["keys"][0].clone();
        let stands = key["running"] == running && key["waiting"]["medium"] == waiting;
        if stands {
            return key;
        }
    }
}

#[test]
fn a_keyed_limit_holds_through_a_kill_and_leaks_nothing() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let (url, gate, calls) = service().await;
        let (server, mut connection) = start_connected(folder.path(), &[]).await;
        let definition = json!({ "id": "keyed", "steps": [{
            "id": "call", "type": "http", "timeout": "1h",
            "retry": { "max_attempts": 5, "initial": "10ms", "max": "20ms" },
            "limits": [{ "key": "customer-{{ input.customer }}", "max": 2 }],
            "with": { "method": "POST", "url": url, "body": {} },
        }]});
        send(&mut connection, "POST", "/api/v1/workflows", &definition).await;
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            let body = json!({ "input": { "customer": 7 } });
            let run = send(&mut connection, "POST", "/api/v1/workflows/keyed/execute", &body).await;
            runs.push(run["execution_id"].as_str().expect("an id").to_owned());
        }
        let key = until(&mut connection, 2, RUNS - 2).await;
        assert_eq!((&key["key"], &key["max"]), (&json!("customer-7"), &json!(2)), "{key:#}");
        let waiter = key["waiters"][0].as_str().expect("a run");
        let why = get(&mut connection, &format!("/api/v1/executions/{waiter}/why")).await;
        let said = why["summary"].as_str().expect("a sentence");
        let holder = key["holders"][0]["execution_id"].as_str().expect("a run");
        assert!(said.contains("limit `customer-7`") && said.contains(holder), "{said}");
        server.kill().expect("a child of ours can be killed");
        // The calls of the killed server end with their connections.
        while calls.now.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }

        let (server, mut connection) = start_connected(folder.path(), &[]).await;
        until(&mut connection, 2, RUNS - 2).await;
        gate.send(true).expect("the service is there");
        wait_until_all_ended(&mut connection).await;
        for run in &runs {
            let shown = get(&mut connection, &format!("/api/v1/executions/{run}")).await;
            assert_eq!(shown["status"], "completed", "{shown:#}");
        }
        assert_eq!(calls.most.load(Ordering::SeqCst), 2, "never more at a time");
        let limits = get(&mut connection, "/api/v1/limits").await;
        assert_eq!(limits["keys"], json!([]), "{limits:#}");
        server.kill().expect("a child of ours can be killed");
    });
}
