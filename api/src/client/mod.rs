//! The API from outside: what commands and the demo ask of a server.

mod sse;
mod stream;
mod tls;

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client as Http, ClientBuilder, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::error::Error;

use tls::Trust;

pub use stream::Stream;
pub use tls::TlsFiles;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a patient client waits for a server that is starting.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits between attempts, unless the server says how long.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(200);

/// A server, as a client sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    url: String,
    token: Option<HeaderValue>,
    trust: Trust,
    patience: Duration,
}

impl Client {
    /// A client of the server at a URL.
    ///
    /// # Errors
    /// [`Error::Setting`] for what is no URL of a server, [`Error::Unreachable`] when the
    /// machine's sockets or TLS can't be set up.
    pub fn new(url: &str) -> Result<Self, Error> {
        check_url(url)?;
        let url = url.trim_end_matches('/').to_owned();
        let trust = Trust::default();
        match build(ANSWER_TIMEOUT, Policy::default(), &trust) {
            Ok(http) => Ok(Self { http, url, token: None, trust, patience: Duration::ZERO }),
            Err(source) => Err(Error::Unreachable { url, source }),
        }
    }

    /// The same, with what it has for TLS.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Setting`] for files that can't be used.
    pub fn with_tls(self, files: &TlsFiles) -> Result<Self, Error> {
        let trust = Trust::read(files)?;
        match build(ANSWER_TIMEOUT, Policy::default(), &trust) {
            Ok(http) => Ok(Self { http, trust, ..self }),
            Err(source) => Err(Error::Unreachable { url: self.url, source }),
        }
    }

