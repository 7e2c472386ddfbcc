//! What can go wrong with a journal, in words a person can act on.

use std::io;
use std::path::{Path, PathBuf};

use backstitch_core::ids::StreamId;

/// Why a journal could not be opened, read or kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the directory open.
    #[error(
        "the data directory {} is in use by another process; stop it, or choose another \
         directory", directory.display()
    )]
    Locked {
        /// The data directory.
        directory: PathBuf,
    },
    /// The directory holds something else.
    #[error(
        "{} is not empty and is no Backstitch data directory ({detail}); choose an empty or \
         new directory", directory.display()
    )]
    Foreign {
        /// The data directory.
        directory: PathBuf,
        /// What gives it away.
        detail: String,
    },
    /// The archive goes on otherwise than the log.
    #[error(
        "{} is the archive of another store, or of what this one was restored from ({detail}); \
         nothing was changed. Name another archive directory: the store's own, or an empty one",
        archive.display()
    )]
    ForeignArchive {
        /// Where the archive is.
        archive: PathBuf,
        /// What gives it away.
        detail: String,
    },
    /// The directory was written by newer code.
    #[error(
        "the data directory {} has format {found}, this program knows up to {known}; use a \
         newer version", directory.display()
    )]
    Format {
        /// The data directory.
        directory: PathBuf,
        /// The format it has.
        found: u16,
        /// The newest known here.
        known: u16,
    },
    /// The file that says what the directory is cannot be read as such.
    #[error(
        "the identity file {} is missing or damaged ({detail}); put a copy of it back, or \
         write the store to a new directory with `replay-tool salvage`, which does without it", path.display()
    )]
    Identity {
        /// The identity file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The directory is not there any more, or is another one.
    #[error(
        "the data directory {} was removed or replaced under the running server; what was \
         acknowledged since is gone with it", directory.display()
    )]
    Gone {
        /// The data directory.
        directory: PathBuf,
    },
    /// The disk is full.
    #[error(
        "no space left for {action} {}; free some space on its disk and start again",
        path.display()
    )]
    Full {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The user this process runs as may not write there.
    #[error(
        "no permission for {action} {}; give this user read and write access to it",
        path.display()
    )]
    Denied {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system refused a file operation for another reason.
    #[error("{action} {} failed", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The log is not what was written.
    #[error(
        "the log is damaged: {damage}; nothing was changed. Run `replay-tool verify` for the \
         whole extent, then restore a backup, or save what can be proven with `replay-tool salvage`"
    )]
    Damaged {
        /// Where, and how.
        damage: Damage,
    },
    /// The store, a view or the checkpoints hold more than the log: the log's end was lost or replaced.
    #[error(
        "the log of partition {partition} ends at commit {log}, but the store or what is made of \
         it has applied commit {store}: the log's end is missing. Run `replay-tool verify`, then restore a \
         backup, or save what can be proven with `replay-tool salvage`"
    )]
    LogBehindStore {
        /// Which partition.
        partition: u16,
        /// Last commit of the log.
        log: u64,
        /// The last commit that was applied.
        store: u64,
    },
    /// The store behind the log could not be read or rebuilt.
    #[error("the store {} failed: {detail}", path.display())]
    Store {
        /// The sled directory.
        path: PathBuf,
        /// What happened.
        detail: String,
    },
    /// A write has failed before, so nothing more is written.
    #[error("the log is poisoned: {reason}; stop the process and start it again")]
    Poisoned {
        /// Which, and why.
        reason: String,
    },
    /// A history is not gapless, although the log is whole.
    #[error("the history of {stream} has no version {missing}; run `replay-tool verify`")]
    Gap {
        /// Whose history.
        stream: StreamId,
        /// The first version that is not there.
        missing: u64,
    },
    /// A directory to be written anew, by a restore, a salvage or a backup, is not free.
    #[error("cannot write to {} ({detail}); choose a new or empty directory", directory.display())]
    Target {
        /// The directory.
        directory: PathBuf,
        /// What stands in the way.
        detail: String,
    },
    /// A point that this store cannot be restored to.
    #[error("the store cannot be restored to this point: {detail}")]
    Point {
        /// What is wrong with it.
        detail: String,
    },
    /// The list of a backup's files cannot be read as what was written.
    #[error(
        "the backup's list of files, {}, cannot be relied on: {detail}; use another backup, or save \
         what can be proven with `replay-tool salvage`", path.display()
    )]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The directory is a backup: it is restored, not run.
    #[error(
        "{} is a backup; restore it to a new directory with `replay-tool restore`",
        directory.display()
    )]
    IsBackup {
        /// The backup.
        directory: PathBuf,
    },
    /// A backup whose first run was stopped before it was whole.
    #[error(
        "the backup {} is unfinished: its first run was stopped; run the backup again",
        directory.display()
    )]
    UnfinishedBackup {
        /// The backup.
        directory: PathBuf,
    },
    /// The archive is somebody else's.
    #[error(
        "the archive in {} is not this store's ({detail}); give each store an archive directory \
         of its own",
        directory.display()
    )]
    ArchiveTaken {
        /// The archive.
        directory: PathBuf,
        /// Whose it is.
        detail: String,
    },
    /// Whoever asked for the work had it stopped.
    #[error("stopped on request; what was begun is taken up or removed by the next run")]
    Cancelled,
    /// A backup is running already.
    #[error("a backup to {} is running; wait for it or cancel it", directory.display())]
    Busy {
        /// Where it goes.
        directory: PathBuf,
    },
    /// What was asked for is before the chain's beginning: it was cut off.
    #[error(
        "the chain of partition {partition} begins behind position {position}; what came before \
         was cut, and only histories that are kept are left of it"
    )]
    Cut {
        /// Which partition.
        partition: u16,
        /// The last position that is gone.
        position: u64,
    },
    /// The chain is not cut as planned; nothing was changed.
    #[error("the chain is not cut: {detail}")]
    CutRefused {
        /// What stands in the way.
        detail: String,
    },
    /// The journal was closed before.
    #[error("the journal is closed")]
    Closed,
    /// An option is out of its range.
    #[error("{option} must be {range}")]
    Options {
        /// Which option.
        option: &'static str,
        /// What it may be.
        range: String,
    },
    /// A cursor of another list, filter or order.
    #[error(
        "the cursor is of another list: a cursor goes on only with the same filters and order \
         as the page that gave it"
    )]
    Cursor,
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::Full { action, path, source },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Denied { action, path, source }
            }
            _ => Self::Io { action, path, source },
        }
    }

    /// Whether freeing space may help.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

