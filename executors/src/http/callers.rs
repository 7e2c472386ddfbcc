//! Who connects to services: with which certificate, whom they trust, and where they may go.

use std::sync::Arc;

use backstitch_core::plan::WrittenHosts;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity, Url};

use super::guard::{Denied, Guard, HostList, PrivateHosts};
use super::{HttpConfig, failure};
use crate::Error;

/// How a request names its sender when the step does not.
const USER_AGENT: &str = concat!("backstitch/", env!("CARGO_PKG_VERSION"));

/// How callers prove who they are, and whom they trust, over TLS.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Authorities that count beside the system's.
    authorities: Vec<Certificate>,
    identity: Option<Proof>,
}

/// A certificate with its key, and the hosts that get it; all of them if none are named.
#[derive(Debug, Clone)]
struct Proof {
    identity: Identity,
    hosts: Option<HostList>,
}

impl Trust {
    /// The same with the authorities of a file in PEM.
    ///
    /// # Errors
    /// [`Error::Pem`] if it holds none.
    pub fn with_authorities(self, pem: &[u8]) -> Result<Self, Error> {
        match Certificate::from_pem_bundle(pem) {
            Ok(authorities) if !authorities.is_empty() => Ok(Self { authorities, ..self }),
            _ => Err(Error::Pem("no certificate")),
        }
    }

    /// The same with the certificate and the private key of a file in PEM, for these hosts; for
    /// all of them if none are named.
    ///
    /// # Errors
    /// [`Error::Pem`] if it does not hold both.
    pub fn with_identity(self, pem: &[u8], hosts: Option<HostList>) -> Result<Self, Error> {
        let identity = Identity::from_pem(pem)
            .map_err(|_| Error::Pem("no certificate with its private key"))?;
        Ok(Self { identity: Some(Proof { identity, hosts }), ..self })
    }
}

/// Who connects to services. Cheap to clone.
#[derive(Clone)]
pub struct Callers(Arc<Parts>);

struct Parts {
    plain: Pair,
    /// Those that present a certificate, and to whom.
    proven: Option<(Option<HostList>, Pair)>,
}

/// One client for hosts that a definition writes out, another for those that data names.
struct Pair {
    open: Client,
    guarded: Option<(Guard, Client)>,
}

impl Callers {
    /// Sets up clients. A machine without root certificates gets some all the same, whose requests
    /// to `https` fail.
    ///
    /// # Errors
    /// [`Error::HttpClient`] when they can't be built even so.
    pub fn new(config: &HttpConfig, trust: &Trust) -> Result<Self, Error> {
        let provider = rustls::crypto::ring::default_provider();
        // An error says that another provider is in place already, which serves as well.
        drop(provider.install_default());
        let plain = Pair::new(config, &trust.authorities, None)?;
        let proven = match &trust.identity {
            None => None,
            Some(own) => {
                let pair = Pair::new(config, &trust.authorities, Some(&own.identity))?;
                Some((own.hosts.clone(), pair))
            }
        };
        Ok(Self(Arc::new(Parts { plain, proven })))
    }

    /// Who may connect to the host of a URL.
    pub(super) fn to(&self, url: &Url, written: &WrittenHosts) -> Result<&Client, Denied> {
        if !written.admits(url.host_str().unwrap_or_default()) {
            return Err(Denied::Egress);
        }
        let is_for = |hosts: &Option<HostList>| hosts.as_ref().is_none_or(|own| own.names(url));
        match &self.0.proven {
            Some((hosts, pair)) if is_for(hosts) => pair.to(url, written),
            _ => self.0.plain.to(url, written),
        }
    }
}

impl Pair {
    fn new(
        config: &HttpConfig,
        authorities: &[Certificate],
        identity: Option<&Identity>,
    ) -> Result<Self, Error> {
        let client = || {
            let own = client_of(config);
            identity.map_or_else(|| client_of(config), |identity| own.identity(identity.clone()))
        };
        let guarded = match &config.private_hosts {
            PrivateHosts::Allowed => None,
            PrivateHosts::DeniedBut(exceptions) => {
                let guard = Guard(Arc::new(exceptions.clone()));
                let client = built(|| client().dns_resolver(guard.clone()), authorities)?;
                Some((guard.clone(), client))
            }
        };
        Ok(Self { open: built(client, authorities)?, guarded })
    }

    fn to(&self, url: &Url, written: &WrittenHosts) -> Result<&Client, Denied> {
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

fn built(client: impl Fn() -> ClientBuilder, authorities: &[Certificate]) -> Result<Client, Error> {
    let authorities = || authorities.iter().cloned();
    client().tls_certs_merge(authorities()).build().or_else(|why| {
        let only = client().tls_certs_only(authorities()).build().map_err(Error::HttpClient)?;
        tracing::warn!(error = %failure::root_cause(&why), "the system vouches for no https service");
        Ok(only)
    })
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
