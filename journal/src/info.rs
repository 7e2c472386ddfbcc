//! What a journal tells about itself.

use std::fs;
use std::path::Path;

use crate::archive::archiver::ArchiveInfo;
use crate::commit::Head;
use crate::fence::ScrubState;
use crate::journal::Parts;
use crate::keeper::Part;
use crate::log::LogStats;
use crate::options::Fsync;

/// What a journal is and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The store's id, in hex.
    pub store_id: String,
    /// Counts restores, from 1.
    pub generation: u32,
    /// How many partitions there are.
    pub partitions: u16,
    /// When a commit is acknowledged.
    pub fsync: Fsync,
    /// The durable end of each partition.
    pub heads: Vec<Head>,
    /// Bytes of the log's files.
    pub log_bytes: u64,
    /// Bytes of the store's files.
    pub store_bytes: u64,
    /// Bytes of the views' files.
    pub views_bytes: u64,
    /// Contents kept beside records, as far as they were counted since opening.
    pub blobs: u64,
    /// Their bytes.
    pub blobs_bytes: u64,
    /// Bytes of the checkpoints' files.
    pub checkpoints_bytes: u64,
    /// Runs that have a checkpoint.
    pub checkpoints: u64,
    /// Durable records not yet in the store, in bytes.
    pub pending_bytes: u64,
    /// Rows not yet in the views' files.
    pub pending_rows: u64,
    /// How archiving the log stands.
    pub archive: ArchiveInfo,
    /// What the log has done since opening.
    pub log: LogStats,
    /// How the reading stands that follows a quick open, of each tree.
    pub scrub: Vec<(Part, ScrubState)>,
    /// Why nothing more is taken, if so.
    pub poisoned: Option<String>,
}

pub(crate) fn of(parts: &Parts) -> Info {
    let part_bytes =
        |name: &str| parts.directory.as_ref().map_or(0, |path| size_bytes(&path.join(name)));
    let (blobs, blobs_bytes) = parts.blobs.counted();
    Info {
        store_id: parts.origin.store.iter().map(|byte| format!("{byte:02x}")).collect(),
        generation: parts.origin.generation,
        partitions: parts.options.partitions,
        fsync: parts.options.fsync,
        heads: parts.log.heads(),
        log_bytes: part_bytes("log"),
        store_bytes: part_bytes("store"),
        views_bytes: part_bytes("views"),
        blobs,
        blobs_bytes,
        checkpoints_bytes: part_bytes("checkpoints"),
        checkpoints: parts.checkpoints.count() as u64,
        pending_bytes: parts.store.pending.bytes() as u64,
        pending_rows: parts.views.pending_rows() as u64,
        archive: archive_of(parts),
        log: parts.log.stats(),
        scrub: parts.scrub_state(),
        poisoned: parts.log.poisoned(),
    }
}

fn archive_of(parts: &Parts) -> ArchiveInfo {
    let Some(archiver) = &parts.archiver else { return ArchiveInfo::default() };
    ArchiveInfo { bytes: size_bytes(archiver.directory()), ..archiver.info() }
}

/// Bytes of a directory's files, as far as they can be read.
pub(crate) fn size_bytes(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.metadata().ok()?, entry.path())))
        .map(|(metadata, path)| if metadata.is_dir() { size_bytes(&path) } else { metadata.len() })
        .sum()
}
