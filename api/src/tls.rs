//! TLS on the server's port: its certificate and, for mutual TLS, who vouches for clients.
//!
//! The files are read again every minute and at SIGHUP, so that a certificate is renewed without a
//! restart. Connections that are open keep the one they began with.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::error::Error;
use crate::settings::Tls;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Begins connections with the newest certificate. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Acceptor(watch::Receiver<Arc<ServerConfig>>);

/// Keeps an acceptor's certificate the newest.
#[derive(Debug)]
pub(crate) struct Keeper {
    files: Tls,
    read: Vec<Vec<u8>>,
    newest: watch::Sender<Arc<ServerConfig>>,
}

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
pub(crate) fn open(files: Tls) -> Result<(Acceptor, Keeper), Error> {
    let (read, config) = read(&files)?;
    let (newest, config) = watch::channel(config);
    Ok((Acceptor(config), Keeper { files, read, newest }))
}

impl Keeper {
    /// Reads the files again and again. Files that can't be used are told of, and change nothing.
    ///
    /// # Errors
    /// [`Error::Io`] if the signal can't be caught.
    pub(crate) async fn keep(mut self) -> Result<(), Error> {
        let mut hangups = signal(SignalKind::hangup()).map_err(Error::io("catching signals"))?;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = hangups.recv() => {}
                _ = looks.tick() => {}
            }
            let files = self.files.clone();
            match tokio::task::spawn_blocking(move || read(&files)).await {
                Ok(Ok((read, config))) if read != self.read => {
                    self.read = read;
                    self.newest.send_replace(config);
                    tracing::info!("the files of TLS have changed; new connections use them");
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = error.sentence(), "TLS goes on as it was");
                }
                Err(error) => tracing::error!(%error, "reading the files of TLS met a bug"),
            }
        }
    }
}

/// What the files hold, and what is made of it.
fn read(files: &Tls) -> Result<(Vec<Vec<u8>>, Arc<ServerConfig>), Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (chain_bytes, chain) = certificates(&files.certificate, "tls_certificate")?;
    let key_bytes = file(&files.key)?;
    let key = PrivateKeyDer::from_pem_slice(&key_bytes)
        .map_err(|error| wrong("tls_key", &files.key, &pem_error(&error, "private key")))?;
    let mut read = vec![chain_bytes, key_bytes];
    let verifier = match &files.client_ca {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(path) => {
            let (bytes, authorities) = certificates(path, "tls_client_ca")?;
            read.push(bytes);
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                let added = roots.add(authority);
                added.map_err(|error| wrong("tls_client_ca", path, &error.to_string()))?;
            }
            WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
                .build()
                .map_err(|error| wrong("tls_client_ca", path, &error.to_string()))?
        }
    };
    let unfit = |error: rustls::Error| wrong("tls_key", &files.key, &error.to_string());
    let versions =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions
        .map_err(unfit)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(unfit)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((read, Arc::new(config)))
}

type Certificates = (Vec<u8>, Vec<CertificateDer<'static>>);

fn certificates(path: &Path, key: &str) -> Result<Certificates, Error> {
    let bytes = file(path)?;
    let read = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    match read.map_err(|error| wrong(key, path, &pem_error(&error, "certificate")))? {
        none if none.is_empty() => Err(wrong(key, path, "it holds no certificate in PEM")),
        found => Ok((bytes, found)),
    }
}

fn file(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { file: path.display().to_string(), source })
}

fn wrong(key: &str, path: &Path, why: &str) -> Error {
    Error::Setting(format!("{key}: {} can't be used: {why}", path.display()))
}

fn pem_error(error: &pem::Error, what: &str) -> String {
    match error {
        pem::Error::NoItemsFound => format!("it holds no {what} in PEM"),
        other => other.to_string(),
    }
}
