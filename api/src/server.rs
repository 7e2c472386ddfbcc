//! Connections: accepted up to a limit, served over HTTP/1.1, ended in order.
//!
//! Knows sockets and deadlines; what is answered is the router's.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::{TowerToHyperService, TowerToHyperServiceFuture};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::error::Error;
use crate::http::Peer;
use crate::tls::Acceptor;

/// The most connections served at once; more wait to be accepted.
pub const CONNECTIONS_MAX: usize = 12_288;
/// How long a request's head may take to arrive, and how long a connection may be idle.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The most headers of a request.
const HEADERS_MAX: usize = 100;
/// The largest head of a request, in bytes.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// What is read ahead of a connection, in bytes.
const CONNECTION_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// How long accepting rests when the system has no more files to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One that may become a WebSocket.
type HttpConnection<S> = http1::UpgradeableConnection<TokioIo<S>, OfPeer>;

/// The router, for the requests of one connection.
#[derive(Clone)]
struct OfPeer {
    router: TowerToHyperService<Router>,
    peer: Peer,
}

impl Service<Request<Incoming>> for OfPeer {
    type Response = Response;
    type Error = Infallible;
    type Future = TowerToHyperServiceFuture<Router, Request<Incoming>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        self.router.call(request)
    }
}

/// What bytes come and go through.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// Listens on an address.
///
/// # Errors
/// [`Error::Listen`].
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// Serves until `shutdown` completes; then finishes the requests under way, for at most
/// `grace`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Acceptor>,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) {
    let (stop, stopping) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(connections_max()));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = &mut shutdown => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                let service = OfPeer {
                    router: TowerToHyperService::new(router.clone()),
                    peer: Peer(peer.ip()),
                };
                let talk = converse(stream, service, tls.clone(), stopping.clone());
                tokio::spawn(async move {
                    if let Err(error) = talk.await {
                        tracing::debug!(error, "a connection ended badly");
                    }
                    drop(slot);
                });
            }
            Err(error) => refused(&error).await,
        }
    }
    drop((listener, stopping));
    stop.send_replace(true);
    if tokio::time::timeout(grace, stop.closed()).await.is_err() {
        tracing::warn!("some connections were cut off");
    }
}

/// A connection from its handshake to its end.
async fn converse(
    stream: TcpStream,
    service: OfPeer,
    tls: Option<Acceptor>,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    let Some(tls) = tls else {
        return Ok(until_ended(connection(stream, service), stopping).await?);
    };
    let stream = tokio::select! {
        stream = tls.accept(stream) => stream?,
        _ = stopping.wait_for(|stop| *stop) => return Ok(()),
    };
    Ok(until_ended(connection(stream, service), stopping).await?)
}

/// A connection to its end, which is behind the request under way once the server stops.
async fn until_ended<S: Stream>(
    connection: HttpConnection<S>,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), hyper::Error> {
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = &mut connection => return ended,
        _ = stopping.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

fn connection<S: Stream>(stream: S, service: OfPeer) -> HttpConnection<S> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(CONNECTION_BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
}

/// A connection that was lost before it was accepted concerns nobody; anything else is most
/// likely a lack of files, which passes.
async fn refused(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(%error, "a connection can't be accepted");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// [`CONNECTIONS_MAX`], or half the files this process may open where that is less: the
/// journal needs its own, and fails without them.
pub(crate) fn connections_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    files_max(&limits).map_or(CONNECTIONS_MAX, |files| CONNECTIONS_MAX.min((files / 2).max(16)))
}

/// Has the system let this process open as many files as it may: the usual limit of 1,024 is there
/// for old programs, and each connection is a file.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// The soft limit of open files, from Linux's table of limits.
fn files_max(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_files_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max processes             62000                62000                processes\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(files_max(limits), Some(1024));
        assert_eq!(files_max("Max open files            unlimited unlimited files"), None);
        assert_eq!(files_max(""), None);
    }
}
