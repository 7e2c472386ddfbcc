//! Batches on their way to the collector, as the OTLP specification has it: what it can't take
//! now is sent again, later each time; what it refuses is not.

use std::time::Duration;

use backstitch_core::retry_policy::{Backoff, RetryPolicy};
use backstitch_saga::clock;
use backstitch_saga::retry::wait_ms;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use serde_json::Value;

use super::encode::Resource;
use super::outbox::{EXPORTED, Outbox, Reason, dropped};
use super::place::Place;
use crate::error::Error;
use crate::settings::Otlp;

/// How long the collector may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a batch is sent, and how long it waits before the next try, whatever the collector asks for.
const POLICY: RetryPolicy = RetryPolicy {
    max_attempts: 6,
    backoff: Backoff::Exponential,
    initial_ms: 1_000,
    max_ms: 60_000,
    multiplier: 2.0,
    jitter: true,
};
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Sends batches to one collector.
#[derive(Debug)]
pub(super) struct Sender {
    client: Client,
    url: Url,
    headers: HeaderMap,
}

/// What became of a try.
enum Tried {
    /// Taken, but for so many.
    Taken { rejected: u64 },
    /// Not to be tried again.
    Refused(String),
    /// To be tried again, after this long if the collector says so.
    Later(String, Option<Duration>),
}

impl Sender {
    pub(super) fn new(settings: &Otlp) -> Result<Self, Error> {
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .timeout(ANSWER_TIMEOUT)
            .build()
            .map_err(|error| Error::Failed(format!("no client for the collector: {error}")))?;
        Ok(Self { client, url: settings.url.clone(), headers: settings.headers.headers() })
    }

    /// Sends until the outbox is closed and empty.
    pub(super) async fn run(&self, outbox: &Outbox, resource: &Resource, place: &mut Place) {
        let mut is_silent = false;
        let mut last = None;
        while let Some(batch) = outbox.batch().await {
            if !batch.spans.is_empty() {
                self.deliver(&batch.spans, resource, &mut is_silent).await;
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
        let (spans, body) = (batch.len() as u64, resource.request(batch));
        let rejected = match self.send(&body).await {
            Ok(rejected) => rejected.min(spans),
            Err((reason, why)) => {
                // Once, and not for every batch: it may be away for hours.
                if !std::mem::replace(is_silent, true) {
                    let collector = self.url.origin().ascii_serialization();
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

    /// Sends a batch until it is taken, refused, or was tried often enough; answers how many of
    /// its spans the collector left out.
    async fn send(&self, body: &str) -> Result<u64, (Reason, String)> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.attempt(body).await {
                Tried::Taken { rejected } => return Ok(rejected),
                Tried::Refused(why) => return Err((Reason::Refused, why)),
                Tried::Later(why, _) if tries == POLICY.max_attempts => {
                    return Err((Reason::Unreachable, why));
                }
                Tried::Later(_, asked) => {
                    let drawn =
                        || Duration::from_millis(wait_ms(&POLICY, tries, clock::draw_u32()));
                    let longest = Duration::from_millis(POLICY.max_ms);
                    tokio::time::sleep(asked.unwrap_or_else(drawn).min(longest)).await;
                }
            }
        }
    }

    async fn attempt(&self, body: &str) -> Tried {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(body.to_owned());
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Tried::Later(error.without_url().to_string(), None),
        };
        let status = response.status();
        if status.is_success() {
            return Tried::Taken { rejected: rejected(response).await };
        }
        let why = format!("the collector answered {status}");
        if !is_passing(status) {
            return Tried::Refused(why);
        }
        let after = response.headers().get(RETRY_AFTER).and_then(|own| own.to_str().ok());
        let after = after.and_then(|own| own.trim().parse().ok()).map(Duration::from_secs);
        Tried::Later(why, after)
    }
}

/// Which answers ask for another try.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
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
