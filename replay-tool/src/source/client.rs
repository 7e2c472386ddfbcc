//! HTTP to a server: one request, one JSON answer, and every way it can go wrong in words.
//!
//! Knows the error envelope; not what the paths mean.

use std::path::Path;
use std::time::Duration;

use reqwest::blocking::{Body, Client as Http, RequestBuilder, Response};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Identity, StatusCode, Url};
use serde_json::Value;

use crate::error::Error;
use crate::place::Peer;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an import may take: the answer comes when every run of the file is durable.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// What an export is served as, and an import taken as.
const JSON_LINES: &str = "application/x-ndjson";
/// How much of an answer that is not ours is quoted.
const QUOTE_CHARACTERS_MAX: usize = 60;

/// A server, as the command line sees it.
#[derive(Debug)]
pub struct Client {
    http: Http,
    url: Url,
    token: Option<String>,
}

impl Client {
    /// A client of a server.
    ///
    /// # Errors
    /// [`Error::BadServer`] for what is no URL of a server, [`Error::BadToken`] for a token that
    /// cannot be sent, [`Error::BadCertificate`] and [`Error::File`] for files of TLS.
    pub fn new(peer: Peer) -> Result<Self, Error> {
        let Peer { url: given, token, ca_certificate, client_certificate } = peer;
        let url = read_url(&given)?;
        if token.as_deref().is_some_and(|own| HeaderValue::from_str(own).is_err()) {
            return Err(Error::BadToken);
        }
        // An error says that another provider is in place already, which serves as well.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut http = Http::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(Policy::none())
            .no_proxy();
        if let Some(path) = ca_certificate {
            http = http.tls_certs_only(of_file(&path, |pem| {
                Certificate::from_pem_bundle(pem).ok().filter(|found| !found.is_empty())
            })?);
        }
        if let Some(path) = client_certificate {
            http = http.identity(of_file(&path, |pem| Identity::from_pem(pem).ok())?);
        }
        let unreachable = |source| Error::Unreachable { url: given, source };
        Ok(Self { http: http.build().map_err(unreachable)?, url, token })
    }

    /// Where the server is.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// What is at a path; each part of it is escaped.
    ///
    /// # Errors
    /// Every way it can go wrong.
    pub fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value, Error> {
        self.send(self.http.get(self.at(path, query)))
    }

    /// Has something done.
    ///
    /// # Errors
    /// Every way it can go wrong.
    pub fn post(&self, path: &[&str], body: &Value) -> Result<Value, Error> {
        let request = self.http.post(self.at(path, &[]));
        self.send(request.header(CONTENT_TYPE, "application/json").body(body.to_string()))
    }

    /// The file that is at a path, as it comes.
    ///
    /// # Errors
    /// Every way it can go wrong before its first byte.
    pub fn download(&self, path: &[&str], query: &[(&str, String)]) -> Result<Response, Error> {
        let answer = self.answer(self.http.get(self.at(path, query)))?;
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if answer.status().is_success() && kind == Some(JSON_LINES) {
            return Ok(answer);
        }
        Err(self.read(answer).err().unwrap_or_else(|| self.no_backstitch("it sent no JSON lines")))
    }

    /// Sends a file of JSON lines, and waits until all of it was taken.
    ///
    /// # Errors
    /// Every way it can go wrong.
    pub fn upload(&self, path: &[&str], body: Body) -> Result<Value, Error> {
        let request = self.http.post(self.at(path, &[])).timeout(IMPORT_TIMEOUT);
        self.send(request.header(CONTENT_TYPE, JSON_LINES).body(body))
    }

    /// An answer that is not what this server answers.
    #[must_use]
    pub fn no_backstitch(&self, detail: impl Into<String>) -> Error {
        Error::NoBackstitch { url: self.url().to_owned(), detail: detail.into() }
    }

    fn at(&self, path: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn send(&self, request: RequestBuilder) -> Result<Value, Error> {
        let answer = self.answer(request)?;
        self.read(answer)
    }

    fn answer(&self, request: RequestBuilder) -> Result<Response, Error> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().map_err(|source| self.gone(source))
    }

