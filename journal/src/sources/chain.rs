//! Following one partition through the groups of a segment.
//!
//! Checks that each commit follows the one before it; decodes only those that are wanted.

use std::ops::ControlFlow;

use backstitch_core::ids::PartitionId;

use crate::commit::{self, Commit, Head};
use crate::error::{Damage, Error};
use crate::sources::Visit;
use crate::sources::bookmarks::Bookmark;
use crate::sources::piece::Piece;

/// One partition on its way through a segment.
pub(super) struct Follower {
    partition: PartitionId,
    head: Head,
    after_position: u64,
    /// Behind the last group read whole.
    place: Option<Bookmark>,
}

impl Follower {
    /// Starts where the partition stands before the segment.
    pub(super) fn of(partition: PartitionId, head: Head, after_position: u64) -> Self {
        Self { partition, head, after_position, place: None }
    }

    /// Goes on from a place in the segment instead of its beginning.
    pub(super) fn go_on(&mut self, piece: &mut Piece, from: &Bookmark) {
        self.head = from.head;
        piece.go_on(from.offset, from.next_group);
    }

    /// Behind the last group that was read whole.
    pub(super) fn place(&self) -> Option<Bookmark> {
        self.place
    }

    /// Visits what is wanted of a segment.
    pub(super) fn follow(
        &mut self,
        piece: &mut Piece,
        visit: Visit<'_>,
    ) -> Result<ControlFlow<()>, Error> {
        let (segment, partition) = (piece.number(), Some(self.partition.0));
        let damaged = |offset: u64, detail: String| {
            Error::from(Damage { segment, offset, partition, sequence: None, detail })
        };
        while let Some((offset, group)) = piece.next_group()? {
            let (next_group, end) = (group.number + 1, offset + group.end as u64);
            let commits = group.commit_bytes(0).map_err(|e| damaged(offset, e.to_string()))?;
            for (within, bytes) in commits {
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
            let (partition, head) = (self.partition, self.head);
            self.place = Some(Bookmark { partition, segment, offset: end, next_group, head });
        }
        Ok(ControlFlow::Continue(()))
    }
}
