//! Services that note where they stand in which trace, and workflows that call them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::server::answer;

/// One call.
#[derive(Debug, Clone)]
pub struct Heard {
    pub path: String,
    pub attempt: String,
    pub traceparent: String,
    pub tracestate: String,
}

#[derive(Default)]
struct Books {
    heard: Mutex<Vec<Heard>>,
    /// A path whose next call is never answered.
    held: Mutex<Option<String>>,
    /// Calls of `/charge` so far: the first one is to be tried again.
    charged: Mutex<u32>,
    news: Notify,
}

/// A service: `/charge` fails once and may be tried again, `/ship` fails for good.
pub struct World {
    pub url: String,
    books: Arc<Books>,
}

impl World {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let books = Arc::new(Books::default());
        let router = Router::new().fallback(hear).with_state(books.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, books }
    }

    /// The workflows of these tests: `saga` retries, fails, undoes and tells; `plain` calls once;
    /// `family` has a child and a loop.
    pub async fn define(&self, client: &Client, server: &str) {
        let call = |path: &str| json!({ "method": "POST", "url": format!("{}{path}", self.url) });
        let retry = json!({ "max_attempts": 3, "initial": "1ms" });
        let refund = json!({ "type": "http", "with": call("/refund") });
        let saga = json!({
            "id": "saga",
            "callbacks": [{ "event": "workflow.failed", "url": format!("{}/told", self.url) }],
            "steps": [
                { "id": "charge", "type": "http", "with": call("/charge"), "retry": retry, "undo": refund },
                { "id": "ship", "type": "http", "needs": ["charge"], "with": call("/ship"), "retry": "none" },
            ],
        });
        let plain = json!({ "id": "plain", "steps": [
            { "id": "call", "type": "http", "with": call("/plain") },
        ] });
        let item = json!({ "type": "http", "with": call("/item") });
        let family = json!({ "id": "family", "steps": [
            { "id": "child", "type": "workflow", "with": { "workflow": "plain" } },
            { "id": "items", "type": "foreach", "needs": ["child"], "with": { "items": [1] }, "each": item },
            { "id": "last", "type": "http", "needs": ["items"], "with": call("/last") },
        ] });
        for definition in [saga, plain, family] {
            let request = client.post(format!("{server}/api/v1/workflows")).json(&definition);
            let (status, said) = answer(request).await;
            assert_eq!(status, StatusCode::CREATED, "{said}");
        }
    }

    /// The next call of a path gets no answer.
    pub fn hold(&self, path: &str) {
        *self.books.held.lock().expect("no panic") = Some(path.to_owned());
    }

    /// Every call so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.books.heard.lock().expect("no panic").clone()
    }

    /// Every call since this was last asked.
    pub fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.books.heard.lock().expect("no panic"))
    }

    pub async fn until_heard(&self, path: &str) {
        loop {
            let news = self.books.news.notified();
            if self.heard().iter().any(|own| own.path == path) {
                return;
            }
            news.await;
        }
    }
}

async fn hear(State(books): State<Arc<Books>>, uri: Uri, headers: HeaderMap) -> StatusCode {
    let text = |name: &str| {
        let value = headers.get(name).and_then(|own| own.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let path = uri.path().to_owned();
    let heard = Heard {
        path: path.clone(),
        attempt: text("backstitch-attempt"),
        traceparent: text("traceparent"),
        tracestate: text("tracestate"),
    };
    books.heard.lock().expect("no panic").push(heard);
    books.news.notify_waiters();
    let held = books.held.lock().expect("no panic").take_if(|own| *own == path);
    if held.is_some() {
        std::future::pending::<()>().await;
    }
    let first = path == "/charge" && {
        let mut charged = books.charged.lock().expect("no panic");
        *charged += 1;
        *charged == 1
    };
    match path.as_str() {
        _ if first => StatusCode::SERVICE_UNAVAILABLE,
        "/ship" => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::OK,
    }
}

/// Begins a run; answers its id.
pub async fn submit(
    client: &Client,
    server: &str,
    workflow: &str,
    headers: &[(&str, &str)],
) -> String {
    let mut request = client.post(format!("{server}/api/v1/workflows/{workflow}/execute"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (status, begun): (_, Value) = answer(request.json(&json!({}))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
    begun["execution_id"].as_str().expect("an id").to_owned()
}
