//! Which hosts and origins a request may name.
//!
//! Without authentication, whoever reaches the port may do everything. A web page reaches
//! the loopback of its reader through a name that its own server points there; such a name is
//! refused here, and so is a page of another origin. A page that embeds an answer sends no origin, but its
//! browser says where it comes from (Fetch Metadata).

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::refusal::Refusal;
use super::{App, codes};

/// Where a browser says that a request comes from, and how.
const FETCH_SITE: &str = "sec-fetch-site";
const FETCH_MODE: &str = "sec-fetch-mode";
const FETCH_DEST: &str = "sec-fetch-dest";

/// The names this server answers to.
#[derive(Debug, Clone)]
pub struct Hosts {
    loopback: bool,
    names: Vec<String>,
}

impl Hosts {
    /// The rule of a server that listens on `address`: on loopback its own names, elsewhere
    /// also addresses and names without a dot, which no stranger can point here. The names
    /// that the operator lists are always taken.
    #[must_use]
    pub fn of(address: SocketAddr, names: &[String]) -> Self {
        let names = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { loopback: address.ip().is_loopback(), names }
    }

    fn takes(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
        if host == "localhost" || self.names.contains(&host) {
            return true;
        }
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) => !self.loopback || address.is_loopback(),
            Err(_) => !self.loopback && !host.is_empty() && !host.contains('.'),
        }
    }

    fn check(&self, request: &Request) -> Result<(), Refusal> {
        let refuse = |what: &str, given: &str| {
            let given: String = given.chars().take(128).collect();
            let message = format!(
                "this server does not answer to the {what} `{given}`; ask it as localhost or \
                 127.0.0.1, or start it with --allowed-hosts"
            );
            Err(Refusal::new(codes::FORBIDDEN_HOST, message))
        };
        let mut given = request.headers().get_all(HOST).iter();
        let Some(host) = given.next() else {
            let message = "the request has no Host header; it must name this server";
            return Err(Refusal::new(codes::FORBIDDEN_HOST, message));
        };
        let host = host.to_str().unwrap_or_default();
        let named = request.uri().authority().map_or(host, Authority::as_str);
        if given.next().is_some() || !self.takes(host) || !self.takes(named) {
            return refuse("host", named);
        }
        for origin in request.headers().get_all(ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            if !from.is_some_and(|host| self.takes(host)) {
                return refuse("origin", origin);
            }
        }
        if request.headers().contains_key(ORIGIN) || !is_embedded_elsewhere(request) {
            return Ok(());
        }
        let message =
            "a page of another site embeds this; a browser may only be led here by a link";
        Err(Refusal::new(codes::FORBIDDEN_HOST, message))
    }
}

/// Whether a page of another site asks for something to put into itself. Who follows a link from
/// there may read what is behind it.
fn is_embedded_elsewhere(request: &Request) -> bool {
    let said = |name: &str| request.headers().get(name).map(|own| own.as_bytes());
    // A frame is led somewhere too, and is not what its reader sees in the address bar.
    let is_page = said(FETCH_DEST).is_none_or(|own| own == b"document");
    let is_link = request.method().is_safe() && said(FETCH_MODE) == Some(b"navigate") && is_page;
    said(FETCH_SITE) == Some(b"cross-site") && !is_link
}

/// Refuses a request that names a stranger.
pub(super) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    match app.in_force().hosts.check(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(address: &str) -> Hosts {
        Hosts::of(address.parse().expect("an address"), &["Flow.Example.com".to_owned()])
    }

    #[test]
    fn on_loopback_only_its_own_names_and_the_listed_ones() {
        let hosts = hosts("127.0.0.1:8080");
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8080",
            "127.1.2.3",
            "[::1]:8080",
            "flow.example.com:443",
        ] {
            assert!(hosts.takes(host), "{host}");
        }
        for host in [
            "",
            "evil.example.com",
            "10.0.0.1",
            "backstitch:8080",
            "localhost.evil.com",
            "a@localhost",
            "127.0.0.1.evil.com",
        ] {
            assert!(!hosts.takes(host), "{host}");
        }
    }

    #[test]
    fn beyond_loopback_also_addresses_and_names_without_a_dot() {
        let hosts = hosts("0.0.0.0:8080");
        for host in ["10.0.0.1:8080", "backstitch:8080", "localhost", "[fe80::1]:80"] {
            assert!(hosts.takes(host), "{host}");
        }
        for host in ["evil.example.com", "", "."] {
            assert!(!hosts.takes(host), "{host}");
        }
    }

    #[test]
    fn origins_obey_the_same_rule() {
        let hosts = hosts("127.0.0.1:8080");
        let request = |origin: &str| {
            let request = Request::builder().header(HOST, "localhost").header(ORIGIN, origin);
            request.body(axum::body::Body::empty()).expect("a request")
        };
        assert_eq!(hosts.check(&request("http://localhost:3000")), Ok(()));
        for origin in ["null", "https://evil.example.com", "file://", ""] {
            assert!(hosts.check(&request(origin)).is_err(), "{origin}");
        }
    }
}
