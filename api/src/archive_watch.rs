//! Watching the archive: what it amounts to as metrics, and a warning when it is stuck.
//!
//! Knows what the journal says of its archive and nothing of files.

use backstitch_journal::ArchiveInfo;

/// Segments archived since the start.
pub const SEGMENTS: &str = "backstitch_archive_segments_total";
/// Their bytes as they were in the log.
pub const RAW_BYTES: &str = "backstitch_archive_raw_bytes_total";
/// Their bytes in the archive.
pub const ARCHIVED_BYTES: &str = "backstitch_archive_written_bytes_total";
/// Whole seconds spent archiving them.
pub const BUSY_SECONDS: &str = "backstitch_archive_busy_seconds_total";
/// Segments put back, in the log or in the archive, from the other copy.
pub const HEALED: &str = "backstitch_archive_healed_segments_total";
/// How often archiving failed.
pub const FAILURES: &str = "backstitch_archive_failures_total";
/// 1 while something stands in the way of archiving.
pub const FAILING: &str = "backstitch_archive_failing";

/// Tells the recorder what each name means.
pub fn describe() {
    metrics::describe_counter!(SEGMENTS, "segments of the log archived");
    metrics::describe_counter!(RAW_BYTES, "bytes of archived segments as they were in the log");
    metrics::describe_counter!(ARCHIVED_BYTES, "bytes of archived segments in the archive");
    metrics::describe_counter!(BUSY_SECONDS, "whole seconds spent archiving");
    metrics::describe_counter!(HEALED, "segments put back from their other copy");
    metrics::describe_counter!(FAILURES, "times that archiving failed");
    metrics::describe_gauge!(FAILING, "1 while something stands in the way of archiving");
}

/// What was told last.
#[derive(Debug, Default)]
pub struct ArchiveWatch {
    failure: Option<String>,
}

impl ArchiveWatch {
    /// Takes a look: sets the metrics, and logs a failure that is new or over.
    pub fn look(&mut self, archive: &ArchiveInfo) {
        metrics::counter!(SEGMENTS).absolute(archive.segments_archived);
        metrics::counter!(RAW_BYTES).absolute(archive.raw_bytes);
        metrics::counter!(ARCHIVED_BYTES).absolute(archive.archived_bytes);
        metrics::counter!(BUSY_SECONDS).absolute(archive.busy_us / 1_000_000);
        metrics::counter!(HEALED).absolute(archive.segments_healed);
        metrics::counter!(FAILURES).absolute(archive.failures);
        metrics::gauge!(FAILING).set(f64::from(u8::from(archive.failure.is_some())));
        if archive.failure == self.failure {
            return;
        }
        match &archive.failure {
            Some(why) => tracing::warn!(
                directory = archive.directory,
                "the log is not archived, its segments stay in the log, it is tried again: {why}"
            ),
            None => tracing::info!(directory = archive.directory, "the log is archived again"),
        }
        self.failure.clone_from(&archive.failure);
    }
}
