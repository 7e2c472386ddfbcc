//! What the machine allows, measured in the same run: a bare sync, and a bare HTTP server under
//! the same load.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use backstitch_tests::http::{Connection, request};
use backstitch_tests::server::free_address;

use crate::figures::Measured;
use crate::load::{Client, Pace, blocking_loop, closed_loop};

/// What one write holds: a page, about what a group of a lone run's events fills.
const WRITE_BYTES: usize = 4 * 1024;
/// The file it goes to is as long as a segment of the log, and written ahead like one.
const FILE_BYTES: u64 = 64 * 1024 * 1024;
/// What the bare server is sent: as long as a request to execute a workflow.
const ECHO_BODY: &[u8] = br#"{"input":{},"wait_seconds":30}"#;
/// The hidden word that makes this program the bare server.
pub const ECHO_WORD: &str = "echo-server";

/// Page by page over a file written ahead, one fdatasync each.
///
/// # Errors
/// Of the file system.
pub fn bare_sync(folder: &Path, pace: Pace) -> Result<Measured, String> {
    let wrong = |error: std::io::Error| format!("the bare file: {error}");
    let path = folder.join("bare");
    let mut file = File::create(&path).map_err(wrong)?;
    let page = vec![7_u8; WRITE_BYTES];
    for _ in 0..FILE_BYTES / WRITE_BYTES as u64 {
        file.write_all(&page).map_err(wrong)?;
    }
    file.sync_all().map_err(wrong)?;
    let mut offset = 0;
    let measured = blocking_loop(pace, || {
        file.write_all_at(&page, offset).map_err(wrong)?;
        file.sync_data().map_err(wrong)?;
        offset = (offset + WRITE_BYTES as u64) % FILE_BYTES;
        Ok(())
    });
    std::fs::remove_file(&path).map_err(wrong)?;
    measured
}

/// The bare server as a process of its own. It is killed when this is dropped.
#[derive(Debug)]
pub struct Echo {
    child: Child,
    address: SocketAddr,
}

impl Echo {
    /// Starts this program again as the bare server.
    ///
    /// # Errors
    /// It can't be started.
    pub async fn spawn() -> Result<Self, String> {
        let wrong = |error: std::io::Error| format!("the bare server: {error}");
        let address = free_address().map_err(wrong)?;
        let program = std::env::current_exe().map_err(wrong)?;
        let child = Command::new(program)
            .arg(ECHO_WORD)
            .arg(address.to_string())
            .stdin(Stdio::null())
            .spawn()
            .map_err(wrong)?;
        let mut echo = Self { child, address };
        while Connection::open(address).await.is_err() {
            if let Some(status) = echo.child.try_wait().map_err(wrong)? {
                return Err(format!("the bare server: {status}"));
            }
            tokio::task::yield_now().await;
        }
        Ok(echo)
    }

    /// The closed loop against it.
    ///
    /// # Errors
    /// Of a connection.
    pub async fn measure(&self, concurrency: usize, pace: Pace) -> Result<Measured, String> {
        let headers = [("content-type", "application/json")];
        let bytes = request("POST", "/echo", &headers, ECHO_BODY);
        let mut clients = Vec::with_capacity(concurrency);
        for _ in 0..concurrency {
            let connection = Connection::open(self.address).await.map_err(|e| e.to_string())?;
            clients.push(Echoed { connection, bytes: bytes.clone() });
        }
        closed_loop(clients, pace).await
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It may be gone already, which is all that is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

struct Echoed {
    connection: Connection,
    bytes: Vec<u8>,
}

impl Client for Echoed {
    async fn once(&mut self) -> Result<(), String> {
        let answer = self.connection.send(&self.bytes).await.map_err(|e| e.to_string())?;
        match answer.status == 200 && answer.body == ECHO_BODY {
            true => Ok(()),
            false => Err(format!("the bare server answered {}", answer.status)),
        }
    }
}

/// Serves for ever what [`Echo`] measures: a runtime and a router as the product's own are.
///
/// # Errors
/// The address can't be listened on.
pub fn serve_echo(address: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let serve = async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        let router = Router::new().route("/echo", post(|body: Bytes| async move { body }));
        axum::serve(listener, router).await
    };
    runtime.and_then(|runtime| runtime.block_on(serve)).map_err(|error| error.to_string())
}
