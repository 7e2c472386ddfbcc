//! A callback on its way: the request that carries it, and what its receiver's answer means.

use backstitch_core::command::AttemptResult;
use backstitch_core::definition::Receiver;
use backstitch_core::event::BodyForm;
use backstitch_core::failure::Failure;
use backstitch_core::payload::Payload;
use backstitch_core::secrets::referring;
use serde_json::{Map, Value, json};

use crate::clock;
use crate::partition::Order;
use crate::secrets::{Given, SecretStore};
use crate::webhooks::Signer;

/// A body on its way to a receiver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Post<'a> {
    pub(crate) receiver: &'a Receiver,
    /// The same for every attempt.
    pub(crate) id: &'a str,
    /// As it is recorded: where a key is a secret, it has the secret's name.
    pub(crate) body: &'a Payload,
}

impl<'a> Post<'a> {
    pub(super) fn of(receiver: &'a Receiver, order: &'a Order) -> Self {
        Self { receiver, id: &order.idempotency_key, body: &order.input }
    }

    /// What the `http` executor is asked for, and the secrets in it. The body is handed on as the
    /// text that was signed.
    ///
    /// # Errors
    /// `SECRET_UNAVAILABLE`
    pub(crate) async fn request(
        &self,
        signer: &Signer,
        secrets: &SecretStore,
        namespace: &str,
    ) -> Result<(Payload, Given), Failure> {
        let Self { receiver, id, body } = *self;
        let form = &receiver.form;
        let named = form.headers().iter().map(|(_, text)| referring(text));
        let asked = json!({
            "url": referring(&receiver.url),
            "headers": named.collect::<Vec<_>>(),
            "key": form.body().key().map(|(_, key)| referring(key)),
        });
        let (known, given) = secrets.put_in(namespace, &Payload::of(&asked), true).await?;
        let mut known = known.value();
        let body = match (form.body(), form.body().key()) {
            (BodyForm::PagerDuty { .. }, Some((field, key))) if known["key"] != key => {
                let mut body = body.value();
                body[field] = known["key"].clone();
                body.to_string()
            }
            _ => body.text().to_owned(),
        };
        let timestamp_secs = clock::now().0.div_euclid(1_000_000);
        let mut headers: Map<String, Value> = Map::new();
        for (at, (name, _)) in form.headers().iter().enumerate() {
            headers.insert(name.clone(), known["headers"][at].take());
        }
        if let BodyForm::Opsgenie { .. } = form.body() {
            let key = known["key"].as_str().unwrap_or_default();
            headers.insert("authorization".to_owned(), format!("GenieKey {key}").into());
        }
        let signature = signer.secrets().signature(id, timestamp_secs, &body);
        for (name, value) in [
            ("content-type", json!(form.media_type())),
            ("webhook-id", json!(id)),
            ("webhook-timestamp", json!(timestamp_secs)),
            ("webhook-signature", json!(signature)),
        ] {
            headers.insert(name.to_owned(), value);
        }
        let url = known["url"].take();
        let request = json!({ "method": "POST", "url": url, "headers": headers, "body": body });
        Ok((Payload::of(&request), given))
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
