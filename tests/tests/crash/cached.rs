//! The result cache over a kill: what was answered before is there after, unless it was emptied.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::routing::post;
use backstitch_tests::http::Connection;
use backstitch_tests::server::Server;
use serde_json::{Value, json};

use super::clients::get;
use super::scene::{send, serve, start_connected};

/// A service that answers how often it was asked.
async fn service() -> (String, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let own = asked.clone();
    let count = move || {
        let own = own.clone();
        async move { (own.fetch_add(1, Ordering::SeqCst) + 1).to_string() }
    };
    let url = serve(Router::new().route("/", post(count))).await;
    (url, asked)
}

/// A server on the folder, once its cache has what it finds in the journal.
async fn start(folder: &Path) -> (Server, Connection) {
    let (server, mut connection) = start_connected(folder, &[]).await;
    while get(&mut connection, "/api/v1/cache").await["warming"] == true {}
    (server, connection)
}

/// Runs the workflow to its end: what its step answered, and who answered.
async fn run(connection: &mut Connection) -> (Value, Value) {
    let body = json!({ "input": { "n": 1 }, "wait_seconds": 30 });
    let begun = send(connection, "POST", "/api/v1/workflows/asks/execute", &body).await;
    let path = format!("/api/v1/executions/{}", begun["execution_id"].as_str().expect("an id"));
    let shown = get(connection, &path).await;
    assert_eq!(shown["status"], "completed", "{shown:#}");
    let own = &shown["steps"]["ask"];
    (own["output"]["body"].clone(), own["cached_from"].clone())
}

#[test]
fn answers_outlive_a_kill_and_an_emptying_does_too() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let (url, asked) = service().await;
        let (server, mut connection) = start(folder.path()).await;
        let with = json!({ "method": "POST", "url": url, "body": { "n": "{{ input.n }}" } });
        let step = json!({ "id": "ask", "type": "http", "with": with, "cache": { "ttl": "1d" } });
        let workflow = json!({ "id": "asks", "steps": [step] });
        send(&mut connection, "POST", "/api/v1/workflows", &workflow).await;
        let (first, source) = run(&mut connection).await;
        assert_eq!(source, Value::Null);
        server.kill().expect("it is there");

        let (server, mut connection) = start(folder.path()).await;
        let (again, source) = run(&mut connection).await;
        assert_eq!((&again, &source["step"]), (&first, &json!("ask")));
        assert_eq!(asked.load(Ordering::SeqCst), 1, "the service was asked before the kill");
        let path = "/api/v1/cache?reason=wrong";
        let emptied = send(&mut connection, "DELETE", path, &Value::Null).await;
        assert_eq!((&emptied["emptied"], &emptied["entries"]), (&json!(1), &json!(0)));
        server.kill().expect("it is there");

        let (server, mut connection) = start(folder.path()).await;
        assert_eq!(get(&mut connection, "/api/v1/cache").await["entries"], 0);
        let (anew, source) = run(&mut connection).await;
        assert_eq!((source, asked.load(Ordering::SeqCst)), (Value::Null, 2));
        assert_ne!(anew, first);
        let found = get(&mut connection, "/api/v1/cache").await;
        assert_eq!((&found["hits"], &found["misses"]), (&json!(0), &json!(1)));
        let audit = get(&mut connection, "/api/v1/audit?action=cache.emptied").await;
        assert_eq!(audit["audit"][0]["detail"], "wrong", "{audit:#}");
        server.kill().expect("it is there");
    });
}
