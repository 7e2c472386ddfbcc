//! Reading on: the commits of all partitions, in the order in which they were written, from where
//! a reader was.

use std::ops::ControlFlow;

use crate::commit::Commit;
use crate::error::Error;
use crate::log::wal::End;
use crate::sources::{Sources, piece};

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
}
