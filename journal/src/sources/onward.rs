//! Reading on: the commits of all partitions, in the order in which they were written, from where
//! a reader was.

use std::ops::ControlFlow;

use crate::commit::{self, Commit, Head};
use crate::error::Error;
use crate::log::wal::End;
use crate::sources::milestones::are_before;
use crate::sources::piece::{self, Piece};
use crate::sources::{Sources, Visit};

/// Where a reader was: before a group of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    pub segment: u64,
    /// Where the group begins, and its number; `None` for the segment's first.
    group: Option<(u64, u64)>,
}

impl Place {
    pub(crate) fn beginning_of(segment: u64) -> Self {
        Self { segment, group: None }
    }
}

/// Receives commits, until it has had enough.
pub(crate) type Receive<'a> = &'a mut dyn FnMut(&Commit) -> Result<ControlFlow<()>, Error>;

impl Sources {
    /// Hands on the commits from a place up to `end`, and moves the place behind the last group
    /// that was handed on whole.
    ///
    /// # Errors
    /// [`Error::Damaged`] at a group that cannot be read, and what `receive` answers.
    pub(crate) fn commits_from(
        &self,
        place: &mut Place,
        end: End,
        receive: Receive<'_>,
    ) -> Result<(), Error> {
        for number in place.segment..=end.segment {
            if place.segment < number {
                *place = Place::beginning_of(number);
            }
            let header = self.header(number)?;
            let next = match number < end.segment {
                true => self.begun_header(number + 1)?,
                false => None,
            };
            let mut piece = self.piece(number, &header, next.as_ref(), Some(end))?;
            if let Some((offset, next_group)) = place.group {
                piece.go_on(offset, next_group);
            }
            while let Some((offset, group)) = piece.next_group()? {
                let behind = (offset + group.end as u64, group.number + 1);
                let malformed =
                    |e: crate::bytes::Malformed| piece::damage(number, offset, e.to_string());
                for (_, bytes) in group.commit_bytes(0).map_err(malformed)? {
                    let commit = Commit::decode(bytes.to_vec()).map_err(malformed)?;
                    if receive(&commit)?.is_break() {
                        return Ok(());
                    }
                }
                place.group = Some(behind);
            }
        }
        Ok(())
    }

    /// Visits the commits that hold records behind these positions, up to `end`.
    ///
    /// # Errors
    /// [`Error::Cut`] if some of that was cut, [`Error::Damaged`] where the chain is not whole.
    pub(crate) fn commits_behind(
        &self,
        end: End,
        positions: &[u64],
        visit: Visit<'_>,
    ) -> Result<(), Error> {
        let numbers = self.unbroken_numbers(Some(end))?;
        let beginning = self.header(numbers[0])?.heads;
        let index = (0..beginning.len()).find(|&index| {
            let own = positions.get(index).copied();
            beginning[index].position > own.unwrap_or_default()
        });
        let start =
            self.seek(&numbers, index.unwrap_or(0), |heads| are_before(heads, positions))?;
        for &number in &numbers[start..] {
            let header = self.header(number)?;
            let next = match number < end.segment {
                true => self.begun_header(number + 1)?,
                false => None,
            };
            let mut piece = self.piece(number, &header, next.as_ref(), Some(end))?;
            let mut heads = header.heads;
            if let Some(known) = self.milestones.find(number, positions) {
                piece.go_on(known.offset, known.next_group);
                heads = known.heads;
            }
            if self.visit_piece(&mut piece, heads, positions, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Checks that each commit follows the one before it; decodes only those that are wanted.
    fn visit_piece(
        &self,
        piece: &mut Piece,
        mut heads: Vec<Head>,
        positions: &[u64],
        visit: Visit<'_>,
    ) -> Result<ControlFlow<()>, Error> {
        let number = piece.number();
        while let Some((offset, group)) = piece.next_group()? {
            self.milestones.pass(number, offset, group.number, &heads);
            let damaged = |detail: String| piece::damage(number, offset, detail);
            for (_, bytes) in group.commit_bytes(0).map_err(|e| damaged(e.to_string()))? {
                let glance = commit::glance(bytes).map_err(|e| damaged(e.to_string()))?;
                let index = usize::from(glance.partition.0);
                let head = heads.get_mut(index);
                let head = head.ok_or_else(|| damaged("there is no such partition".to_owned()))?;
                glance.follows(head).map_err(|detail| damaged(detail.to_owned()))?;
                *head = glance.head;
                if head.position <= positions.get(index).copied().unwrap_or_default() {
                    continue;
                }
                let commit = Commit::decode(bytes.to_vec())
                    .map_err(|e| damaged(format!("a commit is malformed: {e}")))?;
                if visit(&commit).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
