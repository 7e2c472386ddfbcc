//! What can be asked about how long runs are kept.

use std::path::PathBuf;

use backstitch_core::time::Timestamp;
use clap::{Args, Subcommand};

use super::{LIST_LIMIT, instant};
use crate::help;

/// What can be done about how long runs are kept.
#[derive(Debug, Subcommand)]
pub enum Retention {
    /// Show the policy in force, and who set it.
    #[command(after_help = help::RETENTION_POLICY)]
    Policy,
    /// Say which runs would be removed, by which rule, and which are held back and why.
    #[command(after_help = help::RETENTION_PLAN)]
    Plan {
        /// What is to go.
        #[command(flatten)]
        wanted: RetentionWanted,
        /// How many runs to name at most.
        #[arg(long, value_name = "N", default_value_t = LIST_LIMIT)]
        limit: usize,
    },
    /// Remove them, and say how far it is until it is done.
    #[command(after_help = help::RETENTION_APPLY)]
    Apply {
        /// What is to go.
        #[command(flatten)]
        wanted: RetentionWanted,
        /// Say yes: runs that are removed are gone.
        #[arg(long, required = true)]
        confirm: bool,
        /// How many runs a second at most. Online only: a directory has nobody to leave room
        /// for.
        #[arg(long, value_name = "N")]
        runs_per_second: Option<u32>,
        /// Who decides, for the record; `operator` if absent. Offline only: a server records
        /// its caller.
        #[arg(long, value_name = "NAME", conflicts_with = "server")]
        actor: Option<String>,
    },
}

impl Retention {
    /// Who decides, if that was said.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        match self {
            Self::Apply { actor, .. } => actor.as_deref(),
            Self::Policy | Self::Plan { .. } => None,
        }
    }
}

/// What retention is to remove.
#[derive(Debug, Clone, Args)]
pub struct RetentionWanted {
    /// A file with a policy in YAML or JSON, instead of the one in force.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// As if it were that instant, not in the future.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub at: Option<Timestamp>,
}
