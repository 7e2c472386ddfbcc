//! Where old commits are read: one ordered chain, the archive below the log.
//!
//! Everything that needs commits from before goes through here. A segment is read from the log
//! while it is there and whole, else from its archive file: both give the same bytes. Finds its
//! way by the heads in the segments' headers and reads only what was asked for. Changes
//! nothing; knows commits by their place and nothing of their records.

mod bookmarks;
mod chain;
pub(crate) mod evidence;
mod feed;
mod links;
mod milestones;
mod onward;
mod piece;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backstitch_core::ids::PartitionId;

use crate::archive;
use crate::archive::base::read::Base;
use crate::archive::unpack::Archived;
use crate::commit::{Commit, Head};
use crate::error::{Damage, Error};
use crate::log::wal::End;
use crate::log::wal::layout::SegmentHeader;
use crate::log::wal::recover::Before;
use crate::log::wal::scan::Shape;
use crate::log::wal::segments;
use crate::pending::unpack;
use crate::record::{self, Record};
use bookmarks::Bookmarks;
use chain::Follower;
use milestones::Milestones;
pub(crate) use onward::Place;
use piece::Piece;

/// The chain of one store.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    log: PathBuf,
    archive: Option<PathBuf>,
    shape: Shape,
    /// The base cannot be read, so the chain is taken from its very beginning.
    baseless: bool,
    /// Segments behind this one are left aside.
    last: Option<u64>,
    bookmarks: Arc<Bookmarks>,
    milestones: Arc<Milestones>,
}

/// Where a chain begins: at the very first commit, or behind a cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// The first segment.
    pub number: u64,
    /// Its first group.
    pub next_group: u64,
    /// The heads before it.
    pub heads: Vec<Head>,
}

/// Receives commits in order.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&Commit) -> ControlFlow<()>;

impl Sources {
    /// A chain of an archive and a log.
    pub(crate) fn of(log: &Path, archive: &Path, shape: Shape) -> Self {
        Self { archive: Some(archive.to_owned()), ..Self::of_log(log, shape) }
    }

    /// A chain that is the log alone.
    pub(crate) fn of_log(log: &Path, shape: Shape) -> Self {
        Self {
            log: log.to_owned(),
            archive: None,
            shape,
            baseless: false,
            last: None,
            bookmarks: Arc::default(),
            milestones: Arc::default(),
        }
    }

    /// The same chain as if there were no base: for a salvage of what a damaged one has lost.
    pub(crate) fn without_base(self) -> Self {
        let (bookmarks, milestones) = Default::default();
        Self { baseless: true, bookmarks, milestones, ..self }
    }

    /// The same chain as if nothing were behind a segment: for a backup whose next run has begun
    /// to copy what comes behind a gap.
    pub(crate) fn up_to(self, last: u64) -> Self {
        let (bookmarks, milestones) = Default::default();
        Self { last: Some(last), bookmarks, milestones, ..self }
    }

    /// What all of its segments have in common.
    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    pub(crate) fn archive(&self) -> Option<&Path> {
        self.archive.as_deref()
    }

