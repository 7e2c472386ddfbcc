//! The services that the documents' workflows call: every call is recorded, every path is answered
//! as the test says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// One call as it came in.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub query: String,
    /// The `Idempotency-Key`, without the run's id before it.
    pub key: String,
    pub body: Value,
}

/// Listens until the test's runtime ends.
pub struct Service {
    address: SocketAddr,
    books: Arc<Mutex<Books>>,
}

#[derive(Default)]
struct Books {
    calls: Vec<Call>,
    answers: BTreeMap<String, (u16, Value)>,
}

impl Service {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let books = Arc::new(Mutex::new(Books::default()));
        let router = Router::new().fallback(answer).with_state(books.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, books }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{}", self.address, path.trim_start_matches('/'))
    }

    /// From now on a path is answered so. Every other one is not found.
    pub fn answers(&self, path: &str, status: u16, body: Value) {
        let mut books = self.books.lock().expect("no thread panicked");
        books.answers.insert(path.to_owned(), (status, body));
    }

    /// The calls since this was last asked.
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.books.lock().expect("no thread panicked").calls)
    }
}

async fn answer(
    State(books): State<Arc<Mutex<Books>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    let mut books = books.lock().expect("no thread panicked");
    books.calls.push(Call {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        key: key.split_once('/').map_or(key, |(_, rest)| rest).to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    let unknown = || (404, json!({ "error": "nobody is told of this path" }));
    let (status, body) = books.answers.get(uri.path()).cloned().unwrap_or_else(unknown);
    let status = StatusCode::from_u16(status).expect("a status");
    (status, axum::Json(body)).into_response()
}
