//! Building the restored store: what lies before the cut as it is, the rest written anew.
//!
//! Knows files; what is kept, the plan says.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstitch_core::audit::Mark;
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
use crate::target::{DamagedPayloads, Target, copy_base, copy_blobs, read_back};

/// Makes the restored store.
pub(super) fn build(
    reader: &Reader,
    plan: &Plan,
    request: &RestoreRequest,
    heard: &mut OnProgress<'_>,
) -> Result<(), Error> {
    let shape = Shape { origin: next_origin(reader)?, ..reader.shape };
    let target = Target::begin(&request.to)?;
    copy_whole_segments(reader, plan, &target.directory, heard)?;
    copy_base(reader, &target.directory.path)?;
    copy_blobs(reader, &target.directory.path, heard)?;
    let heads = write_the_rest(reader, plan, shape, &target.directory, request, heard)?;
    target.directory.write_identity(&shape)?;
    read_back(&target.directory.path, &heads, DamagedPayloads::Refused)?;
    target.finish()
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
    let mut again: BTreeMap<usize, Vec<_>> = BTreeMap::new();
    for (partition, event, mark) in &plan.held_to {
        again.entry(*partition).or_default().push((event.clone(), mark.clone()));
    }
    for index in 0..plan.heads.len() {
        let restored = PartitionEvent::Restored {
            generation: before,
            sequence: plan.heads[index].sequence,
            reason: request.reason.clone(),
            actor: request.actor.clone(),
        };
        let mut events = vec![(restored, None)];
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
    events: Vec<(PartitionEvent, Option<Arc<Mark>>)>,
    request: &RestoreRequest,
) -> Vec<Commit> {
    let partition = PartitionId(u16::try_from(index).expect("an identity counts them in u16"));
    let stream = StreamId::Partition(partition);
    let begin = |head: &Head| CommitBuilder::new(shape.origin, partition, plan.epochs[index], head);
    let (mut commits, mut builder) = (Vec::new(), begin(&plan.heads[index]));
    for (version, (event, mark)) in (plan.own_versions[index] + 1..).zip(events) {
        let event = Event::Partition(event);
        let told = (&event, mark.as_deref());
        if builder.push_marked(&stream, version, request.at, told) == Fit::Fits {
            continue;
        }
        let full: Commit = builder.finish(request.at);
        builder = begin(&full.head());
        commits.push(full);
        let fit = builder.push_marked(&stream, version, request.at, told);
        assert_eq!(fit, Fit::Fits, "an event read from a commit fits into a commit");
    }
    commits.push(builder.finish(request.at));
    commits
}
