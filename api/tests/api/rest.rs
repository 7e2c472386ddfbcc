//! A run that only waits is not in memory, and nobody can tell but by the gauge.

use std::path::Path;
use std::process::Child;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::process::{folder, serve_again};
use crate::server::answer;

const NAP: &str = "{ id: nap, steps: [{ id: hour, type: wait, with: { duration: 1h } }] }";

/// A server in a process of its own: its gauges are no other's.
struct Node {
    process: Child,
    url: String,
    client: Client,
}

impl Node {
    fn start(data_dir: &Path, recovered: u64) -> Self {
        let (process, url, found) = serve_again(data_dir);
        assert_eq!(found, recovered);
        Self { process, url, client: crate::forms::client() }
    }

    fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ended");
    }

    async fn get(&self, path: &str) -> Value {
        answer(self.client.get(format!("{}{path}", self.url))).await.1
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.client.post(format!("{}{path}", self.url)).json(&body)).await
    }

    /// Runs at rest, and in memory.
    async fn counts(&self) -> (u64, u64) {
        let metrics = self.get("/metrics").await;
        let metrics = metrics.as_str().expect("text").to_owned();
        let sum = |name: &str| {
            let own = metrics.lines().filter_map(|line| line.strip_prefix(name)?.split_once("} "));
            own.map(|(_, value)| value.trim().parse::<u64>().expect("a count")).sum()
        };
        (sum("backstitch_executions_at_rest{"), sum("backstitch_executions_resident{"))
    }

    async fn until_counts(&self, at_rest: u64, resident: u64) {
        while self.counts().await != (at_rest, resident) {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_at_rest_is_shown_acted_on_and_found_after_a_kill_like_any_other() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let node = Node::start(&data_dir, 0);
    let request = node.client.post(format!("{}/api/v1/workflows", node.url));
    let request = request.header("content-type", "application/yaml").body(NAP);
    assert_eq!(answer(request).await.0, StatusCode::CREATED);
    let body = json!({ "input": { "of": "tea" } });
    let (_, begun) = node.post("/api/v1/workflows/nap/execute", body).await;
    let path = format!("/api/v1/executions/{}", begun["execution_id"].as_str().expect("an id"));
    node.until_counts(1, 0).await;
    let shown = node.get(&path).await;
    assert_eq!((&shown["status"], &shown["input"]["of"]), (&json!("running"), &json!("tea")));
    let why = node.get(&format!("{path}/why")).await;
    assert!(why.to_string().contains("hour"), "{why}");
    assert_eq!(node.counts().await, (1, 0), "looking does not bring it back");

    for (verb, status) in [("pause", "suspended"), ("resume", "running")] {
        let (code, done) = node.post(&format!("{path}/{verb}"), json!({ "reason": "x" })).await;
        assert!(code.is_success(), "{done}");
        assert_eq!(node.get(&path).await["status"], status);
    }
    node.until_counts(1, 0).await;
    let before = node.get(&path).await;
    node.kill();

    let node = Node::start(&data_dir, 1);
    assert_eq!(node.get(&path).await, before);
    node.until_counts(1, 0).await;
    let (code, done) = node.post(&format!("{path}/cancel"), json!({ "reason": "x" })).await;
    assert!(code.is_success(), "{done}");
    node.until_counts(0, 0).await;
    assert_eq!(node.get(&path).await["status"], "cancelled");
    node.kill();
}
