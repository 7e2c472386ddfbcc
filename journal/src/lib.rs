//! The journal: a log that gives order and durability, a store that keeps each run's
//! history for reading, and views that keep the rows of lists.
//!
//! Knows commits, records and rows; not what the events mean, no async, no network, and no
//! clock but for its own pacing. sled is named in `sled.rs` only, bincode in `record.rs`
//! only.

mod blobs;
mod builder;
mod bytes;
mod checkpoints;
mod commit;
mod directory;
mod error;
mod events;
mod files;
mod info;
mod journal;
mod keys;
mod locks;
pub mod log;
mod marks;
mod open;
mod options;
mod pending;
mod reader;
mod record;
mod removal;
mod repair;
mod sled;
mod sources;
mod store;
mod verify;
mod views;
mod watchdog;

pub use blobs::check::{BLOB_AGE_MIN, BlobReport, Collected, Named, check as check_blobs};
pub use blobs::writer::BLOB_QUEUE_BYTES_MAX;
pub use builder::{CommitBuilder, Fit, STREAM_KEY_BYTES_MAX};
pub use bytes::Malformed;
pub use commit::{COMMIT_BYTES_MAX, COMMIT_FORMAT, Commit, Head, Origin};
pub use error::{Damage, Error};
pub use events::{
    Chain, ChainCursor, ChainEvent, EventPage, EventQuery, PAGE_SCAN_BYTES_MAX,
    PAGE_SKIP_BYTES_MAX, events,
};
pub use info::Info;
pub use journal::{Batch, Callback, Journal, PENDING_BYTES_MAX, Recoverable};
pub use log::AppendError;
pub use log::wal::TornTail;
pub use open::{OpenReport, Opened};
pub use options::{Fsync, Options, PARTITIONS_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use reader::{Location, Reader};
pub use record::Record;
pub use removal::RemovedRun;
pub use verify::{PROBLEMS_LISTED_MAX, PartitionReport, Problem, VerifyReport, verify};
pub use views::{Cursor, LetterFilter, Page, RunFilter};
