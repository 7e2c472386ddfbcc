//! `backstitch migrate`: runs under way that go on with another revision.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{At, of_run, table};
use crate::client::path_of;
use crate::error::Error;

/// What `migrate` takes.
#[derive(Debug, Args)]
pub struct MigrateFlags {
    /// A run (exec_...), or a workflow of which every run that has not ended is migrated
    #[arg(value_name = "ID")]
    pub id: String,
    /// The revision to go on with [default: the newest]
    #[arg(long, value_name = "N")]
    pub to: Option<u32>,
    /// Of a workflow: only runs with this revision
    #[arg(long, value_name = "N")]
    pub from: Option<u32>,
    /// Change nothing, and say which runs would fit
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// What the path of a dry run ends with.
const DRY_RUN: &str = "?dry_run=true";

/// `migrate`: a run, or all of a workflow.
///
/// # Errors
/// [`Error::Failed`] when the server refuses, or a run can't be migrated;
/// [`Error::Unreachable`], [`Error::Foreign`].
pub async fn migrate(flags: MigrateFlags) -> Result<(), Error> {
    if flags.id.starts_with("exec_") { one(flags).await } else { all(flags).await }
}

async fn one(flags: MigrateFlags) -> Result<(), Error> {
    let mut body = Map::new();
    body.insert("reason".to_owned(), flags.reason.into());
    body.extend(flags.to.map(|own| ("revision".to_owned(), json!(own))));
    let mut path = of_run(&flags.id, &["migrate"]);
    path.push_str(if flags.dry_run { DRY_RUN } else { "" });
    let answer = flags.at.client()?.post(&path, &Value::Object(body)).await?;
    flags.at.show(&answer, || line(&answer))?;
    refused(&[answer])
}

/// Page after page, each with its own answer.
async fn all(flags: MigrateFlags) -> Result<(), Error> {
    let client = flags.at.client()?;
    let mut path = path_of(&["api", "v1", "workflows", &flags.id, "migrate"]);
    path.push_str(if flags.dry_run { DRY_RUN } else { "" });
    let mut body = Map::new();
    body.insert("reason".to_owned(), flags.reason.into());
    body.extend(flags.to.map(|own| ("to".to_owned(), json!(own))));
    body.extend(flags.from.map(|own| ("from".to_owned(), json!(own))));
    let mut rows = Vec::new();
    loop {
        let answer = client.post(&path, &Value::Object(body.clone())).await?;
        let page = answer["executions"].as_array().cloned().unwrap_or_default();
        flags.at.show(&answer, || {
            let lines: Vec<_> = page.iter().map(line).collect();
            if lines.is_empty() { "no run to migrate".to_owned() } else { lines.join("\n") }
        })?;
        rows.extend(page);
        // A later page goes on to the revision that the first one took.
        body.insert("to".to_owned(), answer["revision"].clone());
        match answer["next_cursor"].as_str() {
            Some(next) => body.insert("cursor".to_owned(), next.into()),
            None => return refused(&rows),
        };
    }
}

fn line(row: &Value) -> String {
    let (run, from, to) =
        (table::text(&row["execution_id"]), &row["from_revision"], &row["revision"]);
    let reasons = row["reasons"].as_array().map_or(&[][..], Vec::as_slice);
    let mut lines = vec![match (row["fits"].as_bool(), row["migrated"].as_bool()) {
        (Some(true), Some(true)) => format!("{run}: revision {from} -> {to}"),
        (Some(true), _) => format!("{run}: revision {from} -> {to} would fit"),
        _ => format!("{run}: stays on revision {from}"),
    }];
    lines.extend(reasons.iter().map(|why| format!("  {}", table::text(why))));
    lines.join("\n")
}

fn refused(rows: &[Value]) -> Result<(), Error> {
    let count = rows.iter().filter(|row| row["fits"] == false).count();
    match count {
        0 => Ok(()),
        _ => Err(Error::Failed(format!("{count} run(s) can't be migrated"))),
    }
}
