//! `backstitch submit`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use reqwest::StatusCode;
use serde_json::{Map, Value, json};

use super::follow::{Shown, to_its_end};
use super::{Server, media_type_of, read_file, read_json};
use crate::client::{Client, PATIENCE};
use crate::error::Error;
use crate::terminal::Terminal;

const AFTER: &str = "\
Examples:
  backstitch submit order.yaml --input @order.json --follow
  backstitch submit order.yaml --priority high --tag vip --correlation-id o-17
  backstitch submit --workflow order --revision 3 --variables '{\"limit\":5}'";

/// What `submit` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct SubmitFlags {
    /// What is begun.
    #[command(flatten)]
    pub run: Flags,
    /// Show the run live until it ends; exit 0 if it completes, 1 otherwise
    #[arg(long)]
    pub follow: bool,
}

/// What `run` takes: which run is begun, and where.
#[derive(Debug, Args)]
pub struct Flags {
    /// The definition: YAML, or JSON if the file is called so
    #[arg(value_name = "FILE", required_unless_present = "workflow", conflicts_with_all = ["workflow", "revision"])]
    pub file: Option<PathBuf>,
    /// A workflow that is defined already, in place of a file
    #[arg(long, value_name = "WORKFLOW_ID")]
    pub workflow: Option<String>,
    /// Of that workflow: the revision to run [default: as its roll-out says, else the newest]
    #[arg(long, value_name = "N", requires = "workflow")]
    pub revision: Option<u32>,
    /// The run's input: JSON, or @FILE
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub input: String,
    /// In place of the workflow's variables: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    pub variables: Option<String>,
    /// Who goes first when not all can [default: as the workflow says]
    #[arg(long, value_name = "WORD", value_enum)]
    pub priority: Option<PriorityWord>,
    /// A tag of the run, any number of times
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// What every call and callback of the run carries [default: its own id]
    #[arg(long, value_name = "ID")]
    pub correlation_id: Option<String>,
    /// The same key with the same input answers the same run
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// What goes wrong on purpose, any number of times: step=ID,kind=KIND, where KIND is fail,
    /// delay, crash_before_ack or duplicate; and undo=true or check=true, attempt=N, permanent=true (of
    /// fail), delay=5s (of delay). The server must take faults
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<String>,
    /// The server, and who asks it.
    #[command(flatten)]
    pub server: Server,
}

/// Who goes first, as the command line names it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum PriorityWord {
    /// Before the others
    High,
    /// As most
    Medium,
    /// Behind the others
    Low,
}

impl Flags {
    fn body(&self) -> Result<Value, Error> {
        let mut body = Map::new();
        body.insert("input".to_owned(), read_json("--input", &self.input)?);
        if let Some(variables) = &self.variables {
            body.insert("variables".to_owned(), read_json("--variables", variables)?);
        }
        let faults = self.faults.iter().map(|own| fault(own)).collect::<Result<Vec<_>, _>>()?;
        if !faults.is_empty() {
            body.insert("faults".to_owned(), faults.into());
        }
        if !self.tags.is_empty() {
            body.insert("tags".to_owned(), json!(self.tags));
        }
        let priority = self.priority.and_then(|own| own.to_possible_value());
        body.extend(priority.map(|own| ("priority".to_owned(), json!(own.get_name()))));
        body.extend(
            self.correlation_id.iter().map(|own| ("correlation_id".to_owned(), json!(own))),
        );
        body.extend(self.revision.map(|own| ("revision".to_owned(), json!(own))));
        Ok(Value::Object(body))
    }
}

/// Defines the workflow, begins a run, prints its id, and follows it if asked.
///
/// # Errors
/// As [`run`]; [`Error::Failed`] only if the run is followed.
pub async fn submit(flags: SubmitFlags) -> Result<(), Error> {
    if flags.follow {
        return run(flags.run).await;
    }
    begin(&flags.run).await.map(drop)
}

/// Defines the workflow, begins a run, prints its id, and shows the run until it ends.
///
/// # Errors
/// [`Error::Refused`]; [`Error::Failed`] when the run does not complete; [`Error::Unreachable`],
/// [`Error::Foreign`], [`Error::File`], [`Error::Setting`].
pub async fn run(flags: Flags) -> Result<(), Error> {
    let (client, run) = begin(&flags).await?;
    to_its_end(&client, &run, &Shown::lines(Terminal::of_stdout())).await
}

async fn begin(flags: &Flags) -> Result<(Client, String), Error> {
    let body = flags.body()?;
    let client = flags.server.client()?.with_patience(PATIENCE);
    let (workflow, defined) = match &flags.file {
        Some(file) => define(&client, file).await?,
        None => (flags.workflow.clone().unwrap_or_default(), None),
    };
    let begun = client.execute(&workflow, &body, flags.idempotency_key.as_deref()).await;
    let run = begun.map_err(|error| but_defined(error, defined))?;
    Terminal::of_stdout().line(&run)?;
    Ok((client, run))
}

/// The id of the workflow that a file defines, and a sentence that says that it is defined.
async fn define(client: &Client, file: &Path) -> Result<(String, Option<String>), Error> {
    let defined = client.define(read_file(file)?, media_type_of(file)).await?;
    let Some(workflow) = defined["workflow_id"].as_str() else {
        return Err(Error::Foreign { url: client.url().to_owned(), status: StatusCode::OK });
    };
    let revision = &defined["revision"];
    let sentence = match defined["created"].as_bool() {
        Some(true) => format!("`{workflow}` was defined as revision {revision}"),
        _ => format!("`{workflow}` was revision {revision} before"),
    };
    Ok((workflow.to_owned(), Some(sentence)))
}

/// A refusal to begin a run, with what was recorded all the same.
fn but_defined(error: Error, defined: Option<String>) -> Error {
    match error {
        Error::Refused { status, code, sentence } if status.is_client_error() => {
            let defined = defined.map_or_else(String::new, |defined| format!("{defined}; "));
            let sentence = format!("{sentence}\n{defined}no run was begun");
            Error::Refused { status, code, sentence }
        }
        error => error,
    }
}

/// A fault as the API has it. What its fields may be is the server's to say.
fn fault(text: &str) -> Result<Value, Error> {
    let mut own = Map::new();
    for pair in text.split(',') {
        let Some((name, value)) = pair.split_once('=') else {
            let message = format!(
                "--fault `{text}`: `{pair}` must be NAME=VALUE, such as step=charge,kind=fail"
            );
            return Err(Error::Setting(message));
        };
        let (name, value) = (name.trim(), value.trim());
        let value = match (name, value) {
            ("attempt", number) => number.parse::<u64>().map_or_else(|_| number.into(), Into::into),
            ("undo" | "check" | "permanent", "true") => true.into(),
            ("undo" | "check" | "permanent", "false") => false.into(),
            (_, text) => Value::from(text),
        };
        if own.insert(name.to_owned(), value).is_some() {
            let message = format!("--fault `{text}`: `{name}` is given twice");
            return Err(Error::Setting(message));
        }
    }
    Ok(own.into())
}
