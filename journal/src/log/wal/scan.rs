//! Reading segments back: groups, commits, and the chain of every partition.
//!
//! Changes nothing. Knows what a whole log looks like; what to do about one that is not is
//! decided by its callers (`recover.rs`, `verify.rs`).

use std::fs;
use std::path::Path;

use crate::commit::{Commit, Head, Origin};
use crate::error::{Damage, Error};
use crate::log::wal::layout::{self, Group, SegmentHeader};
use crate::log::wal::segments;
use crate::options::Options;

/// Generations a damaged segment is read as before it is given up; each is a scan of it.
const GENERATIONS_TRIED_MAX: usize = 64;

/// A segment read into memory.
pub(crate) struct Segment {
    pub number: u64,
    pub bytes: Vec<u8>,
    /// The header, or why there is none.
    pub header: Result<SegmentHeader, String>,
    /// Whose groups stand in it: the store, in the generation that began the segment.
    pub origin: Origin,
}

impl Segment {
    pub(crate) fn load(directory: &Path, number: u64, expected: &Shape) -> Result<Self, Error> {
        let path = segments::path_of(directory, number);
        let bytes = fs::read(&path).map_err(|e| Error::io("reading", &path, e))?;
        Ok(Self::of(number, bytes, expected))
    }

    /// A segment of bytes that were read already.
    pub(crate) fn of(number: u64, bytes: Vec<u8>, expected: &Shape) -> Self {
        let header = check_header(&bytes, bytes.len() as u64, number, expected);
        let origin = match &header {
            Ok(header) => header.origin,
            Err(_) => origin_of_groups(&bytes, expected),
        };
        Self { number, bytes, header, origin }
    }

    /// Where the first group begins.
    pub(crate) fn first_group_at(&self, shape: &Shape) -> usize {
        layout::segment_header_bytes(shape.partitions)
    }

    pub(crate) fn is_zero_from(&self, offset: usize) -> bool {
        self.bytes.get(offset..).is_none_or(|rest| rest.iter().all(|&byte| byte == 0))
    }

    pub(crate) fn damage(&self, offset: usize, detail: impl Into<String>) -> Damage {
        let detail = detail.into();
        let offset = offset as u64;
        Damage { segment: self.number, offset, partition: None, sequence: None, detail }
    }

    /// The commits of a group, each with its offset.
    pub(crate) fn commits(
        &self,
        offset: usize,
        group: &Group<'_>,
    ) -> Result<Vec<(usize, Commit)>, Damage> {
        let pieces = group.commit_bytes(offset).map_err(|e| self.damage(offset, e.to_string()))?;
        pieces
            .into_iter()
            .map(|(at, bytes)| {
                let commit = Commit::decode(bytes.to_vec())
                    .map_err(|e| self.damage(at, format!("a commit is malformed: {e}")))?;
                Ok((at, commit))
            })
            .collect()
    }
}

/// What all segments of one log have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub origin: Origin,
    pub partitions: usize,
    pub segment_bytes: u64,
}

impl Shape {
    pub(crate) fn of(origin: Origin, options: &Options) -> Self {
        let (partitions, segment_bytes) = (options.partitions.into(), options.segment_bytes);
        Self { origin, partitions, segment_bytes }
    }

    /// Whether a segment or commit of this origin may be part of the log.
    pub(crate) fn admits(&self, origin: &Origin) -> bool {
        origin.is_of(&self.origin)
    }
}

/// Reads a segment's header from its first bytes and checks that it is this segment's.
pub(crate) fn check_header(
    bytes: &[u8],
    length: u64,
    number: u64,
    expected: &Shape,
) -> Result<SegmentHeader, String> {
    let header = layout::decode_segment_header(bytes).map_err(|e| e.to_string())?;
    if !expected.admits(&header.origin) {
        return Err("the segment belongs to another store".to_owned());
    }
    if header.number != number {
        return Err(format!("the segment says it is number {}", header.number));
    }
    if header.heads.len() != expected.partitions {
        return Err(format!("the segment has {} partitions", header.heads.len()));
    }
    if header.segment_bytes != expected.segment_bytes || length != header.segment_bytes {
        return Err(format!("the segment has {length} bytes, not its whole length"));
    }
    Ok(header)
}

/// The generation of a segment whose header cannot be read, told by the first group that is
/// whole in one of them.
fn origin_of_groups(bytes: &[u8], expected: &Shape) -> Origin {
    let first = layout::segment_header_bytes(expected.partitions);
    let Origin { store, generation } = expected.origin;
    (1..=generation)
        .rev()
        .take(GENERATIONS_TRIED_MAX)
        .map(|generation| Origin { store, generation })
        .find(|origin| layout::find_group(bytes, first, origin, |_| true).is_some())
        .unwrap_or(expected.origin)
}

/// The chains of all partitions, followed commit by commit.
///
/// A restore raises the store's generation and leaves the commits before it as they are, so
/// a chain may hold several generations; along it they never go down.
#[derive(Debug, Clone)]
pub(crate) struct Chains {
    pub heads: Vec<Head>,
    /// Generation of each partition's last commit, as far as one was read.
    generations: Vec<u32>,
}

impl Chains {
    /// The chains of a log without a commit.
    pub(crate) fn empty(partitions: usize) -> Self {
        Self::at(vec![Head::default(); partitions])
    }

    /// Chains that go on behind these heads.
    pub(crate) fn at(heads: Vec<Head>) -> Self {
        let generations = vec![0; heads.len()];
        Self { heads, generations }
    }

    /// Takes a commit that follows its partition's head; else says what does not fit.
    /// `origin` is that of the segment in which the commit stands.
    pub(crate) fn accept(&mut self, origin: &Origin, commit: &Commit) -> Result<(), &'static str> {
        if commit.origin().store != origin.store {
            return Err("the commit belongs to another store");
        }
        if !commit.origin().is_of(origin) {
            return Err("the commit is of a later generation than its segment");
        }
        let index = usize::from(commit.partition().0);
        let head = self.heads.get_mut(index).ok_or("there is no such partition")?;
        let generation = &mut self.generations[index];
        if commit.origin().generation < *generation {
            return Err("its generation goes back");
        }
        commit.follows(head)?;
        (*head, *generation) = (commit.head(), commit.origin().generation);
        Ok(())
    }

    /// Goes on behind a commit that does not follow, so that what comes next can be judged.
    pub(crate) fn jump(&mut self, commit: &Commit) {
        let index = usize::from(commit.partition().0);
        if let Some(head) = self.heads.get_mut(index) {
            (*head, self.generations[index]) = (commit.head(), commit.origin().generation);
        }
    }
}

/// Whether anything was ever written to a log whose store is unknown.
pub(crate) fn has_groups(log: &Path) -> Result<bool, Error> {
    for number in segments::numbers(log)? {
        let path = segments::path_of(log, number);
        let bytes = fs::read(&path).map_err(|e| Error::io("reading", &path, e))?;
        let Ok(header) = layout::decode_segment_header(&bytes) else { continue };
        let first = layout::segment_header_bytes(header.heads.len());
        if bytes.get(first..).is_some_and(|rest| rest.iter().any(|&byte| byte != 0)) {
            return Ok(true);
        }
    }
    Ok(false)
}