    fn gone(&self, source: reqwest::Error) -> Error {
        Error::Unreachable { url: self.url().to_owned(), source: source.without_url() }
    }

    fn read(&self, answer: Response) -> Result<Value, Error> {
        let status = answer.status();
        let text = read(answer).map_err(|source| self.gone(source))?;
        let body: Option<Value> = serde_json::from_str(&text).ok();
        match body {
            Some(body) if status.is_success() && body.is_object() => Ok(body),
            Some(body) if !status.is_success() && body["error_code"].is_string() => {
                Err(self.refusal(status, &body))
            }
            _ if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN => {
                let (url, message) = (self.url().to_owned(), status.to_string());
                Err(Error::Unauthorized { url, message })
            }
            _ => {
                let quote = crate::text::clip(text.trim(), QUOTE_CHARACTERS_MAX);
                Err(self.no_backstitch(format!("it answered {status}: `{quote}`")))
            }
        }
    }

    fn refusal(&self, status: StatusCode, body: &Value) -> Error {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (url, message, code) = (self.url().to_owned(), text("message"), text("error_code"));
        match status {
            StatusCode::SERVICE_UNAVAILABLE => Error::Unavailable { url, message },
            StatusCode::UNAUTHORIZED => Error::Unauthorized { url, message },
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
                if ["NOT_FOUND", "METHOD_NOT_ALLOWED"].contains(&&*code) =>
            {
                self.no_backstitch(format!("{message}, {code}"))
            }
            _ => Error::Refused { code, message: with_problems(body, message) },
        }
    }
}

/// What a file of TLS holds.
fn of_file<T>(path: &Path, of_pem: impl Fn(&[u8]) -> Option<T>) -> Result<T, Error> {
    let file = |source| Error::File { action: "reading", path: path.to_owned(), source };
    let pem = std::fs::read(path).map_err(file)?;
    of_pem(&pem).ok_or_else(|| Error::BadCertificate { path: path.to_owned() })
}

fn read(answer: Response) -> Result<String, reqwest::Error> {
    Ok(String::from_utf8_lossy(&answer.bytes()?).into_owned())
}

/// The sentence, with every problem behind it that it does not name itself.
fn with_problems(body: &Value, mut message: String) -> String {
    let problems = body["details"]["problems"].as_array().map_or(&[][..], Vec::as_slice);
    for problem in problems {
        let text = |name: &str| problem[name].as_str().unwrap_or_default();
        let sentence = format!("{}: {}", text("path"), text("message"));
        if !message.contains(&sentence) {
            message.push_str(&format!("; {sentence}"));
        }
    }
    // Of an import that stopped on its way.
    if let Some(count) = body["details"]["imported"].as_u64() {
        let runs = crate::text::counted(count, "run");
        message.push_str(&format!("; {runs} of the file were taken in before"));
    }
    message
}

/// Refuses what is no URL of a server.
fn read_url(given: &str) -> Result<Url, Error> {
    let is_server = |url: &Url| {
        matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.has_host()
    };
    let read = Url::parse(given).ok().filter(is_server);
    read.ok_or_else(|| Error::BadServer { given: given.chars().take(200).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(url: &str, token: Option<String>) -> Peer {
        Peer { url: url.to_owned(), token, ..Peer::default() }
    }

    #[test]
    fn paths_are_escaped_and_stay_below_the_server() {
        let client = Client::new(peer("http://127.0.0.1:9/below/", None)).unwrap();
        let query = [("workflow_id", "a&b".to_owned())];
        let url = client.at(&["api", "v1", "a/../b"], &query);
        assert_eq!(url.as_str(), "http://127.0.0.1:9/below/api/v1/a%2F..%2Fb?workflow_id=a%26b");
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_named() {
        let token = Some("a\nb".to_owned());
        let refused = Client::new(peer("http://127.0.0.1:9", token)).unwrap_err();
        assert!(matches!(refused, Error::BadToken) && refused.exit_code() == 2, "{refused}");
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for bad in ["127.0.0.1:8080", "localhost", "ftp://host", "http://host?x=1", ""] {
            assert!(matches!(Client::new(peer(bad, None)), Err(Error::BadServer { .. })), "{bad}");
        }
    }
}
