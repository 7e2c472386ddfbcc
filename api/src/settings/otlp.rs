//! Where spans are sent, as the settings say.

use reqwest::Url;

use super::Sources;
use super::collector::{self, Headers};
use crate::error::Error;

/// What is behind the collector's address for spans.
const TRACES: &str = "v1/traces";

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

impl Otlp {
    /// The collector, if one is named.
    ///
    /// # Errors
    /// [`Error::Setting`] and [`Error::File`] for what can't be used.
    pub(super) fn read(sources: &Sources) -> Result<Option<Self>, Error> {
        let keys = ("otlp_endpoint", "otlp_headers");
        let Some((url, headers)) = collector::read(sources, keys, "http://127.0.0.1:4318")? else {
            return Ok(None);
        };
        let url = traces_url(url);
        let name = sources.get("otlp_service_name").map(|own| own.text.trim().to_owned());
        let service_name = name.filter(|own| !own.is_empty());
        let service_name = service_name.unwrap_or_else(|| "backstitch".to_owned());
        Ok(Some(Self { url, headers, service_name }))
    }
}

/// Where a collector takes spans, below its address.
fn traces_url(mut url: Url) -> Url {
    let below = format!("{}/{TRACES}", url.path().trim_end_matches('/'));
    url.set_path(&below);
    url
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
}
