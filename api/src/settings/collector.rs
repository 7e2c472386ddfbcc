//! Where something is posted for a collector: a URL, and headers that stand in no setting.

use std::fmt;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::Sources;
use super::authentication::named_bytes;
use crate::error::Error;

/// The most headers.
const HEADERS_MAX: usize = 32;

/// Where lines of the log are posted.
#[derive(Debug, Clone, PartialEq)]
pub struct LogCollector {
    /// The whole address.
    pub url: Url,
    /// What goes along, such as a key.
    pub headers: Headers,
}

impl LogCollector {
    /// The collector, if one is named.
    ///
    /// # Errors
    /// [`Error::Setting`] and [`Error::File`] for what can't be used.
    pub(super) fn read(sources: &Sources) -> Result<Option<Self>, Error> {
        let found = read(
            sources,
            ("log_collector_url", "log_collector_headers"),
            "http://127.0.0.1:9880/logs",
        )?;
        Ok(found.map(|(url, headers)| Self { url, headers }))
    }
}

/// The URL and the headers that two settings name, if there is a URL.
pub(super) fn read(
    sources: &Sources,
    (url_key, headers_key): (&str, &str),
    example: &str,
) -> Result<Option<(Url, Headers)>, Error> {
    // They are read first: whatever else is said, a secret in the setting itself is refused.
    let headers = named_bytes(sources, headers_key)?;
    let Some(given) = sources.get(url_key) else { return Ok(None) };
    if given.text.trim() == "off" {
        return Ok(None);
    }
    let url = plain_url(given.text.trim()).ok_or_else(|| {
        let wanted = "off, or an http or https URL without user or password";
        Error::Setting(format!("{}: must be {wanted}, such as {example}", given.origin))
    })?;
    let headers = match headers {
        None => Headers::default(),
        Some(bytes) => Headers::read(&String::from_utf8_lossy(&bytes)).map_err(|why| {
            let origin = sources.get(headers_key).map_or("", |own| &own.origin);
            Error::Setting(format!("{origin}: {why}"))
        })?,
    };
    Ok(Some((url, headers)))
}

fn plain_url(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || !is_plain || url.host_str().is_none() {
        return None;
    }
    url.set_fragment(None);
    Some(url)
}

/// Headers that are never printed.
#[derive(Clone, PartialEq, Default)]
pub struct Headers(HeaderMap);

impl Headers {
    /// The headers.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        self.0.clone()
    }

    /// Reads `name=value,name=value` with `%` escapes in the values, as the specification of
    /// OpenTelemetry has it.
    ///
    /// # Errors
    /// A sentence without any value.
    fn read(text: &str) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        let pairs = text.split(',').map(str::trim).filter(|own| !own.is_empty());
        for (number, pair) in (1..).zip(pairs) {
            let wrong = |why: &str| format!("header {number} {why}");
            let (name, value) = pair.split_once('=').ok_or_else(|| wrong("must be name=value"))?;
            let name = HeaderName::from_bytes(name.trim().as_bytes())
                .map_err(|_| wrong("has no name of a header"))?;
            let value = unescaped(value.trim()).and_then(|own| HeaderValue::from_bytes(&own).ok());
            let mut value = value.ok_or_else(|| wrong("has no value that can be sent"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
            if headers.len() > HEADERS_MAX {
                return Err(format!("at most {HEADERS_MAX} headers are taken"));
            }
        }
        Ok(Self(headers))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// Bytes with their `%` escapes read.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = behind;
            continue;
        }
        let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &behind[2..];
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_to_the_address_itself_that_either_variable_names() {
        let read = |name: &str, text: &str| {
            let variable = |own: &str| (own == name).then(|| text.to_owned());
            let sources = Sources::gather(&[], variable, None).map_err(|own| own.to_string())?;
            LogCollector::read(&sources).map_err(|own| own.to_string())
        };
        for name in ["BACKSTITCH_LOG_COLLECTOR_URL", "LOG_COLLECTOR_URL"] {
            let own = read(name, "http://logs/in?key=1#x").expect("settings").expect("one");
            assert_eq!(own.url.as_str(), "http://logs/in?key=1");
            assert_eq!(read(name, "off"), Ok(None));
            for bad in ["logs:4318", "ftp://logs", "http://u:geheim@logs"] {
                let refused = read(name, bad).expect_err("refused");
                assert!(refused.contains(name) && !refused.contains("geheim"), "{refused}");
            }
        }
        let bare = read("BACKSTITCH_LOG_COLLECTOR_HEADERS", "api-key=geheim");
        assert!(bare.is_err_and(|why| !why.contains("geheim")));
    }

    #[test]
    fn headers_are_read_with_their_escapes_and_never_printed() {
        let own = Headers::read("api-key=a%3Db%20c, X-Tenant = shop ,").expect("headers");
        let all = own.headers();
        assert_eq!(
            (all["api-key"].as_bytes(), all["x-tenant"].as_bytes()),
            (&b"a=b c"[..], &b"shop"[..])
        );
        assert!(!format!("{own:?}").contains("a=b"));
        for bad in ["geheim", "a b=geheim", "a=geheim%2", "a=geheim%zz", "a=geheim%0A"] {
            let refused = Headers::read(bad).expect_err("refused");
            assert!(!refused.contains("geheim"), "{refused}");
        }
    }
}
