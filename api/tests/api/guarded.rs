//! A server that asks who is there, as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::backstitch;
use crate::server::answer;
use crate::tokens::{AUDIENCE, ISSUER, Issuer, SECRET};

/// The key of the settings.
pub const FIRST_KEY: &str = "first-key-first-key-first-key-first-key";

/// A server that asks who is there.
pub struct Guarded {
    pub process: Child,
    pub url: String,
    pub client: Client,
    pub folder: TempDir,
    pub issuer: Issuer,
    settings: Vec<&'static str>,
    log: Log,
}

/// What the server has logged since it got ready.
type Log = Arc<Mutex<Vec<String>>>;

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        if !std::thread::panicking() {
            // It must not have what callers send to prove who they are.
            for line in &*self.log.lock().expect("no panic") {
                assert!(!line.contains(FIRST_KEY) && !line.contains("bst_"), "{line}");
            }
        }
    }
}

impl Guarded {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further flags.
    pub fn start_with(settings: &[&'static str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let issuer = Issuer::new();
        let keys = folder.path().join("keys.json");
        std::fs::write(keys, issuer.key_set().to_string()).expect("a file");
        let log = Log::default();
        let (process, url) = serve(folder.path(), settings, &log);
        let (client, settings) = (crate::forms::client(), settings.to_vec());
        Self { process, url, client, folder, issuer, settings, log }
    }

    /// `kill -9`, and again over the same data.
    pub fn start_again(&mut self) {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it ends");
        (self.process, self.url) = serve(self.folder.path(), &self.settings, &self.log);
    }

    /// The fields of the first line of the log that has such texts, once it is there.
    pub fn logged(&self, texts: [&str; 2]) -> Value {
        let has = |line: &&String| texts.iter().all(|text| line.contains(text));
        loop {
            if let Some(line) = self.log.lock().expect("no panic").iter().find(has) {
                let line: Value = serde_json::from_str(line).expect("a JSON line");
                return line["fields"].clone();
            }
            std::thread::yield_now();
        }
    }

    /// Whether a line of the log has a text.
    pub fn has_logged(&self, text: &str) -> bool {
        self.log.lock().expect("no panic").iter().any(|line| line.contains(text))
    }

    pub fn ask(&self, method: &str, path: &str, token: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.url));
        if token.is_empty() { request } else { request.bearer_auth(token) }
    }

    pub async fn get(&self, path: &str, token: &str) -> (StatusCode, Value) {
        answer(self.ask("GET", path, token)).await
    }

    pub async fn post(&self, path: &str, token: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.ask("POST", path, token).json(body)).await
    }

    /// A new key: its id and its text.
    pub async fn key(&self, permissions: &[&str], namespace: &str) -> (String, String) {
        let body = json!({ "name": "test", "permissions": permissions, "namespace": namespace });
        let (status, key) = self.post("/api/v1/admin/api-keys", FIRST_KEY, &body).await;
        assert_eq!(status, StatusCode::CREATED, "{key}");
        let text = |name: &str| key[name].as_str().expect("a text").to_owned();
        (text("key_id"), text("token"))
    }
}

fn serve(folder: &Path, settings: &[&str], log: &Log) -> (Child, String) {
    let keys = folder.join("keys.json").display().to_string();
    let mut process = backstitch(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
        .args(["--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE, "--jwt-leeway", "0s"])
        .args(["--jwt-secret", "env:TEST_JWT_SECRET", "--jwt-jwks", &keys])
        .args(settings)
        .arg("--data-dir")
        .arg(folder.join("data"))
        .env("TEST_JWT_SECRET", SECRET)
        .env("ORCHESTRATOR_API_KEY", FIRST_KEY)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(process.stderr.take().expect("a pipe"))
        .lines()
        .map(|line| line.expect("text"));
    let ready = lines.find(|line| line.contains("is ready")).expect("it gets ready");
    let ready: Value = serde_json::from_str(&ready).expect("a JSON line");
    let address = ready["fields"]["address"].as_str().expect("an address").to_owned();
    let log = log.clone();
    std::thread::spawn(move || {
        for line in lines {
            log.lock().expect("no panic").push(line);
        }
    });
    (process, format!("http://{address}"))
}

/// Whether it was refused for want of a permission.
pub fn is_refused(status: StatusCode, body: &Value) -> bool {
    status == StatusCode::FORBIDDEN && body["error_code"] == "PERMISSION_DENIED"
}