    /// The same, with a token or an API key that says who asks.
    ///
    /// # Errors
    /// [`Error::Setting`] for what fits into no header.
    pub fn with_token(self, token: Option<&str>) -> Result<Self, Error> {
        let header = |token: &str| {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                Error::Setting(
                    "the token (--token, BACKSTITCH_TOKEN) has characters that no token has"
                        .to_owned(),
                )
            })?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        };
        Ok(Self { token: token.map(header).transpose()?, ..self })
    }

    /// The same, waiting up to some time for a server that refuses connections or answers 503.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Where the server is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Defines a workflow from its text; answers what the server says of it.
    ///
    /// # Errors
    /// [`Error::Refused`] with every problem, [`Error::Unreachable`].
    pub async fn define(&self, text: Vec<u8>, media_type: &str) -> Result<Value, Error> {
        let request = self.http.post(format!("{}/api/v1/workflows", self.url));
        self.send(request.header(CONTENT_TYPE, media_type).body(text)).await
    }

    /// Begins a run; answers its id. Patient only with an idempotency key.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unreachable`].
    pub async fn execute(
        &self,
        workflow: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Result<String, Error> {
        // Without a key, a request that may have been recorded must not be sent again.
        let patience = key.map_or(Duration::ZERO, |_| self.patience);
        let client = self.clone().with_patience(patience);
        let path = path_of(&["api", "v1", "workflows", workflow, "execute"]);
        let accepted = client.post_with_key(&path, body, key).await?;
        let id = accepted["execution_id"].as_str();
        id.map(str::to_owned).ok_or_else(|| Error::Failed(format!("no run in {accepted}")))
    }

    /// The events of a run after a version.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unreachable`].
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
    /// [`Error::Refused`], [`Error::Unreachable`].
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        self.send(self.http.get(format!("{}{path}", self.url))).await
    }

    /// The text that is at a path.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unreachable`].
    pub async fn text(&self, path: &str) -> Result<String, Error> {
        let answer = self.answer(self.http.get(format!("{}{path}", self.url))).await?;
        answer.text().await.map_err(|source| self.gone(source))
    }

    /// What is at a path with a query.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unreachable`].
    pub async fn get_with(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Error> {
        self.get(&with_query(path, query)).await
    }

    /// What a path answers to a body.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unreachable`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.send(with_json(self.http.post(format!("{}{path}", self.url)), body)).await
    }

    /// The same; the same key with the same body is the same request.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unreachable`].
    pub async fn post_with_key(
        &self,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Result<Value, Error> {
        let mut request = self.http.post(format!("{}{path}", self.url));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.send(with_json(request, body)).await
    }

    /// What a path answers when its content is replaced.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unreachable`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.send(with_json(self.http.put(format!("{}{path}", self.url)), body)).await
    }

    /// What a path answers when its content is to go.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unreachable`].
    pub async fn delete(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.send(with_json(self.http.delete(format!("{}{path}", self.url)), body)).await
    }

    /// What is taken away at a path, with a query.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unreachable`].
    pub async fn delete_with(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Error> {
        self.send(self.http.delete(format!("{}{}", self.url, with_query(path, query)))).await
    }

    /// Whether the server takes work.
    pub async fn is_ready(&self) -> bool {
        self.get("/ready").await.is_ok()
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value, Error> {
        let answer = self.answer(request).await?;
        let status = answer.status();
        match self.body(answer).await? {
            body if body.is_object() => Ok(body),
            _ => Err(Error::Foreign { url: self.url.clone(), status }),
        }
    }

    /// What a request is answered, unless it is refused.
    async fn answer(&self, mut request: RequestBuilder) -> Result<Response, Error> {
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        let answer = self.attempt(request).await.map_err(|source| self.gone(source))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        match self.body(answer).await? {
            body if body["error_code"].is_string() => Err(refused(status, &body)),
            _ => Err(Error::Foreign { url: self.url.clone(), status }),
        }
    }

    async fn body(&self, answer: Response) -> Result<Value, Error> {
        let bytes = answer.bytes().await.map_err(|source| self.gone(source))?;
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    fn gone(&self, source: reqwest::Error) -> Error {
        Error::Unreachable { url: self.url.clone(), source }
    }

    /// Sends a request, again while patience lasts and the server is not there or has no time.
    async fn attempt(&self, request: RequestBuilder) -> Result<Response, reqwest::Error> {
        let until = Instant::now() + self.patience;
        loop {
            let Some(again) = request.try_clone() else { return request.send().await };
            let answer = again.send().await;
            let pause = match &answer {
                Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => pause(answer),
                Err(error) if error.is_connect() => ATTEMPT_PAUSE,
                _ => return answer,
            };
            if Instant::now() + pause > until {
                return answer;
            }
            sleep(pause).await;
        }
    }
}

/// A client that follows no redirect, for keys of an issuer.
pub(crate) fn plain(timeout: Duration) -> Result<Http, Error> {
    build(timeout, Policy::none(), &Trust::default())
        .map_err(|source| Error::Unreachable { url: "https".to_owned(), source })
}

fn build(timeout: Duration, redirects: Policy, trust: &Trust) -> Result<Http, reqwest::Error> {
    builder(redirects, trust).timeout(timeout).build()
}

fn builder(redirects: Policy, trust: &Trust) -> ClientBuilder {
    let provider = rustls::crypto::ring::default_provider();
    // An error says that another provider is in place already, which serves as well.
    drop(provider.install_default());
    trust.over(Http::builder().redirect(redirects).no_proxy())
}

/// A path of segments, each with what it needs escaped.
#[must_use]
pub fn path_of(segments: &[&str]) -> String {
    let mut url = Url::parse("http://server").expect("a URL");
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(segments);
    }
    url.path().to_owned()
}

/// A path with a query.
#[must_use]
pub fn with_query(path: &str, query: &[(&str, String)]) -> String {
    let url = Url::parse_with_params("http://server", query).expect("a URL");
    let query = url.query().filter(|query| !query.is_empty());
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

/// Refuses what is no URL of a server, and says what to write.
fn check_url(url: &str) -> Result<(), Error> {
    let is_server = |url: &Url| {
        matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.has_host()
    };
    match Url::parse(url) {
        Ok(url) if is_server(&url) => Ok(()),
        _ => Err(Error::Setting(format!(
            "the server `{url}` must be written as http://HOST:PORT, such as \
             http://127.0.0.1:8080 (--server, BACKSTITCH_SERVER)"
        ))),
    }
}

/// How long a server that has no time wants to be left alone.
fn pause(answer: &Response) -> Duration {
    let asked = answer.headers().get(RETRY_AFTER).and_then(|seconds| seconds.to_str().ok());
    let asked = asked.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    asked.unwrap_or(ATTEMPT_PAUSE)
}

fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json").body(body.to_string())
}

/// The envelope as a sentence, with every problem on its own line.
fn refused(status: StatusCode, body: &Value) -> Error {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let problems = body["details"]["problems"].as_array().map_or(&[][..], Vec::as_slice);
    let code = text(&body["error_code"]);
    let mut sentence = match problems {
        [] => format!("{code}: {}", text(&body["message"])),
        _ => format!("{code}:"),
    };
    if status == StatusCode::UNAUTHORIZED {
        sentence = format!("{sentence} (give a token or an API key: --token, BACKSTITCH_TOKEN)");
    }
    for problem in problems {
        let (path, message) = (text(&problem["path"]), text(&problem["message"]));
        sentence = format!("{sentence}\n  {path}: {message} ({})", text(&problem["code"]));
    }
    Error::Refused { status, code, sentence }
}
