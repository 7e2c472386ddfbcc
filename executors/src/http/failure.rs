//! The failures of an exchange, each with a message for a person and details for a program.

use std::error::Error as StdError;
use std::io;

use backstitch_core::failure::Failure;
use backstitch_core::payload::Payload;
use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, Url};
use rustls::{AlertDescription, Error as TlsError};
use serde_json::{Map, Value};

use super::guard::Denied;
use super::status::verdict;
use crate::codes::{
    HTTP_BODY_NOT_JSON, HTTP_BODY_NOT_TEXT, HTTP_CERTIFICATE_REFUSED, HTTP_CONNECT_FAILED,
    HTTP_CONNECTION_BROKEN, HTTP_HOST_DENIED, HTTP_REDIRECT, HTTP_RESPONSE_TOO_LARGE, HTTP_STATUS,
};
use crate::text::{beginning, one_line};

/// How much of an error's body is kept in the details.
const DETAILS_BODY_BYTES_MAX: usize = 1024;
/// How much of it stands in the message.
const MESSAGE_BODY_BYTES_MAX: usize = 200;
/// How much of a url is kept.
const DETAILS_URL_BYTES_MAX: usize = 1024;
/// The longest wait a service may ask for; more is cut to it.
const RETRY_AFTER_MS_MAX: u64 = 24 * 3_600_000;

/// A URL as failures tell of it: as it is asked for, without query and fragment. Nothing for what
/// is none.
#[must_use]
pub fn url_told(text: &str) -> Option<String> {
    Url::parse(text).ok().map(told)
}

