//! `backstitch submit FILE`.

use std::path::PathBuf;
use std::time::Duration;

use backstitch_core::yaml::Format;
use clap::Args;
use reqwest::StatusCode;
use serde_json::{Map, Value, json};

use super::{format_of, read_file, read_json, server_url};
use crate::client::{Client, PATIENCE};
use crate::error::Error;
use crate::terminal::{Terminal, Tone};
use crate::timeline::Timeline;

/// How often the server is asked what is new.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What `submit` takes.
#[derive(Debug, Args)]
pub struct Flags {
    /// The definition: YAML, or JSON if the file is called so
    pub file: PathBuf,
    /// The run's input: JSON, or @FILE
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub input: String,
    /// The same key with the same input answers the same run
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// What goes wrong on purpose, any number of times: step=ID,kind=KIND, where KIND is fail, delay,
    /// crash_before_ack or duplicate; and undo=true, attempt=N, permanent=true (of fail), delay=5s
    /// (of delay). The server must take faults
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<String>,
    /// Show the run live until it ends; exit 0 if it completes, 1 otherwise
    #[arg(long)]
    pub follow: bool,
    /// The server [default: BACKSTITCH_SERVER, ORCHESTRATOR_URL, or http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
}

/// Defines the workflow, begins a run, prints its id, and follows it if asked.
///
/// # Errors
/// [`Error::Failed`] when the server refuses, or the run does not complete;
/// [`Error::Unreachable`], [`Error::Foreign`], [`Error::File`], [`Error::Setting`].
pub async fn run(flags: Flags) -> Result<(), Error> {
    let input = read_json("--input", &flags.input)?;
    let faults = flags.faults.iter().map(|own| fault(own)).collect::<Result<Vec<_>, _>>()?;
    let text = read_file(&flags.file)?;
    let media_type = match format_of(&flags.file) {
        Format::Json => "application/json",
        Format::Yaml => "application/yaml",
    };
    let client = Client::new(&server_url(flags.server.as_ref()))?.with_patience(PATIENCE);
    let defined = client.define(text, media_type).await?;
    let Some(workflow) = defined["workflow_id"].as_str() else {
        return Err(Error::Foreign { url: client.url().to_owned(), status: StatusCode::OK });
    };
    let mut body = json!({ "input": input });
    if !faults.is_empty() {
        body["faults"] = faults.into();
    }
    let run = client.execute(workflow, &body, flags.idempotency_key.as_deref()).await?;
    let terminal = Terminal::of_stdout();
    terminal.line(&run)?;
    if flags.follow { follow(&client, &terminal, &run).await } else { Ok(()) }
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
            ("undo" | "permanent", "true") => true.into(),
            ("undo" | "permanent", "false") => false.into(),
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
