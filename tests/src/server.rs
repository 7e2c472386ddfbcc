//! The real server as a child process, to be measured, killed and started again.

use std::fs::File;
use std::io::{Error, Result};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::http::{Connection, request};

/// How long a server may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Pause between two questions whether it is.
const POLL_EVERY: Duration = Duration::from_millis(2);

/// A server under way. It is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    words: PathBuf,
}

impl Server {
    /// Starts `backstitch serve` on a data directory and a free port; what it says goes to the
    /// file `words`. It need not be ready yet.
    ///
    /// # Errors
    /// The program can't be started or the file can't be written.
    pub fn spawn(program: Command, data_dir: &Path, words: &Path) -> Result<Self> {
        let address = free_address()?;
        let file = File::options().create(true).append(true).open(words)?;
        let mut program = program;
        let child = program
            .arg("serve")
            .arg("--data-dir")
            .arg(data_dir)
            .arg("--listen")
            .arg(address.to_string())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        Ok(Self { child, address, words: words.to_owned() })
    }

    /// Waits until it takes work.
    ///
    /// # Errors
    /// It ended instead, or took too long; with what it said.
    pub async fn ready(&mut self) -> Result<()> {
        let ask = request("GET", "/ready", &[], b"");
        let begun = Instant::now();
        loop {
            if let Ok(mut connection) = Connection::open(self.address).await
                && let Ok(answer) = connection.send(&ask).await
                && answer.status == 200
            {
                return Ok(());
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || begun.elapsed() > READY_WITHIN {
                let words = std::fs::read_to_string(&self.words).unwrap_or_default();
                let how = ended.map_or("is not ready".to_owned(), |status| status.to_string());
                return Err(Error::other(format!("the server: {how}\n{words}")));
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL and waits until it is gone, and its lock with it.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn kill(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already, which is all that is wanted.
        drop(self.end());
    }
}

/// A port that was free a moment ago.
///
/// # Errors
/// No port is free.
pub fn free_address() -> Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
