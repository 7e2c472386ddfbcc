//! TLS on the server's port: its certificate and, for mutual TLS, who vouches for clients.
//!
//! A certificate is renewed without a restart (see [`crate::renewed`]). Connections that are open
//! keep the one they began with.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::error::Error;
use crate::renewed::{self, Keeper, Words, unfit};
use crate::settings::Tls;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const WORDS: Words = Words {
    renewed: "the files of TLS have changed; new connections use them",
    as_before: "TLS goes on as it was",
};

/// Begins connections with the newest certificate. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Acceptor(watch::Receiver<Arc<ServerConfig>>);

impl Acceptor {
    /// The handshake of a connection.
    ///
    /// # Errors
    /// What the other side did wrong, or that it took too long.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = self.0.borrow().clone();
        timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await?
    }
}

/// Reads the files.
///
/// # Errors
/// [`Error::File`] and [`Error::Setting`], which say which of them is wrong.
pub(crate) fn open(files: Tls) -> Result<(Acceptor, Keeper<Arc<ServerConfig>>), Error> {
    let (newest, keeper) = renewed::open(WORDS, move || read(&files))?;
    Ok((Acceptor(newest), keeper))
}

/// What the files hold, and what is made of it.
fn read(files: &Tls) -> Result<(Vec<Vec<u8>>, Arc<ServerConfig>), Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (chain_bytes, chain) = certificates(&files.certificate, "tls_certificate")?;
    let key_bytes = renewed::bytes(&files.key)?;
    let key = PrivateKeyDer::from_pem_slice(&key_bytes)
        .map_err(|error| unfit("tls_key", &files.key, &pem_error(&error, "private key")))?;
    let mut read = vec![chain_bytes, key_bytes];
    let verifier = match &files.client_ca {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(path) => {
            let (bytes, authorities) = certificates(path, "tls_client_ca")?;
            read.push(bytes);
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                let added = roots.add(authority);
                added.map_err(|error| unfit("tls_client_ca", path, &error.to_string()))?;
            }
            WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
                .build()
                .map_err(|error| unfit("tls_client_ca", path, &error.to_string()))?
        }
    };
    let mismatched = |error: rustls::Error| unfit("tls_key", &files.key, &error.to_string());
    let versions =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions
        .map_err(mismatched)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(mismatched)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((read, Arc::new(config)))
}

type Certificates = (Vec<u8>, Vec<CertificateDer<'static>>);

fn certificates(path: &Path, key: &str) -> Result<Certificates, Error> {
    let bytes = renewed::bytes(path)?;
    let read = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    match read.map_err(|error| unfit(key, path, &pem_error(&error, "certificate")))? {
        none if none.is_empty() => Err(unfit(key, path, "it holds no certificate in PEM")),
        found => Ok((bytes, found)),
    }
}

fn pem_error(error: &pem::Error, what: &str) -> String {
    match error {
        pem::Error::NoItemsFound => format!("it holds no {what} in PEM"),
        other => other.to_string(),
    }
}
