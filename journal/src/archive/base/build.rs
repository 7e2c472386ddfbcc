//! Making a base: the one before and the segments to cut, sorted by stream, less what was
//! removed.
//!
//! A run is dropped when its removal is recorded at or below the anchor; what it wrote after
//! that, under the same id, is another run and stays. Memory is bounded by `sort`.

use std::fs;
use std::path::Path;

use backstitch_core::ids::{Digest, StreamId};

use crate::archive::base::layout::{BaseHeader, Entry};
use crate::archive::base::read::{Base, Entries};
use crate::archive::base::sort::{Item, Items, Kind, Merge, Sorter};
use crate::archive::base::write::BaseWriter;
use crate::archive::base::{path_of, unfinished_path_of};
use crate::commit::Commit;
use crate::error::{Damage, Error};
use crate::files;
use crate::keys;
use crate::log::wal::scan::Chains;
use crate::pending::unpack;
use crate::record;
use crate::removal;
use crate::sources::Sources;

/// What a base holds, and what it leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Built {
    pub file_bytes: u64,
    pub streams: u64,
    pub records: u64,
    pub records_dropped: u64,
    pub streams_dropped: u64,
}

/// Makes the base that takes the place of everything up to and with segment `through`. It is
/// written beside, read back, and not yet in force; without `write` it is only counted.
pub(crate) fn build(
    sources: &Sources,
    archive: &Path,
    through: u64,
    write: bool,
    run_bytes_max: usize,
) -> Result<Built, Error> {
    let beside = unfinished_path_of(archive);
    let built = build_beside(sources, archive, through, write, run_bytes_max);
    if built.is_err() {
        // What is left of it takes space that may be missing.
        drop(fs::remove_file(beside));
    }
    built
}

/// Puts the base that was made in force.
pub(crate) fn put_in_force(archive: &Path) -> Result<(), Error> {
    let path = path_of(archive);
    fs::rename(unfinished_path_of(archive), &path).map_err(|e| Error::io("naming", &path, e))?;
    files::sync_directory(archive)
}

fn build_beside(
    sources: &Sources,
    archive: &Path,
    through: u64,
    write: bool,
    run_bytes_max: usize,
) -> Result<Built, Error> {
    let beginning = sources.beginning()?;
    let last = sources.archived(through)?.ok_or_else(|| crate::sources::missing(through))?;
    let last = last.header();
    let header = BaseHeader {
        origin: last.segment.origin,
        next_segment: through + 1,
        next_group: last.groups_end,
        last_archived: last.link(),
        streams: 0,
        records: 0,
        blocks: 0,
        packed_bytes: 0,
        packed_hash: Digest::default(),
        heads: last.heads_after.clone(),
    };
    let mut sorter = Sorter::new(archive, run_bytes_max);
    let mut chains = Chains::at(beginning.heads);
    for number in beginning.number..=through {
        sources
            .read_segment(number, &mut chains, &mut |commit| sort_commit(&mut sorter, commit))?;
    }
    let old = sources.base()?;
    let sorted = old.iter().map(|base| in_items(base.entries())).collect();
    let path = unfinished_path_of(archive);
    let mut writer = BaseWriter::begin(&path, header, write)?;
    let mut built = Built::default();
    write_kept(sorter.merged(sorted)?, &mut writer, &mut built)?;
    let (header, file_bytes) = writer.finish()?;
    if write {
        check(&path, &header)?;
    }
    let (streams, records) = (header.streams, header.records);
    Ok(Built { file_bytes, streams, records, ..built })
}

/// The items of a commit: its records, and a removal for each run that one of them removes.
fn sort_commit(sorter: &mut Sorter, commit: &Commit) -> Result<(), Error> {
    let partition = commit.partition().0;
    for entry in &commit.entries {
        let body = commit.body(entry);
        if let StreamId::Partition(_) = entry.stream {
            let decoded = record::decode(body, entry.position).map_err(|e| broken(&e.0))?;
            let removed = removal::of_event(&decoded.event).map(|(streams, _)| streams);
            for stream in removed.into_iter().flatten() {
                sorter.push(Item {
                    key: keys::stream(&stream),
                    kind: Kind::Removal,
                    position: entry.position,
                    partition,
                    version: 0,
                    body: Vec::new(),
                })?;
            }
        }
        sorter.push(Item {
            key: keys::stream(&entry.stream),
            kind: Kind::Record,
            position: entry.position,
            partition,
            version: entry.version,
            body: body.to_vec(),
        })?;
    }
    Ok(())
}

/// A base's records, one by one.
fn in_items<'a>(mut entries: Entries<'a>) -> Items<'a> {
    let mut ready: std::vec::IntoIter<Item> = Vec::new().into_iter();
    Box::new(std::iter::from_fn(move || {
        loop {
            if let Some(item) = ready.next() {
                return Some(Ok(item));
            }
            match entries.next_entry().and_then(|entry| entry.map(items_of).transpose()) {
                Ok(Some(items)) => ready = items.into_iter(),
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }))
}

fn items_of(entry: Entry) -> Result<Vec<Item>, Error> {
    let mut items = Vec::new();
    for (version, piece) in (entry.first_version..).zip(unpack(&entry.packed)) {
        let (position, body) = piece.map_err(|e| broken(&e.0))?;
        items.push(Item {
            key: entry.key.clone(),
            kind: Kind::Record,
            position,
            partition: entry.partition,
            version,
            body: body.to_vec(),
        });
    }
    Ok(items)
}

/// Hands on every record that no removal concerns; each stream must be gapless.
fn write_kept(items: Merge<'_>, writer: &mut BaseWriter, built: &mut Built) -> Result<(), Error> {
    let (mut key, mut removed_at, mut dropped, mut version) = (Vec::new(), 0, false, 0);
    for item in items {
        let item = item?;
        if item.key != key {
            (removed_at, dropped, version) = (0, false, 0);
            key.clone_from(&item.key);
        }
        match item.kind {
            Kind::Removal => removed_at = removed_at.max(item.position),
            Kind::Record if item.position < removed_at => {
                built.records_dropped += 1;
                built.streams_dropped += u64::from(!dropped);
                dropped = true;
            }
            Kind::Record => {
                version += 1;
                if item.version != version {
                    let (stream, _) = keys::stream_of(&key).map_err(|e| broken(&e.0))?;
                    return Err(Error::Gap { stream, missing: version });
                }
                writer.push(&key, item.partition, version, item.position, &item.body)?;
            }
        }
    }
    Ok(())
}

/// Reads a base back that was just written.
fn check(path: &Path, header: &BaseHeader) -> Result<(), Error> {
    let base = Base::open_at(path)?;
    let mut records = 0;
    base.for_each_entry(|entry| {
        records += u64::from(entry.records);
        Ok(())
    })?;
    match base.header() == header && records == header.records && base.damages().is_empty() {
        true => Ok(()),
        false => Err(broken("what was just written reads back differently")),
    }
}

fn broken(detail: &str) -> Error {
    let detail = format!("the base of the archive: {detail}");
    Damage { segment: 0, offset: 0, partition: None, sequence: None, detail }.into()
}