    /// Visits the commits of a partition with records behind a position, up to `end` or, without
    /// one, to the last whole group.
    pub(crate) fn commits_after(
        &self,
        end: Option<End>,
        partition: PartitionId,
        after_position: u64,
        visit: Visit<'_>,
    ) -> Result<(), Error> {
        let index = usize::from(partition.0);
        if index >= self.shape.partitions {
            return Ok(());
        }
        let numbers = self.unbroken_numbers(end)?;
        let start = self.seek(&numbers, index, |heads| heads[index].position <= after_position)?;
        let mut header = self.header(numbers[start])?;
        for (at, &number) in numbers.iter().enumerate().skip(start) {
            let next = match numbers.get(at + 1) {
                Some(&next) => self.begun_header(next)?,
                None => None,
            };
            let untouched =
                next.as_ref().is_some_and(|next| next.heads[index] == header.heads[index]);
            if !untouched {
                let mut piece = self.piece(number, &header, next.as_ref(), end)?;
                let mut follower = Follower::of(partition, header.heads[index], after_position);
                if let Some(known) = self.bookmarks.find(partition, number, after_position) {
                    follower.go_on(&mut piece, &known);
                }
                let followed = follower.follow(&mut piece, visit)?;
                follower.place().into_iter().for_each(|place| self.bookmarks.put(place));
                if followed.is_break() {
                    return Ok(());
                }
            }
            match next {
                Some(next) => header = next,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Where the chain begins.
    pub(crate) fn beginning(&self) -> Result<Beginning, Error> {
        Ok(match self.base()? {
            Some(base) => {
                let header = base.header();
                let (number, next_group) = (header.next_segment, header.next_group);
                Beginning { number, next_group, heads: header.heads.clone() }
            }
            None => {
                let heads = vec![Head::default(); self.shape.partitions];
                Beginning { number: 1, next_group: 1, heads }
            }
        })
    }

    /// What is kept of everything before the chain's beginning, if it was cut.
    pub(crate) fn base(&self) -> Result<Option<Base>, Error> {
        match &self.archive {
            Some(archive) if !self.baseless => Base::open(archive, &self.shape),
            _ => Ok(None),
        }
    }

    /// Visits the records that the base keeps of what was cut.
    pub(crate) fn for_each_kept(&self, visit: &mut dyn FnMut(&Record)) -> Result<(), Error> {
        let Some(base) = self.base()? else { return Ok(()) };
        base.for_each_entry(|entry| {
            for stored in unpack(&entry.packed) {
                let record = stored.and_then(|(position, body)| record::decode(body, position));
                let record = record.map_err(|wrong| {
                    let detail = format!("the base keeps a record that cannot be read: {wrong}");
                    let damage =
                        Damage { segment: 0, offset: 0, partition: None, sequence: None, detail };
                    Error::Damaged { damage }
                })?;
                visit(&record);
            }
            Ok(())
        })
    }

    /// Every segment there is, ascending: archived, in the log, or both.
    pub(crate) fn numbers(&self) -> Result<Vec<u64>, Error> {
        // The log first: what leaves it meanwhile is in the archive already.
        let mut numbers: BTreeSet<u64> = segments::numbers(&self.log)?.into_iter().collect();
        if let Some(archive) = &self.archive {
            numbers.extend(archive::numbers(archive)?);
        }
        let first = self.beginning()?.number;
        let last = self.last.unwrap_or(u64::MAX);
        Ok(numbers.into_iter().filter(|number| (first..=last).contains(number)).collect())
    }

    /// The segments up to `end` back to the chain's beginning, or to the first gap.
    fn unbroken_numbers(&self, end: Option<End>) -> Result<Vec<u64>, Error> {
        let mut numbers = self.numbers()?;
        if let Some(end) = end {
            numbers.retain(|number| *number <= end.segment);
        }
        if numbers.is_empty() {
            return Err(missing(self.beginning()?.number));
        }
        let gap = numbers.windows(2).rposition(|pair| pair[0] + 1 != pair[1]);
        Ok(numbers.split_off(gap.map_or(0, |at| at + 1)))
    }

    /// The last of the segments that begins at or before a place, as its heads say; whoever has
    /// to be told that it was cut is told so of the partition at `index`.
    fn seek(
        &self,
        numbers: &[u64],
        index: usize,
        is_before: impl Fn(&[Head]) -> bool,
    ) -> Result<usize, Error> {
        let (mut low, mut high) = (0, numbers.len());
        while low < high {
            let middle = low.midpoint(high);
            let header = self.begun_header(numbers[middle])?;
            if header.is_some_and(|header| is_before(&header.heads)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        match low.checked_sub(1) {
            Some(start) => Ok(start),
            None => Err(self.gone(numbers[0].saturating_sub(1), Some(index))),
        }
    }

    /// Why a segment is not there: it was cut, or it should be.
    fn gone(&self, number: u64, index: Option<usize>) -> Error {
        match self.beginning() {
            Ok(beginning) if number < beginning.number => {
                let index = index.unwrap_or(0);
                let partition = u16::try_from(index).unwrap_or(u16::MAX);
                let position = beginning.heads.get(index).map_or(0, |head| head.position);
                Error::Cut { partition, position }
            }
            Ok(_) => missing(number.max(1)),
            Err(error) => error,
        }
    }

    /// The header of a segment that was begun.
    pub(crate) fn header(&self, number: u64) -> Result<SegmentHeader, Error> {
        self.begun_header(number)?.ok_or_else(|| self.gone(number, None))
    }

    /// A segment's header; `None` if it was made ready and never begun.
    pub(crate) fn begun_header(&self, number: u64) -> Result<Option<SegmentHeader>, Error> {
        let in_log = self.log_header(number);
        if let Ok(Some(header)) = in_log {
            return Ok(Some(header));
        }
        if let Some(archived) = self.archived(number)? {
            return Ok(Some(archived.header().segment.clone()));
        }
        match in_log {
            Ok(_) if segments::path_of(&self.log, number).exists() => Ok(None),
            Ok(_) => Err(self.gone(number, None)),
            Err(error) => Err(error),
        }
    }

    /// The header of a segment in the log; `None` if it is not there, or was never begun.
    pub(crate) fn log_header(&self, number: u64) -> Result<Option<SegmentHeader>, Error> {
        piece::log_header(&self.log, number, &self.shape)
    }

    /// The archive file of a segment, if there is one.
    pub(crate) fn archived(&self, number: u64) -> Result<Option<Archived>, Error> {
        match &self.archive {
            Some(archive) => Archived::open(archive, number, &self.shape),
            None => Ok(None),
        }
    }

    /// The last segment that is in the archive.
    pub(crate) fn last_archived(&self) -> Result<Option<u64>, Error> {
        let numbers = self.archive.as_deref().map(archive::numbers).transpose()?;
        Ok(numbers.and_then(|numbers| numbers.last().copied()))
    }

    /// Where the log must begin if its first segment is `number`: what its archive says.
    pub(crate) fn before(&self, number: u64) -> Result<Option<Before>, Error> {
        let beginning = self.beginning()?;
        if beginning.number == number {
            let Beginning { next_group, heads, .. } = beginning;
            return Ok(Some(Before { next_group, heads }));
        }
        let archived = match number.checked_sub(1) {
            Some(before) => self.archived(before)?,
            None => None,
        };
        Ok(archived.map(|archived| {
            let header = archived.header();
            Before { next_group: header.groups_end, heads: header.heads_after.clone() }
        }))
    }

    fn piece(
        &self,
        number: u64,
        header: &SegmentHeader,
        next: Option<&SegmentHeader>,
        end: Option<End>,
    ) -> Result<Piece, Error> {
        let end_offset = end.filter(|end| end.segment == number).map(|end| end.offset);
        let log = piece::open_in_log(&self.log, number)?;
        // Where the log has the segment, the archive is a spare: its damage is not in the way.
        let archived = match self.archived(number) {
            Err(_) if log.is_some() => None,
            archived => archived?,
        };
        let archived_end = archived.as_ref().map(|archived| archived.header().groups_end);
        let groups_end = next.map(|next| next.first_group).or(archived_end);
        if log.is_none() && archived.is_none() {
            return Err(self.gone(number, None));
        }
        Ok(Piece::new(header, groups_end, end_offset, log, archived))
    }
}

pub(crate) fn missing(segment: u64) -> Error {
    let detail = "the segment file is missing".to_owned();
    Damage { segment, offset: 0, partition: None, sequence: None, detail }.into()
}
