//! `backstitch workflows|enable|disable|archive|restore|purge`: which workflows there are, and
//! whether runs of them begin.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::rollout::{ActFlags, OneFlags};
use super::runs::At;
use super::runs::table::{columns, list, text, words};
use crate::client::path_of;
use crate::error::Error;

/// Which workflows are listed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Standing {
    /// With runs that have not ended
    Active,
    /// Of which runs begin
    Enabled,
    /// Of which no run begins
    Disabled,
    /// Out of use
    Archived,
}

/// What `workflows` takes.
#[derive(Debug, Args)]
pub struct ListFlags {
    /// Only these [default: all but those that are archived]
    #[arg(long, value_name = "STATUS")]
    pub status: Option<Standing>,
    /// Only those with this tag
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// Only those that this person defined first
    #[arg(long, value_name = "SUBJECT")]
    pub created_by: Option<String>,
    /// Only those with this text in their id, name or description
    #[arg(short, long, value_name = "TEXT")]
    pub query: Option<String>,
    /// At most so many [default: 50]
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// Lists workflows.
///
/// # Errors
/// [`Error::Failed`] when the server refuses, [`Error::Unreachable`], [`Error::Foreign`];
/// [`Error::Setting`] for a server that is no URL.
pub async fn workflows(flags: ListFlags) -> Result<(), Error> {
    let status = flags.status.and_then(|own| own.to_possible_value());
    let asked = [
        ("status", status.map(|own| own.get_name().to_owned())),
        ("tag", flags.tag),
        ("created_by", flags.created_by),
        ("q", flags.query),
        ("limit", flags.limit.map(|own| own.to_string())),
    ];
    let asked: Vec<_> =
        asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let answer = flags.at.client()?.get_with("/api/v1/workflows", &asked).await?;
    flags.at.show(&answer, || table(&answer))
}

/// Says of a workflow whether runs of it begin: `order` is the last word of the path.
///
/// # Errors
/// As [`workflows`].
pub async fn act(flags: ActFlags, order: &str) -> Result<(), Error> {
    let ActFlags { one, reason } = flags;
    let body = json!({ "reason": reason });
    let answer = one.at.client()?.post(&path(&one, &[order]), &body).await?;
    one.at.show(&answer, || said(&answer))
}

/// Lets an archived workflow's revisions go.
///
/// # Errors
/// As [`workflows`].
pub async fn purge(flags: ActFlags) -> Result<(), Error> {
    let ActFlags { one, reason } = flags;
    let body = json!({ "reason": reason });
    let path = format!("{}?purge=true", path(&one, &[]));
    let answer = one.at.client()?.delete(&path, &body).await?;
    one.at.show(&answer, || format!("{}: purged", text(&answer["workflow_id"])))
}

fn path(one: &OneFlags, below: &[&str]) -> String {
    path_of(&[&["api", "v1", "workflows", &one.workflow], below].concat())
}

fn said(answer: &Value) -> String {
    let (workflow, status) = (text(&answer["workflow_id"]), text(&answer["status"]));
    match answer["changed"].as_bool() {
        Some(true) => format!("{workflow}: {status}"),
        _ => format!("{workflow}: {status} already"),
    }
}

fn table(answer: &Value) -> String {
    let found = list(answer, "workflows");
    if found.is_empty() {
        return "no workflows".to_owned();
    }
    let mut rows = vec![words(["WORKFLOW", "STATUS", "REVISION", "STEPS", "DEFINED", "BY"])];
    let fields = ["workflow_id", "status", "revision", "steps", "defined_at", "defined_by"];
    rows.extend(found.iter().map(|own| fields.map(|field| text(&own[field])).to_vec()));
    let mut shown = columns(&rows);
    if !answer["next_cursor"].is_null() {
        shown.push_str("there are more: raise --limit\n");
    }
    shown
}
