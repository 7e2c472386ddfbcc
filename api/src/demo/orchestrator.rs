//! The orchestrator as a process of its own, so that it can be killed.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::client::Client;
use crate::commands::serve::EXIT_WITH_PARENT;
use crate::error::Error;

/// How often a starting orchestrator is asked whether it is ready.
const READY_POLL: Duration = Duration::from_millis(20);
/// How long it may take to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take to end by itself.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// A running orchestrator, this very program, over its own data directory.
#[derive(Debug)]
pub(super) struct Orchestrator {
    child: Child,
    client: Client,
    address: SocketAddr,
    data_dir: PathBuf,
    log: PathBuf,
}

impl Orchestrator {
    /// Starts it on a free port of the loopback and waits until it takes work.
    pub(super) async fn start(folder: &Path) -> Result<Self, Error> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let address = free.and_then(|free| free.local_addr());
        let address = address.map_err(Error::io("finding a free port"))?;
        let (data_dir, log) = (folder.join("data"), folder.join("orchestrator.log"));
        let child = spawn(address, &data_dir, &log)?;
        let client = Client::new(&format!("http://{address}"))?;
        let mut started = Self { child, client, address, data_dir, log };
        started.wait_until_ready().await?;
        Ok(started)
    }

    /// How to talk to it.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Its process.
    pub(super) fn process_id(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Where its journal is.
    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// `kill -9`: it gets no chance to write anything more.
    pub(super) async fn kill(&mut self) -> Result<(), Error> {
        self.child.kill().await.map_err(Error::io("killing the orchestrator"))
    }

    /// Starts it again over the same data, at the same address.
    pub(super) async fn start_again(&mut self) -> Result<(), Error> {
        self.child = spawn(self.address, &self.data_dir, &self.log)?;
        self.wait_until_ready().await
    }

    /// Asks it to end by itself, as an interrupt from the terminal does too; kills it if that
    /// takes long.
    pub(super) async fn end(mut self) -> Result<(), Error> {
        drop(self.child.stdin.take());
        match tokio::time::timeout(END_TIMEOUT, self.child.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => self.kill().await,
        }
    }

    async fn wait_until_ready(&mut self) -> Result<(), Error> {
        let ready = async {
            loop {
                if self.client.is_ready().await {
                    return Ok(());
                }
                let ended =
                    self.child.try_wait().map_err(Error::io("watching the orchestrator"))?;
                if let Some(status) = ended {
                    let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                    let last = log.lines().last().unwrap_or("it said nothing").to_owned();
                    return Err(Error::Failed(format!(
                        "the orchestrator ended ({status}): {last}"
                    )));
                }
                tokio::time::sleep(READY_POLL).await;
            }
        };
        let late = |_| Error::Failed("the orchestrator was not ready in time".to_owned());
        tokio::time::timeout(READY_TIMEOUT, ready).await.map_err(late)?
    }
}

fn spawn(address: SocketAddr, data_dir: &Path, log: &Path) -> Result<Child, Error> {
    let program = std::env::current_exe().map_err(Error::io("finding this program"))?;
    let log =
        || -> std::io::Result<File> { OpenOptions::new().create(true).append(true).open(log) };
    let log = log().map_err(Error::io("opening the orchestrator's log"))?;
    let mut command = Command::new(program);
    // What the environment says about a server is not about this one.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BACKSTITCH_") {
            command.env_remove(name);
        }
    }
    command
        .arg("serve")
        .arg("--data-dir")
        .arg(data_dir)
        .args(["--listen", &address.to_string(), "--node", "demo", "--fsync", "always"])
        // The pipe closes with this process, however it ends, and so its child ends too.
        .env(EXIT_WITH_PARENT, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::io("starting the orchestrator"))
}
