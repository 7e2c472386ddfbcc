//! What a journal can be told when it is opened.
//!
//! Plain data; read once and passed down.

use std::path::PathBuf;

use crate::error::Error;
use crate::fence::TreeOptions;

/// When a commit counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fsync {
    /// After one fdatasync of its group: it survives a power cut.
    Always,
    /// Once written; synced every so many milliseconds. A power cut loses the last ones.
    Interval {
        /// Milliseconds between syncs.
        ms: u64,
    },
    /// Once written; the system syncs when it likes. A power cut may lose much.
    Never,
}

/// How a journal is kept. Partitions and segment size are fixed when it is created; opening
/// an existing one takes those from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How many partitions, 1 to [`PARTITIONS_MAX`].
    pub partitions: u16,
    /// When a commit is acknowledged.
    pub fsync: Fsync,
    /// Size of a log segment, at least [`SEGMENT_BYTES_MIN`].
    pub segment_bytes: u64,
    /// How often what is in the log goes to the store and the views.
    pub tick_ms: u64,
    /// How long a record of a live run may stay in memory and log only.
    pub store_after_ms: u64,
    /// Pending records of one live run that are worth a write to the store.
    pub store_after_bytes: usize,
    /// Pending records of all runs that start a tick early.
    pub tick_after_bytes: usize,
    /// What sled may cache, for the store and for the views each.
    pub cache_bytes: u64,
    /// Trees of the store and the views whose file is smaller are read and hashed whole at
    /// open; larger ones are checked quickly and read behind.
    pub check_whole_below_bytes: u64,
    /// Changes of a large tree after which sled writes a snapshot, from 1: what a quick open
    /// looks up. A twentieth of the tree's entries, if that is more.
    pub recent_changes_max: u64,
    /// How much of a tree is read in a second while it is read behind or rewritten, from 1.
    pub keeper_bytes_per_second: u64,
    /// A tree is rewritten by itself only if its file is larger.
    pub rewrite_above_bytes: u64,
    /// Space kept back and freed when a full disk stands in the way of opening; 0 for none.
    pub ballast_bytes: u64,
    /// Whether sealed segments of the log are packed into the archive. Without it they stay
    /// in the log for ever.
    pub archive: bool,
    /// Where the archive is; `None` for where it was, at first `archive` in the data directory.
    pub archive_directory: Option<PathBuf>,
    /// How many sealed segments stay in the log although they are archived.
    pub log_segments_kept: u64,
}

/// The most partitions a journal may have.
pub const PARTITIONS_MAX: u16 = 1_024;
/// The smallest segment: it must hold a header and the largest commit.
pub const SEGMENT_BYTES_MIN: u64 = 256 * 1024;
/// The largest segment; one is read into memory whole at open.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

impl Default for Options {
    fn default() -> Self {
        Self {
            partitions: 16,
            fsync: Fsync::Always,
            segment_bytes: 64 * 1024 * 1024,
            tick_ms: 500,
            store_after_ms: 10_000,
            store_after_bytes: 16 * 1024,
            tick_after_bytes: 32 * 1024 * 1024,
            cache_bytes: 64 * 1024 * 1024,
            check_whole_below_bytes: 128 * 1024 * 1024,
            recent_changes_max: 200_000,
            keeper_bytes_per_second: 32 * 1024 * 1024,
            rewrite_above_bytes: 64 * 1024 * 1024,
            ballast_bytes: 32 * 1024 * 1024,
            archive: true,
            archive_directory: None,
            log_segments_kept: 2,
        }
    }
}

impl Options {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |option, range: String| Err(Error::Options { option, range });
        if self.partitions == 0 || self.partitions > PARTITIONS_MAX {
            return refuse("partitions", format!("1 to {PARTITIONS_MAX}"));
        }
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes)
            || !self.segment_bytes.is_multiple_of(4_096)
        {
            return refuse(
                "segment_bytes",
                format!("{SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}, in steps of 4096"),
            );
        }
        if self.tick_ms == 0 {
            return refuse("tick_ms", "at least 1".to_owned());
        }
        if self.recent_changes_max == 0 || self.keeper_bytes_per_second == 0 {
            let option = match self.recent_changes_max {
                0 => "recent_changes_max",
                _ => "keeper_bytes_per_second",
            };
            return refuse(option, "at least 1".to_owned());
        }
        Ok(())
    }

    /// How each tree is kept.
    pub(crate) fn tree(&self) -> TreeOptions {
        TreeOptions {
            cache_bytes: self.cache_bytes,
            check_whole_below_bytes: self.check_whole_below_bytes,
            recent_changes_max: self.recent_changes_max,
            rewrite_above_bytes: self.rewrite_above_bytes,
        }
    }
}
