//! `backstitch test FILE`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use backstitch_core::definition::problem::Problem;
use backstitch_core::time::parse_duration_ms;
use backstitch_core::yaml::{self, Format};
use backstitch_executors::{HttpConfig, Registry};
use backstitch_saga::handle::compile;
use clap::Args;
use serde_json::json;

use super::dry_run::{UnmockedWord, read_mocks};
use super::{Server, format_of, read_file, read_json};
use crate::error::Error;
use crate::terminal::Terminal;
use crate::trial::{self, Known, Mocks, RUN_TIMEOUT, RUNS_MAX, Subject, Test, Unmocked};

const AFTER_HELP: &str = "\
It runs in a server of its own, of which nothing stays, unless --server names one. Without --mocks
its services are called: name a test instance of them, such as by --variables.

Examples:
  backstitch test order.yaml --mocks mocks.yaml --every-fault --input @order.json
  backstitch test order.yaml --every-fault --variables '{\"shop_url\":\"http://127.0.0.1:9001\"}' \\
      --balance http://127.0.0.1:9001/balance
  backstitch test order.yaml --every-fault --server http://127.0.0.1:8080

Exit codes: 0 nothing is left behind, 1 something is or not all runs were made, 2 what is given
can't be used";

/// What `test` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Flags {
    /// The definition: YAML, or JSON if the file is called so
    pub file: PathBuf,
    /// Meet every fault: each step fails, acts and then fails, and is called twice, each undo and
    /// each check is called twice, a check's answer is lost, the server is killed at each journal
    /// position
    #[arg(long)]
    pub every_fault: bool,
    /// The input of every run: JSON, or @FILE
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub input: String,
    /// Variables in place of the definition's: JSON, or @FILE
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub variables: String,
    /// What answers in place of services: a YAML or JSON file of step to { output | error,
    /// delay_ms, attempts, idempotent, acts }
    #[arg(long, value_name = "FILE")]
    pub mocks: Option<PathBuf>,
    /// What becomes of a step that nothing mocks
    #[arg(long, value_name = "WORD", value_enum, default_value = "empty")]
    pub unmocked: UnmockedWord,
    /// The definition of a workflow that a step runs, any number of times
    #[arg(long, value_name = "FILE")]
    pub also: Vec<PathBuf>,
    /// What a service answers with the same words before and behind a run that leaves nothing
    #[arg(long, value_name = "URL")]
    pub balance: Option<String>,
    /// Run it at this server, which must take faults, in place of one of the test's own: nothing is
    /// killed, and the definition stays there
    #[arg(long, value_name = "URL", conflicts_with = "mocks")]
    pub server: Option<String>,
    /// A token or an API key that says who asks it [default: BACKSTITCH_TOKEN]
    #[arg(long, value_name = "TOKEN", requires = "server")]
    pub token: Option<String>,
    /// The most runs
    #[arg(long, value_name = "N", default_value_t = RUNS_MAX)]
    pub runs_max: u32,
    /// How long one run may take [default: 60s]
    #[arg(long, value_name = "DURATION")]
    pub run_timeout: Option<String>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Tests a definition: every run meets one fault, and must leave nothing behind.
///
/// # Errors
/// [`Error::Failed`] when the definition has problems, or a run leaves something behind, or not all
/// could be made; [`Error::File`], [`Error::Setting`].
pub async fn run(flags: Flags) -> Result<(), Error> {
    let input = read_json("--input", &flags.input)?;
    let variables = read_json("--variables", &flags.variables)?;
    let mocks = flags.mocks.as_deref().map(read_mocks).transpose()?;
    let run_timeout = flags.run_timeout.as_deref().map_or(Ok(RUN_TIMEOUT), read_timeout)?;
    let at = |url: &String| Server {
        server: Some(url.clone()),
        token: flags.token.clone(),
        ..Server::default()
    };
    let server = flags.server.as_ref().map(|url| at(url).client()).transpose()?;
    let terminal = Terminal::of_stdout();
    let own = match read_known(&flags.file)? {
        Ok(known) => known,
        Err(problems) => return wrong(&terminal, &flags, &flags.file, &problems),
    };
    let mut others = Vec::new();
    for file in &flags.also {
        match read_known(file)? {
            Ok(known) => others.push(known),
            Err(problems) => return wrong(&terminal, &flags, file, &problems),
        }
    }
    let mut problems = own.plan.check_input(&trial::numbered(&input, 1)).err().unwrap_or_default();
    let subject = Subject::new(own, others);
    let unmocked = match flags.unmocked {
        UnmockedWord::Empty => Unmocked::Empty,
        UnmockedWord::Fail => Unmocked::Fail,
    };
    let mocks = mocks.map(|value| Mocks::read(&value, &subject, unmocked)).transpose();
    let mocks = mocks.unwrap_or_else(|wrong| {
        problems.extend(wrong);
        None
    });
    if !problems.is_empty() {
        return wrong(&terminal, &flags, &flags.file, &problems);
    }
    trial::run(Test {
        subject,
        input,
        variables,
        mocks,
        server,
        balance: flags.balance,
        every_fault: flags.every_fault,
        runs_max: flags.runs_max,
        run_timeout,
        is_json: flags.json,
    })
    .await
}

/// A definition, or every problem of it.
fn read_known(file: &Path) -> Result<Result<Known, Vec<Problem>>, Error> {
    let registry = Registry::builtin(HttpConfig::default())?;
    let (text, format) = (read_file(file)?, format_of(file));
    let media_type = match format {
        Format::Json => "application/json",
        Format::Yaml => "application/yaml",
    };
    let read = yaml::parse(&text, format).map_err(|problem| vec![problem]);
    let compiled = read.and_then(|definition| compile(&definition, &registry));
    Ok(compiled.map(|compiled| Known::of(compiled, text, media_type)))
}

fn read_timeout(text: &str) -> Result<Duration, Error> {
    let ms = parse_duration_ms(text).ok().filter(|ms| *ms > 0);
    ms.map(Duration::from_millis).ok_or_else(|| {
        Error::Setting(format!("--run-timeout: `{text}` must be a duration, such as 60s"))
    })
}

fn wrong(
    terminal: &Terminal,
    flags: &Flags,
    file: &Path,
    problems: &[Problem],
) -> Result<(), Error> {
    if flags.json {
        terminal.line(&json!({ "problems": problems }).to_string())?;
    } else {
        problems.iter().try_for_each(|problem| terminal.line(&problem.to_string()))?;
    }
    let count = problems.len();
    Err(Error::Failed(format!("{} can't be tested: {count} problem(s)", file.display())))
}
