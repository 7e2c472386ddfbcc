//! Where spans are sent, as the settings say.

use std::fmt;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::Sources;
use super::authentication::named_bytes;
use crate::error::Error;

/// What is behind the collector's address for spans.
const TRACES: &str = "v1/traces";
/// The most headers.
const HEADERS_MAX: usize = 32;

/// A collector, and what it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Otlp {
    /// Where spans are posted.
    pub url: Url,
    /// What goes along, such as a key.
    pub headers: Headers,
    /// What this server is called there.
    pub service_name: String,
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

impl Otlp {
    /// The collector, if one is named.
    ///
    /// # Errors
    /// [`Error::Setting`] and [`Error::File`] for what can't be used.
    pub(super) fn read(sources: &Sources) -> Result<Option<Self>, Error> {
        // They are read first: whatever else is said, a secret in the setting itself is refused.
        let headers = named_bytes(sources, "otlp_headers")?;
        let Some(given) = sources.get("otlp_endpoint") else { return Ok(None) };
        if given.text.trim() == "off" {
            return Ok(None);
        }
        let url = traces_url(given.text.trim()).ok_or_else(|| {
            let wanted = "off, or an http or https URL without user or password";
            Error::Setting(format!(
                "{}: must be {wanted}, such as http://127.0.0.1:4318",
                given.origin
            ))
        })?;
        let headers = match headers {
            None => Headers::default(),
            Some(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Headers::read(&text).map_err(|why| {
                    let origin = sources.get("otlp_headers").map_or("", |own| &own.origin);
                    Error::Setting(format!("{origin}: {why}"))
                })?
            }
        };
        let name = sources.get("otlp_service_name").map(|own| own.text.trim().to_owned());
        let service_name = name.filter(|own| !own.is_empty());
        let service_name = service_name.unwrap_or_else(|| "backstitch".to_owned());
        Ok(Some(Self { url, headers, service_name }))
    }
}

/// Where a collector takes spans, below its address.
fn traces_url(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || !is_plain || url.host_str().is_none() {
        return None;
    }
    let below = format!("{}/{TRACES}", url.path().trim_end_matches('/'));
    url.set_path(&below);
    url.set_fragment(None);
    Some(url)
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

    fn read(given: &[(&'static str, &str)]) -> Result<Option<Otlp>, String> {
        let variable = |name: &str| {
            let own = given.iter().find(|(own, _)| *own == name);
            own.map(|(_, text)| (*text).to_owned())
        };
        let sources = Sources::gather(&[], variable, None).map_err(|error| error.to_string())?;
        Otlp::read(&sources).map_err(|error| error.to_string())
    }

    #[test]
    fn spans_go_below_the_address_that_any_of_the_variables_names() {
        for (given, url) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://otlp.example/in/", "https://otlp.example/in/v1/traces"),
            ("http://h/x?key=1#part", "http://h/x/v1/traces?key=1"),
        ] {
            for name in ["BACKSTITCH_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"] {
                let own = read(&[(name, given)]).expect("settings").expect("a collector");
                assert_eq!((own.url.as_str(), own.service_name.as_str()), (url, "backstitch"));
            }
        }
        let named = [("BACKSTITCH_OTLP_ENDPOINT", "http://h"), ("OTEL_SERVICE_NAME", "shop")];
        assert_eq!(read(&named).expect("settings").expect("a collector").service_name, "shop");
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("BACKSTITCH_OTLP_ENDPOINT", "off")]), Ok(None));
        for bad in ["collector:4318", "ftp://h", "http://u:geheim@h", "h"] {
            let refused = read(&[("BACKSTITCH_OTLP_ENDPOINT", bad)]).expect_err("refused");
            assert!(refused.contains("http://127.0.0.1:4318") && !refused.contains("geheim"));
        }
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
