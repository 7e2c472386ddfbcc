//! What can be asked about replays: recorded events delivered to somebody again.

use backstitch_core::ids::{ExecutionId, ReplayId};
use backstitch_core::replays::{ATTEMPTS_MAX, RATE_MAX};
use clap::builder::RangedI64ValueParser;
use clap::{ArgGroup, Args, Subcommand};

use super::words;
use crate::help;

/// What can be done with replays.
#[derive(Debug, Subcommand)]
pub enum Replays {
    /// List replays, newest first.
    #[command(after_help = help::REPLAYS_LIST)]
    List,
    /// Show a replay: what it delivers, how far it is, and why it stopped if it did.
    #[command(after_help = help::REPLAYS_SHOW)]
    Show {
        /// The replay's ID.
        #[arg(value_name = "REPLAY")]
        id: ReplayId,
    },
    /// Begin a replay to a webhook, or of a view.
    #[command(after_help = help::REPLAYS_START)]
    Start(ReplayWanted),
    /// Stop a replay; it can be resumed.
    #[command(after_help = help::REPLAYS_STOP)]
    Stop {
        /// The replay's ID.
        #[arg(value_name = "REPLAY")]
        id: ReplayId,
        /// Why, for the record.
        #[arg(long, value_name = "WORDS", value_parser = words)]
        reason: String,
    },
    /// Let a stopped replay go on from where it was.
    #[command(after_help = help::REPLAYS_RESUME)]
    Resume {
        /// The replay's ID.
        #[arg(value_name = "REPLAY")]
        id: ReplayId,
    },
}

/// What a replay is to deliver, where and how fast.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("whither").required(true).args(["url", "view"]))]
pub struct ReplayWanted {
    /// Where the events go: an http or https URL.
    #[arg(long)]
    pub url: Option<String>,
    /// Into which view instead; it is made anew from the whole history.
    #[arg(long, value_name = "VIEW", value_parser = ["runs", "letters", "audit"])]
    pub view: Option<String>,
    /// Begin with this instant, or behind this cursor of the events.
    #[arg(long, value_name = "PLACE")]
    pub from: Option<String>,
    /// End before this instant, or with this cursor.
    #[arg(long, value_name = "PLACE")]
    pub to: Option<String>,
    /// Only events of these types.
    #[arg(long, value_name = "TYPE,...", value_delimiter = ',')]
    pub r#type: Vec<String>,
    /// Only events of this workflow and its runs.
    #[arg(long, value_name = "ID")]
    pub workflow: Option<String>,
    /// Only events of this run, by its whole ID.
    #[arg(long, value_name = "ID")]
    pub execution: Option<ExecutionId>,
    /// Deliveries per second.
    #[arg(long, value_name = "N", value_parser = at_most(RATE_MAX))]
    pub rate: Option<u32>,
    /// Attempts at one delivery before the replay stops.
    #[arg(long, value_name = "N", value_parser = at_most(u32::from(ATTEMPTS_MAX)))]
    pub max_attempts: Option<u32>,
}

/// A number from 1.
fn at_most(max: u32) -> RangedI64ValueParser<u32> {
    RangedI64ValueParser::new().range(1..=i64::from(max))
}
