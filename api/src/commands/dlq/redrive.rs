//! `backstitch dlq redrive`: dead letters retried by a filter, at a rate, with canaries.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::KindWord;
use crate::client::{Client, path_of};
use crate::commands::read_json;
use crate::commands::runs::At;
use crate::commands::runs::table::{columns, list, text, words};
use crate::error::Error;

/// How often a server is asked how far a redrive is.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

const AFTER_START: &str = "\
Only letters that are open when it begins are retried, the oldest first. With --canary, so many
letters of each cause are retried before the rest of it, and the first that fails stops it.
With --input or --input-patch each letter's step runs with another input, as a new round; letters
whose input can't be edited are refused and stay open.

Examples:
  backstitch dlq redrive start --fingerprint 3b8f02c4d5e6a7b9 --canary 3 --rate 50 --follow
  backstitch dlq redrive start --workflow order --stop-at-ratio 0.2 --reason 'the bank is back'
  backstitch dlq redrive start --workflow order --step charge --canary 1 \\
      --input-patch '{\"body\":{\"currency\":\"EUR\"}}' --reason 'the currency was missing'
  backstitch dlq redrive resume redrive_...";

/// The commands of `dlq redrive`.
#[derive(Debug, Subcommand)]
pub enum Redrive {
    /// Retry every open letter that fits, at a rate
    #[command(after_help = AFTER_START)]
    Start(Box<StartFlags>),
    /// List redrives, the newest first
    List(At),
    /// Show how far a redrive is, and why it stopped if it did
    Show(OneFlags),
    /// Retry no more of its letters until it is resumed
    Pause(ActFlags),
    /// Let a redrive go on that was paused or stopped
    Resume(ActFlags),
    /// Give a redrive up: letters that were not retried stay open
    Cancel(ActFlags),
}

