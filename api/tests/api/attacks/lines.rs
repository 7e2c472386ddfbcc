//! Texts that would be lines of the log that people read.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::data::{FORGED, echo};
use crate::forms::client;
use crate::process::backstitch;
use crate::server::answer;

/// A server whose log is text, and all that it says.
struct Telling {
    process: Child,
    url: String,
    said: Option<JoinHandle<String>>,
}

impl Telling {
    fn start(folder: &Path) -> Self {
        let mut process = backstitch(&["serve", "--listen", "127.0.0.1:0", "--log-level", "debug"])
            .args(["--log-format", "text", "--data-dir"])
            .arg(folder.join("data"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut log = BufReader::new(process.stderr.take().expect("a pipe"));
        let mut said = String::new();
        let address = loop {
            let begins = said.len();
            assert_ne!(log.read_line(&mut said).expect("text"), 0, "it ended: {said}");
            let (_, told) = said[begins..].split_once("is ready").unwrap_or_default();
            if let Some((_, address)) = told.split_once("address=") {
                break address.split_whitespace().next().expect("an address").to_owned();
            }
        };
        // It would wait for somebody to read it.
        let said = std::thread::spawn(move || {
            log.read_to_string(&mut said).expect("text");
            said
        });
        Self { process, url: format!("http://{address}"), said: Some(said) }
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let asked = client().post(format!("{}{path}", self.url)).json(body);
        answer(asked.header("x-user-id", "a=b \"c\"")).await
    }

    /// All it said until it is killed.
    fn said(mut self) -> String {
        self.process.kill().expect("it can be killed");
        self.said.take().expect("it is asked once").join().expect("no panic")
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Requests that have the text wherever one is taken.
fn requests(service: &str, run: &str) -> Vec<(String, Value)> {
    let tested = |url: String| json!({ "event": "workflow.failed", "url": url });
    let of = |path: &str, body: Value| (format!("/api/v1/{path}"), body);
    vec![
        of("workflows/fails%0A%1B/execute", json!({})),
        of("workflows", json!({ FORGED: FORGED })),
        of(&format!("executions/{run}/cancel"), json!({ "reason": FORGED })),
        of("breakers/%0A2026%1B/open", json!({ "reason": "x" })),
        of("breakers/a/open", json!({ "reason": FORGED })),
        of("callbacks/test", tested(format!("{service}/{FORGED}"))),
        of("callbacks/test", tested(format!("{service}/fails%0A"))),
        of("admin/backups", json!({ "directory": FORGED })),
        of("replays", json!({ "url": format!("{service}/fails%0A%1B") })),
        of("workflows/from-template", json!({ "template_name": FORGED })),
    ]
}

#[tokio::test]
async fn each_line_of_the_log_begins_with_its_time_whatever_anybody_sends() {
    let (folder, (service, _)) = (tempfile::tempdir().expect("a folder"), echo().await);
    let server = Telling::start(folder.path());
    let fails = json!({ "id": "fails", "name": "a \u{2028} b", "steps": [
        { "id": "said", "type": "notification",
          "with": { "message": "{{ input.text }}", "data": "{{ input }}" } },
        { "id": "call", "type": "http", "retry": "none", "needs": ["said"], "with": {
            "method": "POST", "url": format!("{service}/fails"), "body": "{{ input.text }}" } },
    ] });
    assert_eq!(server.post("/api/v1/workflows", &fails).await.0, StatusCode::CREATED);
    let told = json!([{ "event": "workflow.failed", "url": format!("{service}/fails%0A%1B") }]);
    let submission = json!({ "input": { "text": FORGED }, "callbacks": told,
                             "correlation_id": "a \u{2028} b", "wait_seconds": 60 });
    let (_, run) = server.post("/api/v1/workflows/fails/execute", &submission).await;
    assert_eq!(run["status"], "failed", "{run}");
    for (path, body) in requests(&service, run["execution_id"].as_str().expect("an id")) {
        server.post(&path, &body).await;
    }
    let said = server.said();
    assert!(said.contains("forged"), "the notification was said: {said}");
    for line in said.lines() {
        let at = line.split_whitespace().next().unwrap_or_default();
        let is_time = backstitch_core::time::Timestamp::parse(at).is_some();
        assert!(is_time && !line.starts_with("2026-01-01"), "{line:?}");
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{2028}'), "{line:?}");
    }
}
