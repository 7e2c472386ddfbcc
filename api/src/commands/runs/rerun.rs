//! `backstitch rerun`: an ended run gone on with from a step, as a new run.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{At, of_run, read_json, table};
use crate::error::Error;

/// What `rerun` takes.
#[derive(Debug, Args)]
pub struct RerunFlags {
    /// The run; it has ended and was not undone
    #[arg(value_name = "EXECUTION_ID")]
    pub id: String,
    /// The step that runs again, with all that needs it
    #[arg(long, value_name = "STEP_ID")]
    pub from: String,
    /// In place of the run's input: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    pub input: Option<String>,
    /// The revision to go on with [default: the run's own]
    #[arg(long, value_name = "N")]
    pub revision: Option<u32>,
    /// Have the new run undo what it keeps, should it come to that
    #[arg(long)]
    pub take_over: bool,
    /// Run steps again although they are marked `replay: unsafe`
    #[arg(long)]
    pub accept_unsafe: bool,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// `rerun`: a fork of a run.
///
/// # Errors
/// [`Error::Failed`] when the server refuses, [`Error::Unreachable`], [`Error::Foreign`];
/// [`Error::Setting`] for an input that is no JSON.
pub async fn rerun(flags: RerunFlags) -> Result<(), Error> {
    let mut body = Map::new();
    body.insert("from_step".to_owned(), flags.from.into());
    body.insert("reason".to_owned(), flags.reason.into());
    body.insert("take_over".to_owned(), flags.take_over.into());
    body.insert("accept_unsafe".to_owned(), flags.accept_unsafe.into());
    if let Some(input) = &flags.input {
        body.insert("input".to_owned(), read_json("--input", input)?);
    }
    body.extend(flags.revision.map(|own| ("revision".to_owned(), json!(own))));
    let answer =
        flags.at.client()?.post(&of_run(&flags.id, &["fork"]), &Value::Object(body)).await?;
    flags.at.show(&answer, || {
        let (run, status) = (table::text(&answer["execution_id"]), table::text(&answer["status"]));
        let warnings = answer["warnings"].as_array().map_or(&[][..], Vec::as_slice);
        let warned =
            warnings.iter().map(|own| format!("warning: {}\n", table::text(&own["message"])));
        format!("{}{run}: {status}", warned.collect::<String>())
    })
}
