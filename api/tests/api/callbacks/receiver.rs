//! Somebody who is called back, on loopback: answers as the test says and shows what came.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |own| own.to_str().expect("text"))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// What the header of signatures must be with these secrets.
    pub fn signature(&self, secrets: &str) -> String {
        let secrets = backstitch_saga::webhooks::Secrets::read(secrets).expect("good secrets");
        let timestamp = self.header("webhook-timestamp").parse().expect("seconds");
        secrets.signature(self.header("webhook-id"), timestamp, &self.body).expect("a secret")
    }
}

struct Desk {
    came: UnboundedSender<Seen>,
    /// The next answers; 204 after them.
    next: Mutex<Vec<u16>>,
}

pub struct Receiver {
    pub url: String,
    desk: Arc<Desk>,
    seen: UnboundedReceiver<Seen>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let (came, seen) = unbounded_channel();
        let desk = Arc::new(Desk { came, next: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(desk.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, desk, seen }
    }

    /// The next requests are answered so.
    pub fn answers(&self, statuses: &[u16]) {
        *self.desk.next.lock().expect("no thread panicked") =
            statuses.iter().rev().copied().collect();
    }

    /// The next request that comes.
    pub async fn next(&mut self) -> Seen {
        self.seen.recv().await.expect("it listens for as long as the test")
    }
}

async fn answer(
    State(desk): State<Arc<Desk>>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let status = desk.next.lock().expect("no thread panicked").pop().unwrap_or(204);
    desk.came.send(Seen { path: uri.to_string(), headers, body }).expect("the test goes on");
    StatusCode::from_u16(status).expect("a status")
}
