//! A small real shop: stock, payment and shipping over HTTP, each with its own books.
//!
//! - `service`: the routes, and what an order may do to them;
//! - `ledger`: what was done, undone and repeated, behind one lock;
//! - `books`: a copy of it, and what is wrong with it.
//!
//! It is what a run acts on in the demo and in the crash tests, and the witness of what really
//! happened there. It knows nothing of workflows: it sees requests and their keys.

mod books;
mod ledger;
mod service;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use books::{Books, Discrepancy, Entry, Holding, Service, Turn};
use ledger::Ledger;

/// Where the shop listens and how slow it is.
#[derive(Debug, Clone)]
pub struct ShopConfig {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long each answer takes, beside the `slow_ms` of an order.
    pub latency: Duration,
}

impl Default for ShopConfig {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into(), latency: Duration::ZERO }
    }
}

/// An open shop. Dropping it closes it too, without waiting.
#[derive(Debug)]
pub struct Shop {
    url: String,
    ledger: Arc<SharedLedger>,
    closing: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Shop {
    /// Opens the shop with empty books; it serves until it is shut down.
    ///
    /// # Errors
    /// The address can't be listened on.
    pub async fn start(config: ShopConfig) -> std::io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let ledger = Arc::new(SharedLedger::default());
        let router = service::router(ledger.clone(), config.latency);
        let (closing, closed) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            let asked_to_close = async { drop(closed.await) };
            axum::serve(listener, router).with_graceful_shutdown(asked_to_close).await
        });
        Ok(Self { url, ledger, closing, server })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The books as they stand now.
    #[must_use]
    pub fn books(&self) -> Books {
        self.ledger.lock().books()
    }

    /// Closes the shop once the requests under way are answered.
    ///
    /// # Errors
    /// The server ended badly.
    pub async fn shutdown(self) -> std::io::Result<()> {
        // A server that is gone already hears nothing, and says why below.
        self.closing.send(()).unwrap_or(());
        self.server.await.map_err(std::io::Error::other)?
    }
}

/// The one ledger of all three services.
#[derive(Debug, Default)]
struct SharedLedger(Mutex<Ledger>);

impl SharedLedger {
    /// A panic in a request leaves the ledger as it was between two entries, so it is used on.
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
