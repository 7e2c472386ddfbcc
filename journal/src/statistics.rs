//! Statistics of the data directory: sizes, counts, times.
//!
//! Sizes of files are looked up as they are asked for; the rest is as of the last tick.
//! Knows where things are, not what they mean.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::commit::Head;
use crate::directory::Directory;
use crate::fence::{FencedTree, ScrubState};
use crate::info::size_bytes;
use crate::journal::{Journal, Parts};
use crate::keeper::Part;
use crate::latency::Latency;

/// What a journal amounts to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// The log.
    pub log: LogStatistics,
    /// Sealed segments, packed.
    pub archive: FileStatistics,
    /// Histories by run.
    pub store: PartStatistics,
    /// Rows of lists.
    pub views: PartStatistics,
    /// What shortens a start.
    pub checkpoints: PartStatistics,
    /// Milliseconds since a checkpoint was last written or dropped; `None` if none ever was.
    pub checkpoints_age_ms: Option<u64>,
    /// Payloads kept apart.
    pub blobs: FileStatistics,
    /// What is held in memory.
    pub memory: MemoryStatistics,
    /// Bytes kept back for a full disk.
    pub ballast_bytes: u64,
}

/// The log's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogStatistics {
    /// Bytes of its files, filled ahead with zeros.
    pub file_bytes: u64,
    /// Its segments, those made ready included.
    pub segments: u64,
    /// Commits ever made durable.
    pub commits: u64,
    /// Records ever made durable.
    pub records: u64,
    /// Bytes written since it was opened.
    pub written_bytes: u64,
    /// Groups of commits written since it was opened.
    pub groups: u64,
    /// How long the sync of a group took since it was opened.
    pub sync: Latency,
}

/// Files that are only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FileStatistics {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
}

/// The share of a part that is kept in trees.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct PartStatistics {
    /// Bytes of its files.
    pub file_bytes: u64,
    /// Bytes of its keys and values.
    pub live_bytes: u64,
    /// What is neither: old versions, and what the files' order costs.
    pub dead_bytes: u64,
    /// How many entries.
    pub entries: u64,
    /// Each tree.
    pub trees: Vec<TreeStatistics>,
}

/// A tree's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TreeStatistics {
    /// Its directory's name.
    pub name: String,
    /// Bytes of its file.
    pub file_bytes: u64,
    /// Bytes of its keys and values.
    pub live_bytes: u64,
    /// What is neither: old versions, and what the file's order costs.
    pub dead_bytes: u64,
    /// How many entries.
    pub entries: u64,
    /// The number of its last tick.
    pub last_tick: u64,
    /// How long that took, in microseconds.
    pub tick_us: u64,
    /// Keys that the next start looks up, if it opens the tree quickly.
    pub recent_changes: u64,
    /// Whether this start opened it quickly.
    pub opened_quickly: bool,
    /// How often it was reopened for a snapshot since the start.
    pub renewals: u64,
    /// How long readers waited for the last of these, in microseconds.
    pub renewal_pause_us: u64,
    /// How often it was rewritten since the start.
    pub rewrites: u64,
    /// Why the last rewrite was given up, if it was.
    pub rewrite_failure: Option<String>,
    /// How the reading behind a quick open stands.
    pub scrub: ScrubState,
}

/// What is held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryStatistics {
    /// What sled may cache, of all trees together.
    pub cache_bytes_max: u64,
    /// Durable records not yet in the store.
    pub pending_bytes: u64,
    /// Rows not yet in the views' files.
    pub pending_rows: u64,
}

impl Journal {
    /// Sizes, counts and times of each part.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        of(self.parts())
    }
}

fn of(parts: &Parts) -> Statistics {
    let files = |name: &str| {
        parts.directory.as_ref().map_or_else(FileStatistics::default, |directory| FileStatistics {
            files: count_files(&directory.join(name)),
            file_bytes: size_bytes(&directory.join(name)),
        })
    };
    let trees = parts.trees();
    let trees_of = |part: Part| {
        of_trees(
            trees.iter().filter(|(of, _)| *of == part).map(|(_, tree)| of_tree(tree)).collect(),
        )
    };
    let (heads, written) = (parts.log.heads(), parts.log.stats());
    let total = |of: fn(&Head) -> u64| heads.iter().map(of).sum::<u64>();
    let log_files = files("log");
    let ballast = parts.directory.as_ref().map(|directory| directory.join("ballast"));
    Statistics {
        log: LogStatistics {
            file_bytes: log_files.file_bytes,
            segments: log_files.files,
            commits: total(|head| head.sequence),
            records: total(|head| head.position),
            written_bytes: written.written_bytes,
            groups: written.groups,
            sync: written.sync,
        },
        archive: parts.archiver.as_ref().map_or_else(FileStatistics::default, |archiver| {
            let path = archiver.directory();
            FileStatistics { files: count_files(path), file_bytes: size_bytes(path) }
        }),
        store: trees_of(Part::Store),
        views: trees_of(Part::Views),
        checkpoints: trees_of(Part::Checkpoints),
        checkpoints_age_ms: parts.directory.as_deref().and_then(checkpoints_age_ms),
        blobs: files("blobs"),
        memory: MemoryStatistics {
            cache_bytes_max: parts.options.cache_bytes * trees.len() as u64,
            pending_bytes: parts.store.pending.bytes() as u64,
            pending_rows: parts.views.pending_rows() as u64,
        },
        ballast_bytes: ballast
            .and_then(|path| fs::metadata(path).ok())
            .map_or(0, |metadata| metadata.len()),
    }
}

/// Each tick of their tree writes its marks.
fn checkpoints_age_ms(directory: &Path) -> Option<u64> {
    let marks = fs::metadata(Directory::at(directory).checkpoints_marks()).ok()?;
    // A clock set back makes them new.
    let age = marks.modified().ok()?.elapsed().unwrap_or_default();
    Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}

fn of_trees(trees: Vec<TreeStatistics>) -> PartStatistics {
    let total = |of: fn(&TreeStatistics) -> u64| trees.iter().map(of).sum();
    PartStatistics {
        file_bytes: total(|tree| tree.file_bytes),
        live_bytes: total(|tree| tree.live_bytes),
        dead_bytes: total(|tree| tree.dead_bytes),
        entries: total(|tree| tree.entries),
        trees,
    }
}

fn of_tree(tree: &FencedTree) -> TreeStatistics {
    let figures = tree.figures();
    // A view's tree has a number in the directory of its view.
    let numbered = |path: &&Path| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit))
    };
    let named = tree.path().ancestors().find(|path| !numbered(path));
    let name = named.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    TreeStatistics {
        name: name.unwrap_or_default(),
        file_bytes: figures.file_bytes,
        live_bytes: figures.totals.bytes,
        dead_bytes: figures.file_bytes.saturating_sub(figures.totals.bytes),
        entries: figures.totals.entries,
        last_tick: figures.tick,
        tick_us: figures.tick_us,
        recent_changes: figures.recent_changes,
        opened_quickly: figures.opened_quickly,
        renewals: figures.renewals,
        renewal_pause_us: figures.renewal_pause_us,
        rewrites: figures.rewrites,
        rewrite_failure: figures.rewrite_failure,
        scrub: figures.scrub,
    }
}

/// Files in a directory and those below it, as far as they can be read.
fn count_files(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => count_files(&entry.path()),
            _ => 1,
        })
        .sum()
}
