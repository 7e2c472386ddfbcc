//! `backstitch audit`: who did what, and what it changed.

use backstitch_core::time::{Timestamp, parse_duration_ms};
use backstitch_saga::clock;
use clap::Args;
use serde_json::Value;

use super::runs::At;
use super::runs::table::{columns, list, text, words};
use crate::client::path_of;
use crate::error::Error;

const AFTER: &str = "\
Examples:
  backstitch audit                                  what was done last, the newest first
  backstitch audit --since 1d --action workflow.defined
  backstitch audit --request-id req_0f3a            what one request did
  backstitch audit --target exec_...                what was done to a run and its letters
  backstitch audit 1:0:42                           one of them, with what was before and behind it";

/// Characters that a table shows of a reason or a detail.
const WORDS_CHARS_MAX: usize = 60;

/// What `audit` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Flags {
    /// The position of a row, as the list shows it: that one, with what it changed
    #[arg(value_name = "POSITION", conflicts_with_all = ["actor", "action", "target", "request_id", "since"])]
    pub position: Option<String>,
    /// Only what this one did
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Only this action
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
    /// Only what was done to this run, workflow, letter, key, ...
    #[arg(long, value_name = "ID")]
    pub target: Option<String>,
    /// Only what the request with this X-Request-ID did
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Only what was done since then: an instant, or how long ago, such as 1h or 30d
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// At most so many, the newest first
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// Does it.
///
/// # Errors
/// [`Error::Failed`] when the server refuses, [`Error::Unreachable`], [`Error::Foreign`];
/// [`Error::Setting`] for a server that is no URL and a `--since` that is no time.
pub async fn run(flags: Flags) -> Result<(), Error> {
    let client = flags.at.client()?;
    if let Some(position) = &flags.position {
        let answer = client.get(&path_of(&["api", "v1", "audit", position])).await?;
        return flags.at.show(&answer, || one(&answer));
    }
    let mut query = vec![("limit", flags.limit.to_string())];
    let Flags { actor, action, target, request_id, .. } = flags;
    let said =
        [("actor", actor), ("action", action), ("target", target), ("request_id", request_id)];
    query.extend(said.into_iter().filter_map(|(name, value)| Some((name, value?))));
    if let Some(since) = &flags.since {
        query.push(("after", instant(since)?));
    }
    let answer = client.get_with("/api/v1/audit", &query).await?;
    flags.at.show(&answer, || table(&answer))
}

/// An instant, or the one so long ago.
fn instant(said: &str) -> Result<String, Error> {
    if let Some(at) = Timestamp::parse(said) {
        return Ok(at.to_string());
    }
    let ago = parse_duration_ms(said).map_err(|_| {
        Error::Setting("`--since` must be an instant, or a time such as 1h or 30d".to_owned())
    })?;
    let ago_us = i64::try_from(ago.saturating_mul(1_000)).unwrap_or(i64::MAX);
    Ok(Timestamp(clock::now().0.saturating_sub(ago_us).max(0)).to_string())
}

fn table(answer: &Value) -> String {
    let shown = list(answer, "audit");
    if shown.is_empty() {
        return "nothing was done".to_owned();
    }
    let mut rows =
        vec![words(["AT", "ACTOR", "ACTION", "TARGET", "REQUEST", "DETAIL", "POSITION"])];
    rows.extend(shown.iter().map(|own| {
        let detail = text(&own["detail"]).chars().take(WORDS_CHARS_MAX).collect();
        let [at, actor, action, target, request, position] =
            ["at", "actor", "action", "target", "request_id", "position"]
                .map(|name| text(&own[name]));
        vec![at, actor, action, target, request, detail, position]
    }));
    columns(&rows)
}

/// One row, and what was before and behind it.
fn one(answer: &Value) -> String {
    let names =
        ["at", "actor", "on_behalf_of", "action", "target", "reason", "detail", "request_id"];
    let said = names.into_iter().filter(|name| !answer[*name].is_null());
    let mut rows: Vec<_> =
        said.map(|name| vec![name.replace('_', " "), text(&answer[name])]).collect();
    if let Some(unknown) = answer["unknown"].as_str() {
        rows.push(vec!["unknown".to_owned(), unknown.to_owned()]);
    } else {
        for name in ["before", "after"] {
            rows.push(vec![name.to_owned(), answer[name].to_string()]);
        }
    }
    for change in list(answer, "changes") {
        let side = |name: &str| change.get(name).map_or("nothing".to_owned(), Value::to_string);
        let what = format!("{}: {} -> {}", text(&change["path"]), side("before"), side("after"));
        rows.push(vec!["changed".to_owned(), what]);
    }
    columns(&rows)
}
