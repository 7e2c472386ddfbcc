//! `backstitch get|list|why|cancel|pause|...`: runs at a server, looked at and operated.

mod callbacks;
mod items;
mod migrate;
mod rerun;
mod retry;
pub(super) mod table;
mod undo;

use clap::Args;
use serde_json::{Map, Value, json};

use super::{Server, read_json};
use crate::client::{Client, path_of};
use crate::error::Error;
use crate::terminal::Terminal;

pub use callbacks::{RedeliverFlags, callbacks, redeliver};
pub use items::{ItemsFlags, items};
pub use migrate::{MigrateFlags, migrate};
pub use rerun::{RerunFlags, rerun};
pub use retry::{RetryFlags, retry};
pub use undo::{UndoFlags, undo};

/// Where the server is and how its answers are shown.
#[derive(Debug, Args)]
pub struct At {
    /// The server, and who asks it.
    #[command(flatten)]
    pub server: Server,
    /// Print the server's answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// One run.
#[derive(Debug, Args)]
pub struct OneFlags {
    /// The run
    #[arg(value_name = "EXECUTION_ID")]
    pub id: String,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// One run, and why something is done to it.
#[derive(Debug, Args)]
pub struct ActFlags {
    /// The run
    #[arg(value_name = "EXECUTION_ID")]
    pub id: String,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// What `rollback` takes.
#[derive(Debug, Args)]
pub struct RollbackFlags {
    /// Which run, and why.
    #[command(flatten)]
    pub act: ActFlags,
    /// Only what builds on this step, which is then done anew
    #[arg(long, value_name = "STEP_ID")]
    pub to: Option<String>,
    /// Have steps marked `replay: unsafe` run again that nothing undoes
    #[arg(long, requires = "to")]
    pub accept_unsafe: bool,
    /// Do nothing but say what would be undone, in which order, and what would be left
    #[arg(long)]
    pub preview: bool,
}

/// What `list` takes.
#[derive(Debug, Args)]
pub struct ListFlags {
    /// Only runs that have not ended
    #[arg(long)]
    pub active: bool,
    /// Only runs with this status
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Only runs of this workflow
    #[arg(long, value_name = "WORKFLOW_ID")]
    pub workflow: Option<String>,
    /// At most so many, the newest first
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// What `cancel` takes.
#[derive(Debug, Args)]
pub struct CancelFlags {
    /// What is done to which run.
    #[command(flatten)]
    pub act: ActFlags,
    /// Give up what is under way: attempts, or undos if the run is being undone
    #[arg(long)]
    pub force: bool,
    /// Whether what was done is undone [default: as the workflow says]
    #[arg(long, value_name = "BOOL")]
    pub compensate: Option<bool>,
}

/// What `signal` takes.
#[derive(Debug, Args)]
pub struct SignalFlags {
    /// The run
    #[arg(value_name = "EXECUTION_ID")]
    pub id: String,
    /// What its step waits for
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What the signal carries: JSON, or @FILE
    #[arg(long, value_name = "JSON", default_value = "null")]
    pub payload: String,
    /// The same id again is the same signal
    #[arg(long, value_name = "ID")]
    pub signal_id: Option<String>,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// What `skip-step` takes.
#[derive(Debug, Args)]
pub struct SkipFlags {
    /// The suspended run
    #[arg(value_name = "EXECUTION_ID")]
    pub id: String,
    /// The step
    #[arg(value_name = "STEP_ID")]
    pub step: String,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// What `set-output` takes.
#[derive(Debug, Args)]
pub struct OutputFlags {
    /// What is done to which step.
    #[command(flatten)]
    pub skip: SkipFlags,
    /// What the step is taken to have answered: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    pub output: String,
}

impl At {
    /// The server.
    pub(super) fn client(&self) -> Result<Client, Error> {
        self.server.client()
    }

    /// Prints an answer, as JSON or as `text`.
    pub(super) fn show(&self, answer: &Value, text: impl FnOnce() -> String) -> Result<(), Error> {
        let shown = if self.json { format!("{answer:#}") } else { text() };
        Terminal::of_stdout().line(shown.trim_end())
    }

