//! A callback on its way: the request that carries it, and what its receiver's answer means.

use backstitch_core::command::AttemptResult;
use backstitch_core::failure::Failure;
use backstitch_core::payload::Payload;
use serde_json::{Value, json};

use crate::clock;
use crate::partition::Order;
use crate::webhooks::Signer;

/// A body on its way to a receiver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Post<'a> {
    pub(crate) url: &'a str,
    /// The same for every attempt.
    pub(crate) id: &'a str,
    pub(crate) media_type: &'a str,
    pub(crate) body: &'a str,
}

impl<'a> Post<'a> {
    pub(super) fn of(url: &'a str, order: &'a Order) -> Self {
        let (id, body) = (&order.idempotency_key, order.input.text());
        Self { url, id, media_type: order.media_type, body }
    }

    /// What the `http` executor is asked for. The body is handed on as the text that was signed.
    pub(crate) fn request(&self, signer: &Signer) -> Payload {
        let Self { url, id, media_type, body } = *self;
        let timestamp_secs = clock::now().0.div_euclid(1_000_000);
        let headers = json!({
            "content-type": media_type,
            "webhook-id": id,
            "webhook-timestamp": timestamp_secs,
            "webhook-signature": signer.secrets().signature(id, timestamp_secs, body),
        });
        Payload::of(&json!({ "method": "POST", "url": url, "headers": headers, "body": body }))
    }
}

/// The status a callback was answered with, or why it was not received.
pub(crate) fn received(result: AttemptResult, timeout_ms: u64) -> Result<u16, Failure> {
    match result {
        AttemptResult::Answered(Ok(output)) => {
            let status = output.value().get("status").and_then(Value::as_u64);
            Ok(status.and_then(|status| u16::try_from(status).ok()).unwrap_or(200))
        }
        AttemptResult::Answered(Err(failure)) => Err(failure),
        AttemptResult::TimedOut => Err(backstitch_core::evolve::timed_out(timeout_ms)),
        AttemptResult::Lost => Err(backstitch_core::evolve::attempt_lost()),
    }
}
