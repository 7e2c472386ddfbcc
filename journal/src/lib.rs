//! The journal: a log that gives order and durability, a store that keeps each run's
//! history for reading, and views that keep the rows of lists.
//!
//! Knows commits, records and rows; not what the events mean, no async, no network, and no
//! clock but for its own pacing. sled is named in `sled.rs` only, bincode in `record.rs`
//! only.

mod archive;
mod backup;
mod blobs;
mod builder;
mod bytes;
mod chain;
mod checkpoints;
mod commit;
mod directory;
mod error;
mod events;
mod fence;
mod files;
mod generations;
mod info;
mod journal;
mod keeper;
mod keys;
mod latency;
mod lists;
mod locks;
pub mod log;
mod marks;
mod open;
mod options;
mod pending;
mod progress;
mod reader;
mod record;
mod recoverable;
mod removal;
mod repair;
mod replay;
mod restore;
mod salvage;
mod sled;
mod sources;
mod statistics;
mod store;
mod target;
mod ticks;
mod verify;
mod views;
mod watchdog;
mod witnesses;

pub use archive::archiver::{ARCHIVE_RETRY_MS, ArchiveInfo, LAST_CONTENTS_MS};
pub use archive::base::sort::{MERGE_WIDTH, RUN_BYTES_MAX};
pub use archive::cut::{Anchor, CutPlan, CutPoint};
pub use backup::{BackupEnd, BackupReport, FileEntry, Manifest, backup};
pub use blobs::check::{BLOB_AGE_MIN, BlobReport, Collected, Named, check as check_blobs};
pub use blobs::writer::BLOB_QUEUE_BYTES_MAX;
pub use builder::{CommitBuilder, Fit, STREAM_KEY_BYTES_MAX, record_fits};
pub use bytes::Malformed;
pub use commit::{COMMIT_BYTES_MAX, COMMIT_FORMAT, Commit, Head, Origin};
pub use directory::archives;
pub use error::{Damage, Error};
pub use events::{
    Chain, ChainCursor, ChainEvent, EventPage, EventQuery, PAGE_SCAN_BYTES_MAX,
    PAGE_SKIP_BYTES_MAX, events,
};
pub use fence::ScrubState;
pub use files::written_bytes;
pub use generations::Generations;
pub use info::Info;
pub use journal::{Batch, Callback, Journal, PENDING_BYTES_MAX};
pub use keeper::Part;
pub use latency::Latency;
pub use log::wal::TornTail;
pub use log::{AppendError, DurableEnd};
pub use open::{OpenReport, Opened};
pub use options::{Fsync, Options, PARTITIONS_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use progress::{OnProgress, Progress, unheard};
pub use reader::{Location, Reader};
pub use record::Record;
pub use recoverable::Recoverable;
pub use removal::RemovedRun;
pub use restore::{
    Effect, EffectKind, LostPartition, LostRun, Oldest, RestorePoint, RestoreReport,
    RestoreRequest, RestoredKey, ReturnedRun, oldest_point, restore,
};
pub use salvage::{
    CutRun, DamagedBase, SalvageReport, SalvageRequest, SalvagedPartition, StoreEvidence, salvage,
};
pub use statistics::{
    FileStatistics, LogStatistics, MemoryStatistics, PartStatistics, Statistics, TreeStatistics,
};
pub use verify::{
    BackupCheck, CheckedPart, Erasure, PROBLEMS_LISTED_MAX, PartitionReport, Problem, Severity,
    StoreReport, VerifyOptions, VerifyReport, verify, verify_with,
};
pub use views::{
    AuditFilter, Cursor, LetterFilter, LetterGroups, Order, Page, ROWS_READ_PER_PAGE_MAX, Range,
    RebuildInfo, RunFilter, ViewInfo, ViewName,
};
pub use watchdog::last_words_by;
