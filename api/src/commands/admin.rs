//! `backstitch admin`: what an operator does, at a server or to a data directory that no
//! server has open.

mod cache;

use std::path::{Path, PathBuf};
use std::time::Duration;

use backstitch_journal::{Options, ViewName};
use backstitch_saga::engine::rebuild_views;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::Server;
use crate::client::Client;
use crate::error::Error;
use crate::terminal::Terminal;

/// How often the server is asked how far it is.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

const AFTER_REBUILD: &str = "\
The old view serves until the new one is whole; a crash in between leaves the old one in force.

Examples:
  backstitch admin rebuild-views                              every view of the local server
  backstitch admin rebuild-views --view audit --server http://orchestrator:8080
  backstitch admin rebuild-views --data-dir ./backstitch-data  while no server runs";

/// The commands of `admin`.
#[derive(Debug, Subcommand)]
pub enum Admin {
    /// Make lists, statistics and the audit anew from the histories
    RebuildViews(RebuildFlags),
    /// Show how the result cache stands, or empty it
    Cache(cache::CacheFlags),
}

/// What `admin rebuild-views` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER_REBUILD)]
pub struct RebuildFlags {
    /// This view only; every one if absent
    #[arg(long, value_name = "VIEW")]
    pub view: Option<ViewWord>,
    /// The server, and who asks it.
    #[command(flatten)]
    pub server: Server,
    /// A data directory that no server has open, in place of a server
    #[arg(long, value_name = "DIR", conflicts_with_all = ["server", "token"])]
    pub data_dir: Option<PathBuf>,
}

/// A view, as the command line names it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ViewWord {
    /// Lists and statistics of runs
    Runs,
    /// Lists of dead letters
    Letters,
    /// Who did what
    Audit,
}

impl ViewWord {
    fn view(self) -> ViewName {
        match self {
            Self::Runs => ViewName::Runs,
            Self::Letters => ViewName::Letters,
            Self::Audit => ViewName::Audit,
        }
    }
}

pub use cache::CacheFlags;

/// Does it.
///
/// # Errors
/// [`Error::Failed`] when a view could not be made anew or the server refuses, [`Error::Unreachable`],
/// [`Error::Foreign`], [`Error::DataDirectory`].
pub async fn run(admin: Admin) -> Result<(), Error> {
    match admin {
        Admin::RebuildViews(flags) => rebuild(flags).await,
        Admin::Cache(flags) => cache::run(flags).await,
    }
}

async fn rebuild(flags: RebuildFlags) -> Result<(), Error> {
    let views = flags.view.map_or_else(|| ViewName::ALL.to_vec(), |word| vec![word.view()]);
    match flags.data_dir {
        Some(data_dir) => {
            let done = move || offline(&data_dir, &views);
            let ended = tokio::task::spawn_blocking(done).await;
            ended.map_err(|error| Error::Failed(format!("rebuilding met a bug: {error}")))?
        }
        None => online(&flags.server.client()?, &views).await,
    }
}

fn offline(data_dir: &Path, views: &[ViewName]) -> Result<(), Error> {
    let terminal = Terminal::of_stdout();
    let mut shown = Ok(());
    let done = |view: ViewName| {
        if shown.is_ok() {
            shown = terminal.line(&format!("{}: made anew", view.word()));
        }
    };
    rebuild_views(data_dir, Options::default(), views, done)
        .map_err(|error| Error::opening(data_dir, error))?;
    shown
}

async fn online(client: &Client, views: &[ViewName]) -> Result<(), Error> {
    let terminal = Terminal::of_stdout();
    for view in views {
        let before = standing(client, *view).await?;
        client.post("/api/v1/admin/views/rebuild", &json!({ "view": view.word() })).await?;
        let mut told = String::new();
        loop {
            let now = standing(client, *view).await?;
            if now["rebuilds"] != before["rebuilds"] {
                terminal.line(&format!("{}: made anew", view.word()))?;
                break;
            }
            let rebuild = &now["rebuild"];
            if now["rebuilds_failed"] != before["rebuilds_failed"] {
                let (word, why) = (view.word(), now["rebuild_error"].as_str().unwrap_or_default());
                return Err(Error::Failed(format!("{word} was not made anew: {why}")));
            }
            let line = format!("{}: {} of {}", view.word(), rebuild["visited"], rebuild["total"]);
            if !rebuild.is_null() && line != told {
                terminal.line(&line)?;
                told = line;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
    Ok(())
}

/// How a view stands, as the server says.
async fn standing(client: &Client, view: ViewName) -> Result<Value, Error> {
    let mut answer = client.get("/api/v1/admin/views").await?;
    let views = answer["views"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let found = views.into_iter().find(|own| own["view"] == view.word());
    found.ok_or_else(|| Error::Failed(format!("the server has no view `{}`", view.word())))
}
