//! A small pool and a killed server: what was ready is not lost, and slots are held by whom
//! they were held.

use axum::Router;
use axum::routing::post;
use backstitch_tests::http::Connection;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::clients::get;
use super::scene::{send, serve, start_connected};
use super::verdict::wait_until_all_ended;

/// The settings of a server that does one thing at a time.
const ONE_WORKER: &[(&str, &str)] = &[("BACKSTITCH_MAX_WORKERS", "1")];

/// A service that answers once the gate is open.
async fn service() -> (String, watch::Sender<bool>) {
    let (gate, opened) = watch::channel(false);
    let pass = move || {
        let mut opened = opened.clone();
        async move {
            opened.wait_for(|open| *open).await.expect("the gate stays");
            "{}"
        }
    };
    let url = serve(Router::new().route("/", post(pass))).await;
    (url, gate)
}

async fn begin(connection: &mut Connection, workflow: &str) -> String {
    let path = format!("/api/v1/workflows/{workflow}/execute");
    let run = send(connection, "POST", &path, &json!({ "input": {} })).await;
    run["execution_id"].as_str().expect("an id").to_owned()
}

async fn until(connection: &mut Connection, holds: impl Fn(&Value) -> bool) -> Value {
    loop {
        let limits = get(connection, "/api/v1/limits").await;
        if holds(&limits) {
            return limits;
        }
    }
}

fn held(limits: &Value) -> Value {
    let workflows = limits["workflows"].as_array().expect("a list");
    let own = workflows.iter().find(|own| own["workflow_id"] == "single");
    own.cloned().unwrap_or_default()
}

#[test]
fn what_waits_for_a_turn_is_not_lost_and_slots_are_held_as_they_were() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let (url, gate) = service().await;
        let (server, mut connection) = start_connected(folder.path(), ONE_WORKER).await;
        let once = json!({ "id": "once", "steps": [{
            "id": "call", "type": "http", "retry": "none",
            "with": { "method": "POST", "url": url, "body": {} },
        }]});
        let limits = json!([{ "max_runs": 1 }, { "key": "{{ workflow.id }}", "max_runs": 1 }]);
        let single = json!({ "id": "single", "concurrency": limits, "steps": [
            { "id": "go", "type": "wait", "with": { "signal": "go", "timeout": "2d" } },
        ]});
        for definition in [&once, &single] {
            send(&mut connection, "POST", "/api/v1/workflows", definition).await;
        }
        let first = begin(&mut connection, "once").await;
        until(&mut connection, |own| own["workers"]["in_use"] == 1).await;
        let ready = [begin(&mut connection, "once").await, begin(&mut connection, "once").await];
        let runs = [begin(&mut connection, "single").await, begin(&mut connection, "single").await];
        let waits = |own: &Value| own["workers"]["waiting"]["medium"] == 2;
        let before = until(&mut connection, waits).await;
        assert_eq!(held(&before)["holders"][0]["execution_id"], runs[0].as_str(), "{before:#}");
        assert!(held(&before)["holders"][1].is_null(), "{before:#}");
        server.kill().expect("a child of ours can be killed");

        let (server, mut connection) = start_connected(folder.path(), ONE_WORKER).await;
        let after = get(&mut connection, "/api/v1/limits").await;
        assert_eq!(held(&after), held(&before), "{after:#}");
        gate.send(true).expect("the service is there");
        for run in &runs {
            let path = format!("/api/v1/executions/{run}/signals/go");
            send(&mut connection, "POST", &path, &json!({})).await;
        }
        wait_until_all_ended(&mut connection).await;
        for run in ready.iter().chain(&runs) {
            let shown = get(&mut connection, &format!("/api/v1/executions/{run}")).await;
            assert_eq!(shown["status"], "completed", "{shown:#}");
        }
        let lost = get(&mut connection, &format!("/api/v1/executions/{first}")).await;
        assert_ne!(lost["status"], "completed", "it was under way, and nobody knows: {lost:#}");
        let limits = get(&mut connection, "/api/v1/limits").await;
        assert_eq!((&limits["workers"]["in_use"], held(&limits)), (&json!(0), Value::Null));
        server.kill().expect("a child of ours can be killed");
    });
}
