//! The log at a collector: every line, in batches, and nobody who waits for it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::forms::client;
use crate::process::{backstitch, folder};

#[derive(Default)]
struct Books {
    lines: Mutex<Vec<Value>>,
    /// What each request was: its media type, its key, and how many lines it had.
    requests: Mutex<Vec<(String, String, usize)>>,
    status: Mutex<Option<u16>>,
    news: Notify,
}

/// A collector on loopback.
struct Collector {
    url: String,
    books: Arc<Books>,
}

impl Collector {
    /// One that answers with a status; with none it never answers.
    async fn start(status: Option<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}/logs", listener.local_addr().expect("an address"));
        let books = Arc::new(Books { status: Mutex::new(status), ..Books::default() });
        let router = Router::new().fallback(take).with_state(books.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, books }
    }

    fn lines(&self) -> Vec<Value> {
        self.books.lines.lock().expect("no panic").clone()
    }

    async fn until_asked(&self) {
        loop {
            let news = self.books.news.notified();
            if !self.books.requests.lock().expect("no panic").is_empty() {
                return;
            }
            news.await;
        }
    }
}

async fn take(State(books): State<Arc<Books>>, headers: HeaderMap, body: String) -> StatusCode {
    let text =
        |name: &str| headers.get(name).and_then(|own| own.to_str().ok()).unwrap_or("-").to_owned();
    let lines: Vec<Value> =
        body.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    let request = (text("content-type"), text("api-key"), lines.len());
    books.requests.lock().expect("no panic").push(request);
    books.news.notify_waiters();
    let status = *books.status.lock().expect("no panic");
    let Some(status) = status else { return std::future::pending().await };
    if status == 200 {
        books.lines.lock().expect("no panic").extend(lines);
    }
    StatusCode::from_u16(status).expect("a status")
}

/// A server whose log goes to a file, too.
struct Sending {
    process: Child,
    url: String,
    said: PathBuf,
    _folder: TempDir,
    client: Client,
}

impl Sending {
    async fn start(collector: &str, flags: &[&str]) -> Self {
        let folder = folder();
        let said = folder.path().join("said");
        let process = backstitch(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .args(["--log-collector-headers", "env:TEST_LOG_HEADERS", "--data-dir"])
            .arg(folder.path().join("data"))
            .args(flags)
            .env("LOG_COLLECTOR_URL", collector)
            .env("TEST_LOG_HEADERS", "api-key=hush")
            .stderr(Stdio::from(File::create(&said).expect("a file")))
            .spawn()
            .expect("the program starts");
        let url = ready(&said).await;
        Self { process, url, said, _folder: folder, client: client() }
    }

    async fn run(&self) {
        let body = json!({ "id": "one", "steps": [{ "id": "a", "type": "noop" }] });
        for (path, body) in [
            ("/api/v1/workflows", body),
            ("/api/v1/workflows/one/execute", json!({ "wait_seconds": 60 })),
        ] {
            let request = self.client.post(format!("{}{path}", self.url)).json(&body);
            assert!(request.send().await.expect("an answer").status().is_success());
        }
    }

    async fn metric(&self, name: &str) -> Option<f64> {
        let metrics = self.client.get(format!("{}/metrics", self.url)).send().await;
        let text = metrics.expect("an answer").text().await.expect("a text");
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().parse().ok())
    }

    /// Ends in order; answers every line on stderr.
    fn end(mut self) -> Vec<Value> {
        let told = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        assert!(told.expect("kill is there").success());
        assert_eq!(self.process.wait().expect("it ends").code(), Some(0));
        let said = fs::read_to_string(&self.said).expect("UTF-8");
        said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

async fn ready(said: &Path) -> String {
    loop {
        let text = fs::read_to_string(said).expect("UTF-8");
        let ready = text.split_inclusive('\n').find(|line| line.contains("is ready"));
        if let Some(line) = ready.filter(|line| line.ends_with('\n')) {
            let line: Value = serde_json::from_str(line).expect("JSON");
            return format!("http://{}", line["fields"]["address"].as_str().expect("a place"));
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_sent_as_it_was_said_up_to_the_last_one() {
    let collector = Collector::start(Some(200)).await;
    let server = Sending::start(&collector.url, &["--log-level", "trace"]).await;
    server.run().await;
    collector.until_asked().await;
    while server.metric("backstitch_log_lines_sent_total").await.is_none_or(|sent| sent < 1.0) {
        tokio::task::yield_now().await;
    }
    let said = server.end();
    let sent = collector.lines();
    assert_eq!(sent, said, "in order, each once");
    let last = sent.last().expect("lines")["fields"]["message"].clone();
    assert!(last.as_str().is_some_and(|own| own.starts_with("stopped;")), "{last}");
    let port = collector.url.split([':', '/']).nth(4).expect("a port").to_owned();
    let of_sending = said.iter().filter(|line| line.to_string().contains(&port));
    assert_eq!(of_sending.count(), 0, "what is sent says nothing of its being sent");
    let requests = collector.books.requests.lock().expect("no panic").clone();
    let kinds: BTreeSet<_> = requests.iter().map(|(kind, key, _)| (&**kind, &**key)).collect();
    assert_eq!(kinds, BTreeSet::from([("application/x-ndjson", "hush")]));
    assert!(requests.iter().all(|(_, _, lines)| (1..=512).contains(lines)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_or_hangs_costs_lines_and_nothing_else() {
    let collector = Collector::start(Some(400)).await;
    let server = Sending::start(&collector.url, &[]).await;
    let dropped = "backstitch_log_lines_dropped_total{reason=\"refused\"}";
    while server.metric(dropped).await.is_none_or(|count| count < 1.0) {
        tokio::task::yield_now().await;
    }
    server.run().await;
    let said = server.end();
    let told = said.iter().filter(|line| line["fields"]["collector"].is_string());
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 1, "once: {told:?}");
    assert_eq!(told[0]["level"], "WARN");
    assert!(!told[0].to_string().contains("/logs") && !told[0].to_string().contains("hush"));
    assert_eq!(collector.lines(), Vec::<Value>::new());

    let silent = Collector::start(None).await;
    let server = Sending::start(&silent.url, &["--log-level", "debug"]).await;
    silent.until_asked().await;
    server.run().await;
    assert!(server.end().len() > 3);
}
