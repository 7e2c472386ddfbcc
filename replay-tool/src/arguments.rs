//! The command line: what can be asked. The words of the help are in `help.rs`.
//!
//! Knows words only; nothing here looks at a directory or a server.

mod cut;
mod dlq;
mod fork;
mod key;
mod list;
mod payload;
mod replays;
mod retention;
mod transfer;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use backstitch_core::summary::RunStatus;
use backstitch_core::time::Timestamp;
use backstitch_core::travel::Point;

use crate::help;
use crate::source::Standing;

pub use cut::{Cut, CutWanted};
pub use dlq::{Dlq, LettersWanted};
pub use fork::ForkWanted;
pub use key::KeyWanted;
pub use list::{FilterWanted, ListWanted};
pub use payload::Payload;
pub use replays::{ReplayWanted, Replays};
pub use retention::{Retention, RetentionWanted};
pub use transfer::{ExportWanted, ImportWanted};

/// Rows that lists show unless told otherwise.
pub const LIST_LIMIT: usize = 50;

/// Looks into a Backstitch journal: what ran, step by step, and whether it is whole.
///
/// Works on a data directory whose server does not run (--data-dir), or asks a running server
/// (--server). Reading a directory never changes it; while it is being read, no server can
/// start in it.
#[derive(Debug, Parser)]
#[command(name = "replay-tool", version, after_help = help::ALL, disable_help_subcommand = true)]
pub struct Arguments {
    /// Where to ask.
    #[command(flatten)]
    pub place: Where,

    /// How to answer.
    #[command(flatten)]
    pub look: Look,

    /// Read a damaged log up to its first damage instead of refusing it.
    #[arg(long, global = true, conflicts_with = "server")]
    pub before_damage: bool,

    /// What is asked.
    #[command(subcommand)]
    pub command: Command,
}

/// Where to ask.
#[derive(Debug, Clone, Default, Args)]
pub struct Where {
    /// The data directory of a server that does not run [env: BACKSTITCH_DATA_DIR]
    /// [default: backstitch-data].
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// A running server, such as http://127.0.0.1:8080 [env: BACKSTITCH_SERVER,
    /// ORCHESTRATOR_URL].
    #[arg(long, global = true, value_name = "URL", conflicts_with = "data_dir")]
    pub server: Option<String>,

    /// Who asks the server, sent as a bearer token [env: BACKSTITCH_TOKEN].
    #[arg(long, global = true, value_name = "TOKEN", conflicts_with = "data_dir")]
    pub token: Option<String>,

    /// Authorities, in PEM, that count in place of the system's for a server with TLS [env:
    /// BACKSTITCH_CA_CERTIFICATE].
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "data_dir")]
    pub ca_certificate: Option<PathBuf>,

    /// A certificate with its private key, in PEM, for a server that asks for one [env:
    /// BACKSTITCH_CLIENT_CERTIFICATE].
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "data_dir")]
    pub client_certificate: Option<PathBuf>,
}

/// How to answer.
#[derive(Debug, Clone, Default, Args)]
pub struct Look {
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub json: bool,

    /// Whether to use colours; `auto` does on a terminal, unless NO_COLOR is set.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true
    )]
    pub color: When,

    /// Characters in a line, instead of the terminal's.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(20..))]
    pub width: Option<u16>,

    /// Draw with ASCII characters only.
    #[arg(long, global = true)]
    pub ascii: bool,
}

