//! `http`: sends one request and takes the answer as the step's output.
//!
//! - `request`: from the `with` of a step to a request, or what is wrong with it;
//! - `guard`: which addresses may be called where a run's data names the host;
//! - `exchange`: sends it, follows redirects within the host, reads the answer;
//! - `answer`: from the answer to an output or a [`Failure`].
//!
//! Knows nothing of retries: it says whether another attempt may help and whether this one
//! may have taken effect, and the engine decides.

mod answer;
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
use backstitch_core::plan::WrittenHosts;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::Error;
use crate::codes::HTTP_BAD_REQUEST;
use crate::fields::{Stage, sentence};
use crate::task::{Answer, Attempt, Executor, InputProblem, Task};
use failure::Asked;
use guard::{Denied, Guard};

pub use guard::{Exceptions, PrivateHosts};
pub use status::verdict;

/// What an output needs beside the body: the status and the headers.
const ENVELOPE_BYTES_MAX: usize = 4 * 1024;
/// The largest body that any answer may have, in bytes.
pub const RESPONSE_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - ENVELOPE_BYTES_MAX;
/// Answers of more than 64 KiB that are read and turned into outputs at once, each of at most
/// [`RESPONSE_BYTES_MAX`]; more wait, on their step's time.
pub const LARGE_ANSWERS_MAX: usize = 32;
/// How a request names its sender when the step does not.
const USER_AGENT: &str = concat!("backstitch/", env!("CARGO_PKG_VERSION"));

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
    clients: Clients,
    response_bytes_max: usize,
    large_answers: Arc<Semaphore>,
}

impl HttpExecutor {
    /// Sets up the client. A machine without root certificates gets one all the same, whose
    /// requests to `https` fail.
    ///
    /// # Errors
    /// [`Error::HttpClient`] when the client can't be built even so.
    pub fn new(config: HttpConfig) -> Result<Self, Error> {
        let provider = rustls::crypto::ring::default_provider();
        // An error says that another provider is in place already, which serves as well.
        drop(provider.install_default());
        let guarded = match &config.private_hosts {
            PrivateHosts::Allowed => None,
            PrivateHosts::DeniedBut(exceptions) => {
                let guard = Guard(Arc::new(exceptions.clone()));
                Some((guard.clone(), built(|| client_of(&config).dns_resolver(guard.clone()))?))
            }
        };
        let clients = Clients { open: built(|| client_of(&config))?, guarded };
        let response_bytes_max = config.response_bytes_max.min(RESPONSE_BYTES_MAX);
        let large_answers = Arc::new(Semaphore::new(LARGE_ANSWERS_MAX));
        Ok(Self { clients, response_bytes_max, large_answers })
    }
}

fn built(client: impl Fn() -> ClientBuilder) -> Result<Client, Error> {
    client().build().or_else(|why| {
        tracing::warn!(error = %failure::root_cause(&why), "https steps will fail");
        client().tls_certs_only([]).build().map_err(Error::HttpClient)
    })
}

/// Who connects.
#[derive(Clone)]
struct Clients {
    open: Client,
    /// Who connects to hosts that no definition names, and keeps off private networks.
    guarded: Option<(Guard, Client)>,
}

impl Clients {
    /// Who may connect to the host of a URL.
    fn to(&self, url: &Url, written: &WrittenHosts) -> Result<&Client, Denied> {
        if !written.admits(url.host_str().unwrap_or_default()) {
            return Err(Denied::Egress);
        }
        let place = |url: &Url| {
            let host = url.host().map(|host| host.to_owned());
            (host, url.port_or_known_default())
        };
        let same = |own: &str| Url::parse(own).is_ok_and(|own| place(&own) == place(url));
        // Most are written as they are sent; those that are not are read one by one.
        let is_written =
            || written.has(&url.origin().ascii_serialization()) || written.iter().any(same);
        match &self.guarded {
            Some((guard, client)) if !is_written() => guard.check(url).map(|()| client),
            _ => Ok(&self.open),
        }
    }
}

/// No proxy from the environment, no redirects, no retries of its own: whatever happens to a
/// request is the engine's to know.
fn client_of(config: &HttpConfig) -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .http1_only()
        .tcp_nodelay(true)
        .connect_timeout(config.connect_timeout)
        .pool_idle_timeout(config.idle_timeout)
        .pool_max_idle_per_host(config.idle_connections_per_host_max)
}

impl Executor for HttpExecutor {
    fn run(&self, task: Task) -> Attempt {
        Box::pin(perform(
            self.clients.clone(),
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
    clients: Clients,
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
    let client = clients
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
