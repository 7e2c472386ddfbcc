//! `backstitch submit`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use reqwest::StatusCode;
use serde_json::{Map, Value, json};

use super::{Server, media_type_of, read_file, read_json};
use crate::client::{Client, PATIENCE};
use crate::error::Error;
use crate::terminal::{Terminal, Tone};
use crate::timeline::Timeline;

/// How often the server is asked what is new.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

const AFTER: &str = "\
Examples:
  backstitch submit order.yaml --input @order.json --follow
  backstitch submit order.yaml --priority high --tag vip --correlation-id o-17
  backstitch submit --workflow order --revision 3 --variables '{\"limit\":5}'";

/// What `submit` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
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
    /// Show the run live until it ends; exit 0 if it completes, 1 otherwise
    #[arg(long)]
    pub follow: bool,
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
/// [`Error::Refused`]; [`Error::Failed`] when the run does not complete; [`Error::Unreachable`],
/// [`Error::Foreign`], [`Error::File`], [`Error::Setting`].
pub async fn run(flags: Flags) -> Result<(), Error> {
    let body = flags.body()?;
    let client = flags.server.client()?.with_patience(PATIENCE);
    let (workflow, defined) = match &flags.file {
        Some(file) => define(&client, file).await?,
        None => (flags.workflow.clone().unwrap_or_default(), None),
    };
    let begun = client.execute(&workflow, &body, flags.idempotency_key.as_deref()).await;
    let run = begun.map_err(|error| but_defined(error, defined))?;
    let terminal = Terminal::of_stdout();
    terminal.line(&run)?;
    if flags.follow { follow(&client, &terminal, &run).await } else { Ok(()) }
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

async fn follow(client: &Client, terminal: &Terminal, run: &str) -> Result<(), Error> {
    let mut timeline = Timeline::default();
    loop {
        for event in client.events(run, timeline.version()).await? {
            if let Some(line) = timeline.read(&event) {
                let at = terminal.paint(Tone::Faint, &line.time);
                let words = terminal.paint(line.tone, &line.words);
                terminal.line(&format!("{at}  {:<24}  {words}", line.subject))?;
            }
        }
        if let Some(status) = timeline.ended() {
            return match status {
                "completed" => Ok(()),
                other => Err(Error::Failed(format!("the run ended: {other}"))),
            };
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
