//! `backstitch submit FILE`.

use std::path::PathBuf;
use std::time::Duration;

use backstitch_core::yaml::Format;
use clap::Args;
use reqwest::StatusCode;
use serde_json::json;

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
    let body = json!({ "input": input });
    let run = client.execute(workflow, &body, flags.idempotency_key.as_deref()).await?;
    let terminal = Terminal::of_stdout();
    terminal.line(&run)?;
    if flags.follow { follow(&client, &terminal, &run).await } else { Ok(()) }
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
