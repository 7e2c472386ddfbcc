//! `backstitch rerun`: an ended run gone on with from a step or a version, as a new run.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{At, of_run, read_json, table};
use crate::error::Error;

const AFTER: &str = "\
With --from that step runs again, with all that needs it. With --version what had settled by then is
kept and everything else runs again; with both, what had settled by then and does not need the step.

Examples:
  backstitch rerun exec_... --from charge --input @order.json --reason 'wrong amount'
  backstitch rerun exec_... --version 12 --revision 4 --idempotency-key fix-1";

/// What `rerun` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct RerunFlags {
    /// The run; it has ended and was not undone
    #[arg(value_name = "EXECUTION_ID")]
    pub id: String,
    /// The step that runs again, with all that needs it
    #[arg(long, value_name = "STEP_ID", required_unless_present = "version")]
    pub from: Option<String>,
    /// The version of the run whose settled steps are kept [default: the newest]
    #[arg(long, value_name = "N")]
    pub version: Option<u64>,
    /// In place of the run's input: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    pub input: Option<String>,
    /// In place of the run's overrides of variables: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    pub variables: Option<String>,
    /// The revision to go on with [default: the run's own]
    #[arg(long, value_name = "N")]
    pub revision: Option<u32>,
    /// Have the new run undo what it keeps, should it come to that
    #[arg(long)]
    pub take_over: bool,
    /// Run steps again although they are marked `replay: unsafe`
    #[arg(long)]
    pub accept_unsafe: bool,
    /// The same key with the same wish answers the same new run
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

impl RerunFlags {
    fn body(&self) -> Result<Value, Error> {
        let mut body = Map::new();
        body.insert("reason".to_owned(), json!(self.reason));
        body.insert("take_over".to_owned(), self.take_over.into());
        body.insert("accept_unsafe".to_owned(), self.accept_unsafe.into());
        for (flag, name, given) in
            [("--input", "input", &self.input), ("--variables", "variables", &self.variables)]
        {
            if let Some(given) = given {
                body.insert(name.to_owned(), read_json(flag, given)?);
            }
        }
        body.extend(self.from.as_ref().map(|own| ("from_step".to_owned(), json!(own))));
        body.extend(self.version.map(|own| ("version".to_owned(), json!(own))));
        body.extend(self.revision.map(|own| ("revision".to_owned(), json!(own))));
        Ok(Value::Object(body))
    }
}

/// `rerun`: a fork of a run.
///
/// # Errors
/// [`Error::Refused`], [`Error::Unreachable`], [`Error::Foreign`]; [`Error::Setting`] for an input
/// that is no JSON.
pub async fn rerun(flags: RerunFlags) -> Result<(), Error> {
    let (body, path) = (flags.body()?, of_run(&flags.id, &["fork"]));
    let key = flags.idempotency_key.as_deref();
    let answer = flags.at.client()?.post_with_key(&path, &body, key).await?;
    flags.at.show(&answer, || {
        let (run, status) = (table::text(&answer["execution_id"]), table::text(&answer["status"]));
        let warnings = answer["warnings"].as_array().map_or(&[][..], Vec::as_slice);
        let warned =
            warnings.iter().map(|own| format!("warning: {}\n", table::text(&own["message"])));
        format!("{}{run}: {status}", warned.collect::<String>())
    })
}