fn told(mut url: Url) -> String {
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// Who was asked for what: the beginning of every message.
pub(super) struct Asked {
    method: Method,
    /// Without query and fragment: those may hold secrets.
    url: String,
}

impl Asked {
    pub fn new(method: &Method, url: &Url) -> Self {
        let url = beginning(told(url.clone()).as_bytes(), DETAILS_URL_BYTES_MAX);
        Self { method: method.clone(), url }
    }

    /// The request got no answer.
    pub fn no_answer(&self, why: &reqwest::Error) -> Failure {
        if let Some(denied) = causes(why).find_map(|own| own.downcast_ref::<Denied>()) {
            return self.denied(denied);
        }
        let cause = root_cause(why);
        if refuses_certificate(why) {
            let what = "refuses our certificate, or asks for one";
            let failure = self.failed(Failure::retryable, HTTP_CERTIFICATE_REFUSED, what, &cause);
            return failure.with_details(self.details([]));
        }
        let failure = if why.is_connect() {
            self.failed(Failure::retryable, HTTP_CONNECT_FAILED, "could not be reached", &cause)
        } else if why.is_builder() {
            self.failed(Failure::permanent, crate::codes::HTTP_BAD_REQUEST, "can't be sent", &cause)
        } else {
            self.failed(Failure::retryable, HTTP_CONNECTION_BROKEN, "gave no answer", &cause)
                .of_unknown_effect()
        };
        failure.with_details(self.details([]))
    }

    /// The host is not to be called.
    pub fn denied(&self, why: &Denied) -> Failure {
        self.failed(Failure::permanent, HTTP_HOST_DENIED, "is not called", &why.to_string())
            .with_details(self.details([]))
    }

    /// The answer began and could not be read to its end.
    pub fn broken(&self, status: u16, why: &reqwest::Error) -> Failure {
        let what = format!("answered {status} and broke off");
        self.failed(Failure::retryable, HTTP_CONNECTION_BROKEN, &what, &root_cause(why))
            .of_unknown_effect()
            .with_details(self.details([("status", status.into())]))
    }

    /// The answer is too large to be an output.
    pub fn too_large(&self, status: u16, bytes_max: usize) -> Failure {
        let why = format!("more than {bytes_max} bytes");
        let what = format!("answered {status} with too much");
        self.unusable(HTTP_RESPONSE_TOO_LARGE, status, &what, &why)
    }

    /// The answer nests deeper than any later step could read.
    pub fn too_deep(&self, status: u16, levels_max: usize) -> Failure {
        let why = format!("it nests deeper than {levels_max} levels");
        let what = format!("answered {status} with too much");
        self.unusable(HTTP_RESPONSE_TOO_LARGE, status, &what, &why)
    }

    /// The answer's body is not text.
    pub fn not_text(&self, status: u16) -> Failure {
        let what = format!("answered {status} with a body that is no text");
        self.unusable(HTTP_BODY_NOT_TEXT, status, &what, "it is not UTF-8")
    }

    /// The answer says it is JSON and is not: most likely it was cut.
    pub fn not_json(&self, status: u16, why: &serde_json::Error) -> Failure {
        let what = format!("answered {status} with a body that is no JSON");
        self.failed(Failure::retryable, HTTP_BODY_NOT_JSON, &what, &why.to_string())
            .of_unknown_effect()
            .with_details(self.details([("status", status.into())]))
    }

    /// The service answered with a status that is no success.
    pub fn status(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Failure {
        let (class, effect) = verdict(status);
        let mut message = format!("{} {} answered {status}", self.method, self.url);
        if !body.is_empty() {
            message = format!("{message}: {}", one_line(&beginning(body, MESSAGE_BODY_BYTES_MAX)));
        }
        let body = beginning(body, DETAILS_BODY_BYTES_MAX);
        let retry_after_ms = retry_after_ms(headers).map_or(Value::Null, Value::from);
        let details =
            [("status", status.into()), ("body", body.into()), ("retry_after_ms", retry_after_ms)];
        Failure { class, effect, ..Failure::permanent(HTTP_STATUS, message) }
            .with_details(self.details(details))
    }

    /// The service answered with a redirect that is not followed, because of `why`.
    pub fn redirect(&self, status: u16, location: &str, why: &str) -> Failure {
        let (class, effect) = verdict(status);
        let location = one_line(&beginning(location.as_bytes(), DETAILS_URL_BYTES_MAX));
        let what = format!("answered {status} to {location}");
        let failure = self.failed(Failure::permanent, HTTP_REDIRECT, &what, why);
        Failure { class, effect, ..failure }
            .with_details(self.details([("status", status.into()), ("location", location.into())]))
    }

    /// An answer that came, whose effect stands, and which can't be the output.
    fn unusable(&self, code: &str, status: u16, what: &str, why: &str) -> Failure {
        self.failed(Failure::permanent, code, what, why)
            .of_unknown_effect()
            .with_details(self.details([("status", status.into())]))
    }

    fn failed(
        &self,
        class: impl FnOnce(&str, String) -> Failure,
        code: &str,
        what: &str,
        why: &str,
    ) -> Failure {
        class(code, format!("{} {} {what}: {why}", self.method, self.url))
    }

    /// The url and whatever else is known, without the `null`s.
    fn details<const N: usize>(&self, more: [(&str, Value); N]) -> Payload {
        let url = ("url", Value::from(self.url.as_str()));
        let known = more.into_iter().chain([url]).filter(|(_, value)| !value.is_null());
        let details: Map<_, _> = known.map(|(name, value)| (name.to_owned(), value)).collect();
        Payload::of(&Value::Object(details))
    }
}

/// The innermost reason, which is what a person wants to know.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// What an error was caused by, and what caused that.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> + '_ {
    std::iter::successors(error.source(), |own| StdError::source(*own))
}

/// Whether the other side ended the connection because of our certificate, or for want of one. With
/// TLS 1.3 it says so only after our side of the handshake, when the request is on its way.
fn refuses_certificate(error: &reqwest::Error) -> bool {
    use AlertDescription as Alert;
    causes(error).any(|own| {
        let mut inner = own.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        while let Some(deeper) = inner.and_then(|own| own.downcast_ref::<io::Error>()) {
            inner = deeper.get_ref();
        }
        let alert = inner.and_then(|own| own.downcast_ref::<TlsError>());
        let alert = alert.or_else(|| own.downcast_ref::<TlsError>());
        matches!(
            alert,
            Some(TlsError::AlertReceived(
                Alert::CertificateRequired
                    | Alert::NoCertificate
                    | Alert::BadCertificate
                    | Alert::UnsupportedCertificate
                    | Alert::CertificateRevoked
                    | Alert::CertificateExpired
                    | Alert::CertificateUnknown
                    | Alert::UnknownCA
                    | Alert::AccessDenied
            ))
        )
    })
}

/// `Retry-After` in milliseconds: seconds, or an instant as seen from the answer's own `Date`.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let given = text(RETRY_AFTER)?;
    let seconds = match given.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let at = DateTime::parse_from_rfc2822(given).ok()?;
            let now = DateTime::parse_from_rfc2822(text(DATE)?).ok()?;
            u64::try_from((at - now).num_seconds()).unwrap_or(0)
        }
    };
    Some(seconds.saturating_mul(1000).min(RETRY_AFTER_MS_MAX))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn retry_after_is_seconds_or_an_instant() {
        let date = ("date", "Fri, 31 Dec 1999 23:59:50 GMT");
        let at = ("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT");
        let past = ("retry-after", "Fri, 31 Dec 1999 23:59:40 GMT");
        for (given, expected) in [
            (headers(&[("retry-after", "3")]), Some(3_000)),
            (headers(&[("retry-after", " 0 ")]), Some(0)),
            (headers(&[("retry-after", "99999999999999999")]), Some(RETRY_AFTER_MS_MAX)),
            (headers(&[date, at]), Some(9_000)),
            (headers(&[date, past]), Some(0)),
            (headers(&[at]), None),
            (headers(&[("retry-after", "soon")]), None),
            (headers(&[]), None),
        ] {
            assert_eq!(retry_after_ms(&given), expected, "{given:?}");
        }
    }

    #[test]
    fn secrets_of_a_url_are_not_shown() {
        let url = Url::parse("http://x/charge?token=s3cret#f").unwrap();
        let failure = Asked::new(&Method::POST, &url).status(500, &headers(&[]), b"{\"a\":\n1}");
        assert_eq!(failure.message, "POST http://x/charge answered 500: {\"a\": 1}");
        let details = failure.details.unwrap();
        assert_eq!(
            details.text(),
            r#"{"body":"{\"a\":\n1}","status":500,"url":"http://x/charge"}"#
        );
    }
}
