//! Building the restored store beside its target, and naming it at the end.
//!
//! ```text
//! TARGET.restoring/   while it is made: RESTORING, LOCK, log/, archive/, blobs/, identity
//! TARGET/             renamed there when all of it is durable and was read back
//! ```
//! A crash leaves `TARGET.restoring`, which the next restore to this target recognises by
//! what it holds, removes, and makes anew. Knows files; what is kept, the plan says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::{PartitionId, StreamId};

use super::plan::Plan;
use super::{Error, Meter, OnProgress, Reader, RestoreRequest, next_origin};
use crate::archive;
use crate::builder::{CommitBuilder, Fit};
use crate::commit::{Commit, Head};
use crate::directory::Directory;
use crate::files;
use crate::log::wal::offline::OfflineLog;
use crate::log::wal::scan::Shape;
use crate::log::wal::segments;
use crate::verify::check;

const MARKER: &str = "RESTORING";
/// What a store being made may hold; anything else is somebody else's.
const OURS: [&str; 7] = [MARKER, "LOCK", "log", "archive", "blobs", "identity", "identity.new"];

/// A store being made.
pub(crate) struct Target {
    to: PathBuf,
    pub directory: Directory,
}

impl Target {
    /// Takes the place beside `to`, removing what an earlier attempt left there.
    pub(crate) fn begin(to: &Path) -> Result<Self, Error> {
        let taken = |directory: &Path, detail: String| {
            Err(Error::Target { directory: directory.to_owned(), detail })
        };
        let Some(name) = to.file_name() else {
            return taken(to, "it has no name of its own".to_owned());
        };
        if to.exists() && (!to.is_dir() || !files::names(to)?.is_empty()) {
            return taken(to, "it is not empty".to_owned());
        }
        let mut beside = name.to_owned();
        beside.push(".restoring");
        let beside = to.with_file_name(beside);
        if beside.exists() {
            let names = files::names(&beside)?;
            let foreign = names.iter().find(|name| !OURS.contains(&name.as_str()));
            if let Some(foreign) = foreign {
                return taken(&beside, format!("it holds `{foreign}`, which no restore left"));
            }
            if !names.is_empty() && !names.iter().any(|name| name == MARKER) {
                return taken(&beside, "it is not what a stopped restore leaves".to_owned());
            }
            // Nobody may be at work on it; the marker goes last.
            let lock = Directory::at(&beside).take_new()?;
            for name in names.iter().filter(|name| *name != MARKER) {
                files::remove(&beside.join(name))?;
            }
            drop(lock);
        }
        files::make_directories(&beside)?;
        files::replace(&beside.join(MARKER), b"a store being made; safe to remove\n")?;
        let directory = Directory::at(&beside);
        files::make_directories(&directory.log())?;
        Ok(Self { to: to.to_owned(), directory })
    }

    /// Names the store: from here on it counts.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let beside = &self.directory.path;
        files::sync_directory(&self.directory.log())?;
        files::sync_directory(beside)?;
        fs::rename(beside, &self.to).map_err(|e| Error::io("naming", &self.to, e))?;
        files::sync_directory(files::parent(&self.to))?;
        files::remove(&self.to.join(MARKER))
    }
}

/// Makes the restored store.
pub(super) fn build(
    reader: &Reader,
    plan: &Plan,
    request: &RestoreRequest,
    heard: &mut OnProgress<'_>,
) -> Result<(), Error> {
    let shape = Shape { origin: next_origin(reader)?, ..reader.shape };
    let target = Target::begin(&request.to)?;
    let lock = target.directory.take_new()?;
    copy_whole_segments(reader, plan, &target.directory, heard)?;
    copy_blobs(&reader.directory.path, &target.directory.path, heard)?;
    let heads = write_the_rest(reader, plan, shape, &target.directory, request, heard)?;
    target.directory.write_identity(&shape)?;
    read_back(&target.directory.path, &heads)?;
    target.finish()?;
    drop(lock);
    Ok(())
}

/// Segments before the cut, as they are.
fn copy_whole_segments(
    reader: &Reader,
    plan: &Plan,
    to: &Directory,
    heard: &mut OnProgress<'_>,
) -> Result<(), Error> {
    let numbers: Vec<u64> = reader.sources.numbers()?;
    let whole = numbers.iter().filter(|&&number| number < plan.first_rewritten);
    let total = whole.clone().count() as u64 * reader.shape.segment_bytes;
    let mut meter = Meter::of(heard, "copying segments", total);
    for &number in whole {
        copy_segment(reader, number, to)?;
        meter.add(reader.shape.segment_bytes)?;
    }
    Ok(())
}