/// What `redrive start` takes.
#[derive(Debug, Args)]
pub struct StartFlags {
    /// Only letters of this workflow
    #[arg(long, value_name = "WORKFLOW_ID")]
    pub workflow: Option<String>,
    /// Only letters of this step, or its undo
    #[arg(long, value_name = "STEP")]
    pub step: Option<String>,
    /// Only letters about this kind of operation
    #[arg(long, value_name = "KIND")]
    pub kind: Option<KindWord>,
    /// Only letters with this error code
    #[arg(long, value_name = "CODE")]
    pub code: Option<String>,
    /// Only letters of this cause
    #[arg(long, value_name = "FINGERPRINT")]
    pub fingerprint: Option<String>,
    /// Only letters of runs with this tag
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// Only letters that this one is to see to
    #[arg(long, value_name = "NAME")]
    pub assignee: Option<String>,
    /// Only letters of this run
    #[arg(long, value_name = "EXECUTION_ID")]
    pub execution: Option<String>,
    /// Only letters opened at this instant or later, in RFC 3339
    #[arg(long, value_name = "INSTANT")]
    pub opened_after: Option<String>,
    /// Only letters opened before this instant
    #[arg(long, value_name = "INSTANT")]
    pub opened_before: Option<String>,
    /// Retries per second [default: 10]
    #[arg(long, value_name = "N")]
    pub rate: Option<u32>,
    /// Letters of each cause that are retried before the rest of it
    #[arg(long, value_name = "N")]
    pub canary: Option<u32>,
    /// How long those may take to succeed [default: 60s]
    #[arg(long, value_name = "DURATION", requires = "canary")]
    pub canary_wait: Option<String>,
    /// Stop with so many failures
    #[arg(long, value_name = "N")]
    pub stop_at_failures: Option<u64>,
    /// Stop with this share of failures, 0 to 1, after 20 outcomes
    #[arg(long, value_name = "SHARE")]
    pub stop_at_ratio: Option<f64>,
    /// The input of each letter's step in place of what it had: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    pub input: Option<String>,
    /// What is to differ in it, as a JSON merge patch (RFC 7396): JSON, or @FILE
    #[arg(long, value_name = "JSON", conflicts_with = "input")]
    pub input_patch: Option<String>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Wait until it goes on no more
    #[arg(long)]
    pub follow: bool,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// One redrive.
#[derive(Debug, Args)]
pub struct OneFlags {
    /// The redrive
    #[arg(value_name = "REDRIVE_ID")]
    pub id: String,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// One redrive, and why something is done to it.
#[derive(Debug, Args)]
pub struct ActFlags {
    /// The redrive.
    #[command(flatten)]
    pub one: OneFlags,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

impl StartFlags {
    fn body(&self) -> Result<Value, Error> {
        let json_of = |flag: &str, given: &Option<String>| {
            given.as_ref().map(|text| read_json(flag, text)).transpose()
        };
        let input = json_of("--input", &self.input)?;
        let input_patch = json_of("--input-patch", &self.input_patch)?;
        let kind = self.kind.and_then(|own| own.to_possible_value());
        let kind = kind.map(|own| own.get_name().to_owned());
        let canary = self.canary.map(|count| {
            let wait = self.canary_wait.as_ref().map(|wait| ("wait".to_owned(), json!(wait)));
            Map::from_iter(std::iter::once(("count".to_owned(), json!(count))).chain(wait))
        });
        Ok(json!({
            "filter": {
                "workflow_id": self.workflow,
                "step": self.step,
                "kind": kind,
                "code": self.code,
                "fingerprint": self.fingerprint,
                "tag": self.tag,
                "assignee": self.assignee,
                "execution_id": self.execution,
                "opened_after": self.opened_after,
                "opened_before": self.opened_before,
            },
            "rate_per_second": self.rate,
            "canary": canary,
            "stop_when": {
                "failures": self.stop_at_failures,
                "failure_ratio": self.stop_at_ratio,
            },
            "input": input,
            "input_patch": input_patch,
            "reason": self.reason,
        }))
    }
}

/// Does it.
///
/// # Errors
/// As `dlq`; [`Error::Failed`] when a redrive that is followed stops before it is done.
pub async fn run(redrive: Redrive) -> Result<(), Error> {
    match redrive {
        Redrive::Start(flags) => start(&flags).await,
        Redrive::List(at) => {
            let answer = at.client()?.get(&path(&[])).await?;
            at.show(&answer, || table(&answer))
        }
        Redrive::Show(one) => {
            let answer = one.at.client()?.get(&path(&[&one.id])).await?;
            one.at.show(&answer, || one_line(&answer))
        }
        Redrive::Pause(flags) => act(&flags, "pause").await,
        Redrive::Resume(flags) => act(&flags, "resume").await,
        Redrive::Cancel(flags) => act(&flags, "cancel").await,
    }
}

async fn start(flags: &StartFlags) -> Result<(), Error> {
    let client = flags.at.client()?;
    let begun = client.post(&path(&[]), &flags.body()?).await?;
    if !flags.follow {
        return flags.at.show(&begun, || one_line(&begun));
    }
    let ended = followed(&client, &text(&begun["redrive_id"])).await?;
    flags.at.show(&ended, || one_line(&ended))?;
    match ended["status"].as_str() {
        Some("completed") => Ok(()),
        _ => Err(Error::Failed(format!("it stopped: {}", text(&ended["stopped"]["reason"])))),
    }
}

/// The redrive, once it goes on no more and nothing of it is under way.
async fn followed(client: &Client, id: &str) -> Result<Value, Error> {
    loop {
        let now = client.get(&path(&[id])).await?;
        if now["status"] != "running" {
            return Ok(now);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn act(flags: &ActFlags, word: &str) -> Result<(), Error> {
    let body = json!({ "reason": flags.reason });
    let answer = flags.one.at.client()?.post(&path(&[&flags.one.id, word]), &body).await?;
    flags.one.at.show(&answer, || one_line(&answer))
}

fn path(below: &[&str]) -> String {
    path_of(&[&["api", "v1", "dlq", "retries"], below].concat())
}

fn one_line(answer: &Value) -> String {
    let letters = &answer["letters"];
    let mut shown = format!(
        "{}: {}; {} letters, {} succeeded, {} failed, {} refused, {} under way",
        text(&answer["redrive_id"]),
        text(&answer["status"]),
        text(&letters["claimed"]),
        text(&letters["succeeded"]),
        text(&letters["failed"]),
        text(&letters["refused"]),
        text(&letters["pending"]),
    );
    if !answer["stopped"].is_null() {
        shown.push_str(&format!("\n  {}", text(&answer["stopped"]["reason"])));
    }
    shown
}

fn table(answer: &Value) -> String {
    let found = list(answer, "redrives");
    if found.is_empty() {
        return "no redrives".to_owned();
    }
    let mut rows =
        vec![words(["REDRIVE", "STATUS", "RATE", "CLAIMED", "SUCCEEDED", "FAILED", "BEGUN"])];
    rows.extend(found.iter().map(|own| {
        let letters = &own["letters"];
        vec![
            text(&own["redrive_id"]),
            text(&own["status"]),
            text(&own["rate_per_second"]),
            text(&letters["claimed"]),
            text(&letters["succeeded"]),
            text(&letters["failed"]),
            text(&own["requested_at"]),
        ]
    }));
    columns(&rows)
}
