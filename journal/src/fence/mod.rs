//! The fence around sled: a tree that is proven at open, changes in ticks, and is dropped by
//! the caller and rebuilt from the log if it cannot be proven.
//!
//! sled skips damage in silence and does not always say what it lost. So values are small
//! enough that it never makes a blob file, changes come in ticks, each tick ends with our
//! own fdatasync, and marks kept outside say what the whole tree must hash to.
//!
//! **Proof at open.** A small tree is read and hashed whole. For a large one that takes too
//! long, so it is opened quickly: what a snapshot of sled covers fails loudly when it is
//! read, and only what was written after it can be lost in silence. sled writes a snapshot
//! as it opens and at no other time, hence a *recent* file names every key changed since then,
//! with the hashes of its old and new value, and the quick proof looks each of them up. It
//! is a check, not yet a proof, of keys that did not change and only moved between sled's
//! pages; so behind every quick open the tree is read whole while it is in use (`scrub`).
//!
//! **Order of a tick**, each durable before the next begins: (1) the recent file gets the
//! tick, (2) the marks get it, (3) the tree changes, in batches that sled applies whole or
//! not at all and in order, and is synced. A crash
//! - in 1 leaves a recent file with a torn end: it proves nothing, the tree is hashed whole;
//! - between 1 and 2 leaves a tick in the recent file that the marks do not know: every key
//!   of it must still be old;
//! - in 2 tears the older slot only; as between 1 and 2;
//! - in or after 3 leaves a beginning of the last tick's batches, and of all earlier ticks
//!   everything, since each was synced before the next one's marks.
//!
//! **A failed write** leaves holes in what sled's file goes on from: pages that were only moved
//! may be gone with it, which a quick proof does not see. So the recent file is removed as soon
//! as sled fails, and the next open hashes everything. What a failed sync covered is in the
//! system's memory only and reads right until that is gone: such a tree is made anew.
//!
//! Two faults at once are not mistaken for one: marks and recent file each carry hashes, a
//! tick missing between them makes the whole tree be hashed, and what does not fit together
//! is not trusted.
//!
//! **Order of an open or renewal** (closing and opening sled between two ticks, so that
//! what is recent stays small): (1) sled opens, writes and syncs a snapshot, renames it and
//! removes the old one; (2) the keys of the old recent file are looked up; (3) the tree and the
//! directory are synced; (4) the recent file is begun anew, in one rename, naming the snapshot
//! and its hash. A crash after 1 leaves a newer snapshot than the recent file names. It was made
//! from the one named, so the old file's keys still tell what it lost: a newer name is taken.
//! No other way leads to a newer snapshot, because the recent file is removed before a tree is
//! opened without it. No snapshot, an older one, or another content under the same name has
//! the whole tree hashed.
//!
//! Knows keys and values, not what they mean.

mod open;
mod pass;
mod proof;
mod recent;
mod renew;
mod rewrite;
mod scrub;
mod tick;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use crate::error::Error;
use crate::files;
use crate::locks::lock;
use crate::marks::{MarksFile, Totals};
use crate::sled::{Change, RawTree, SYNCING, is_locked};
use recent::RecentFile;
use rewrite::Rewrite;
use scrub::Scrub;
pub use scrub::ScrubState;

/// Changes that are applied together or not at all.
pub(crate) type Unit = Vec<Change>;

/// Why a tree cannot be trusted and must be rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Untrusted(pub String);

/// How a tree is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TreeOptions {
    /// What sled may cache.
    pub cache_bytes: u64,
    /// Trees whose file is smaller are read and hashed whole at open.
    pub check_whole_below_bytes: u64,
    /// Changes after which sled is reopened to write a snapshot.
    pub recent_changes_max: u64,
    /// Files that are smaller are not rewritten by themselves.
    pub rewrite_above_bytes: u64,
}

/// How much work is left of something done in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many bytes were done, and there is more.
    More(u64),
    /// There is nothing to do, or no more.
    Done,
}

/// What a tree tells about itself, as of its last tick or step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Figures {
    /// Bytes of sled's file.
    pub file_bytes: u64,
    /// What the tree amounts to.
    pub totals: Totals,
    /// Ticks since it was made.
    pub tick: u64,
    /// How long the last tick took.
    pub tick_us: u64,
    /// Changes that the next quick open looks up.
    pub recent_changes: u64,
    /// How often sled was reopened to write a snapshot, and how long readers waited the
    /// last time.
    pub renewals: u64,
    /// See `renewals`.
    pub renewal_pause_us: u64,
    /// How often the tree was rewritten into a fresh one.
    pub rewrites: u64,
    /// Why the last rewrite was given up, if it was.
    pub rewrite_failure: Option<String>,
    /// Whether opening took the quick way.
    pub opened_quickly: bool,
    /// How the reading behind a quick open stands.
    pub scrub: ScrubState,
}

/// The files of a tree.
#[derive(Debug, Clone)]
struct TreeFiles {
    /// sled's directory.
    tree: PathBuf,
    recent: PathBuf,
    /// There while the tree must not be trusted; says why.
    untrusted: PathBuf,
    /// A tree being rewritten.
    fresh: PathBuf,
    /// The tree it takes the place of, while they change places.
    replaced: PathBuf,
}

