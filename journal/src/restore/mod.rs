//! Restoring a store to a point of its past, into a new directory.
//!
//! The source is read whole, with all checks, and never changed. What lies before the point
//! is copied as it is; the segment that holds the cut is written anew, in the store's next
//! generation. The store and the views are left out: the first start makes them from the
//! log. Knows what events mean only as far as to list effects that may happen twice.

mod build;
mod effects;
mod keys;
mod plan;

use std::path::{Path, PathBuf};

use backstitch_core::time::Timestamp;
use serde::Serialize;

use crate::commit::Origin;
use crate::error::{Damage, Error};
use crate::progress::{Meter, OnProgress};
use crate::reader::Reader;
use crate::target::Target;
pub use keys::RestoredKey;
use plan::Plan;

/// Runs and effects beyond this many are counted and not listed.
pub const LISTED_MAX: usize = 10_000;

/// What is restored, from where, and to which point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreRequest {
    /// A data directory that no server has open, or a backup.
    pub from: PathBuf,
    /// Where the restored store goes: a new or empty directory.
    pub to: PathBuf,
    /// How much is kept.
    pub point: RestorePoint,
    /// Only say what would be lost; `to` is not looked at.
    pub dry_run: bool,
    /// Now: the time of the records that say what was done.
    pub at: Timestamp,
    /// Why, in words: kept in the journal.
    pub reason: String,
    /// Who: kept in the journal.
    pub actor: String,
}

/// A point of a store's past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestorePoint {
    /// All of it.
    End,
    /// Every commit made at or before this instant. Messages between partitions carry time
    /// forward, so what is kept is consistent.
    Instant(Timestamp),
    /// Per partition: every commit whose last record is at or before this position.
    Positions(Vec<u64>),
}

/// What a restore keeps and loses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// Nothing was written.
    pub dry_run: bool,
    /// The store's id, in hex.
    pub store_id: String,
    /// The generation of the source.
    pub generation_before: u32,
    /// The generation of the restored store.
    pub generation: u32,
    /// What is kept and lost of each partition.
    pub partitions: Vec<LostPartition>,
    /// Commits kept.
    pub commits_kept: u64,
    /// Commits lost.
    pub commits_lost: u64,
    /// Records kept.
    pub records_kept: u64,
    /// Records lost.
    pub records_lost: u64,
    /// Time of the newest commit kept.
    pub newest_kept_at: Option<Timestamp>,
    /// Runs that vanish and runs that go back, by id.
    pub runs: Vec<LostRun>,
    /// Runs of which nothing is kept.
    pub runs_vanished: u64,
    /// Runs of which a part is kept.
    pub runs_gone_back: u64,
    /// Runs that were removed after the point and come back, by id.
    pub returned: Vec<ReturnedRun>,
    /// How many there are, listed or not.
    pub runs_returned: u64,
    /// Other histories (workflows, replays, partitions) that go back or vanish, with the
    /// last version kept.
    pub others: Vec<(String, u64)>,
    /// What reached the world after the point: it may happen again.
    pub effects: Vec<Effect>,
    /// How many there are, listed or not.
    pub effect_count: u64,
    /// Payloads that were erased after the point: they stay erased, and the restored store
    /// says so.
    pub erasures_kept: Vec<String>,
    /// API keys that count in the restored store. One that was revoked after the source was made
    /// counts again.
    pub api_keys: Vec<RestoredKey>,
    /// The oldest point that the source can be restored to.
    pub oldest: Oldest,
    /// Payloads kept outside the log that go along.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Damage of the source behind the point; nothing behind it was counted above.
    pub damage_behind: Option<Damage>,
}

/// What becomes of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostPartition {
    /// Which one.
    pub partition: u16,
    /// The last commit kept; 0 if none is.
    pub last_sequence: u64,
    /// The last record kept.
    pub last_position: u64,
    /// Commits kept.
    pub commits_kept: u64,
    /// Commits lost.
    pub commits_lost: u64,
    /// Records kept.
    pub records_kept: u64,
    /// Records lost.
    pub records_lost: u64,
}

/// A run that goes back or vanishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostRun {
    /// Its id.
    pub execution: String,
    /// The last version kept; 0 if the run vanishes.
    pub last_version: u64,
    /// The version it had.
    pub lost_version: u64,
}

/// A run that retention removed after the point: the restored store has it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReturnedRun {
    /// Its id.
    pub execution: String,
    /// When it was removed.
    pub removed_at: Timestamp,
    /// By which rule of retention.
    pub rule: String,
}

/// What kind of effect reached the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// A step's attempt was handed out, or answered.
    Step,
    /// An undo's attempt was handed out, or answered.
    Undo,
    /// A callback was received.
    Callback,
    /// A replay delivered.
    Replay,
}

/// Something that reached the world after the point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// What it was.
    pub kind: EffectKind,
    /// The run or replay.
    pub stream: String,
    /// Which attempt, where counted.
    pub attempt: Option<u16>,
    /// The key that the receiver saw: `execution/step/round`, with `/undo` for an undo.
    pub idempotency_key: Option<String>,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

/// The oldest point a store can be restored to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Oldest {
    /// Position of each partition; zeros: the beginning.
    pub positions: Vec<u64>,
    /// The same as an instant; none: the beginning.
    pub at: Option<Timestamp>,
}

/// Restores a store, or says what a restore would lose.
///
/// The target is built beside and named at the end: a crash leaves what the next restore to
/// the same target removes and makes anew.
///
/// # Errors
/// If the source is in use, damaged before the point or not readable, the point is not in
/// it, or the target is not free or cannot be written.
pub fn restore(
    request: &RestoreRequest,
    mut heard: OnProgress<'_>,
) -> Result<RestoreReport, Error> {
    let reader = Reader::open(&request.from)?;
    Target::check(&request.from, &request.to)?;
    let plan = Plan::of(&reader, &request.point, &mut heard)?;
    let mut report = plan.report(&reader, request.dry_run);
    effects::list(&reader, &plan, &mut report, &mut heard)?;
    if !request.dry_run {
        build::build(&reader, &plan, request, &mut heard)?;
    }
    Ok(report)
}

/// The oldest point that a store or a backup can be restored to. Reads the whole chain.
///
/// # Errors
/// If it is in use, damaged or not readable.
pub fn oldest_point(from: &Path, mut heard: OnProgress<'_>) -> Result<Oldest, Error> {
    let reader = Reader::open(from)?;
    Ok(Plan::of(&reader, &RestorePoint::End, &mut heard)?.report(&reader, true).oldest)
}

/// The origin of what is written from now on.
fn next_origin(reader: &Reader) -> Result<Origin, Error> {
    let Origin { store, generation } = reader.shape.origin;
    let generation = generation
        .checked_add(1)
        .ok_or_else(|| Error::Point { detail: "the store's generations are used up".to_owned() })?;
    Ok(Origin { store, generation })
}
