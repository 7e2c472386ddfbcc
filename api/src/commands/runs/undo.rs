//! `backstitch undo`: what a person says became of undos that wait for one or have failed.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::At;
use crate::error::Error;

/// What `undo` takes.
#[derive(Debug, Args)]
pub struct UndoFlags {
    /// The run
    #[arg(value_name = "EXECUTION_ID")]
    pub id: String,
    /// What became of it
    #[arg(value_enum, value_name = "SETTLEMENT")]
    pub settlement: Settlement,
    /// Only of this step [default: all that wait for a person or have failed]
    #[arg(long, value_name = "STEP_ID")]
    pub step: Option<String>,
    /// What was done, or why it stays; the audit keeps it
    #[arg(long, value_name = "TEXT")]
    pub note: String,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// What became of an undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Settlement {
    /// Somebody undid by hand what the step did
    Done,
    /// What the step did stays
    Accept,
    /// It is kept as a dead letter, and the other undos go on
    SetAside,
}

/// `undo`: undos are settled by hand.
///
/// # Errors
/// As [`get`](super::get).
pub async fn undo(flags: UndoFlags) -> Result<(), Error> {
    let verb = match flags.settlement {
        Settlement::Done => "done",
        Settlement::Accept => "accept",
        Settlement::SetAside => "set-aside",
    };
    let body = match flags.step {
        Some(step) => json!({ "step": step, "note": flags.note }),
        None => json!({ "note": flags.note }),
    };
    flags.at.act(&flags.id, &["undos", verb], &body).await
}
