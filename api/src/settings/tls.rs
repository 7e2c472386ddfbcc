//! TLS as it is set: that of the port, and that to services.

use std::path::PathBuf;

use backstitch_executors::HostList;

use super::Sources;
use crate::error::Error;

/// The settings that it is made of.
pub(super) const KEYS: [&str; 3] = ["tls_certificate", "tls_key", "tls_client_ca"];

/// Which files TLS is made of, all in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate, and those that lead to an authority that clients know.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities. A client needs a certificate of one of them then.
    pub client_ca: Option<PathBuf>,
}

impl Tls {
    pub(super) fn read(sources: &Sources) -> Result<Option<Self>, Error> {
        let path = |key| sources.get(key).map(|given| PathBuf::from(given.text.trim()));
        let client_ca = path("tls_client_ca");
        match (path("tls_certificate"), path("tls_key")) {
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key, client_ca })),
            (None, None) if client_ca.is_none() => match sources.wants_tls() {
                None => Ok(None),
                Some(origin) => {
                    Err(Error::Setting(format!("{origin}: needs tls_certificate and tls_key, too")))
                }
            },
            (None, _) => Err(missing(sources, "tls_certificate")),
            (_, None) => Err(missing(sources, "tls_key")),
        }
    }
}

/// TLS is whole or not there: a port that was meant to have it must not go without.
fn missing(sources: &Sources, key: &str) -> Error {
    let origin = KEYS
        .into_iter()
        .filter_map(|key| sources.get(key))
        .map(|given| given.origin.as_str())
        .next();
    Error::Setting(format!("{}: needs {key}, too", origin.unwrap_or_default()))
}

/// Which files calls of services are made with over TLS, all in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// A certificate with its private key.
    pub certificate: Option<PathBuf>,
    /// The hosts that get it; all of them if none are named.
    pub hosts: Option<HostList>,
    /// Authorities that count beside the system's.
    pub authorities: Option<PathBuf>,
}

impl Outgoing {
    pub(super) fn read(sources: &Sources) -> Result<Option<Self>, Error> {
        let path = |key| sources.get(key).map(|given| PathBuf::from(given.text.trim()));
        let (certificate, authorities) = (path("outgoing_certificate"), path("outgoing_ca"));
        let hosts = match sources.get("outgoing_certificate_hosts") {
            None => None,
            Some(given) if given.text.trim() == "*" => None,
            Some(given) if certificate.is_none() => {
                return Err(Error::Setting(format!(
                    "{}: needs outgoing_certificate, too",
                    given.origin
                )));
            }
            Some(given) => Some(given.text.trim().parse().map_err(|why| {
                let wanted = "must be *, or such as billing.internal, *.local, 10.1.0.0/16";
                Error::Setting(format!("{}: {wanted}; {why}", given.origin))
            })?),
        };
        let any = certificate.is_some() || authorities.is_some();
        Ok(any.then_some(Self { certificate, hosts, authorities }))
    }
}
