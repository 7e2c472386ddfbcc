//! Where readers were, so that reading on does not begin at the segment's beginning again.
//!
//! A place once written never changes, so a bookmark is right as long as its segment is there.
//! Losing one costs time only.

use std::collections::VecDeque;
use std::sync::Mutex;

use backstitch_core::ids::PartitionId;

use crate::commit::Head;
use crate::locks::lock;

/// Bookmarks kept; the oldest ones are forgotten.
const BOOKMARKS_MAX: usize = 256;

/// A place between two groups of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bookmark {
    pub partition: PartitionId,
    pub segment: u64,
    /// Where the next group begins.
    pub offset: u64,
    /// Its number.
    pub next_group: u64,
    /// Where the partition stands before it.
    pub head: Head,
}

/// The bookmarks of one chain.
#[derive(Debug, Default)]
pub(super) struct Bookmarks(Mutex<VecDeque<Bookmark>>);

impl Bookmarks {
    /// The last place in a segment that is at or before a position of a partition.
    pub(super) fn find(
        &self,
        partition: PartitionId,
        segment: u64,
        after_position: u64,
    ) -> Option<Bookmark> {
        let bookmarks = lock(&self.0);
        let fitting = bookmarks.iter().filter(|bookmark| {
            (bookmark.partition, bookmark.segment) == (partition, segment)
                && bookmark.head.position <= after_position
        });
        fitting.max_by_key(|bookmark| bookmark.offset).copied()
    }

    pub(super) fn put(&self, bookmark: Bookmark) {
        let mut bookmarks = lock(&self.0);
        if bookmarks.contains(&bookmark) {
            return;
        }
        if bookmarks.len() >= BOOKMARKS_MAX {
            bookmarks.pop_front();
        }
        bookmarks.push_back(bookmark);
    }
}
