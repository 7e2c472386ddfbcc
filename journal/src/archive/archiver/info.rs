//! What the archiver tells of itself.

/// How archiving stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct ArchiveInfo {
    /// Whether sealed segments are archived.
    pub on: bool,
    /// Where.
    pub directory: String,
    /// The last segment that is archived.
    pub last_segment: Option<u64>,
    /// Bytes of the archive's files.
    pub bytes: u64,
    /// Segments archived since opening.
    pub segments_archived: u64,
    /// Their bytes as they were in the log.
    pub raw_bytes: u64,
    /// Their bytes in the archive.
    pub archived_bytes: u64,
    /// Microseconds spent archiving them.
    pub busy_us: u64,
    /// Segments taken out of the log since opening.
    pub segments_removed: u64,
    /// Segments that were not whole in the log, or in the archive, and were put back from the
    /// other since opening.
    pub segments_healed: u64,
    /// Contents copied to the archive since opening.
    pub contents_archived: u64,
    /// Contents that were not whole in their file, or in the archive, and were put back from the
    /// other as segments were compared.
    pub contents_healed: u64,
    /// How often archiving failed since opening.
    pub failures: u64,
    /// What stands in the way of archiving now.
    pub failure: Option<String>,
}