/// Whether to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum When {
    /// On a terminal.
    #[default]
    Auto,
    /// Also into a pipe, as for `less -R`.
    Always,
    /// Nowhere.
    Never,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List runs, newest first unless told otherwise.
    #[command(after_help = help::LIST)]
    List(ListWanted),
    /// Show a run: its steps, undos, errors, dead letters and callbacks.
    #[command(after_help = help::SHOW)]
    Show {
        /// The run's ID, or its beginning.
        id: String,
    },
    /// Say what a run waits for, and since when.
    #[command(after_help = help::WHY)]
    Why {
        /// The run's ID, or its beginning.
        id: String,
    },
    /// Draw a run's steps and undos over time.
    #[command(after_help = help::TIMELINE)]
    Timeline {
        /// The run's ID, or its beginning.
        id: String,
        /// Draw every step on a line of its own, however many there are.
        #[arg(long)]
        all: bool,
    },
    /// List everything that was recorded of a run, in order.
    #[command(after_help = help::EVENTS)]
    Events {
        /// The run's ID, or its beginning.
        id: String,
    },
    /// Show a run as it stood after its first N events, or at an instant.
    #[command(after_help = help::STATE)]
    State {
        /// The run's ID, or its beginning.
        id: String,
        /// After which events.
        #[command(flatten)]
        point: PointWanted,
    },
    /// Show what changed in a run between two points of its history.
    #[command(after_help = help::DIFF)]
    Diff {
        /// The run's ID, or its beginning.
        id: String,
        /// From there: a version or an instant; the submission if absent.
        #[arg(long, value_name = "POINT", value_parser = point)]
        from: Option<Point>,
        /// Up to there; the newest event if absent.
        #[arg(long, value_name = "POINT", value_parser = point)]
        to: Option<Point>,
    },
    /// Lay two runs side by side: where they first parted, and each step in both.
    #[command(after_help = help::COMPARE)]
    Compare {
        /// The one run's ID, or its beginning.
        left: String,
        /// The other's.
        right: String,
    },
    /// Check everything: log, archive, payloads and store, every byte, every chain, every
    /// history; also of a backup. Offline only.
    #[command(after_help = help::VERIFY)]
    Verify {
        /// Leave the store and the views out, which are checked in a private copy.
        #[arg(long)]
        no_store: bool,
        /// Where that copy goes, instead of where the system keeps temporary files.
        #[arg(long, value_name = "DIR")]
        scratch: Option<PathBuf>,
    },
    /// Copy the journal to a directory that can be verified and restored; a later backup to
    /// the same directory copies only what is new.
    #[command(after_help = help::BACKUP)]
    Backup {
        /// Where to: a new directory, or one with an earlier backup of the same journal.
        #[arg(value_name = "DIR")]
        to: PathBuf,
    },
    /// Restore a data directory or a backup, as it stood at a point, into a new directory.
    /// Offline only.
    #[command(after_help = help::RESTORE)]
    Restore(RestoreWanted),
    /// Write everything of a damaged directory that can be proven into a new one. Offline only.
    #[command(after_help = help::SALVAGE)]
    Salvage {
        /// Where to: a new or empty directory.
        #[arg(value_name = "DIR")]
        to: PathBuf,
        /// Only say what would come of it.
        #[arg(long)]
        dry_run: bool,
        /// Where the store is copied to be looked into, instead of where the system keeps
        /// temporary files.
        #[arg(long, value_name = "DIR")]
        scratch: Option<PathBuf>,
        /// Who decides, for the record.
        #[arg(long, value_name = "NAME", default_value = "operator")]
        actor: String,
    },
    /// List the segments of log and archive, and the oldest point that can be restored.
    /// Offline only.
    #[command(after_help = help::ARCHIVE)]
    Archive,
    /// Dead letters: operations that are out of retries and wait for a person.
    #[command(subcommand, after_help = help::DLQ)]
    Dlq(Dlq),
    /// Go on with an ended run from a step or a version, as a new run. Online only.
    #[command(after_help = help::FORK)]
    Fork(ForkWanted),
    /// Sizes, counts of runs by status and of dead letters.
    #[command(after_help = help::STATS)]
    Stats {
        /// Also what the journal knows of itself: live and dead bytes, entries, syncs. Offline
        /// this opens the directory as a server would, and may write to it.
        #[arg(long)]
        database: bool,
    },
    /// How long runs are kept: what a policy would remove, and removing it.
    #[command(subcommand, after_help = help::RETENTION)]
    Retention(Retention),
    /// How far back the log and its archive reach: what a cut would do, and cutting.
    #[command(subcommand, after_help = help::CUT)]
    Cut(Cut),
    /// Replays: recorded events delivered to a webhook again, or into a view. Online only.
    #[command(subcommand, after_help = help::REPLAYS)]
    Replays(Replays),
    /// Rebuild a view of lists from the histories; a server goes on meanwhile.
    #[command(after_help = help::REBUILD)]
    Rebuild {
        /// Which view; all of them if absent.
        #[arg(long, value_name = "VIEW", value_parser = ["runs", "letters", "audit"])]
        view: Option<String>,
    },
    /// Write runs with their definitions and all their events to a file of JSON lines.
    #[command(after_help = help::EXPORT)]
    Export(ExportWanted),
    /// Take closed runs in from a file that `export` wrote.
    #[command(after_help = help::IMPORT)]
    Import(ImportWanted),
    /// Payloads kept beside the records: who names one, erasing it, and collecting what nobody
    /// names. Online only.
    #[command(subcommand, after_help = help::PAYLOAD)]
    Payload(Payload),
    /// Make an API key: the first one, or one in place of the last that was lost. Offline only.
    #[command(after_help = help::KEY)]
    Key(KeyWanted),
    /// Print completions for a shell.
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Print the manual page, or write the pages of all commands into a directory.
    #[command(after_help = help::MAN)]
    Man {
        /// Write one page for each command there, instead of printing the main one.
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

/// A place in a run's history.
#[derive(Debug, Clone, Copy, Args)]
#[group(required = true, multiple = false)]
pub struct PointWanted {
    /// After this many events, from 1.
    #[arg(long, value_name = "N", alias = "at-version")]
    pub version: Option<u64>,
    /// After all events recorded up to this instant, such as 2026-01-31T03:00:00Z.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub at: Option<Timestamp>,
}

impl PointWanted {
    /// The one that was given.
    #[must_use]
    pub fn point(self) -> Point {
        let version = Point::Version(self.version.unwrap_or(0));
        self.at.map_or(version, Point::At)
    }
}

/// What to restore, and how.
#[derive(Debug, Clone, Args)]
pub struct RestoreWanted {
    /// Where to: a new or empty directory.
    #[arg(value_name = "DIR")]
    pub to: PathBuf,
    /// Everything recorded up to this instant, such as 2026-01-31T03:00:00Z; everything there
    /// is if absent.
    #[arg(long, value_name = "INSTANT", value_parser = instant, conflicts_with = "positions")]
    pub at: Option<Timestamp>,
    /// Everything up to a position of each partition, from partition 0 on.
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    pub positions: Option<Vec<u64>>,
    /// Only say what would be lost and what may happen twice.
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for the record.
    #[arg(long, value_name = "WORDS", default_value = "restored by hand", value_parser = words)]
    pub reason: String,
    /// Who decides, for the record.
    #[arg(long, value_name = "NAME", default_value = "operator")]
    pub actor: String,
}

fn standings() -> impl TypedValueParser<Value = Standing> {
    let words = RunStatus::ALL.map(RunStatus::word).into_iter().chain([Standing::QUARANTINED]);
    PossibleValuesParser::new(words)
        .map(|word| RunStatus::of_word(&word).map_or(Standing::Quarantined, Standing::Run))
}

/// Words for the record, which somebody will read later.
fn words(text: &str) -> Result<String, String> {
    match text.trim().is_empty() {
        true => Err("say it in words: it stays on record".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn instant(text: &str) -> Result<Timestamp, String> {
    let example = "write it as 2026-01-31T03:00:00Z";
    Timestamp::parse(text).ok_or_else(|| format!("this is no instant; {example}"))
}

fn point(text: &str) -> Result<Point, String> {
    let example = "write a version such as 12, or an instant such as 2026-01-31T03:00:00Z";
    Point::read(text).ok_or_else(|| format!("this is no point of a history; {example}"))
}
