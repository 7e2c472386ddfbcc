//! Which runs go to a file, and which file is taken in.

use std::path::PathBuf;

use backstitch_core::export::Redaction;
use clap::Args;

use super::FilterWanted;

/// What a named run is not asked for.
const FILTERS: [&str; 8] = [
    "status",
    "workflow",
    "tag",
    "correlation_id",
    "submitted_after",
    "submitted_before",
    "ended_after",
    "ended_before",
];

/// Which runs to export, and where to.
#[derive(Debug, Clone, Args)]
pub struct ExportWanted {
    /// The runs' IDs, or their beginnings; all runs if absent.
    #[arg(value_name = "ID", conflicts_with_all = FILTERS)]
    pub ids: Vec<String>,
    /// The file to write; it must not be there yet.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Which runs, if none is named.
    #[command(flatten)]
    pub filter: FilterWanted,
    /// Fields to leave out of payloads: names, or JSON pointers such as /card/number.
    #[arg(long, value_name = "PLACE,...", value_parser = Redaction::read)]
    pub redact: Option<Redaction>,
}

/// What to import.
#[derive(Debug, Clone, Args)]
pub struct ImportWanted {
    /// The file that `export` or a server wrote.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Who decides, for the record; `operator` if absent. Offline only: a server records its
    /// caller.
    #[arg(long, value_name = "NAME", conflicts_with = "server")]
    pub actor: Option<String>,
}