/// A segment from where it is whole: its archive file, or the log. What the archive has lost
/// must not be in the way of what the log still has.
fn copy_segment(reader: &Reader, number: u64, to: &Directory) -> Result<(), Error> {
    let archived = reader.sources.archived(number).ok().flatten();
    if let Some(mut archived) = archived
        && let Some(archive) = reader.sources.archive()
        && archived.damages().is_empty()
    {
        let target = to.path.join("archive");
        files::make_directories(&target)?;
        let (from, to) = (archive::path_of(archive, number), archive::path_of(&target, number));
        files::copy(&from, &to)?;
        return files::sync_directory(&target);
    }
    let (from, to) = (reader.sources.log(), to.log());
    files::copy(&segments::path_of(from, number), &segments::path_of(&to, number))?;
    Ok(())
}

/// Payloads kept outside the log. All of them: those that only lost commits name are
/// collected by the restored store itself.
fn copy_blobs(from: &Path, to: &Path, heard: &mut OnProgress<'_>) -> Result<(), Error> {
    let (from, to) = (from.join("blobs"), to.join("blobs"));
    if !from.exists() {
        return Ok(());
    }
    let mut meter = Meter::of(heard, "copying payloads", 0);
    for path in files::below(&from)? {
        let to = to.join(path.strip_prefix(&from).expect("it was listed below"));
        files::make_directories(files::parent(&to))?;
        meter.add(files::copy(&path, &to)?)?;
    }
    for path in files::directories_below(&to)? {
        files::sync_directory(&path)?;
    }
    Ok(())
}

/// What is kept of the segments behind, and the first record of the new generation in each
/// partition.
fn write_the_rest(
    reader: &Reader,
    plan: &Plan,
    shape: Shape,
    to: &Directory,
    request: &RestoreRequest,
    heard: &mut OnProgress<'_>,
) -> Result<Vec<Head>, Error> {
    let begun = reader.sources.header(plan.first_rewritten)?;
    let (number, first_group) = (begun.number, begun.first_group);
    let mut log = OfflineLog::begin(&to.log(), shape, number, first_group, begun.heads)?;
    let mut meter = Meter::of(heard, "writing", plan.bytes);
    let mut failure = None;
    let read = reader.for_each_commit(|commit, place| {
        let wanted = place.segment >= plan.first_rewritten && plan.has(commit);
        let pushed = if wanted { log.push(commit.clone()) } else { Ok(()) };
        failure = pushed.and_then(|()| meter.add(commit.bytes().len() as u64)).err();
        failure.is_none()
    });
    match (failure, read) {
        (Some(failure), _) => return Err(failure),
        // Behind the point, as the plan has found.
        (None, Err(Error::Damaged { .. })) if plan.is_damaged_behind() => {}
        (None, read) => {
            read?;
        }
    }
    if log.heads() != plan.heads {
        return Err(Error::Point { detail: "the source changed while it was read".to_owned() });
    }
    let before = reader.shape.origin.generation;
    let mut again: BTreeMap<usize, Vec<PartitionEvent>> = BTreeMap::new();
    for (partition, erased) in &plan.erased {
        again.entry(*partition).or_default().push(erased.clone());
    }
    for index in 0..plan.heads.len() {
        let mut events = vec![PartitionEvent::Restored {
            generation: before,
            sequence: plan.heads[index].sequence,
            reason: request.reason.clone(),
            actor: request.actor.clone(),
        }];
        events.extend(again.remove(&index).unwrap_or_default());
        for commit in own_commits(plan, shape, index, events, request) {
            log.push(commit)?;
        }
    }
    log.finish()
}

/// Commits of a partition's own stream that carry these events.
fn own_commits(
    plan: &Plan,
    shape: Shape,
    index: usize,
    events: Vec<PartitionEvent>,
    request: &RestoreRequest,
) -> Vec<Commit> {
    let partition = PartitionId(u16::try_from(index).expect("an identity counts them in u16"));
    let stream = StreamId::Partition(partition);
    let begin = |head: &Head| CommitBuilder::new(shape.origin, partition, plan.epochs[index], head);
    let (mut commits, mut builder) = (Vec::new(), begin(&plan.heads[index]));
    for (version, event) in (plan.own_versions[index] + 1..).zip(events) {
        let event = Event::Partition(event);
        if builder.push(&stream, version, request.at, &event) == Fit::Fits {
            continue;
        }
        let full: Commit = builder.finish(request.at);
        builder = begin(&full.head());
        commits.push(full);
        let fit = builder.push(&stream, version, request.at, &event);
        assert_eq!(fit, Fit::Fits, "an event read from a commit fits into a commit");
    }
    commits.push(builder.finish(request.at));
    commits
}

/// Reads all of it again: every hash, every chain, and that it ends where it should.
fn read_back(directory: &Path, heads: &[Head]) -> Result<(), Error> {
    let report = check(&Reader::of_locked(directory)?)?;
    if let Some(problem) = report.problems.into_iter().next() {
        return Err(Error::Damaged { damage: problem.damage });
    }
    let right = report.partitions.iter().zip(heads).all(|(found, head)| {
        found.last_sequence == head.sequence && found.last_position == head.position
    });
    match right {
        true => Ok(()),
        false => Err(Error::Target {
            directory: directory.to_owned(),
            detail: "what was written there reads back otherwise".to_owned(),
        }),
    }
}
