//! A WebSocket (RFC 6455) that tells events: one text message each, its JSON with the place to go on
//! behind.

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use backstitch_saga::live::Heard;
use serde_json::json;
use tokio::time::timeout;

use super::Terms;
use super::pump::{Gone, Outlet, Over, PIECE_TIMEOUT, Source, pump};
use crate::http::codes;

/// The longest message that is taken, in bytes: none is asked for.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// Heartbeats that may stay without any answer.
const SILENT_BEATS_MAX: u32 = 2;
/// The longest reason that a close takes, in bytes (RFC 6455, 5.5).
const REASON_BYTES_MAX: usize = 123;

/// The answer: the connection changes to a WebSocket.
pub(super) fn answer(upgrade: WebSocketUpgrade, terms: Terms, source: impl Source) -> Response {
    upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .on_upgrade(|socket| pump(terms, source, Messages { socket, silent_beats: 0 }))
}

struct Messages {
    socket: WebSocket,
    silent_beats: u32,
}

impl Messages {
    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(PIECE_TIMEOUT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

impl Outlet for Messages {
    async fn event(&mut self, heard: &Heard) -> Result<(), Gone> {
        let Heard { place, json, .. } = heard;
        let text = format!("{{\"cursor\":{},\"event\":{json}}}", json!(place));
        self.send(Message::Text(text.into())).await
    }

    async fn beat(&mut self, place: Option<String>) -> Result<(), Gone> {
        if self.silent_beats > SILENT_BEATS_MAX {
            return Err(Gone);
        }
        self.silent_beats += 1;
        if let Some(place) = place {
            self.send(Message::Text(json!({ "cursor": place }).to_string().into())).await?;
        }
        self.send(Message::Ping(Default::default())).await
    }

    async fn gone(&mut self) {
        while let Some(Ok(message)) = self.socket.recv().await {
            self.silent_beats = 0;
            if matches!(message, Message::Close(_)) {
                return;
            }
        }
    }

    async fn over(mut self, why: Over) {
        let (code, mut reason) = match why {
            Over::Ended => (close_code::NORMAL, "the run has ended".to_owned()),
            Over::Stopping => (close_code::AWAY, "the server stops".to_owned()),
            Over::Refused(refusal) => {
                let reason = format!("{}: {}", refusal.code, refusal.message);
                match refusal.code {
                    codes::UNAUTHENTICATED | codes::PERMISSION_DENIED => {
                        (close_code::POLICY, reason)
                    }
                    _ => (close_code::ERROR, reason),
                }
            }
        };
        while reason.len() > REASON_BYTES_MAX {
            reason.pop();
        }
        let close = CloseFrame { code, reason: reason.into() };
        // One that has gone meanwhile need not hear it.
        drop(self.send(Message::Close(Some(close))).await);
    }
}
