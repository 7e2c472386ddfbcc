//! Streams of events, as their readers have them.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

/// How long something that has to come may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// One server-sent event; a heartbeat has neither kind nor data.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sent {
    pub id: Option<String>,
    pub kind: Option<String>,
    pub data: Option<Value>,
}

/// A stream of server-sent events.
pub struct Sse {
    response: Response,
    text: String,
    /// What a browser would send as `Last-Event-ID`.
    pub last_id: Option<String>,
}

impl Sse {
    pub async fn open(request: RequestBuilder) -> Self {
        let response = request.header("accept", "text/event-stream").send().await;
        let response = response.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new(), last_id: None }
    }

    /// What comes next, heartbeats included; `None` once the stream is over.
    pub async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                return Some(self.read(&block));
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("in time");
            let Ok(Some(chunk)) = chunk else { return None };
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    fn read(&mut self, block: &str) -> Sent {
        let field = |name: &str| {
            let mut lines = block.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.map(str::to_owned)
        };
        let data = field("data").map(|text| serde_json::from_str(&text).expect("JSON"));
        let sent = Sent { id: field("id"), kind: field("event"), data };
        self.last_id = sent.id.clone().or(self.last_id.take());
        sent
    }

    /// The next event that is one.
    pub async fn event(&mut self) -> Option<Sent> {
        loop {
            let sent = self.next().await?;
            if sent.kind.is_some() {
                return Some(sent);
            }
        }
    }

    /// Events up to one of a kind, it included.
    pub async fn until(&mut self, kind: &str) -> Vec<Sent> {
        let mut events = Vec::new();
        loop {
            let event = self.event().await.unwrap_or_else(|| panic!("no {kind} came: {events:?}"));
            let found = event.kind.as_deref() == Some(kind);
            events.push(event);
            if found {
                return events;
            }
        }
    }
}
