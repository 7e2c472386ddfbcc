//! `http`: sends one request and takes the answer as the step's output.
//!
//! - `request`: from the `with` of a step to a request, or what is wrong with it;
//! - `callers`: who connects, with which certificate;
//! - `guard`: which addresses may be called where a run's data names the host;
//! - `exchange`: sends it, follows redirects within the host, reads the answer;
//! - `answer`: from the answer to an output or a [`Failure`].
//!
//! Knows nothing of retries: it says whether another attempt may help and whether this one
//! may have taken effect, and the engine decides.

mod answer;
mod callers;
mod exchange;
mod failure;
mod guard;
mod request;
mod status;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use backstitch_core::failure::Failure;
use backstitch_core::payload::{PAYLOAD_BYTES_MAX, Payload};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use crate::Error;
use crate::codes::HTTP_BAD_REQUEST;
use crate::fields::{Stage, sentence};
use crate::task::{Answer, Attempt, Executor, InputProblem, Task};
use failure::Asked;

pub use callers::{Callers, Trust};
pub use failure::url_told;
pub use guard::{HostList, PrivateHosts};
pub use status::verdict;

/// What an output needs beside the body: the status and the headers.
const ENVELOPE_BYTES_MAX: usize = 4 * 1024;
/// The largest body that any answer may have, in bytes.
pub const RESPONSE_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - ENVELOPE_BYTES_MAX;
/// Answers of more than 64 KiB that are read and turned into outputs at once, each of at most
/// [`RESPONSE_BYTES_MAX`]; more wait, on their step's time.
pub const LARGE_ANSWERS_MAX: usize = 32;

/// The server's settings of the `http` executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// The largest body of an answer, in bytes; a step may ask for less. At most
    /// [`RESPONSE_BYTES_MAX`].
    pub response_bytes_max: usize,
    /// How long a connection may take to be made, TLS included.
    pub connect_timeout: Duration,
    /// How long a connection is kept open for the next request to the same host.
    pub idle_timeout: Duration,
    /// How many connections to one host are kept open without a request on them.
    pub idle_connections_per_host_max: usize,
    /// Whether private addresses are called where a run's data names the host.
    pub private_hosts: PrivateHosts,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            response_bytes_max: RESPONSE_BYTES_MAX,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            idle_connections_per_host_max: 256,
            private_hosts: PrivateHosts::Allowed,
        }
    }
}

/// Does `http` tasks over pooled clients.
pub struct HttpExecutor {
    callers: watch::Receiver<Callers>,
    response_bytes_max: usize,
    large_answers: Arc<Semaphore>,
}

impl HttpExecutor {
    /// Sets up clients that trust whom the system trusts, and have no certificate.
    ///
    /// # Errors
    /// As [`Callers::new`].
    pub fn new(config: &HttpConfig) -> Result<Self, Error> {
        let (_, callers) = watch::channel(Callers::new(config, &Trust::default())?);
        Ok(Self::calling(config, callers))
    }

    /// The same with whoever calls services at the time.
    #[must_use]
    pub fn calling(config: &HttpConfig, callers: watch::Receiver<Callers>) -> Self {
        let response_bytes_max = config.response_bytes_max.min(RESPONSE_BYTES_MAX);
        let large_answers = Arc::new(Semaphore::new(LARGE_ANSWERS_MAX));
        Self { callers, response_bytes_max, large_answers }
    }
}

impl Executor for HttpExecutor {
    fn run(&self, task: Task) -> Attempt {
        Box::pin(perform(
            self.callers.borrow().clone(),
            self.response_bytes_max,
            self.large_answers.clone(),
            task,
        ))
    }

    fn service(&self, input: &Payload) -> Option<String> {
        service_of(input)
    }

    fn takes_secrets(&self) -> bool {
        true
    }

    fn check(&self, with: &Value) -> Vec<InputProblem> {
        request::read(with, Stage::Written, self.response_bytes_max).1
    }
}

/// What is looked at of an input before its request is made: the rest of it may be large.
#[derive(Deserialize)]
struct Addressed<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
}

/// Scheme, host and port of what an input asks for.
fn service_of(input: &Payload) -> Option<String> {
    let addressed: Addressed<'_> = serde_json::from_str(input.text()).ok()?;
    let url = Url::parse(&addressed.url).ok()?;
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    Some(format!("{}://{host}:{port}", url.scheme()))
}

async fn perform(
    callers: Callers,
    response_bytes_max: usize,
    large_answers: Arc<Semaphore>,
    task: Task,
) -> Answer {
    let request = {
        let with = task.input.value();
        let (mut request, mut problems) = request::read(&with, Stage::Rendered, response_bytes_max);
        problems.extend(request.sign(&task));
        if !problems.is_empty() {
            let message = format!("the request can't be sent: {}", sentence(&problems));
            return Err(Failure::permanent(HTTP_BAD_REQUEST, message));
        }
        request
    };
    let url = request.url.as_ref().expect("a request without problems has a url");
    let client = callers
        .to(url, &task.hosts)
        .map_err(|denied| Asked::new(&request.method, url).denied(&denied))?;
    exchange::exchange(client, request, &large_answers).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_is_its_scheme_host_and_port() {
        let of = |input: Value| service_of(&Payload::of(&input));
        let given = json!({ "body": { "url": "http://other/" }, "url": "HTTPS://Pay.example/a?b" });
        assert_eq!(of(given).as_deref(), Some("https://pay.example:443"));
        let other = of(json!({ "url": "http://127.0.0.1:9001/x y", "method": "POST" }));
        assert_eq!(other.as_deref(), Some("http://127.0.0.1:9001"));
        assert_eq!(of(json!({ "url": "http://[::1]/" })).as_deref(), Some("http://[::1]:80"));
        for none in [json!({}), json!({ "url": 5 }), json!("http://x"), json!({ "url": "x" })] {
            assert_eq!(of(none.clone()), None, "{none}");
        }
    }
}