/// A place in the log that is not what was written there.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Damage {
    /// Number of the segment file.
    pub segment: u64,
    /// Byte in that file.
    pub offset: u64,
    /// The partition concerned, where known.
    pub partition: Option<u16>,
    /// The commit concerned, where known.
    pub sequence: Option<u64>,
    /// What is wrong.
    pub detail: String,
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::Damaged { damage }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Segments are counted from 1: what is missing or stands elsewhere is in none.
        let place = (self.segment > 0).then(|| {
            let Self { segment, offset, .. } = self;
            format!("segment {segment}, byte {offset}")
        });
        let partition = self.partition.map(|partition| format!("partition {partition}"));
        let sequence = self.sequence.map(|sequence| format!("commit {sequence}"));
        let places: Vec<String> = [place, partition, sequence].into_iter().flatten().collect();
        match places.is_empty() {
            true => f.write_str(&self.detail),
            false => write!(f, "{}: {}", places.join(", "), self.detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_becomes_what_to_do() {
        let error = |kind: io::ErrorKind| {
            Error::io("writing to", Path::new("data"), io::Error::from(kind)).to_string()
        };
        assert!(error(io::ErrorKind::StorageFull).contains("free some space"));
        assert!(error(io::ErrorKind::ReadOnlyFilesystem).contains("read and write access"));
        assert_eq!(error(io::ErrorKind::TimedOut), "writing to data failed");
    }
}
