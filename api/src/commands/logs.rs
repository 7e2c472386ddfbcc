//! `backstitch logs`: the server's log, and how much is logged.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::runs::At;
use super::runs::table::{list, text};
use crate::client::with_query;
use crate::error::Error;
use crate::terminal::{Terminal, Tone, printable};

const LINES: &str = "/api/v1/admin/logs";
const LEVELS: &str = "/api/v1/admin/log-levels";

const AFTER: &str = "\
The newest lines are kept by the server, by --log-buffer-bytes; older ones are where its stderr goes.

Examples:
  backstitch logs --follow                          the newest lines, and those that come
  backstitch logs --level warn --limit 1000         what went otherwise than hoped
  backstitch logs --execution exec_... --json       about one run, as JSON lines
  backstitch logs level saga=debug --for 10m        log more of the engine for ten minutes
  backstitch logs level --reset                     as the settings say";

/// What `logs` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER, args_conflicts_with_subcommands = true)]
pub struct Flags {
    /// How much is logged; lines are shown if absent
    #[command(subcommand)]
    pub order: Option<Order>,
    /// Go on with the lines that come
    #[arg(long, short)]
    pub follow: bool,
    /// Only lines at least as grave: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<String>,
    /// Only lines of this part of the program, as `backstitch logs level` lists them
    #[arg(long, value_name = "COMPONENT")]
    pub component: Option<String>,
    /// Only lines about this run
    #[arg(long, value_name = "EXECUTION_ID")]
    pub execution: Option<String>,
    /// Only lines of the request with this X-Request-Id
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// So many of the newest lines
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// What is done to levels.
#[derive(Debug, Subcommand)]
pub enum Order {
    /// Show how much is logged, or log more or less of some components until the server ends
    Level(LevelFlags),
}

/// What `logs level` takes.
#[derive(Debug, Args)]
pub struct LevelFlags {
    /// Levels in place of those set before; what is not named is logged as the settings say
    #[arg(value_name = "COMPONENT=LEVEL")]
    pub levels: Vec<String>,
    /// After how long the settings count again, such as 10m
    #[arg(long = "for", value_name = "DURATION", requires = "levels")]
    pub during: Option<String>,
    /// Log as the settings say
    #[arg(long, conflicts_with = "levels")]
    pub reset: bool,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// Does it.
///
/// # Errors
/// [`Error::Refused`], [`Error::Unreachable`], [`Error::Foreign`], [`Error::Setting`].
pub async fn run(flags: Flags) -> Result<(), Error> {
    match flags.order {
        Some(Order::Level(flags)) => level(flags).await,
        None => lines(flags).await,
    }
}

async fn level(flags: LevelFlags) -> Result<(), Error> {
    let client = flags.at.client()?;
    let answer = if flags.levels.is_empty() && !flags.reset {
        client.get(LEVELS).await?
    } else {
        let mut body = json!({ "levels": read(&flags.levels)? });
        if let Some(during) = flags.during {
            body["for"] = during.into();
        }
        client.put(LEVELS, &body).await?
    };
    flags.at.show(&answer, || standing(&answer))
}

fn read(levels: &[String]) -> Result<Map<String, Value>, Error> {
    let pair = |own: &String| match own.split_once('=') {
        Some((name, level)) => Ok((name.to_owned(), level.into())),
        None => Err(Error::Setting(format!("`{own}` must be COMPONENT=LEVEL, such as saga=debug"))),
    };
    levels.iter().map(pair).collect()
}

fn standing(answer: &Value) -> String {
    let mut shown = format!("settings: {}\n", text(&answer["settings"]));
    let levels = answer["levels"].as_object().into_iter().flatten();
    let levels: Vec<_> = levels.map(|(name, level)| format!("{name}={}", text(level))).collect();
    if let Some(by) = answer["set_by"].as_str() {
        let said = if levels.is_empty() { "nothing else".to_owned() } else { levels.join(" ") };
        let until = answer["until"].as_str().map_or_else(String::new, |at| format!(", until {at}"));
        shown.push_str(&format!("set by {by} at {}: {said}{until}\n", text(&answer["set_at"])));
    }
    let names: Vec<_> = list(answer, "components").iter().map(|own| text(&own["name"])).collect();
    shown + &format!("components: {}", names.join(" "))
}

async fn lines(flags: Flags) -> Result<(), Error> {
    let named = [
        ("level", flags.level),
        ("component", flags.component),
        ("execution_id", flags.execution),
        ("request_id", flags.request_id),
    ];
    let said = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let query: Vec<_> = said.chain([("limit", flags.limit.to_string())]).collect();
    let (path, terminal) = (with_query(LINES, &query), Terminal::of_stdout());
    let client = flags.at.client()?;
    if !flags.follow {
        for line in client.text(&path).await?.lines() {
            show(&terminal, flags.at.json, &serde_json::from_str(line).unwrap_or_default())?;
        }
        return Ok(());
    }
    let mut stream = client.follow(&path).await?;
    while let Some(line) = stream.next().await? {
        show(&terminal, flags.at.json, &line)?;
    }
    Ok(())
}

fn show(terminal: &Terminal, json: bool, line: &Value) -> Result<(), Error> {
    if json {
        return terminal.line(&line.to_string());
    }
    if let Some(missed) = line["missed"].as_u64() {
        let words = format!("{missed} lines made room before they could be read");
        return terminal.line(&terminal.paint(Tone::Odd, &words));
    }
    let word = |name: &str| line[name].as_str().unwrap_or_default();
    let tone = match word("level") {
        "ERROR" => Tone::Bad,
        "WARN" => Tone::Odd,
        "INFO" => Tone::Good,
        _ => Tone::Faint,
    };
    let (at, level) = (word("timestamp"), format!("{:<5}", word("level")));
    let (at, level) = (terminal.paint(Tone::Faint, at), terminal.paint(tone, &level));
    let message = line["fields"]["message"].as_str().unwrap_or_default();
    let said = format!("{}: {message}{}", word("target"), fields(line));
    terminal.line(&format!("{at} {level} {}", printable(&said)))
}

/// What a line says beside its message, and what it is said in.
fn fields(line: &Value) -> String {
    let spans = line["spans"].as_array().into_iter().flatten();
    let own = spans.chain([&line["fields"]]).filter_map(Value::as_object).flatten();
    let others = own.filter(|(name, _)| !["message", "name"].contains(&name.as_str()));
    others.map(|(name, value)| format!(" {name}={}", text(value))).collect()
}
