//! What can be said of a fork: an ended run gone on with from a step or a version.

use std::path::PathBuf;

use backstitch_core::ids::ExecutionId;
use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::words;

/// Which run goes on, from where, and what is other than it was.
#[derive(Debug, Clone, Args)]
pub struct ForkWanted {
    /// The run; it has ended and was not undone.
    #[arg(value_name = "EXECUTION")]
    pub id: ExecutionId,
    /// The step that runs again, with all that needs it.
    #[arg(long, value_name = "STEP", required_unless_present = "version")]
    pub from: Option<String>,
    /// The version of the run whose settled steps are kept.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    pub version: Option<u64>,
    /// A file with the input that takes the place of the run's: JSON, or YAML.
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// The revision to go on with; the run's own if absent.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    pub revision: Option<u32>,
    /// Have the new run undo what it keeps, should it come to that.
    #[arg(long)]
    pub take_over: bool,
    /// Run steps again although they are marked `replay: unsafe`.
    #[arg(long)]
    pub accept_unsafe: bool,
    /// Why, for the record.
    #[arg(long, value_name = "WORDS", value_parser = words)]
    pub reason: String,
}
