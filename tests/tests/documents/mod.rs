//! What the four documents print, run to its end by the real server against real HTTP services.
//!
//! Each definition runs twice: as it is printed, with nothing but its hosts led to the local
//! service, and with the task types that nothing performs here led to it, too.

mod ecosystem;
mod omnihub;
mod service;
mod swarmguard;
mod unified;

use std::net::SocketAddr;
use std::process::Command;

use backstitch_core::yaml::{Format, parse};
use backstitch_tests::binaries;
use backstitch_tests::http::{Connection, request};
use backstitch_tests::server::Server;
use serde_json::{Value, json};

use service::{Call, Service};

/// How long the server may wait for a run's end before it answers.
const WAIT_SECONDS: u32 = 30;
/// Questions until something that follows a run's end has to be there; each waits for the server.
const QUESTIONS_MAX: usize = 100_000;

/// A server on an empty directory, and the services.
struct Scene {
    folder: tempfile::TempDir,
    server: Server,
    service: Service,
}

impl Scene {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let program = Command::new(binaries::backstitch());
        let (data, words) = (folder.path().join("data"), folder.path().join("words"));
        let mut server = Server::spawn(program, &data, &words).expect("the server can be started");
        server.ready().await.expect("the server opens its journal");
        Self { folder, server, service: Service::start().await }
    }

    /// What the server said so far.
    fn words(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("words")).expect("it said something")
    }

    /// Defines a workflow; its id, and the places that were warned of for a code.
    async fn define(&self, definition: &Value, code: &str) -> (String, Vec<String>) {
        let told = send(self.server.address(), "POST", "/api/v1/workflows", definition).await;
        let warnings = told["warnings"].as_array().expect("a list").iter();
        let own = warnings.filter(|warning| warning["code"] == code);
        let places = own.map(|warning| text(&warning["path"])).collect();
        (text(&told["workflow_id"]), places)
    }

    /// Runs a workflow to its end, and shows the run.
    async fn run(&self, workflow: &str, input: Value) -> Value {
        let path = format!("/api/v1/workflows/{workflow}/execute");
        let body = json!({ "input": input, "wait_seconds": WAIT_SECONDS });
        let begun = send(self.server.address(), "POST", &path, &body).await;
        let shown = self.show(&text(&begun["execution_id"])).await;
        assert!(!shown["completed_at"].is_null(), "it has not ended: {shown:#}");
        shown
    }

    async fn show(&self, run: &str) -> Value {
        let path = format!("/api/v1/executions/{run}");
        send(self.server.address(), "GET", &path, &Value::Null).await
    }

    /// The run once each of its callbacks was received.
    async fn told(&self, run: &Value) -> Value {
        for _ in 0..QUESTIONS_MAX {
            let shown = self.show(&text(&run["execution_id"])).await;
            let callbacks = shown["callbacks"].as_array().expect("a list");
            if callbacks.iter().all(|callback| callback["status"] == "delivered") {
                return shown;
            }
        }
        panic!("the callbacks were not received: {run:#}");
    }
}

async fn send(at: SocketAddr, method: &str, path: &str, body: &Value) -> Value {
    let (status, told) = exchange(at, method, path, body).await;
    assert!(status < 300, "{method} {path}: {status} {told:#}");
    told
}

async fn exchange(at: SocketAddr, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let headers = [("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = request(method, path, &headers, body.as_bytes());
    let mut connection = Connection::open(at).await.expect("the server listens");
    let answer = connection.send(&request).await.expect("the server answers");
    let body = serde_json::from_slice(&answer.body).expect("it answers JSON");
    (answer.status, body)
}

/// A definition as a document prints it.
fn printed(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/seeds");
    let text = std::fs::read(format!("{folder}/{name}")).expect("the fixture is there");
    let format = if name.ends_with(".json") { Format::Json } else { Format::Yaml };
    parse(&text, format).expect("the document's own text is read")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Where each named step of a run stands.
fn standing<'v, const N: usize>(run: &'v Value, steps: [&str; N]) -> [&'v str; N] {
    steps.map(|step| run["steps"][step]["status"].as_str().unwrap_or("missing"))
}

/// Code and subject of each letter.
fn letters(run: &Value) -> Vec<(String, String)> {
    let letters = run["dead_letters"].as_array().expect("a list").iter();
    letters.map(|own| (text(&own["subject"]), text(&own["error"]["error_code"]))).collect()
}

fn paths(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.path.as_str()).collect()
}

fn on_runtime(work: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().expect("a runtime starts").block_on(work);
}
