//! Whom a client trusts, and how it proves who it is, over TLS.

use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder, Identity};

use crate::error::Error;

/// What a client has for TLS beside what the system has. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Trust {
    authorities: Option<Vec<Certificate>>,
    identity: Option<Identity>,
}

/// The files that it is read from, all in PEM.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// Authorities that alone count, in place of the system's.
    pub ca_certificate: Option<PathBuf>,
    /// The client's certificate with its private key.
    pub client_certificate: Option<PathBuf>,
}

impl Trust {
    /// Reads the files.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Setting`], which name the file.
    pub(super) fn read(files: &TlsFiles) -> Result<Self, Error> {
        let authorities = read(files.ca_certificate.as_deref(), "certificate", |pem| {
            Certificate::from_pem_bundle(pem).ok().filter(|found| !found.is_empty())
        })?;
        let identity =
            read(files.client_certificate.as_deref(), "certificate with its private key", |pem| {
                Identity::from_pem(pem).ok()
            })?;
        Ok(Self { authorities, identity })
    }

    /// A client that goes by it.
    pub(super) fn over(&self, mut client: ClientBuilder) -> ClientBuilder {
        if let Some(authorities) = &self.authorities {
            client = client.tls_certs_only(authorities.clone());
        }
        match &self.identity {
            Some(identity) => client.identity(identity.clone()),
            None => client,
        }
    }
}

fn read<T>(
    file: Option<&Path>,
    what: &str,
    of_pem: impl Fn(&[u8]) -> Option<T>,
) -> Result<Option<T>, Error> {
    let Some(path) = file else { return Ok(None) };
    let name = path.display().to_string();
    match std::fs::read(path) {
        Ok(pem) => of_pem(&pem).map(Some).ok_or_else(|| {
            Error::Setting(format!("{name} holds no {what} in PEM that can be used"))
        }),
        Err(source) => Err(Error::File { file: name, source }),
    }
}
