//! Cutting the chain: its first segments go, what is still kept of them goes into the base.
//!
//! Two steps, so that the fact is in the chain before anything is gone: a plan says exactly what
//! would go and where the anchor is, the caller records `LogCut` with that anchor in every
//! partition, and only then is the plan carried out. It counts once the new base has its name; a
//! crash before leaves everything, a crash behind it is finished at the next start. Knows the
//! files; who may cut, and when, is the caller's.

use std::path::Path;

use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::{PartitionId, StreamId};
use backstitch_core::time::Timestamp;
use serde::Serialize;

use crate::archive;
use crate::archive::base::build::{self, Built};
use crate::archive::base::path_of as base_path_of;
use crate::archive::base::sort::RUN_BYTES_MAX;
use crate::archive::layout::ArchiveHeader;
use crate::commit::Head;
use crate::error::Error;
use crate::files;
use crate::log::wal::segments;
use crate::record::Record;
use crate::sources::{Beginning, Sources};

/// How far to cut. Whole segments go: the anchor is the last segment's end that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CutPoint {
    /// Only segments all of whose commits are older than this.
    Before(Timestamp),
    /// Only segments that end at or before these commits, one for each partition: for finishing
    /// a cut whose anchor is recorded.
    Sequences(Vec<u64>),
    /// As far as can be.
    Everything,
}

/// What cutting would do, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CutPlan {
    /// The last segment that goes; `None` if nothing does.
    pub through_segment: Option<u64>,
    /// The anchor: each partition's last commit that goes.
    pub anchor: Vec<Anchor>,
    /// Segments that go.
    pub segments: u64,
    /// Commits that go.
    pub commits: u64,
    /// Records in them.
    pub records: u64,
    /// Of all records before the anchor, those that the base keeps.
    pub records_kept: u64,
    /// Histories that the base keeps.
    pub streams_kept: u64,
    /// Records of removed runs, which go for good.
    pub records_dropped: u64,
    /// Removed runs whose last traces go.
    pub runs_dropped: u64,
    /// Bytes of archive files that go, the base before among them. What the log still has of the
    /// same segments goes too; it is not counted, for it leaves by itself.
    pub bytes_removed: u64,
    /// Bytes of the new base.
    pub base_bytes: u64,
    /// Before it: the store can be restored to any instant from here on.
    pub oldest_before: Option<Timestamp>,
    /// After it.
    pub oldest_after: Option<Timestamp>,
    /// Why it does not go as far as asked, if so.
    pub held_back: Option<String>,
}

impl CutPlan {
    /// As the API prints it.
    #[must_use]
    pub fn to_json(&self, dry_run: bool) -> serde_json::Value {
        serde_json::json!({
            "dry_run": dry_run,
            "segments": self.segments,
            "commits": self.commits,
            "records": self.records,
            "records_kept": self.records_kept,
            "streams_kept": self.streams_kept,
            "records_dropped": self.records_dropped,
            "executions_dropped": self.runs_dropped,
            "bytes_removed": self.bytes_removed,
            "base_bytes": self.base_bytes,
            "oldest_restorable_before": self.oldest_before.map(|at| at.to_string()),
            "oldest_restorable_after": self.oldest_after.map(|at| at.to_string()),
            "anchor": self.anchor,
            "held_back": self.held_back,
        })
    }
}

/// Reads a stream's history.
pub(crate) type History<'a> = &'a dyn Fn(&StreamId) -> Result<Option<Vec<Record>>, Error>;

/// Where a partition's chain is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Anchor {
    /// Which partition.
    pub partition: u16,
    /// Its last commit that goes.
    pub sequence: u64,
    /// That commit's last record.
    pub position: u64,
    /// That commit's hash, which the first commit kept carries.
    #[serde(serialize_with = "as_text")]
    pub hash: backstitch_core::ids::Digest,
    /// Whether the chain of this partition gets shorter: then `LogCut` belongs into it.
    pub moves: bool,
}

