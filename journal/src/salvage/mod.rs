//! Salvage: everything of a damaged store that can be proven, written to a fresh one.
//!
//! What can be proven: commits whose own hash is right, found anywhere in the log and the
//! archive; the base; and the histories of a store whose digest is the one in its marks. If
//! the chains come out whole, they are written as they were, byte for byte. Otherwise each
//! chain is kept up to its first gap, and what lies behind goes on in a new generation: of
//! each history everything up to its first version that cannot be proven. The source is read
//! only.
//!
//! Memory: the last version of each history, records that the store has for the gaps (all of
//! them, if the base is damaged), and 64 MiB of commits that wait for one before them.

mod chainer;
mod ends;
mod provable;
mod stored;
mod write;

use std::path::PathBuf;

use backstitch_core::time::Timestamp;
use serde::Serialize;

use crate::commit::{Head, Origin};
use crate::error::{Damage, Error};
use crate::log::wal::scan::Shape;
use crate::progress::OnProgress;
use crate::reader::Reader;
use crate::target::{DamagedPayloads, Target, copy_base, copy_blobs, read_back};
use chainer::{Chainer, Linked};
use ends::Ends;
use stored::StoredRecords;
use write::Writing;

/// What is salvaged, from where, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalvageRequest {
    /// A data directory that no server has open, or a backup.
    pub from: PathBuf,
    /// A new or empty directory.
    pub to: PathBuf,
    /// Only say what would come of it; `to` is not looked at.
    pub dry_run: bool,
    /// Where the store is copied to be looked into; without it, where the system keeps
    /// temporary files.
    pub scratch: Option<PathBuf>,
    /// Now: the time of the records that say what was done.
    pub at: Timestamp,
    /// Who: kept in the journal.
    pub actor: String,
}

/// What was salvaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SalvageReport {
    /// Nothing was written.
    pub dry_run: bool,
    /// Every chain is whole, the same to the byte: no record was lost, and the generation is
    /// the source's. Payloads beside the records are taken as they are; `verify` of the new
    /// store names those that are damaged.
    pub whole: bool,
    /// The store's id, in hex.
    pub store_id: String,
    /// The generation of the source.
    pub generation_before: u32,
    /// The generation of what was written.
    pub generation: u32,
    /// One entry for each partition.
    pub partitions: Vec<SalvagedPartition>,
    /// Histories of which everything known is kept.
    pub streams_whole: u64,
    /// Runs cut short at their first version that cannot be proven, by id. The engine goes on
    /// from there.
    pub runs_cut: Vec<CutRun>,
    /// Other histories cut short.
    pub others_cut: Vec<CutRun>,
    /// What the store was good for.
    pub store: StoreEvidence,
    /// The first segment that was surely there behind all that are left, if the log's end is
    /// gone: nobody knows how much was written to it.
    pub missing_segment: Option<u64>,
    /// What is wrong with the base, if it is not whole.
    pub base: Option<DamagedBase>,
}

/// A base that is not whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedBase {
    /// Histories that stand in no block that is whole; unsaid if nothing of the base can be read.
    /// The store may still have them.
    pub histories_missing: Option<u64>,
    /// What is wrong, block by block, with the histories that each held.
    pub damages: Vec<Damage>,
}

/// What came of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct SalvagedPartition {
    /// Which one.
    pub partition: u16,
    /// Commits kept to the byte.
    pub commits_kept: u64,
    /// Commits behind a gap whose records were written anew.
    pub commits_rewritten: u64,
    /// Places where commits are missing.
    pub gaps: u64,
    /// Records that only the store, or what is left of a damaged base, still had.
    pub records_from_store: u64,
    /// Commits behind the end of all that was found that something had still noted, a view, the
    /// checkpoints, the store or a backup's list, and that nothing has.
    pub commits_lost_at_end: u64,
    /// Records of which nothing is left; with a damaged base also those of runs that had been
    /// removed.
    pub records_lost: u64,
    /// Records that are there and could not be kept, because versions before them are lost.
    pub records_dropped: u64,
}

