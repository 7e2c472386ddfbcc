//! The desk: who answers the server under test in place of every service, over HTTP.
//!
//! It keeps the books of all of them. It is in this process and not in the server's, so that it
//! outlives every kill and remembers what it did.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use axum::{Json, Router};
use backstitch_core::failure::EffectKnown;
use backstitch_core::payload::{PAYLOAD_BYTES_MAX, Payload};
use backstitch_core::rehearsal::Reply;
use backstitch_core::report::failure_json;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::books::{ActId, Books, Took, Wish};
use super::mocks::{Mocks, Operation};
use crate::error::Error;

/// Where calls are made.
pub(super) const CALLS_PATH: &str = "/calls";
/// The largest call: an input, and what is said beside it.
const CALL_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 64 * 1024;

/// A call of a service, as an executor would make it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Call {
    /// The step's id; of a callback, the word of its event.
    pub(super) step: String,
    /// The idempotency key.
    pub(super) key: String,
    /// Counts the attempts of the round from 1.
    pub(super) attempt: u16,
    /// The rendered input.
    pub(super) input: Value,
}

/// Answers until it is dropped.
#[derive(Debug)]
pub(super) struct Desk {
    url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<std::io::Result<()>>,
}

#[derive(Debug)]
struct Shared {
    mocks: Mocks,
    books: Mutex<Books>,
}

impl Shared {
    /// A panic leaves the books as they were between two entries.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// Opens on a free port of the loopback.
    pub(super) async fn open(mocks: Mocks) -> Result<Self, Error> {
        let failed = Error::io("opening the desk of mocks");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(&failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        let shared = Arc::new(Shared { mocks, books: Mutex::default() });
        let router = Router::new()
            .route(CALLS_PATH, post(answer))
            .layer(DefaultBodyLimit::max(CALL_BYTES_MAX))
            .with_state(shared.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, shared, serving })
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What is mocked.
    pub(super) fn mocks(&self) -> &Mocks {
        &self.shared.mocks
    }

    /// Looks into the books.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Books) -> T) -> T {
        look(&self.shared.books())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The effect takes place first, and the answer takes its time.
async fn answer(State(shared): State<Arc<Shared>>, Json(call): Json<Call>) -> Json<Value> {
    // A step's id has no dot; the word of a callback's event has one.
    if call.step.contains('.') {
        return Json(json!({ "output": { "status": 200 } }));
    }
    let Some((id, wish)) = ActId::read(&call.key) else {
        return Json(json!({ "output": {} }));
    };
    let operation = match wish {
        Wish::Do => Operation::Step,
        Wish::Undo => Operation::Undo,
        Wish::Ask => Operation::Check { took_effect: shared.books().took_effect(&id) },
    };
    let input = Payload::of(&call.input);
    let said = shared.mocks.answer(&id.step, operation, call.attempt, &input);
    let (took, answer) = match said.reply {
        Reply::Output(output) => {
            (Took::Effect(output.value()), json!({ "output": output.value() }))
        }
        Reply::Failure(failure) => {
            let unknown = failure.effect == EffectKnown::Unknown;
            let took = if unknown { Took::EffectUnheard } else { Took::Nothing };
            (took, json!({ "failure": failure_json(&failure) }))
        }
        Reply::TimedOut | Reply::Lost => (Took::EffectUnheard, json!({ "failure": {} })),
    };
    let name = operation.name(&id.step);
    let is_idempotent = shared.mocks.is_idempotent(&name);
    let before = shared.books().enter(&id, wish, is_idempotent, took);
    if let Some(output) = before {
        return Json(json!({ "output": output }));
    }
    tokio::time::sleep(Duration::from_millis(said.delay_ms)).await;
    Json(answer)
}
