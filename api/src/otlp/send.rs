//! Batches of spans, and what the collector's answers say of them.

use serde_json::Value;

use super::encode::Resource;
use super::outbox::{EXPORTED, Outbox, dropped};
use super::place::Place;
use crate::courier::{Courier, Reason};
use crate::error::Error;
use crate::settings::Otlp;

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Sends batches to one collector.
#[derive(Debug)]
pub(super) struct Sender {
    courier: Courier,
}

impl Sender {
    pub(super) fn new(settings: &Otlp) -> Result<Self, Error> {
        let (url, headers) = (settings.url.clone(), settings.headers.headers());
        Ok(Self { courier: Courier::new(url, headers, "application/json")? })
    }

    /// Sends until the outbox is closed and empty.
    pub(super) async fn run(&self, outbox: &Outbox, resource: &Resource, place: &mut Place) {
        let mut is_silent = false;
        let mut last = None;
        while let Some(batch) = outbox.batch().await {
            if !batch.entries.is_empty() {
                self.deliver(&batch.entries, resource, &mut is_silent).await;
            }
            if let Some(reached) = batch.place {
                place.keep(&reached);
                last = Some(reached);
            }
        }
        last.iter().for_each(|reached| place.write(reached));
    }

    /// Sends spans, and counts what became of them.
    async fn deliver(&self, batch: &[Box<str>], resource: &Resource, is_silent: &mut bool) {
        let spans = batch.len() as u64;
        let rejected = match self.courier.deliver(&resource.request(batch)).await {
            Ok(response) => rejected(response).await.min(spans),
            Err((reason, why)) => {
                // Once, and not for every batch: it may be away for hours.
                if !std::mem::replace(is_silent, true) {
                    let collector = self.courier.collector();
                    tracing::warn!(collector, why, spans, "spans are not exported");
                }
                return dropped(spans, reason);
            }
        };
        *is_silent = false;
        if rejected > 0 {
            dropped(rejected, Reason::Refused);
        }
        metrics::counter!(EXPORTED).increment(spans - rejected);
    }
}

/// How many spans a success was not one of.
async fn rejected(mut response: reqwest::Response) -> u64 {
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        if text.len() + chunk.len() > ANSWER_BYTES_MAX {
            return 0;
        }
        text.extend_from_slice(&chunk);
    }
    let said: Value = serde_json::from_slice(&text).unwrap_or(Value::Null);
    let rejected = &said["partialSuccess"]["rejectedSpans"];
    let count = rejected.as_str().and_then(|own| own.parse().ok()).or_else(|| rejected.as_u64());
    let count = count.unwrap_or(0);
    if count > 0 {
        let why = said["partialSuccess"]["errorMessage"].as_str().unwrap_or_default();
        tracing::warn!(count, why, "the collector left out spans");
    }
    count
}
