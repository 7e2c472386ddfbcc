//! The command line: what can be asked, and the help that says so.
//!
//! Knows words only; nothing here looks at a directory.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use clap_complete::Shell;

use backstitch_core::summary::RunStatus;

use crate::listing::Standing;

/// Runs that `list` shows unless told otherwise.
pub const LIST_LIMIT: usize = 50;

const AFTER_HELP: &str = "\
Examples:
  replay-tool --data-dir backstitch-data list --status failed
  replay-tool timeline exec_0003019a
  replay-tool state exec_0003019a --at-version 12
  replay-tool --json events exec_0003019a | jq '.events[].type'
  replay-tool verify && echo whole

An ID may be shortened as long as it is the beginning of one run only.

Exit codes:
  0  done
  1  no such run or version, an ID that several runs begin with, problems found by
     `verify`, or an output that cannot be written
  2  the command line is wrong
  3  the directory cannot be read: missing, not a data directory, in use by a server,
     of a newer format, or damaged
  4  a mistake in replay-tool itself";

/// Looks into a Backstitch data directory: what ran, step by step, and whether it is whole.
///
/// Reads the journal's log itself, without a server, and never changes anything. Stop the
/// server first: the directory is kept from starting servers while it is being read.
#[derive(Debug, Parser)]
#[command(name = "replay-tool", version, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub struct Arguments {
    /// The server's data directory.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "BACKSTITCH_DATA_DIR",
        hide_env_values = true,
        default_value = "backstitch-data"
    )]
    pub data_dir: PathBuf,

    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub json: bool,

    /// Read a damaged log up to its first damage instead of refusing it.
    #[arg(long, global = true)]
    pub before_damage: bool,

    /// What is asked.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List runs, newest first.
    List {
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = LIST_LIMIT)]
        limit: usize,
        /// Only runs that stand so.
        #[arg(long, value_name = "STATUS", value_parser = standings())]
        status: Option<Standing>,
        /// Only runs of this workflow.
        #[arg(long, value_name = "ID")]
        workflow: Option<String>,
    },
    /// Show a run: its steps, undos, errors, dead letters and callbacks.
    Show {
        /// The run's ID, or its beginning.
        id: String,
    },
    /// Draw a run's steps and undos over time.
    Timeline {
        /// The run's ID, or its beginning.
        id: String,
    },
    /// List everything that was recorded of a run, in order.
    Events {
        /// The run's ID, or its beginning.
        id: String,
    },
    /// Show a run as it stood after its first N events.
    State {
        /// The run's ID, or its beginning.
        id: String,
        /// How many events to fold, from 1.
        #[arg(long, value_name = "N")]
        at_version: u64,
    },
    /// Check the whole log: every byte, every chain, every history.
    Verify,
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

fn standings() -> impl TypedValueParser<Value = Standing> {
    let words = RunStatus::ALL.map(RunStatus::word).into_iter().chain([Standing::QUARANTINED]);
    PossibleValuesParser::new(words)
        .map(|word| RunStatus::of_word(&word).map_or(Standing::Quarantined, Standing::Run))
}
