//! What beside the log knows how far it had come.
//!
//! Every tree notes in its marks which commits it has applied, and the log is durable before: none
//! is ever ahead of it. A sealed segment that left the log has another one behind it. So whoever
//! knows of more than is there says that the log's end is gone. Reads small files only.

use crate::archive::base;
use crate::archive::unpack::Archived;
use crate::backup;
use crate::commit::Origin;
use crate::directory::Directory;
use crate::error::Error;
use crate::log::wal::scan::Shape;
use crate::log::wal::segments;
use crate::marks::Marks;
use crate::options::{Options, PARTITIONS_MAX};
use crate::sources::Sources;
use crate::store::decode_applied;
use crate::views::trees_in_force;

/// Somebody who has read the log, and how far: the last commit of each partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Witness {
    pub who: String,
    pub applied: Vec<u64>,
}

/// Everybody beside a log who noted how far it had come. Marks that cannot be read say nothing.
pub(crate) fn witnesses(directory: &Directory, shape: &Shape) -> Result<Vec<Witness>, Error> {
    let mut found = Vec::new();
    let mut add = |who: &str, applied: Option<Vec<u64>>| {
        found.extend(applied.map(|applied| Witness { who: who.to_owned(), applied }));
    };
    let plain = |marks: Marks| decode_applied(&marks.applied_after, shape.partitions);
    add("the store", Marks::read(&directory.store_marks())?.and_then(plain));
    add("the views", Marks::read(&directory.views_marks())?.and_then(plain));
    for (tree, marks) in trees_in_force(&directory.views())? {
        let name = tree.parent().and_then(|home| home.file_name()).unwrap_or_default();
        let who = format!("the view `{}`", name.to_string_lossy());
        add(&who, Marks::read(&marks)?.and_then(plain));
    }
    let checkpoints = Marks::read(&directory.checkpoints_marks())?;
    let own = checkpoints.and_then(|marks| checkpointed(&marks.applied_after));
    let own = own.filter(|(origin, own)| *origin == shape.origin && own.len() == shape.partitions);
    add("the checkpoints", own.map(|(_, applied)| applied));
    Ok(found)
}

/// The furthest commit that is known of each partition, and who knows it.
pub(crate) fn furthest(witnesses: &[Witness], partitions: usize) -> Vec<Option<(u64, &str)>> {
    let of = |index: usize| {
        let known = witnesses.iter().filter_map(|own| Some((*own.applied.get(index)?, &*own.who)));
        // Of those who know as much the first is named.
        known.rev().max_by_key(|(sequence, _)| *sequence).filter(|(sequence, _)| *sequence > 0)
    };
    (0..partitions).map(of).collect()
}

/// The segment that must stand in the log and does not: the one before it was sealed, and has
/// left the log or was cut. A backup ends where it was made.
pub(crate) fn missing_segment(
    directory: &Directory,
    sources: &Sources,
) -> Result<Option<u64>, Error> {
    if backup::is_backup(&directory.path) {
        return Ok(None);
    }
    let archived = sources.last_archived()?.unwrap_or(0);
    let cut = sources.beginning()?.number.saturating_sub(1);
    let sealed = archived.max(cut);
    let in_log = segments::numbers(sources.log())?;
    Ok((sealed > 0 && in_log.last().is_none_or(|last| *last <= sealed)).then_some(sealed + 1))
}

/// What a store without identity and log is, by what its archive or its checkpoints say.
pub(crate) fn shape_without_log(directory: &Directory) -> Result<Option<Shape>, Error> {
    let archive = directory.archive()?;
    let mut found: Option<Shape> = None;
    for number in crate::archive::numbers(&archive)? {
        let Ok(archived) = Archived::open_at(&crate::archive::path_of(&archive, number)) else {
            continue;
        };
        let segment = &archived.header().segment;
        let (origin, partitions) = (segment.origin, segment.heads.len());
        let shape = Shape { origin, partitions, segment_bytes: segment.segment_bytes };
        if found.is_none_or(|known| known.origin.generation < origin.generation) {
            found = Some(shape);
        }
    }
    let of = |origin: Origin, partitions: usize| Shape {
        origin,
        partitions,
        segment_bytes: Options::default().segment_bytes,
    };
    if found.is_none()
        && let Ok(base) = base::read::Base::open_at(&base::path_of(&archive))
    {
        found = Some(of(base.header().origin, base.header().heads.len()));
    }
    if found.is_none()
        && let Some(marks) = Marks::read(&directory.checkpoints_marks())?
    {
        let own = checkpointed(&marks.applied_after);
        found = own.map(|(origin, applied)| of(origin, applied.len()));
    }
    Ok(found)
}

/// What checkpoints say of themselves: of which store and generation they are, and of which
/// commits they were made.
fn checkpointed(noted: &[u8]) -> Option<(Origin, Vec<u64>)> {
    let (store, rest) = noted.split_first_chunk::<16>()?;
    let (generation, rest) = rest.split_first_chunk::<4>()?;
    let origin = Origin { store: *store, generation: u32::from_le_bytes(*generation) };
    let partitions = rest.len() / 8;
    let known = (1..=usize::from(PARTITIONS_MAX)).contains(&partitions);
    Some((origin, decode_applied(rest, partitions).filter(|_| known)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_furthest_is_told_of_each_partition() {
        let of = |who: &str, applied: &[u64]| Witness { who: who.into(), applied: applied.into() };
        let all = [of("store", &[3, 7, 0]), of("view", &[4, 7, 0])];
        let expected = [Some((4, "view")), Some((7, "store")), None];
        assert_eq!(furthest(&all, 3), expected);
        assert_eq!(furthest(&[], 1), [None]);
    }
}