impl TreeFiles {
    fn of(tree: &Path, marks: &Path) -> Self {
        Self {
            tree: tree.to_owned(),
            recent: marks.with_extension("recent"),
            untrusted: marks.with_extension("untrusted"),
            fresh: tree.with_extension("fresh"),
            replaced: tree.with_extension("replaced"),
        }
    }

    /// Has the next open read everything after a failed write, or make the tree anew after a
    /// failed sync or where that cannot be noted; then it answers why.
    fn note_failure(&self, error: &Error) -> Option<String> {
        let in_memory_only = match error {
            Error::Full { action, .. } | Error::Denied { action, .. } => *action == SYNCING,
            Error::Io { .. } => true,
            _ => false,
        };
        if !in_memory_only && files::remove(&self.recent).is_ok() {
            return None;
        }
        let reason = format!("a write to it failed: {}", crate::open::with_source(error));
        // What cannot be noted either is on a disk that takes nothing more.
        drop(files::replace(&self.untrusted, reason.as_bytes()));
        Some(reason)
    }
}

/// One sled tree that changes only in ticks.
pub(crate) struct FencedTree {
    raw: RawTree,
    files: TreeFiles,
    marks: MarksFile,
    options: TreeOptions,
    state: Mutex<TreeState>,
    /// Why the tree is not to be trusted any more.
    distrusted: OnceLock<String>,
    figures: Mutex<Figures>,
}

/// What belongs together from tick to tick.
#[derive(Default)]
struct TreeState {
    tick: u64,
    totals: Totals,
    applied: Vec<u8>,
    conf: Vec<u8>,
    rewritten_bytes: u64,
    /// A tick is under way or has failed half done.
    unsettled: bool,
    /// None while the tree is so small that it is hashed whole at open.
    recent: Option<RecentFile>,
    scrub: Option<Scrub>,
    rewrite: Option<Rewrite>,
}

impl FencedTree {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.files.tree
    }

    /// A key's value.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.raw.get(key).map_err(|error| self.unreadable(error))
    }

    /// The values of keys, which must ascend.
    pub(crate) fn get_many(&self, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.raw.get_many(keys).map_err(|error| self.unreadable(error))
    }

    /// Visits the keys that begin with `prefix`, in order, from `from` on (itself included),
    /// until told to stop.
    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let scanned = self.raw.scan(from, |key, value| match key.starts_with(prefix) {
            true => visit(key, value),
            false => ControlFlow::Break(()),
        });
        scanned.map_err(|error| self.unreadable(error))
    }

    /// Gives sled's files back; every later call is refused. If much has changed since
    /// sled's last snapshot it writes another one first, so that the next open is quick.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        let settled = !state.unsettled && self.distrusted.get().is_none();
        let changes = state.recent.as_ref().map_or(0, |recent| recent.changes);
        if settled && changes > self.options.recent_changes_max / 8 {
            // If it fails, the next open tells; nothing durable hangs on it.
            drop(self.renew(&mut state));
        }
        if let Some(rewrite) = state.rewrite.take() {
            rewrite.give_up(&self.files);
        }
        state.scrub = None;
        self.raw.close();
    }

    /// Why the tree is not to be trusted any more, if so: the process should stop, and the
    /// next open rebuilds it.
    pub(crate) fn distrusted(&self) -> Option<String> {
        self.distrusted.get().cloned()
    }

    /// What it tells about itself.
    pub(crate) fn figures(&self) -> Figures {
        let mut figures = lock(&self.figures).clone();
        figures.file_bytes = self.raw.file_bytes();
        if self.distrusted.get().is_some() {
            figures.scrub = ScrubState::Damaged;
        }
        figures
    }

    /// Notes, in memory and on the disk, that the tree is not what it should be.
    fn distrust(&self, reason: &str) -> Error {
        if self.distrusted.set(reason.to_owned()).is_ok() {
            // What cannot be noted now is found again at the next open or by its scrub.
            drop(files::replace(&self.files.untrusted, reason.as_bytes()));
        }
        let detail = format!("{reason}; the next start rebuilds it from the log");
        Error::Store { path: self.files.tree.clone(), detail }
    }

    /// An error of a change. What sled has written by then nobody knows: the quick proof would
    /// not see it, so the next open must read everything.
    fn failed_to_change(&self, state: &mut TreeState, error: Error) -> Error {
        state.unsettled = true;
        state.recent = None;
        if !matches!(error, Error::Closed) && !is_locked(&error) {
            let noted = self.files.note_failure(&error);
            if let Some(reason) = noted {
                // The failure itself is what is told; this one is for those who read on.
                drop(self.distrusted.set(reason));
            }
        }
        error
    }

    /// An error of a read. sled says so if what it reads is damaged, and it would say so
    /// again after the next start, unless the tree is rebuilt.
    fn unreadable(&self, error: Error) -> Error {
        match &error {
            Error::Store { detail, .. } => {
                let reason = format!("it cannot be read: {detail}");
                self.distrust(&reason)
            }
            _ => error,
        }
    }

    fn note(&self, state: &TreeState, change: impl FnOnce(&mut Figures)) {
        let mut figures = lock(&self.figures);
        (figures.totals, figures.tick) = (state.totals, state.tick);
        figures.recent_changes = state.recent.as_ref().map_or(0, |recent| recent.changes);
        change(&mut figures);
    }
}
