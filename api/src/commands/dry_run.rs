//! `backstitch dry-run FILE`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backstitch_core::definition::problem::Problem;
use backstitch_core::payload::Payload;
use backstitch_core::rehearsal::{Question, Script, Unmocked, rehearsal_json, rehearse};
use backstitch_core::yaml;
use backstitch_executors::{HttpConfig, Registry};
use backstitch_saga::handle::compile;
use backstitch_saga::rehearsals::Shell;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{format_of, read_definition, read_file, read_json};
use crate::error::Error;
use crate::terminal::{Terminal, Tone};
use crate::timeline::Timeline;

/// What `dry-run` takes.
#[derive(Debug, Args)]
pub struct Flags {
    /// The definition: YAML, or JSON if the file is called so; - reads standard input
    pub file: PathBuf,
    /// What steps come to: a YAML or JSON file of step to { output | error, delay_ms, attempts }
    #[arg(long, value_name = "FILE")]
    pub mocks: Option<PathBuf>,
    /// The run's input: JSON, or @FILE
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub input: String,
    /// What becomes of a step that nothing mocks
    #[arg(long, value_name = "WORD", value_enum, default_value = "empty")]
    pub unmocked: UnmockedWord,
    /// Print the whole answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// What becomes of a step that nothing mocks.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum UnmockedWord {
    /// It answers with an empty object
    Empty,
    /// It fails
    Fail,
}

/// Plays a run of the definition on virtual time, without a server: nothing is recorded and
/// nobody is called.
///
/// # Errors
/// [`Error::Failed`] when the definition, the input or the mocks have problems, or the run
/// would not complete; [`Error::File`], [`Error::Setting`].
pub fn run(flags: &Flags) -> Result<(), Error> {
    let input = read_json("--input", &flags.input)?;
    let mocks = match &flags.mocks {
        Some(file) => read_mocks(file)?,
        None => Value::Null,
    };
    let registry = Registry::builtin(HttpConfig::default())?;
    let read = read_definition(&flags.file)?.map_err(|problem| vec![problem]);
    let compiled = read.and_then(|definition| compile(&definition, &registry));
    let terminal = Terminal::of_stdout();
    let plan = match compiled {
        Ok(compiled) => Arc::new(compiled.plan),
        Err(problems) => return wrong(&terminal, flags, &problems),
    };
    let mut problems = plan.check_input(&input).err().unwrap_or_default();
    let mut question = Question::of(plan, 0, Payload::of(&input));
    match Script::read(&mocks, &question.plan, &Shell) {
        Ok(script) => question.script = script,
        Err(wrong) => problems.extend(wrong),
    }
    if !problems.is_empty() {
        return wrong(&terminal, flags, &problems);
    }
    question.unmocked = match flags.unmocked {
        UnmockedWord::Empty => Unmocked::Empty,
        UnmockedWord::Fail => Unmocked::Fail,
    };
    let played = rehearse(question, &Shell).map_err(|why| Error::Failed(why.to_string()))?;
    let answer = rehearsal_json(&played);
    if flags.json {
        terminal.line(&answer.to_string())?;
    } else {
        show(&terminal, &answer)?;
    }
    match (answer["ended"].as_bool(), answer["status"].as_str()) {
        (Some(true), Some("completed")) => Ok(()),
        (Some(true), status) => {
            Err(Error::Failed(format!("the run would end: {}", status.unwrap_or_default())))
        }
        _ => Err(Error::Failed("the run would not end".to_owned())),
    }
}

pub(super) fn read_mocks(file: &Path) -> Result<Value, Error> {
    let read = yaml::parse(&read_file(file)?, format_of(file));
    read.map_err(|problem| Error::Setting(format!("--mocks {}: {problem}", file.display())))
}

fn wrong(terminal: &Terminal, flags: &Flags, problems: &[Problem]) -> Result<(), Error> {
    if flags.json {
        terminal.line(&json!({ "problems": problems }).to_string())?;
    } else {
        problems.iter().try_for_each(|problem| terminal.line(&problem.to_string()))?;
    }
    let count = problems.len();
    Err(Error::Failed(format!("{} can't be played: {count} problem(s)", flags.file.display())))
}

/// A line for each thing that would happen, then what is worth knowing.
fn show(terminal: &Terminal, answer: &Value) -> Result<(), Error> {
    let list = |name: &str| answer[name].as_array().map_or(&[][..], Vec::as_slice);
    let texts = |name: &str| list(name).iter().filter_map(Value::as_str).collect::<Vec<_>>();
    let mut timeline = Timeline::default();
    // The first one says that the run is in the journal, which it is not.
    for entry in list("timeline").iter().skip(1) {
        let mut event = entry.clone();
        event["recorded_at"] = entry["at"].clone();
        let Some(line) = timeline.read(&event) else { continue };
        let at = terminal.paint(Tone::Faint, &passed(entry["at_ms"].as_u64().unwrap_or(0)));
        let words = terminal.paint(line.tone, &line.words);
        terminal.line(&format!("{at}  {:<24}  {words}", line.subject))?;
    }
    let undone = texts("undo_order");
    if !undone.is_empty() {
        terminal.line(&format!("undone in this order: {}", undone.join(", ")))?;
    }
    for own in list("callbacks") {
        let (event, url) = (own["event"].as_str(), own["url"].as_str());
        let (event, url) = (event.unwrap_or_default(), url.unwrap_or_default());
        terminal.line(&format!("would be sent: {event} to {url}"))?;
    }
    for (name, words) in [
        ("unmocked", "nothing mocks, so an answer was made up"),
        ("unused", "mocked, and never asked for"),
        ("waits_for", "waits for ever"),
    ] {
        let named = texts(name);
        if !named.is_empty() {
            terminal.line(&format!("{words}: {}", named.join(", ")))?;
        }
    }
    if let Some(why) = answer["stopped"].as_str() {
        terminal.line(&format!("stopped: {why}"))?;
    }
    let output = &answer["output"];
    if output.is_null() { Ok(()) } else { terminal.line(&format!("output: {output}")) }
}

/// Virtual time since the submission, for people.
fn passed(ms: u64) -> String {
    let (hours, rest) = (ms / 3_600_000, ms % 3_600_000);
    format!("+{hours:02}:{:02}:{:02}.{:03}", rest / 60_000, rest / 1_000 % 60, rest % 1_000)
}