    async fn act(&self, id: &str, below: &[&str], body: &Value) -> Result<(), Error> {
        let path = of_run(id, below);
        let answer = self.client()?.post(&path, body).await?;
        self.show(&answer, || format!("{id}: {}", table::text(&answer["status"])))
    }
}

fn of_run(id: &str, below: &[&str]) -> String {
    path_of(&[&["api", "v1", "executions", id], below].concat())
}

/// `get`: the run as it stands.
///
/// # Errors
/// [`Error::Failed`] when the server refuses, [`Error::Unreachable`], [`Error::Foreign`].
pub async fn get(flags: OneFlags) -> Result<(), Error> {
    let answer = flags.at.client()?.get(&of_run(&flags.id, &[])).await?;
    flags.at.show(&answer, || table::run(&answer))
}

/// `why`: what the run waits for.
///
/// # Errors
/// As [`get`].
pub async fn why(flags: OneFlags) -> Result<(), Error> {
    let answer = flags.at.client()?.get(&of_run(&flags.id, &["why"])).await?;
    flags.at.show(&answer, || table::why(&answer))
}

/// `list`: runs, the newest first.
///
/// # Errors
/// As [`get`].
pub async fn list(flags: ListFlags) -> Result<(), Error> {
    let mut query = vec![("limit", flags.limit.to_string())];
    query.extend(flags.active.then(|| ("active", "true".to_owned())));
    query.extend(flags.status.map(|status| ("status", status)));
    query.extend(flags.workflow.map(|workflow| ("workflow_id", workflow)));
    let answer = flags.at.client()?.get_with("/api/v1/executions", &query).await?;
    flags.at.show(&answer, || table::runs(&answer))
}

/// `cancel`: the run stops.
///
/// # Errors
/// As [`get`].
pub async fn cancel(flags: CancelFlags) -> Result<(), Error> {
    let CancelFlags { act, force, compensate } = flags;
    let body = json!({ "reason": act.reason, "force": force, "compensate": compensate });
    act.at.act(&act.id, &["cancel"], &body).await
}

/// `rollback`: what the run did is undone, or what would be is told.
///
/// # Errors
/// As [`get`].
pub async fn roll_back(flags: RollbackFlags) -> Result<(), Error> {
    let RollbackFlags { act: own, to, accept_unsafe, preview } = flags;
    if !preview {
        let mut body = json!({ "reason": own.reason });
        if let Some(to) = to {
            (body["to"], body["accept_unsafe"]) = (to.into(), accept_unsafe.into());
        }
        return own.at.act(&own.id, &["rollback"], &body).await;
    }
    let query: Vec<_> = to.map(|to| ("to", to)).into_iter().collect();
    let answer = own.at.client()?.get_with(&of_run(&own.id, &["rollback"]), &query).await?;
    own.at.show(&answer, || table::unwind_plan(&answer))
}

/// `pause` and `resume`: the verb is the path's last word.
///
/// # Errors
/// As [`get`].
pub async fn act(flags: ActFlags, verb: &str) -> Result<(), Error> {
    flags.at.act(&flags.id, &[verb], &json!({ "reason": flags.reason })).await
}

/// `signal`: kept until a step takes it.
///
/// # Errors
/// As [`get`]; [`Error::Setting`] for a payload that is no JSON.
pub async fn signal(flags: SignalFlags) -> Result<(), Error> {
    let payload = read_json("--payload", &flags.payload)?;
    let mut body = Map::from_iter([("payload".to_owned(), payload)]);
    body.extend(flags.signal_id.map(|id| ("id".to_owned(), Value::from(id))));
    let below = ["signals", flags.name.as_str()];
    flags.at.act(&flags.id, &below, &Value::Object(body)).await
}

/// `skip-step`: the step of a suspended run counts as skipped.
///
/// # Errors
/// As [`get`].
pub async fn skip_step(flags: SkipFlags) -> Result<(), Error> {
    let body = json!({ "reason": flags.reason });
    flags.at.act(&flags.id, &["steps", &flags.step, "skip"], &body).await
}

/// `set-output`: the step of a suspended run counts as succeeded.
///
/// # Errors
/// As [`get`]; [`Error::Setting`] for an output that is no JSON.
pub async fn set_output(flags: OutputFlags) -> Result<(), Error> {
    let OutputFlags { skip, output } = flags;
    let body = json!({ "reason": skip.reason, "output": read_json("--output", &output)? });
    skip.at.act(&skip.id, &["steps", &skip.step, "set-output"], &body).await
}
