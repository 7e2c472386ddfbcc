//! `backstitch dry-run`: here, or at a server that knows revisions and past runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backstitch_core::definition::problem::Problem;
use backstitch_core::payload::Payload;
use backstitch_core::plan::Plan;
use backstitch_core::rehearsal::{Question, Script, Unmocked, rehearsal_json, rehearse};
use backstitch_core::yaml;
use backstitch_executors::{HttpConfig, Registry};
use backstitch_saga::handle::compile;
use backstitch_saga::rehearsals::Shell;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::runs::table::text;
use super::{Server, format_of, read_definition, read_file, read_json};
use crate::client::path_of;
use crate::error::Error;
use crate::terminal::{Terminal, Tone};
use crate::timeline::Timeline;

const AFTER: &str = "\
Without --workflow, --recorded, --input-of and --server it is played here. Otherwise a server plays it,
which knows revisions, past runs and other workflows; nothing is recorded there either.

Examples:
  backstitch dry-run order.yaml --mocks mocks.yaml --input @order.json
  backstitch dry-run order.yaml --input-of exec_...     a past run on what is to be the next revision
  backstitch dry-run --workflow order --revision 3 --recorded exec_... --unmocked fail";

/// What `dry-run` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Flags {
    /// The definition: YAML, or JSON if the file is called so; - reads standard input
    #[arg(value_name = "FILE", required_unless_present = "workflow", conflicts_with_all = ["workflow", "revision"])]
    pub file: Option<PathBuf>,
    /// A workflow that is defined at the server, in place of a file
    #[arg(long, value_name = "WORKFLOW_ID")]
    pub workflow: Option<String>,
    /// Of that workflow: the revision [default: the newest]
    #[arg(long, value_name = "N", requires = "workflow")]
    pub revision: Option<u32>,
    /// What steps come to: a YAML or JSON file of step to { output | error, delay_ms, attempts }
    #[arg(long, value_name = "FILE")]
    pub mocks: Option<PathBuf>,
    /// A past run whose answers stand in where the mocks say nothing
    #[arg(long, value_name = "EXECUTION_ID")]
    pub recorded: Option<String>,
    /// A past run that is played again with its input, and compared with
    #[arg(long, value_name = "EXECUTION_ID")]
    pub input_of: Option<String>,
    /// The run's input: JSON, or @FILE [default: {}, or that of --input-of]
    #[arg(long, value_name = "JSON")]
    pub input: Option<String>,
    /// In place of the workflow's variables: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    pub variables: Option<String>,
    /// What becomes of a step that nothing mocks
    #[arg(long, value_name = "WORD", value_enum, default_value = "empty")]
    pub unmocked: UnmockedWord,
    /// The server, and who asks it.
    #[command(flatten)]
    pub server: Server,
    /// Print the whole answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// What becomes of a step that nothing mocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UnmockedWord {
    /// It answers with an empty object
    Empty,
    /// It fails
    Fail,
}

/// What the flags and the files that they name say of the run to play.
struct Given {
    input: Option<Value>,
    variables: Option<Value>,
    mocks: Value,
}

/// A file's definition, and its plan.
type Own = (Value, Arc<Plan>);

/// Plays a run on virtual time: nothing is recorded and nobody is called.
///
/// # Errors
/// [`Error::Failed`] when the definition, the input or the mocks have problems, or the run
/// would not complete; [`Error::File`], [`Error::Setting`]; from a server [`Error::Refused`],
/// [`Error::Unreachable`], [`Error::Foreign`].
pub async fn run(flags: &Flags) -> Result<(), Error> {
    let json_of = |flag, given: &Option<String>| {
        given.as_ref().map(|given| read_json(flag, given)).transpose()
    };
    let given = Given {
        input: json_of("--input", &flags.input)?,
        variables: json_of("--variables", &flags.variables)?,
        mocks: flags.mocks.as_deref().map(read_mocks).transpose()?.unwrap_or_default(),
    };
    let terminal = Terminal::of_stdout();
    let (file, server) = (&flags.file, flags.server.server.as_ref());
    let own = match file.as_deref().map(read_plan).transpose()? {
        None => None,
        Some(Ok(own)) => Some(own),
        Some(Err(problems)) => return wrong(&terminal, flags, &problems),
    };
    let past = flags.recorded.is_some() || flags.input_of.is_some();
    let answer = match own {
        Some((_, plan)) if !past && server.is_none() => match play(flags, plan, given)? {
            Ok(answer) => answer,
            Err(problems) => return wrong(&terminal, flags, &problems),
        },
        own => ask(flags, own, given).await?,
    };
    if flags.json {
        terminal.line(&answer.to_string())?;
    } else {
        show(&terminal, &answer, flags)?;
    }
    match (answer["ended"].as_bool(), answer["status"].as_str()) {
        (Some(true), Some("completed")) => Ok(()),
        (Some(true), status) => {
            Err(Error::Failed(format!("the run would end: {}", status.unwrap_or_default())))
        }
        _ => Err(Error::Failed("the run would not end".to_owned())),
    }
}

