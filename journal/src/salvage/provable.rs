//! Finding every commit whose own hash is right, wherever it stands.
//!
//! Groups are followed where they are whole; where they are not, every place is tried. Knows
//! bytes, and no chain.

use std::collections::HashSet;
use std::path::Path;

use crate::archive::base::layout::Entry;
use crate::backup::{BackupEnd, Manifest};
use crate::commit::{self, Commit};
use crate::directory::Directory;
use crate::error::Error;
use crate::files;
use crate::log::wal::layout;
use crate::log::wal::scan::{Segment, Shape};
use crate::log::wal::segments;
use crate::progress::{Meter, OnProgress};
use crate::reader::Reader;
use crate::salvage::DamagedBase;
use crate::salvage::chainer::{Chainer, Linked};
use crate::witnesses::shape_without_log;

/// Opens a directory for reading, even if its identity is gone: its segments say it too.
pub(super) fn open(from: &Path) -> Result<Reader, Error> {
    match Reader::open(from) {
        Err(error @ (Error::Identity { .. } | Error::Foreign { .. })) => {
            let shape = match shape_of_segments(&from.join("log"))? {
                None => shape_without_log(&Directory::at(from))?,
                shape => shape,
            };
            match shape {
                Some(shape) => Reader::of_shape(from, shape),
                None if Directory::at(from).store().exists() => Err(unnamed(from)),
                None => Err(error),
            }
        }
        opened => opened,
    }
}

/// A store alone does not say whose it is.
fn unnamed(from: &Path) -> Error {
    let detail = "there is a store, and neither identity, log, archive nor checkpoints say which \
                  one: put a copy of `identity` there (any backup of the same generation has it)";
    Error::Foreign { directory: from.to_owned(), detail: detail.to_owned() }
}

/// What a damaged base still has, and what is wrong with it. A whole one is taken as it is;
/// behind this the chain of one that is not begins at its very beginning, with a gap.
pub(super) fn set_damaged_base_aside(
    reader: &mut Reader,
) -> Result<(Vec<Entry>, Option<DamagedBase>), Error> {
    let mut kept = Vec::new();
    let damaged = match reader.sources.base() {
        Ok(None) => None,
        Ok(Some(base)) => match base.for_each_entry(|_| Ok(())) {
            Err(Error::Damaged { .. }) => {
                let damages = base.for_each_whole_entry(&mut |entry| kept.push(entry));
                let whole: HashSet<&[u8]> = kept.iter().map(|entry| &*entry.key).collect();
                let lost = base.header().streams.saturating_sub(whole.len() as u64);
                Some(DamagedBase { histories_missing: Some(lost), damages })
            }
            read => read.map(|()| None)?,
        },
        Err(Error::Damaged { damage }) => {
            Some(DamagedBase { histories_missing: None, damages: vec![damage] })
        }
        Err(error) => return Err(error),
    };
    if damaged.is_some() {
        reader.sources = reader.sources.clone().without_base();
    }
    Ok((kept, damaged))
}

/// What the segments of a log say they belong to, in its latest generation.
fn shape_of_segments(log: &Path) -> Result<Option<Shape>, Error> {
    let mut found: Option<Shape> = None;
    if !log.exists() {
        return Ok(None);
    }
    for number in segments::numbers(log)? {
        let path = segments::path_of(log, number);
        let bytes = std::fs::read(&path).map_err(|e| Error::io("reading", &path, e))?;
        let Ok(header) = layout::decode_segment_header(&bytes) else { continue };
        let (origin, partitions) = (header.origin, header.heads.len());
        let shape = Shape { origin, partitions, segment_bytes: header.segment_bytes };
        if found.is_none_or(|known| known.origin.generation < origin.generation) {
            found = Some(shape);
        }
    }
    Ok(found)
}

/// The ends that a backup promises, if the directory is one.
pub(super) fn promised_ends(reader: &Reader) -> Result<Vec<BackupEnd>, Error> {
    match Manifest::read(&reader.directory.path) {
        Ok(manifest) => Ok(manifest.map(|manifest| manifest.ends).unwrap_or_default()),
        // The files themselves are looked at anyway.
        Err(Error::Manifest { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Hands on every commit in its place.
pub(super) fn for_each(
    reader: &Reader,
    chainer: &mut Chainer,
    phase: &'static str,
    heard: &mut OnProgress<'_>,
    take: &mut dyn FnMut(Linked) -> Result<(), Error>,
) -> Result<(), Error> {
    let numbers = reader.sources.numbers()?;
    // Of the log only what is written; an archived segment is full.
    let bytes_of = |number| {
        let path = segments::path_of(reader.sources.log(), number);
        if path.exists() { files::written_bytes(&path) } else { reader.shape.segment_bytes }
    };
    let mut meter = Meter::of(heard, phase, numbers.iter().map(|&number| bytes_of(number)).sum());
    for number in numbers {
        let evidence = reader.sources.evidence(number)?;
        let segment = evidence.segment;
        let mut found = in_groups(&segment, &reader.shape);
        let followed = found.1;
        if !segment.is_zero_from(followed) || !evidence.others.is_empty() {
            found.0.extend(anywhere(&segment.bytes[followed.min(segment.bytes.len())..]));
            evidence.others.iter().for_each(|other| found.0.extend(anywhere(other)));
        }
        for commit in found.0 {
            chainer.offer(commit).into_iter().try_for_each(&mut *take)?;
        }
        meter.add(bytes_of(number))?;
    }
    chainer.finish().into_iter().try_for_each(take)
}

/// The commits of groups that are whole, from the first on, and where they end.
fn in_groups(segment: &Segment, shape: &Shape) -> (Vec<Commit>, usize) {
    let (mut offset, mut found) = (segment.first_group_at(shape), Vec::new());
    while let Some(group) = layout::group_at(&segment.bytes, offset, &segment.origin) {
        let Ok(commits) = segment.commits(offset, &group) else { break };
        found.extend(commits.into_iter().map(|(_, commit)| commit));
        offset = group.end;
    }
    (found, offset)
}

/// Every commit that stands anywhere in some bytes and whose own hash is right.
fn anywhere(bytes: &[u8]) -> Vec<Commit> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(step) = bytes[at..].iter().position(|&byte| byte == commit::MAGIC[0]) {
        at += step;
        let rest = &bytes[at..];
        let decoded = commit::measure(rest)
            .and_then(|length| rest.get(..length))
            .and_then(|bytes| Commit::decode(bytes.to_vec()).ok());
        match decoded {
            Some(commit) => {
                at += commit.bytes().len();
                found.push(commit);
            }
            None => at += 1,
        }
    }
    found
}
