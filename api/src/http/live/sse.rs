//! Server-sent events, as the HTML standard has them (9.2): an id to go on behind, the type as the
//! event's name, and its JSON on one line.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use backstitch_saga::live::Heard;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::pump::{Gone, Outlet, Over, PIECE_TIMEOUT, Source, pump};
use super::{EVENT_STREAM, Terms};
use crate::http::pieces::{Piece, Pieces};

/// Pieces on the way to a reader, beside what its connection holds.
const PIECES_MAX: usize = 4;
/// When a client that was cut off comes again.
const RETRY: Duration = Duration::from_secs(1);

/// The answer: a body that goes on for as long as events do.
pub(super) fn answer(terms: Terms, source: impl Source) -> Response {
    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
    tokio::spawn(pump(terms, source, Lines { pieces, begun: false }));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Body::new(Pieces(receiver))).into_response()
}

struct Lines {
    pieces: mpsc::Sender<Piece>,
    begun: bool,
}

impl Lines {
    async fn send(&self, text: String) -> Result<(), Gone> {
        match timeout(PIECE_TIMEOUT, self.pieces.send(Ok(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

impl Outlet for Lines {
    async fn event(&mut self, heard: &Heard) -> Result<(), Gone> {
        let Heard { place, kind, json } = heard;
        self.send(format!("id: {place}\nevent: {kind}\ndata: {json}\n\n")).await
    }

    async fn beat(&mut self, place: Option<String>) -> Result<(), Gone> {
        let mut text = String::new();
        if !std::mem::replace(&mut self.begun, true) {
            text = format!("retry: {}\n", RETRY.as_millis());
        }
        match place {
            Some(place) => text.push_str(&format!("id: {place}\n\n")),
            None => text.push_str(":\n\n"),
        }
        self.send(text).await
    }

    async fn gone(&mut self) {
        self.pieces.closed().await;
    }

    async fn over(self, why: Over) {
        let text = match why {
            Over::Ended => "event: end\ndata: {}\n\n".to_owned(),
            Over::Stopping => return,
            Over::Refused(refusal) => {
                let told = json!({ "error_code": refusal.code, "message": refusal.message });
                format!("event: error\ndata: {told}\n\n")
            }
        };
        // One that has gone meanwhile need not hear it.
        drop(self.send(text).await);
    }
}
