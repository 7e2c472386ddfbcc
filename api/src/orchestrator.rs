//! The orchestrator as a process of its own, so that it can be killed: for the demo, and for tests
//! of workflows.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use backstitch_saga::hold::Held;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::client::Client;
use crate::error::Error;
use crate::parent::{EXIT_WITH_PARENT, Heard, Said};
use crate::secret_store::SECRET_VARIABLES;

/// How often a starting orchestrator is asked whether it is ready.
const READY_POLL: Duration = Duration::from_millis(10);
/// How long it may take to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long it may take to end by itself.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// How an orchestrator is set up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    /// The folder of its data and its log.
    pub(crate) folder: PathBuf,
    /// Flags of `serve`.
    pub(crate) flags: Vec<&'static str>,
    /// Variables of its environment.
    pub(crate) variables: Vec<(&'static str, String)>,
}

/// A running orchestrator, this very program, over its own data directory.
#[derive(Debug)]
pub(crate) struct Orchestrator {
    setup: Setup,
    child: Child,
    says: Lines<BufReader<ChildStdout>>,
    client: Client,
}

impl Orchestrator {
    /// Starts it on a free port of the loopback and waits until it takes work.
    pub(crate) async fn start(mut setup: Setup) -> Result<Self, Error> {
        let folder = setup.folder.canonicalize();
        setup.folder = folder.map_err(Error::io("finding the folder of the orchestrator"))?;
        let (child, says, client) = begin(&setup).await?;
        let mut started = Self { setup, child, says, client };
        started.wait_until_ready().await?;
        Ok(started)
    }

    /// How to talk to it.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Its process.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Where its journal is.
    pub(crate) fn data_dir(&self) -> PathBuf {
        data_dir(&self.setup.folder)
    }

    /// Tells it something; completes once it has heard.
    pub(crate) async fn tell(&mut self, what: Heard) -> Result<(), Error> {
        let failed = Error::io("talking to the orchestrator");
        let Some(hears) = self.child.stdin.as_mut() else { return Ok(()) };
        hears.write_all(what.line().as_bytes()).await.map_err(&failed)?;
        hears.flush().await.map_err(failed)?;
        while self.heard().await? != Said::Holds {}
        Ok(())
    }

    /// Completes once it is held up.
    pub(crate) async fn held(&mut self) -> Result<Held, Error> {
        loop {
            if let Said::Held(held) = self.heard().await? {
                return Ok(held);
            }
        }
    }

    /// What it says next.
    async fn heard(&mut self) -> Result<Said, Error> {
        heard(&mut self.says, &mut self.child, &self.setup).await
    }

    /// `kill -9`: it gets no chance to write anything more.
    pub(crate) async fn kill(&mut self) -> Result<(), Error> {
        self.child.kill().await.map_err(Error::io("killing the orchestrator"))
    }

    /// Starts it again over the same data, at another address.
    pub(crate) async fn start_again(&mut self) -> Result<(), Error> {
        (self.child, self.says, self.client) = begin(&self.setup).await?;
        self.wait_until_ready().await
    }

    /// Asks it to end by itself, as an interrupt from the terminal does too; kills it if that
    /// takes long.
    pub(crate) async fn end(mut self) -> Result<(), Error> {
        drop(self.child.stdin.take());
        match tokio::time::timeout(END_TIMEOUT, self.child.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => self.kill().await,
        }
    }

    async fn wait_until_ready(&mut self) -> Result<(), Error> {
        let ready = async {
            while !self.client.is_ready().await {
                let status = self.child.try_wait();
                if status.map_err(Error::io("watching the orchestrator"))?.is_some() {
                    return Err(ended(&mut self.child, &self.setup).await);
                }
                tokio::time::sleep(READY_POLL).await;
            }
            Ok(())
        };
        in_time(ready).await
    }
}

/// The process, what it says, and how to talk to it: it says where it listens.
async fn begin(setup: &Setup) -> Result<(Child, Lines<BufReader<ChildStdout>>, Client), Error> {
    let mut child = spawn(setup)?;
    let says = child.stdout.take().expect("it was spawned with a pipe");
    let mut says = BufReader::new(says).lines();
    let address = async {
        loop {
            if let Said::Listens(address) = heard(&mut says, &mut child, setup).await? {
                return Ok(address);
            }
        }
    };
    let address = in_time(address).await?;
    let client = Client::new(&format!("http://{address}"))?;
    Ok((child, says, client))
}

/// What a process says next; why there is none any more if it says nothing.
async fn heard(
    says: &mut Lines<BufReader<ChildStdout>>,
    child: &mut Child,
    setup: &Setup,
) -> Result<Said, Error> {
    while let Some(line) = says.next_line().await.map_err(Error::io("hearing the orchestrator"))? {
        if let Some(said) = Said::read(&line) {
            return Ok(said);
        }
    }
    Err(ended(child, setup).await)
}

async fn in_time<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| Error::Failed("the orchestrator was not ready in time".to_owned());
    tokio::time::timeout(READY_TIMEOUT, work).await.map_err(late)?
}

/// Why there is no orchestrator any more.
async fn ended(child: &mut Child, setup: &Setup) -> Error {
    let how = match child.wait().await {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let log = std::fs::read_to_string(log_file(&setup.folder)).unwrap_or_default();
    let last = log.lines().last().unwrap_or("it said nothing");
    Error::Failed(format!("the orchestrator ended ({how}): {last}"))
}

fn data_dir(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("orchestrator.log")
}

fn spawn(setup: &Setup) -> Result<Child, Error> {
    let program = std::env::current_exe().map_err(Error::io("finding this program"))?;
    let log = log_file(&setup.folder);
    let log =
        || -> std::io::Result<File> { OpenOptions::new().create(true).append(true).open(&log) };
    let log = log().map_err(Error::io("opening the orchestrator's log"))?;
    let mut command = Command::new(program);
    // What the environment says about a server is not about this one.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        let of_servers = ["BACKSTITCH_", "ORCHESTRATOR_"];
        if of_servers.iter().any(|own| name_text.starts_with(own))
            && !name_text.starts_with(SECRET_VARIABLES)
        {
            command.env_remove(name);
        }
    }
    command
        .current_dir(&setup.folder)
        .arg("serve")
        .arg("--data-dir")
        .arg(data_dir(&setup.folder))
        .args(["--listen", "127.0.0.1:0"])
        .args(&setup.flags)
        // The pipe closes with this process, however it ends, and so its child ends too.
        .env(EXIT_WITH_PARENT, "1")
        .envs(setup.variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::io("starting the orchestrator"))
}
