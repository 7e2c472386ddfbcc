//! The journal: a log that gives order and durability, a store that keeps each run's
//! history for reading, and views that keep the rows of lists.
//!
//! Knows commits, records and rows; not what the events mean, no async, no network, and no
//! clock but for its own pacing. sled is named in `sled.rs` only, bincode in `record.rs`
//! only.

mod archive;
mod builder;
mod bytes;
mod chain;
mod checkpoints;
mod commit;
mod directory;
mod error;
mod files;
mod info;
mod journal;
mod keys;
mod lists;
mod locks;
pub mod log;
mod marks;
mod open;
mod options;
mod pending;
mod reader;
mod record;
mod repair;
mod replay;
mod sled;
mod sources;
mod store;
mod verify;
mod views;
mod watchdog;

pub use archive::archiver::{ARCHIVE_RETRY_MS, ArchiveInfo};
pub use archive::base::sort::{MERGE_WIDTH, RUN_BYTES_MAX};
pub use archive::cut::{Anchor, CutPlan, CutPoint};
pub use builder::{CommitBuilder, Fit, STREAM_KEY_BYTES_MAX};
pub use bytes::Malformed;
pub use commit::{COMMIT_BYTES_MAX, COMMIT_FORMAT, Commit, Head, Origin};
pub use error::{Damage, Error};
pub use info::Info;
pub use journal::{Batch, Callback, Journal, PENDING_BYTES_MAX, Recoverable};
pub use log::AppendError;
pub use log::wal::TornTail;
pub use open::{OpenReport, Opened};
pub use options::{Fsync, Options, PARTITIONS_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use reader::{Location, Reader};
pub use record::Record;
pub use verify::{PROBLEMS_LISTED_MAX, PartitionReport, Problem, VerifyReport, verify};
pub use views::{
    AuditFilter, Cursor, LetterFilter, Order, Page, ROWS_READ_PER_PAGE_MAX, Range, RebuildInfo,
    RunFilter, ViewInfo, ViewName,
};
