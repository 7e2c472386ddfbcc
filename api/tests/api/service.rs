//! A service that steps call, on loopback: it answers as the test says, and counts.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

/// What the service says to a call.
#[derive(Debug, Clone, Copy)]
pub struct Says {
    pub status: u16,
    pub retry_after: Option<&'static str>,
}

impl Says {
    pub fn status(status: u16) -> Self {
        Self { status, retry_after: None }
    }
}

/// One call: its path and its `Idempotency-Key` without the run's id.
pub type Call = (String, String);

#[derive(Debug)]
struct Books {
    calls: Vec<Call>,
    /// The next answers, and the one after all of them.
    next: Vec<Says>,
    then: Says,
}

/// Listens until the test's runtime ends.
pub struct Service {
    address: SocketAddr,
    books: Arc<Mutex<Books>>,
}

impl Service {
    /// Says 200 until it is told otherwise.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let books = Books { calls: Vec::new(), next: Vec::new(), then: Says::status(200) };
        let books = Arc::new(Mutex::new(books));
        let router = Router::new().fallback(answer).with_state(books.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, books }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The next calls are answered so, and all after them with `then`.
    pub fn says(&self, next: &[Says], then: u16) {
        let mut books = self.books.lock().expect("no thread panicked");
        books.next = next.iter().rev().copied().collect();
        books.then = Says::status(then);
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.books.lock().expect("no thread panicked").calls.clone()
    }
}

async fn answer(State(books): State<Arc<Mutex<Books>>>, uri: Uri, headers: HeaderMap) -> Response {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    let key = key.split_once('/').map_or(key, |(_, rest)| rest).to_owned();
    let mut books = books.lock().expect("no thread panicked");
    books.calls.push((uri.path().to_owned(), key));
    let says = books.next.pop().unwrap_or(books.then);
    let status = StatusCode::from_u16(says.status).expect("a status");
    let header = says.retry_after.map(|after| [("retry-after", after)]);
    (status, header.unwrap_or([("retry-after", "")]), "{}").into_response()
}
