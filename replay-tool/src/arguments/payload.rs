//! What can be asked about payloads kept beside the records.

use backstitch_core::ids::Digest;
use clap::Subcommand;

use crate::help;

/// What can be done with payloads.
#[derive(Debug, Subcommand)]
pub enum Payload {
    /// Show how large a payload is and which runs name it.
    #[command(after_help = help::PAYLOAD_SHOW)]
    Show {
        /// The payload's digest, 64 hex digits; `events --json` shows those of a run.
        #[arg(value_name = "DIGEST", value_parser = digest)]
        digest: Digest,
    },
    /// Erase a payload for good; the records keep its digest and length.
    #[command(after_help = help::PAYLOAD_ERASE)]
    Erase {
        /// The payload's digest, 64 hex digits.
        #[arg(value_name = "DIGEST", value_parser = digest)]
        digest: Digest,
        /// Why, for the record, which stays.
        #[arg(long, value_name = "WORDS", required_unless_present = "dry_run")]
        reason: Option<String>,
        /// Only say what would be erased.
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove payloads that nothing names any more.
    #[command(after_help = help::PAYLOAD_COLLECT)]
    Collect {
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
}

fn digest(text: &str) -> Result<Digest, String> {
    Digest::parse(text).ok_or_else(|| "a payload's digest is 64 lower-case hex digits".to_owned())
}