/// A history cut short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CutRun {
    /// Which one.
    pub stream: String,
    /// The last version kept; 0 if none is.
    pub last_version: u64,
    /// The last version that was found.
    pub found_version: u64,
}

/// What the store was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreEvidence {
    /// It was not needed.
    NotNeeded,
    /// Its digest is the one in its marks: what it holds counts.
    Proven,
    /// It is missing, or cannot be proven: what it holds does not count.
    NotProven,
}

/// A place in a partition where commits are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    /// Where the chain stood.
    before: Head,
    /// The first position behind; none at the end of the log.
    next_position: Option<u64>,
}

/// Writes everything provable of a store to a fresh one.
///
/// # Errors
/// If the source is in use or cannot be read at all, the target is not free, or the disk is
/// full. What is damaged is in the report.
pub fn salvage(
    request: &SalvageRequest,
    mut heard: OnProgress<'_>,
) -> Result<SalvageReport, Error> {
    let mut reader = provable::open(&request.from)?;
    Target::check(&request.from, &request.to)?;
    let (kept, damaged_base) = provable::set_damaged_base_aside(&mut reader)?;
    let beginning = reader.sources.beginning()?;
    let mut gaps: Vec<Vec<Gap>> = vec![Vec::new(); reader.partitions()];
    let mut chainer = Chainer::at(reader.shape.origin, beginning.heads.clone());
    let mut survey = |linked: Linked| {
        if let Linked::Behind { commit, before } = linked {
            let next_position = Some(commit.first_position());
            gaps[usize::from(commit.partition().0)].push(Gap { before, next_position });
        }
        Ok(())
    };
    provable::for_each(&reader, &mut chainer, "looking for commits", &mut heard, &mut survey)?;
    let heads = chainer.heads().to_vec();
    let mut ends = Ends::known(&reader, heads)?;
    ends.mark_gaps(&mut gaps);
    let mut stored = StoredRecords::find(&reader, request, &mut ends, &mut gaps, &mut heard)?;
    stored.add_kept(&kept, &gaps);
    if ends.found_nothing() && stored.is_empty() {
        return Err(nothing_left(&reader));
    }
    let whole = gaps.iter().all(Vec::is_empty);
    let Origin { store, generation } = reader.shape.origin;
    let generation_after = if whole { generation } else { generation.saturating_add(1) };
    let origin = Origin { store, generation: generation_after };
    let shape = Shape { origin, ..reader.shape };
    let target = match request.dry_run {
        true => None,
        false => Some(Target::begin(&request.to)?),
    };
    let log = target.as_ref().map(|target| target.directory.log());
    let mut writing = Writing::begin(log.as_deref(), shape, &beginning, &gaps, stored, request)?;
    writing.take_base(&reader)?;
    let mut chainer = Chainer::at(reader.shape.origin, beginning.heads);
    let mut take = |linked: Linked| writing.take(linked);
    provable::for_each(&reader, &mut chainer, "writing", &mut heard, &mut take)?;
    let (mut report, heads) = writing.finish(&reader)?;
    report.base = damaged_base;
    ends.tell(&mut report);
    if let (Some(target), Some(heads)) = (target, heads) {
        copy_base(&reader, &target.directory.path)?;
        copy_blobs(&reader, &target.directory.path, &mut heard)?;
        target.directory.write_identity(&shape)?;
        read_back(&target.directory.path, &heads, DamagedPayloads::Taken)?;
        target.finish()?;
    }
    Ok(report)
}

fn nothing_left(reader: &Reader) -> Error {
    let detail = format!(
        "of {} neither log nor archive is left, and no store that could be proven: nothing can be \
         salvaged; restore a backup",
        reader.directory.path.display()
    );
    Damage { segment: 0, offset: 0, partition: None, sequence: None, detail }.into()
}
