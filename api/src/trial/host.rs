//! The server that runs what is tested: one of the test's own, which can be held up and killed, or
//! one that was running before and goes on afterwards.

use backstitch_saga::clock;
use backstitch_saga::hold::{Held, Moment};
use tempfile::TempDir;

use super::desk::Desk;
use super::stand_ins::STAND_INS;
use super::subject::Subject;
use crate::client::Client;
use crate::error::Error;
use crate::orchestrator::{Orchestrator, Setup};
use crate::parent::Heard;

/// Flags of a server of the test's own. What a killed process wrote outlives it without a sync, and
/// no circuit that one run opens may hold up the next one.
const FLAGS: [&str; 15] = [
    "--fault-injection",
    "--node",
    "test",
    "--partitions",
    "1",
    "--fsync",
    "never",
    "--archive",
    "false",
    "--breakers",
    "off",
    "--drain",
    "1s",
    "--log-level",
    "error",
];

/// A server that knows what is tested.
pub(super) enum Host {
    /// Over a folder that goes with it.
    Own { folder: TempDir, orchestrator: Box<Orchestrator> },
    /// Somebody else's: what the idempotency keys of the test's runs begin with, and the
    /// revision that they are of.
    Running { client: Client, keys: String, revision: Option<u64> },
}

impl Host {
    /// Starts a server over a new folder.
    pub(super) async fn own(desk: Option<&Desk>, subject: &Subject) -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix("backstitch-test-").tempdir();
        let folder = folder.map_err(Error::io("making a temporary folder"))?;
        let variables = desk.map(|desk| (STAND_INS, desk.url().to_owned())).into_iter().collect();
        let setup = Setup { folder: folder.path().to_owned(), flags: FLAGS.to_vec(), variables };
        let orchestrator = Box::new(Orchestrator::start(setup).await?);
        define(orchestrator.client(), subject).await?;
        Ok(Self::Own { folder, orchestrator })
    }

    /// Uses a server that runs.
    ///
    /// # Errors
    /// [`Error::Failed`] if faults are needed and it takes none: nothing was defined then.
    pub(super) async fn running(
        client: Client,
        subject: &Subject,
        needs_faults: bool,
    ) -> Result<Self, Error> {
        if needs_faults && client.get("/info").await?["fault_injection"] != true {
            return Err(Error::Failed(format!(
                "the server at {} takes no runs with faults: start it with --fault-injection, or \
                 leave --server out, for a server of the test's own",
                client.url()
            )));
        }
        let revision = define(&client, subject).await?;
        Ok(Self::Running { client, keys: format!("test-{}", clock::now().0), revision })
    }

    /// How to talk to it.
    pub(super) fn client(&self) -> &Client {
        match self {
            Self::Own { orchestrator, .. } => orchestrator.client(),
            Self::Running { client, .. } => client,
        }
    }

    /// The idempotency key of the test's n-th run.
    pub(super) fn key(&self, number: u32) -> String {
        match self {
            Self::Own { .. } => format!("run-{number}"),
            Self::Running { keys, .. } => format!("{keys}-run-{number}"),
        }
    }

    /// The revision that is tested, where others may be in force.
    pub(super) fn revision(&self) -> Option<u64> {
        match self {
            Self::Own { .. } => None,
            Self::Running { revision, .. } => *revision,
        }
    }

    /// Whether it can be held up and killed.
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Own { .. })
    }

    /// Has it held up once so many records are durable.
    pub(super) async fn hold(&mut self, records: u64, moment: Moment) -> Result<(), Error> {
        self.tell(Heard::Hold(records, moment)).await
    }

    /// Nothing holds it up any more.
    pub(super) async fn lift(&mut self) -> Result<(), Error> {
        self.tell(Heard::Lift).await
    }

    async fn tell(&mut self, what: Heard) -> Result<(), Error> {
        match self {
            Self::Own { orchestrator, .. } => orchestrator.tell(what).await,
            Self::Running { .. } => Ok(()),
        }
    }

    /// Completes once it is held up.
    pub(super) async fn held(&mut self) -> Result<Held, Error> {
        match self {
            Self::Own { orchestrator, .. } => orchestrator.held().await,
            Self::Running { .. } => std::future::pending().await,
        }
    }

    /// Kills it and starts it again over what it wrote.
    pub(super) async fn restart(&mut self) -> Result<(), Error> {
        let Self::Own { orchestrator, .. } = self else { return Ok(()) };
        orchestrator.kill().await?;
        orchestrator.start_again().await
    }

    /// Leaves a run behind that does not end: in another server of the test's own, or where it is.
    pub(super) async fn begin_anew(
        &mut self,
        desk: Option<&Desk>,
        subject: &Subject,
    ) -> Result<(), Error> {
        if let Self::Own { orchestrator, .. } = self {
            orchestrator.kill().await?;
            *self = Self::own(desk, subject).await?;
        }
        Ok(())
    }

    /// Ends a server of the test's own and removes all it wrote.
    pub(super) async fn end(self) -> Result<(), Error> {
        let Self::Own { folder, orchestrator } = self else { return Ok(()) };
        orchestrator.end().await?;
        folder.close().map_err(Error::io("removing the temporary folder"))
    }
}

/// Defines all that is tested; answers the revision of what is run.
async fn define(client: &Client, subject: &Subject) -> Result<Option<u64>, Error> {
    let mut revision = None;
    for known in subject.in_order() {
        let defined = client.define(known.source.clone(), known.media_type).await?;
        revision = defined["revision"].as_u64();
    }
    Ok(revision)
}
