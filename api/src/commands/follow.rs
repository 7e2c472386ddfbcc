//! `backstitch follow`: what happens, as it happens.

use std::collections::HashMap;

use clap::Args;
use serde_json::Value;

use super::runs::At;
use crate::client::{Client, path_of, with_query};
use crate::error::Error;
use crate::terminal::{Terminal, Tone};
use crate::timeline::{Timeline, named};

/// Runs of which it is remembered when their steps began; how long a step took is not told for
/// others.
const RUNS_MAX: usize = 10_000;

/// What `follow` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  backstitch follow exec_...                        a run from its beginning to its end
  backstitch follow --workflow order                all runs of a workflow, from now on
  backstitch follow --type StepDeadLettered --json  every step that is given up, as JSON lines

Over a restart of the server it goes on where it was. Of one run it exits with 0 if the run
completed and with 1 otherwise; without a run it goes on until it is interrupted.")]
pub struct Flags {
    /// The run, from its first event to its end [default: everything, from now on]
    #[arg(value_name = "EXECUTION_ID")]
    pub id: Option<String>,
    /// Only this workflow and its runs
    #[arg(long, value_name = "WORKFLOW_ID", conflicts_with = "id")]
    pub workflow: Option<String>,
    /// Show events of this type only; several may be given
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// Follows one run, or everything.
///
/// # Errors
/// [`Error::Failed`] when the run did not complete or the server can't go on, and as
/// [`Client::follow`] and its stream.
pub async fn run(flags: Flags) -> Result<(), Error> {
    let client = flags.at.server.client()?;
    let shown = Shown { types: flags.types, json: flags.at.json, terminal: Terminal::of_stdout() };
    match flags.id {
        Some(run) => to_its_end(&client, &run, &shown).await,
        None => from_now_on(&client, flags.workflow.as_deref(), &shown).await,
    }
}

/// Which events are shown, and how.
pub struct Shown {
    types: Vec<String>,
    json: bool,
    terminal: Terminal,
}

impl Shown {
    /// All of them, as lines for a person.
    pub fn lines(terminal: Terminal) -> Self {
        Self { types: Vec::new(), json: false, terminal }
    }

    /// Shows one, which is read in any case; of a run among others with its id.
    fn show(&self, timeline: &mut Timeline, run: Option<&str>, event: &Value) -> Result<(), Error> {
        let line = match event["stream"].as_str().is_some_and(|own| own.starts_with("exec_")) {
            true => timeline.read(event),
            false => named(event),
        };
        let is_wanted = |wanted: &String| event["type"] == wanted.as_str();
        if !self.types.is_empty() && !self.types.iter().any(is_wanted) {
            return Ok(());
        }
        if self.json {
            return self.terminal.line(&event.to_string());
        }
        let Some(line) = line else { return Ok(()) };
        let at = self.terminal.paint(Tone::Faint, &line.time);
        let run = run.map_or_else(String::new, |run| format!("{run}  "));
        let words = self.terminal.paint(line.tone, &line.words);
        self.terminal.line(&format!("{at}  {run}{:<24}  {words}", line.subject))
    }
}

/// Shows a run until it ends.
///
/// # Errors
/// As [`run`].
pub async fn to_its_end(client: &Client, run: &str, shown: &Shown) -> Result<(), Error> {
    let path = path_of(&["api", "v1", "executions", run, "events"]);
    let mut stream = client.follow(&format!("{path}?until=end")).await?;
    let mut timeline = Timeline::default();
    while let Some(event) = stream.next().await? {
        shown.show(&mut timeline, None, &event)?;
    }
    match timeline.ended() {
        Some("completed") => Ok(()),
        status => {
            Err(Error::Failed(format!("the run ended: {}", status.unwrap_or("nobody knows how"))))
        }
    }
}

async fn from_now_on(client: &Client, workflow: Option<&str>, shown: &Shown) -> Result<(), Error> {
    let path = match workflow {
        Some(workflow) => path_of(&["api", "v1", "workflows", workflow, "events"]),
        None => "/api/v1/events".to_owned(),
    };
    let types = Some(shown.types.join(",")).filter(|types| !types.is_empty());
    let query: Vec<_> = types.into_iter().map(|types| ("type", types)).collect();
    let mut stream = client.follow(&with_query(&path, &query)).await?;
    let mut timelines: HashMap<String, Timeline> = HashMap::new();
    while let Some(event) = stream.next().await? {
        let run = event["stream"].as_str().unwrap_or_default();
        if timelines.len() >= RUNS_MAX {
            timelines.clear();
        }
        let timeline = timelines.entry(run.to_owned()).or_default();
        shown.show(timeline, Some(run), &event)?;
        if timeline.ended().is_some() {
            timelines.remove(run);
        }
    }
    Ok(())
}
