//! Batches on their way to a collector over HTTP: what it can't take now is sent again, later each
//! time; what it refuses is not.
//!
//! `queue` has what waits to be sent. What is sent, and what an answer says of it, is known to who sends.

mod queue;

use std::time::Duration;

use backstitch_core::retry_policy::{Backoff, RetryPolicy};
use backstitch_saga::clock;
use backstitch_saga::retry::wait_ms;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use crate::error::Error;

pub(crate) use queue::{Limits, Queue};

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

/// Why something was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Too many wait already.
    Full,
    /// The collector does not take it.
    Refused,
    /// The collector did not answer, however often it was asked.
    Unreachable,
    /// It could not be read.
    Unread,
}

impl Reason {
    /// As metrics say it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Unread => "unread",
        }
    }
}

/// Sends batches to one collector.
#[derive(Debug)]
pub(crate) struct Courier {
    client: Client,
    url: Url,
    headers: HeaderMap,
    media_type: &'static str,
}

/// What became of a try.
enum Tried {
    /// Taken.
    Taken(Response),
    /// Not to be tried again.
    Refused(String),
    /// To be tried again, after this long if the collector says so.
    Later(String, Option<Duration>),
}

impl Courier {
    /// Posts batches of a media type to a URL.
    ///
    /// # Errors
    /// [`Error::Failed`] if no client can be built.
    pub(crate) fn new(
        url: Url,
        headers: HeaderMap,
        media_type: &'static str,
    ) -> Result<Self, Error> {
        let provider = rustls::crypto::ring::default_provider();
        // An error says that another provider is in place already, which serves as well.
        drop(provider.install_default());
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .timeout(ANSWER_TIMEOUT)
            .build()
            .map_err(|error| Error::Failed(format!("no client for the collector: {error}")))?;
        Ok(Self { client, url, headers, media_type })
    }

    /// Scheme, host and port of the collector: the rest of its URL may be what lets one in.
    pub(crate) fn collector(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Sends a batch until it is taken, refused, or was tried often enough.
    ///
    /// # Errors
    /// Why it was not taken.
    pub(crate) async fn deliver(&self, body: &str) -> Result<Response, (Reason, String)> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.attempt(body).await {
                Tried::Taken(response) => return Ok(response),
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
        let request = request.header(CONTENT_TYPE, self.media_type).body(body.to_owned());
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Tried::Later(error.without_url().to_string(), None),
        };
        let status = response.status();
        if status.is_success() {
            return Tried::Taken(response);
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
