//! What a check found, as data.

use backstitch_core::time::Timestamp;
use serde::Serialize;

use crate::blobs::check::BlobReport;
use crate::error::Damage;
use crate::log::wal::TornTail;

/// Problems and touched histories beyond this many are counted and not listed.
pub const PROBLEMS_LISTED_MAX: usize = 1_000;

/// What checking a directory found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Nothing is wrong. A torn tail is not: it is what a crash leaves, and was never
    /// acknowledged. Neither is an erased payload.
    pub ok: bool,
    /// The store's id, in hex.
    pub store_id: String,
    /// Counts restores, from 1.
    pub generation: u32,
    /// Segments with a header.
    pub segments: u64,
    /// Whole groups, markers included.
    pub groups: u64,
    /// Whole commits.
    pub commits: u64,
    /// Their records.
    pub records: u64,
    /// Histories met.
    pub streams: u64,
    /// One entry for each partition.
    pub partitions: Vec<PartitionReport>,
    /// What is wrong, in order of the files.
    pub problems: Vec<Problem>,
    /// How many problems there are, listed or not.
    pub problem_count: u64,
    /// How many of them something else makes good.
    pub healable_count: u64,
    /// Histories that damage touches, by name.
    pub touched: Vec<String>,
    /// A write that a crash left half done; the next start cuts it.
    pub torn_tail: Option<TornTail>,
    /// Payloads that were erased on request: they are gone, and that is no damage.
    pub erasures: Vec<Erasure>,
    /// Archived segments that are whole.
    pub archived: u64,
    /// The store, if it was checked.
    pub store: Option<StoreReport>,
    /// The backup, if the directory is one.
    pub backup: Option<BackupCheck>,
    /// Contents kept beside the records: those that are named, and what became of them.
    pub contents: Option<BlobReport>,
}

/// What was found of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// Which one.
    pub partition: u16,
    /// Whole commits.
    pub commits: u64,
    /// Their records.
    pub records: u64,
    /// Number of the last commit.
    pub last_sequence: u64,
    /// Position of the last record.
    pub last_position: u64,
    /// Every commit follows the one before it, from the first on.
    pub chain_ok: bool,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where, and how. Outside of the log and its archive only what is said in words counts.
    #[serde(flatten)]
    pub damage: Damage,
    /// The history it touches, where known.
    pub stream: Option<String>,
    /// In which part of the directory it is.
    pub part: CheckedPart,
    /// What it costs.
    pub severity: Severity,
}

/// A part of a data directory or backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckedPart {
    /// The log's segments.
    Log,
    /// Archived segments and the base.
    Archive,
    /// Payloads kept outside the log.
    Blobs,
    /// Histories by run.
    Store,
    /// Rows of lists.
    Views,
    /// A backup's files, as its manifest lists them.
    Backup,
}

/// What a problem costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing: the same is whole elsewhere, and the next start or a `salvage` puts it right.
    Healable,
    /// What was here is nowhere else that was looked at; `salvage` tells how much of it the
    /// store still has.
    Lost,
}

/// A payload erased on request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erasure {
    /// blake3 of the payload, in hex.
    pub digest: String,
    /// In their words.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When.
    pub recorded_at: Timestamp,
}

/// What a private copy of the store showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreReport {
    /// Its digest is the one in its marks. If not, the next start makes it anew.
    pub proven: bool,
    /// Histories compared with the chain.
    pub histories: u64,
    /// Trees of the views whose digest is the one in their marks.
    pub views_proven: u64,
}

/// What became of a backup's list of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupCheck {
    /// When it was begun.
    pub begun_at: Timestamp,
    /// Files it lists.
    pub files: u64,
    /// Files that are what it says.
    pub files_whole: u64,
}