/// A file's definition and its plan, or what is wrong with it.
fn read_plan(file: &Path) -> Result<Result<Own, Vec<Problem>>, Error> {
    let registry = Registry::builtin(HttpConfig::default())?;
    let read = read_definition(file)?.map_err(|problem| vec![problem]);
    Ok(read.and_then(|definition| {
        let plan = Arc::new(compile(&definition, &registry)?.plan);
        Ok((definition, plan))
    }))
}

/// Plays it here.
fn play(
    flags: &Flags,
    plan: Arc<Plan>,
    given: Given,
) -> Result<Result<Value, Vec<Problem>>, Error> {
    let input = given.input.unwrap_or_else(|| json!({}));
    let variables = given.variables.unwrap_or_else(|| json!({}));
    if !variables.is_object() {
        return Err(Error::Setting("--variables must be an object".to_owned()));
    }
    let mut problems = plan.check_input(&input).err().unwrap_or_default();
    let mut question = Question::of(plan, 0, Payload::of(&input));
    question.variables = Payload::of(&variables);
    match Script::read(&given.mocks, &question.plan, &Shell) {
        Ok(script) => question.script = script,
        Err(wrong) => problems.extend(wrong),
    }
    if !problems.is_empty() {
        return Ok(Err(problems));
    }
    question.unmocked = match flags.unmocked {
        UnmockedWord::Empty => Unmocked::Empty,
        UnmockedWord::Fail => Unmocked::Fail,
    };
    let played = rehearse(question, &Shell).map_err(|why| Error::Failed(why.to_string()))?;
    Ok(Ok(rehearsal_json(&played)))
}

/// Has a server play it.
async fn ask(flags: &Flags, own: Option<Own>, given: Given) -> Result<Value, Error> {
    let client = flags.server.client()?;
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        body.extend(value.map(|value| (name.to_owned(), value)));
    };
    let workflow = match own {
        Some((definition, plan)) => {
            put("definition", Some(definition));
            plan.workflow.to_string()
        }
        None => flags.workflow.clone().unwrap_or_default(),
    };
    put("revision", flags.revision.map(Value::from));
    put("input", given.input);
    put("variables", given.variables);
    put("mocks", Some(given.mocks));
    put("recorded", flags.recorded.clone().map(Value::from));
    put("input_of", flags.input_of.clone().map(Value::from));
    let word = flags.unmocked.to_possible_value();
    put("unmocked", word.map(|word| word.get_name().into()));
    let path = path_of(&["api", "v1", "workflows", &workflow, "dry-run"]);
    client.post(&path, &Value::Object(body)).await
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
    let what = flags.file.as_ref().map_or_else(String::new, |file| file.display().to_string());
    Err(Error::Failed(format!("{what} can't be played: {count} problem(s)")))
}

/// A line for each thing that would happen, then what is worth knowing.
fn show(terminal: &Terminal, answer: &Value, flags: &Flags) -> Result<(), Error> {
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
    let unmocked = match flags.unmocked {
        UnmockedWord::Empty => "nothing mocks, so an answer was made up",
        UnmockedWord::Fail => "nothing mocks, so it failed",
    };
    for (name, words) in [
        ("unmocked", unmocked),
        ("differing", "given something else than in the past run, so not answered from it"),
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
    if let (Some(run), false) = (&flags.input_of, answer["comparison"].is_null()) {
        terminal.line(&compared(run, &answer["comparison"]["first_divergence"]))?;
    }
    let output = &answer["output"];
    if output.is_null() { Ok(()) } else { terminal.line(&format!("output: {output}")) }
}

/// Where the past run and this one went different ways.
fn compared(run: &str, divergence: &Value) -> String {
    if divergence.is_null() {
        return format!("as in {run}: every step did the same");
    }
    let step = divergence["step"].as_str().map_or_else(
        || "the run as a whole".to_owned(),
        |step| format!("step {}", text(&step.into())),
    );
    let [field, left, right] = ["field", "left", "right"].map(|name| text(&divergence[name]));
    format!("differs from {run}, first in {step}: {field} was {left}, and is {right}")
}

/// Virtual time since the submission, for people.
fn passed(ms: u64) -> String {
    let (hours, rest) = (ms / 3_600_000, ms % 3_600_000);
    format!("+{hours:02}:{:02}:{:02}.{:03}", rest / 60_000, rest / 1_000 % 60, rest % 1_000)
}