fn as_text<S: serde::Serializer>(
    digest: &backstitch_core::ids::Digest,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

/// Plans a cut, changing nothing. `applied` is how far store and views have come.
pub(crate) fn plan(
    sources: &Sources,
    archive: &Path,
    point: &CutPoint,
    applied: &[u64],
) -> Result<CutPlan, Error> {
    let beginning = sources.beginning()?;
    let (chosen, held_back) = choose(sources, &beginning, point, applied)?;
    let oldest_before = oldest_of(&beginning.heads);
    let Some(last) = chosen else {
        return Ok(nothing(&beginning, oldest_before, held_back));
    };
    let through = last.segment.number;
    let built = build::build(sources, archive, through, false, RUN_BYTES_MAX)?;
    Ok(describe(archive, &beginning, &last, built, held_back))
}

/// Carries a plan out. Every partition whose chain gets shorter must have recorded it;
/// `history` reads a partition's own stream.
pub(crate) fn cut(
    sources: &Sources,
    archive: &Path,
    plan: &CutPlan,
    applied: &[u64],
    history: History<'_>,
) -> Result<CutPlan, Error> {
    let refused = |detail: &str| Error::CutRefused { detail: detail.to_owned() };
    let Some(through) = plan.through_segment else { return Ok(plan.clone()) };
    let beginning = sources.beginning()?;
    let sequences = plan.anchor.iter().map(|anchor| anchor.sequence).collect();
    let (chosen, _) = choose(sources, &beginning, &CutPoint::Sequences(sequences), applied)?;
    let last = chosen.filter(|last| last.segment.number == through);
    let last = last.ok_or_else(|| refused("it is not as it was when this was planned"))?;
    if anchors(&beginning, &last.heads_after) != plan.anchor {
        return Err(refused("the anchor is another one than planned"));
    }
    for anchor in plan.anchor.iter().filter(|anchor| anchor.moves) {
        if !is_recorded(anchor, history)? {
            let partition = anchor.partition;
            let detail = format!("partition {partition} has not recorded the anchor as its last");
            return Err(refused(&detail));
        }
    }
    let built = build::build(sources, archive, through, true, RUN_BYTES_MAX)?;
    let done = describe(archive, &beginning, &last, built, plan.held_back.clone());
    build::put_in_force(archive)?;
    finish(sources)?;
    Ok(done)
}

/// Removes what a base in force stands for: a crash may have left it.
pub(crate) fn finish(sources: &Sources) -> Result<(), Error> {
    let (beginning, Some(archive)) = (sources.beginning()?, sources.archive()) else {
        return Ok(());
    };
    for number in archive::numbers(archive)? {
        if number < beginning.number {
            files::remove(&archive::path_of(archive, number))?;
        }
    }
    for number in segments::numbers(sources.log())? {
        if number < beginning.number {
            files::remove(&segments::path_of(sources.log(), number))?;
        }
    }
    Ok(())
}

/// The last segment that may go, and why it is not a later one.
fn choose(
    sources: &Sources,
    beginning: &Beginning,
    point: &CutPoint,
    applied: &[u64],
) -> Result<(Option<ArchiveHeader>, Option<String>), Error> {
    let mut chosen = None;
    let at = |index: usize, of: &[u64]| of.get(index).copied().unwrap_or(0);
    for number in beginning.number.. {
        let Some(archived) = sources.archived(number)? else {
            let all = matches!(point, CutPoint::Everything);
            let detail = "what is not archived yet stays: segments are archived once they are \
                          sealed, the newest is not";
            let detail = detail.to_owned();
            return Ok((chosen, (!all).then_some(detail)));
        };
        let header = archived.header().clone();
        let mut heads = header.heads_after.iter().enumerate();
        let wanted = match point {
            CutPoint::Everything => true,
            CutPoint::Before(instant) => heads.all(|(_, head)| head.committed_at < *instant),
            CutPoint::Sequences(last) => {
                heads.all(|(index, head)| head.sequence <= at(index, last))
            }
        };
        if !wanted {
            return Ok((chosen, None));
        }
        let mut heads = header.heads_after.iter().enumerate();
        if !heads.all(|(index, head)| head.sequence <= at(index, applied)) {
            let detail = "store and views have not taken everything behind it yet: a cut that is \
                          carried out waits for them, as does the next plan in a few seconds";
            return Ok((chosen, Some(detail.to_owned())));
        }
        chosen = Some(header);
    }
    Ok((chosen, None))
}

/// Whether a partition's last word on cuts is this anchor.
fn is_recorded(anchor: &Anchor, history: History<'_>) -> Result<bool, Error> {
    let records = history(&StreamId::Partition(PartitionId(anchor.partition)))?;
    let last =
        records.unwrap_or_default().into_iter().rev().find_map(|record| match record.event {
            Event::Partition(PartitionEvent::LogCut { sequence, hash, .. }) => {
                Some((sequence, hash))
            }
            _ => None,
        });
    Ok(last == Some((anchor.sequence, anchor.hash)))
}

fn anchors(beginning: &Beginning, heads: &[Head]) -> Vec<Anchor> {
    (0u16..)
        .zip(heads.iter().zip(&beginning.heads))
        .map(|(partition, (head, before))| Anchor {
            partition,
            sequence: head.sequence,
            position: head.position,
            hash: head.hash,
            moves: head.sequence > before.sequence,
        })
        .collect()
}

fn describe(
    archive: &Path,
    beginning: &Beginning,
    last: &ArchiveHeader,
    built: Built,
    held_back: Option<String>,
) -> CutPlan {
    let through = last.segment.number;
    let total = |of: fn(&Head) -> u64| {
        let sum = |heads: &[Head]| heads.iter().map(of).sum::<u64>();
        sum(&last.heads_after) - sum(&beginning.heads)
    };
    let bytes = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let going =
        (beginning.number..=through).map(|number| bytes(&archive::path_of(archive, number)));
    CutPlan {
        through_segment: Some(through),
        anchor: anchors(beginning, &last.heads_after),
        segments: through + 1 - beginning.number,
        commits: total(|head| head.sequence),
        records: total(|head| head.position),
        records_kept: built.records,
        streams_kept: built.streams,
        records_dropped: built.records_dropped,
        runs_dropped: built.streams_dropped,
        bytes_removed: bytes(&base_path_of(archive)) + going.sum::<u64>(),
        base_bytes: built.file_bytes,
        oldest_before: oldest_of(&beginning.heads),
        oldest_after: oldest_of(&last.heads_after),
        held_back,
    }
}

fn nothing(beginning: &Beginning, oldest: Option<Timestamp>, held_back: Option<String>) -> CutPlan {
    CutPlan {
        through_segment: None,
        anchor: anchors(beginning, &beginning.heads),
        segments: 0,
        commits: 0,
        records: 0,
        records_kept: 0,
        streams_kept: 0,
        records_dropped: 0,
        runs_dropped: 0,
        bytes_removed: 0,
        base_bytes: 0,
        oldest_before: oldest,
        oldest_after: oldest,
        held_back,
    }
}

/// The earliest instant a store can be restored to: the latest commit before the chain. `None`
/// for a chain that was never cut.
fn oldest_of(heads: &[Head]) -> Option<Timestamp> {
    heads.iter().filter(|head| head.sequence > 0).map(|head| head.committed_at).max()
}
