//! Runs as a file: the lines of an export, written and read back without loss.
//!
//! One JSON object a line: a header, then for each run the definition it is pinned to (once a
//! file), the run, its events, and at the end a trailer with counts and a hash of everything
//! before it. `docs/export-format.md` describes it for others. Knows no files: lines are made
//! and taken one by one, so that any number of runs passes through little memory.

mod codec;
mod read;
mod redact;
mod report;
mod write;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audit::Mark;
use crate::event::Event;
use crate::ids::{Digest, ExecutionId};
use crate::time::Timestamp;

pub use codec::{event_from_value, event_to_value};
pub use read::{BadLine, ImportedDefinition, ImportedRun, Importer, Item};
pub use redact::{REDACTED, Redaction};
pub use report::{ImportReport, LISTED_MAX, beyond_partitions, is_same, not_closed};
pub use write::Exporter;

/// What the header calls the format.
pub const EXPORT_FORMAT: &str = "backstitch-export";
/// The version this code writes, and the newest it reads.
pub const EXPORT_VERSION: u32 = 1;
/// The longest line that is read, in bytes.
pub const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The most events of one run that is read.
pub const RUN_EVENTS_MAX: u64 = 1_000_000;
/// The most bytes that the lines of one run's events may have together: they are held in memory
/// until the last of them is there.
pub const RUN_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One line: an object with one field, named after what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    /// The first line.
    Header(Header),
    /// A definition, before the first run pinned to it.
    Definition(Definition),
    /// A run, before its events.
    Run(Run),
    /// An event of the run before it.
    Event(EventLine),
    /// A run that the file was to hold and does not.
    Skipped(Skipped),
    /// The last line.
    Trailer(Trailer),
}

/// What the file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`EXPORT_FORMAT`].
    pub format: String,
    /// [`EXPORT_VERSION`] of whoever wrote it.
    pub version: u32,
    /// The store it comes from, in hex.
    pub store: String,
    /// How often that store had been restored.
    pub generation: u32,
    /// When it was written.
    pub exported_at: Timestamp,
    /// What was left out of payloads: pointers or names. Empty: nothing.
    #[serde(default)]
    pub redacted: Vec<String>,
}

/// A definition by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Tenant.
    pub namespace: String,
    /// The workflow's id.
    pub workflow_id: String,
    /// The revision's number in the store it comes from.
    pub revision: u32,
    /// blake3 of the text.
    pub digest: Digest,
    /// The canonical JSON, as text: its digest is of these very bytes.
    pub text: String,
}

/// A run that follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub execution_id: ExecutionId,
    /// Its status word when it was exported.
    pub status: String,
    /// Whether nothing of it was outstanding.
    pub closed: bool,
    /// How many events follow.
    pub events: u64,
    /// Whether every payload is as it was: none redacted, erased or missing.
    pub whole: bool,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventLine {
    /// Its place in the run's history, from 1.
    pub version: u64,
    /// Its place in its partition, in the store it comes from.
    pub position: u64,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// Its type word, for readers.
    #[serde(rename = "type")]
    pub kind: String,
    /// All of it: what is read back.
    pub event: Value,
    /// The request that had it happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Arc<Mark>>,
}

/// An event of a run as the store has it that is exported.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// What happened.
    pub event: Event,
    /// When it was decided.
    pub at: Timestamp,
    /// Its place in its partition.
    pub position: u64,
    /// The request that had it happen.
    pub mark: Option<Arc<Mark>>,
}

/// A run that the file was to hold and does not: its events do not fold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its id.
    pub execution_id: ExecutionId,
    /// Why.
    pub reason: String,
}

/// What the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trailer {
    /// Definition lines.
    pub definitions: u64,
    /// Run lines.
    pub runs: u64,
    /// Event lines.
    pub events: u64,
    /// Lines of runs that were left out.
    #[serde(default, skip_serializing_if = "is_none")]
    pub skipped: u64,
    /// blake3 of every byte before this line, line ends included.
    pub blake3: Digest,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}
