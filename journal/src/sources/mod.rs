//! Where old commits are read: one ordered chain of segments.
//!
//! Everything that needs commits from before goes through here. Finds its way by the heads in
//! the segments' headers and reads only what was asked for. Changes nothing; knows commits by
//! their place and nothing of their records.

mod piece;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use backstitch_core::ids::PartitionId;

use crate::commit::{self, Commit, Head};
use crate::error::{Damage, Error};
use crate::log::wal::End;
use crate::log::wal::layout::SegmentHeader;
use crate::log::wal::scan::Shape;
use crate::log::wal::segments;
use piece::Piece;

/// The chain of one store.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    log: PathBuf,
    shape: Shape,
}

/// Receives commits in order.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&Commit) -> ControlFlow<()>;

impl Sources {
    /// A chain that is the log alone.
    pub(crate) fn of_log(log: &Path, shape: Shape) -> Self {
        Self { log: log.to_owned(), shape }
    }

    /// What all of its segments have in common.
    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
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
        let numbers = self.numbers(end)?;
        let Some(start) = self.seek(&numbers, index, after_position)? else { return Ok(()) };
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
                let mut chain =
                    Chain { partition, head: header.heads[index], after_position, number };
                if chain.follow(&mut piece, visit)?.is_break() {
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

    /// The segments there are, gapless, as far as `end` goes.
    fn numbers(&self, end: Option<End>) -> Result<Vec<u64>, Error> {
        let mut numbers = segments::numbers(&self.log)?;
        if let Some(end) = end {
            numbers.retain(|number| *number <= end.segment);
        }
        let gap = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]);
        match gap {
            Some(pair) => Err(missing(pair[0] + 1)),
            None if numbers.first() == Some(&1) => Ok(numbers),
            None => Err(missing(1)),
        }
    }

    /// Which of the segments holds what comes behind a position: the last one that begins at
    /// or before it.
    fn seek(
        &self,
        numbers: &[u64],
        index: usize,
        after_position: u64,
    ) -> Result<Option<usize>, Error> {
        let (mut low, mut high) = (0, numbers.len());
        while low < high {
            let middle = low.midpoint(high);
            let begins_before = match self.begun_header(numbers[middle])? {
                Some(header) => header.heads[index].position <= after_position,
                None => false,
            };
            if begins_before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.checked_sub(1))
    }

    fn header(&self, number: u64) -> Result<SegmentHeader, Error> {
        self.begun_header(number)?.ok_or_else(|| missing(number))
    }

    /// A segment's header; `None` if it was made ready and never begun.
    fn begun_header(&self, number: u64) -> Result<Option<SegmentHeader>, Error> {
        piece::log_header(&self.log, number, &self.shape)
    }

    fn piece(
        &self,
        number: u64,
        header: &SegmentHeader,
        next: Option<&SegmentHeader>,
        end: Option<End>,
    ) -> Result<Piece, Error> {
        let end_offset = end.filter(|end| end.segment == number).map(|end| end.offset);
        let groups_end = next.map(|next| next.first_group);
        Piece::open(&self.log, number, header, groups_end, end_offset)
    }
}

/// Following one partition through a segment.
struct Chain {
    partition: PartitionId,
    head: Head,
    after_position: u64,
    number: u64,
}

impl Chain {
    fn follow(&mut self, piece: &mut Piece, visit: Visit<'_>) -> Result<ControlFlow<()>, Error> {
        while let Some((offset, group)) = piece.next_group()? {
            let damaged = |at: u64, detail: String| Error::Damaged {
                damage: Damage {
                    segment: self.number,
                    offset: at,
                    partition: Some(self.partition.0),
                    sequence: None,
                    detail,
                },
            };
            let pieces = group.commit_bytes(0).map_err(|e| damaged(offset, e.to_string()))?;
            for (within, bytes) in pieces {
                let at = offset + within as u64;
                let glance = commit::glance(bytes).map_err(|e| damaged(at, e.to_string()))?;
                if glance.partition != self.partition {
                    continue;
                }
                glance.follows(&self.head).map_err(|detail| damaged(at, detail.to_owned()))?;
                self.head = glance.head;
                if glance.head.position <= self.after_position {
                    continue;
                }
                let commit = Commit::decode(bytes.to_vec())
                    .map_err(|e| damaged(at, format!("a commit is malformed: {e}")))?;
                if visit(&commit).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn missing(segment: u64) -> Error {
    let detail = "the segment file is missing".to_owned();
    let damage = Damage { segment, offset: 0, partition: None, sequence: None, detail };
    Error::Damaged { damage }
}
