//! A server for a test, and what is asked of it.

use backstitch_api::{Error, Service, Settings};
use backstitch_journal::Options;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::description::answers::check;

/// A workflow of two steps that do nothing.
pub const TWO_STEPS: &str = "
id: two
steps:
  - { id: first, type: noop }
  - { id: second, type: noop, needs: [first] }
outputs: { greeting: 'hello {{ input.name | default(\"you\") }}' }
";

/// A server in this process.
pub struct Server {
    pub url: String,
    pub client: Client,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), Error>>,
    folder: TempDir,
}

/// Settings for small journals in a folder.
pub fn settings(folder: &TempDir) -> Settings {
    let journal = Options {
        partitions: 4,
        segment_bytes: 1024 * 1024,
        ballast_bytes: 0,
        ..Options::default()
    };
    Settings {
        data_dir: folder.path().join("data"),
        listen: ([127, 0, 0, 1], 0).into(),
        journal,
        backup_directory: Some(folder.path().join("backups")),
        ..Settings::default()
    }
}

impl Server {
    /// A server over an empty journal, ready.
    pub async fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder")).await
    }

    /// A server over the journal of an earlier one, ready.
    pub async fn start_in(folder: TempDir) -> Self {
        Self::start_with(settings(&folder), folder).await
    }

    /// The same with settings for that folder.
    pub async fn start_with(settings: Settings, folder: TempDir) -> Self {
        let service = Service::bind(settings).await.expect("a free port");
        let url = format!("http://{}", service.address());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(service.run(async { drop(stopped.await) }));
        let client = Client::builder().no_proxy().build().expect("a client");
        let server = Self { url, client, stop, running, folder };
        while server.get("/ready").await.0 != StatusCode::OK {
            assert!(!server.running.is_finished(), "the server ended while it started");
        }
        server
    }

    /// Stops it in order; answers the folder of its journal.
    pub async fn stop(self) -> TempDir {
        self.stop.send(()).expect("the server still runs");
        self.running.await.expect("no panic").expect("an orderly end");
        self.folder
    }

    /// A request by method and path.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).json(body)).await
    }

    /// Posts a definition in YAML.
    pub async fn define(&self, yaml: &str) -> (StatusCode, Value) {
        let request = self.request(Method::POST, "/api/v1/workflows");
        answer(request.header("content-type", "application/yaml").body(yaml.to_owned())).await
    }

    /// Runs a workflow to its end.
    pub async fn run(&self, workflow: &str, input: &Value) -> Value {
        let path = format!("/api/v1/workflows/{workflow}/execute");
        let (status, run) = self.post(&path, &json!({ "input": input, "wait_seconds": 60 })).await;
        assert_eq!(status, StatusCode::OK, "{run}");
        run
    }

    /// How many records the journal holds.
    pub async fn records(&self) -> u64 {
        let (_, info) = self.get("/info").await;
        info["journal"]["records"].as_u64().expect("a number of records")
    }
}

/// Sends a request; answers its status and JSON body, if they are what the API is described to answer.
pub async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let (client, request) = request.build_split();
    let request = request.expect("a request");
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = client.execute(request).await.expect("an answer");
    let status = response.status();
    let kind = response.headers().get("content-type").and_then(|own| own.to_str().ok());
    let kind = kind.unwrap_or_default().to_owned();
    let text = response.text().await.expect("a text");
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    check(method.as_str(), &path, (status.as_u16(), &kind), &body);
    (status, body)
}
