//! `backstitch breakers`: whether services are called, and having it otherwise.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::runs::At;
use super::runs::table::{columns, list, text, words};
use crate::client::path_of;
use crate::error::Error;

const AFTER: &str = "\
A breaker is before every service that http steps, their undos and callbacks call, known by scheme,
host and port, or by the `breaker` of the steps.

Examples:
  backstitch breakers                                         how they stand
  backstitch breakers open payments --reason 'they migrate'   no call is made until it is released
  backstitch breakers release payments                        it goes by what is seen again
  backstitch breakers reset http://10.0.0.7:9001              forget what was seen: calls go on";

/// What `breakers` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER, args_conflicts_with_subcommands = true)]
pub struct Flags {
    /// What to do; they are shown if absent
    #[command(subcommand)]
    pub order: Option<Order>,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// What somebody has a breaker do.
#[derive(Debug, Subcommand)]
pub enum Order {
    /// Make no call, whatever is seen, until it is released
    Open(OrderFlags),
    /// Make every call, whatever is seen, until it is released
    Close(OrderFlags),
    /// Go by what is seen again
    Release(OrderFlags),
    /// Forget what was seen: calls are made again
    Reset(OrderFlags),
}

/// One breaker, and why something is done to it.
#[derive(Debug, Args)]
pub struct OrderFlags {
    /// Its key, as `backstitch breakers` shows it
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// Does it.
///
/// # Errors
/// [`Error::Failed`] when the server refuses, [`Error::Unreachable`], [`Error::Foreign`];
/// [`Error::Setting`] for a server that is no URL.
pub async fn run(flags: Flags) -> Result<(), Error> {
    let (word, own) = match flags.order {
        None => {
            let answer = flags.at.client()?.get("/api/v1/breakers").await?;
            return flags.at.show(&answer, || table(&answer));
        }
        Some(Order::Open(own)) => ("open", own),
        Some(Order::Close(own)) => ("close", own),
        Some(Order::Release(own)) => ("release", own),
        Some(Order::Reset(own)) => ("reset", own),
    };
    let path = path_of(&["api", "v1", "breakers", &own.key, word]);
    let answer = own.at.client()?.post(&path, &json!({ "reason": own.reason })).await?;
    own.at.show(&answer, || table(&json!({ "breakers": [answer] })))
}

fn table(answer: &Value) -> String {
    let shown = list(answer, "breakers");
    if shown.is_empty() {
        return "no service was called yet".to_owned();
    }
    let mut rows =
        vec![words(["KEY", "STATE", "UNTIL", "FORCED", "WAITING", "OPENED", "LAST FAILURE"])];
    rows.extend(shown.iter().map(|own| {
        let waiting = own["waiting"].as_u64().unwrap_or(0)
            + own["retry_budget"]["waiting"].as_u64().unwrap_or(0);
        vec![
            text(&own["key"]),
            text(&own["state"]),
            text(&own["until"]),
            text(&own["forced"]),
            waiting.to_string(),
            text(&own["opened"]),
            text(&own["last_failure"]["error"]).chars().take(60).collect(),
        ]
    }));
    columns(&rows)
}
