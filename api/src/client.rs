//! The API from outside: what `submit` and the demo ask of a server.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client as Http, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::error::Error;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A server, as a client sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    url: String,
}

impl Client {
    /// A client of the server at a URL.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when the machine's sockets or TLS can't be set up.
    pub fn new(url: &str) -> Result<Self, Error> {
        let provider = rustls::crypto::ring::default_provider();
        // An error says that another provider is in place already, which serves as well.
        drop(provider.install_default());
        let url = url.trim_end_matches('/').to_owned();
        let built = Http::builder().timeout(ANSWER_TIMEOUT).no_proxy().build();
        match built {
            Ok(http) => Ok(Self { http, url }),
            Err(source) => Err(Error::Unreachable { url, source }),
        }
    }

    /// Where the server is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Defines a workflow from its text; answers what the server says of it.
    ///
    /// # Errors
    /// [`Error::Failed`] with every problem, [`Error::Unreachable`].
    pub async fn define(&self, text: Vec<u8>, media_type: &str) -> Result<Value, Error> {
        let request = self.http.post(format!("{}/api/v1/workflows", self.url));
        self.send(request.header(CONTENT_TYPE, media_type).body(text)).await
    }

    /// Begins a run; answers its id.
    ///
    /// # Errors
    /// [`Error::Failed`], [`Error::Unreachable`].
    pub async fn execute(
        &self,
        workflow: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Result<String, Error> {
        let url = format!("{}/api/v1/workflows/{workflow}/execute", self.url);
        let mut request = self.http.post(url);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let accepted = self.send(with_json(request, body)).await?;
        let id = accepted["execution_id"].as_str();
        id.map(str::to_owned).ok_or_else(|| Error::Failed(format!("no run in {accepted}")))
    }

    /// The events of a run after a version.
    ///
    /// # Errors
    /// [`Error::Failed`], [`Error::Unreachable`].
    pub async fn events(&self, run: &str, after_version: u64) -> Result<Vec<Value>, Error> {
        let path = format!("/api/v1/executions/{run}/events?after_version={after_version}");
        match self.get(&path).await?["events"].take() {
            Value::Array(events) => Ok(events),
            _ => Ok(Vec::new()),
        }
    }

    /// What is at a path.
    ///
    /// # Errors
    /// [`Error::Failed`], [`Error::Unreachable`].
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        self.send(self.http.get(format!("{}{path}", self.url))).await
    }

    /// Whether the server takes work.
    pub async fn is_ready(&self) -> bool {
        self.get("/ready").await.is_ok()
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value, Error> {
        let gone = |source| Error::Unreachable { url: self.url.clone(), source };
        let answer = request.send().await.map_err(gone)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(gone)?;
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!({}));
        if status.is_success() { Ok(body) } else { Err(refused(status, &body)) }
    }
}

fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json").body(body.to_string())
}

/// The envelope as a sentence, with every problem on its own line.
fn refused(status: StatusCode, body: &Value) -> Error {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let problems = body["details"]["problems"].as_array().map_or(&[][..], Vec::as_slice);
    let mut sentence = match (&body["error_code"], problems) {
        (Value::String(code), []) => format!("{code}: {}", text(&body["message"])),
        (Value::String(code), _) => format!("{code}, nothing was recorded:"),
        _ => format!("the server answered {status}"),
    };
    for problem in problems {
        let (path, message) = (text(&problem["path"]), text(&problem["message"]));
        sentence = format!("{sentence}\n  {path}: {message} ({})", text(&problem["code"]));
    }
    Error::Failed(sentence)
}
