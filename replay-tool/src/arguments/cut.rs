//! What can be asked about how far back the log and its archive reach.

use backstitch_core::time::{Timestamp, parse_duration_ms};
use clap::{Args, Subcommand};

use super::instant;
use crate::help;

/// What can be done about how far back the log reaches.
#[derive(Debug, Subcommand)]
pub enum Cut {
    /// Say what would go, what is kept of it, and the oldest instant that could be restored.
    #[command(after_help = help::CUT_PLAN)]
    Plan {
        /// How far.
        #[command(flatten)]
        wanted: CutWanted,
    },
    /// Cut: what was before can't be restored any more.
    #[command(after_help = help::CUT_APPLY)]
    Apply {
        /// How far.
        #[command(flatten)]
        wanted: CutWanted,
        /// Say yes: what is cut is gone.
        #[arg(long, required = true)]
        confirm: bool,
        /// Who decides, for the record; `operator` if absent. Offline only: a server records
        /// its caller.
        #[arg(long, value_name = "NAME", conflicts_with = "server")]
        actor: Option<String>,
    },
}

impl Cut {
    /// Who decides, if that was said.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        match self {
            Self::Apply { actor, .. } => actor.as_deref(),
            Self::Plan { .. } => None,
        }
    }
}

/// How far to cut.
#[derive(Debug, Clone, Copy, Args)]
#[group(required = true, multiple = false)]
pub struct CutWanted {
    /// What is older may go, such as 90d.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration_ms)]
    pub keep_for: Option<u64>,
    /// What is before this instant may go, such as 2026-01-31T03:00:00Z.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub before: Option<Timestamp>,
}

impl CutWanted {
    /// The instant before which everything may go.
    #[must_use]
    pub fn before(self, now: Timestamp) -> Timestamp {
        let ago_us = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        let ago = |ms| Timestamp(now.0.saturating_sub(ago_us(ms)));
        self.before.or(self.keep_for.map(ago)).unwrap_or_default()
    }
}
