//! A callback on its way: the request that carries it, and what its receiver's answer means.

use backstitch_core::command::AttemptResult;
use backstitch_core::failure::Failure;
use backstitch_core::payload::Payload;
use serde_json::{Value, json};

use crate::clock;
use crate::partition::Order;
use crate::webhooks::Signer;

/// One `POST`, made by the `http` executor. The body is handed on as the text that was signed.
pub(super) fn request(url: &str, order: &Order, signer: &Signer) -> Payload {
    let (id, body) = (&order.idempotency_key, order.input.text());
    let timestamp_secs = clock::now().0.div_euclid(1_000_000);
    let headers = json!({
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": timestamp_secs,
        "webhook-signature": signer.secrets().signature(id, timestamp_secs, body),
    });
    Payload::of(&json!({ "method": "POST", "url": url, "headers": headers, "body": body }))
}

/// The status a callback was answered with, or why it was not received.
pub(super) fn received(result: AttemptResult, timeout_ms: u64) -> Result<u16, Failure> {
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
