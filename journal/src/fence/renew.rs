//! Renewal: having sled write a snapshot, so that what is recent stays small.
//!
//! See the head of [`super`] for the order of the writes.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::error::Error;
use crate::fence::pass::totals_of;
use crate::fence::proof::holds_all;
use crate::fence::recent::{Base, Recent, RecentFile, SnapshotMark};
use crate::fence::{FencedTree, TreeState};
use crate::files;
use crate::repair::{repair_before_open, snapshots};

/// Of a large tree, one change for so many entries may be recent.
const ENTRIES_PER_RECENT_CHANGE: u64 = 4;

impl FencedTree {
    /// Renews the tree if too much has changed since sled's last snapshot, or if it has
    /// become so large that its changes must be recorded.
    pub(super) fn renew_if_due(&self, state: &mut TreeState) -> Result<(), Error> {
        let due = match &state.recent {
            Some(recent) => recent.changes > self.recent_changes_max(state),
            None => self.must_record(),
        };
        if due { self.renew(state) } else { Ok(()) }
    }

    /// How many changes a quick open may have to look up. More of a larger tree, whose
    /// snapshots cost more.
    pub(super) fn recent_changes_max(&self, state: &TreeState) -> u64 {
        self.options.recent_changes_max.max(state.totals.entries / ENTRIES_PER_RECENT_CHANGE)
    }

    /// Whether the tree is so large that it may be opened quickly. Recording begins well
    /// before, so that a tree that grows is never found without.
    pub(super) fn must_record(&self) -> bool {
        self.raw.file_bytes() >= self.options.check_whole_below_bytes / 2
    }

    /// Closes sled and opens it again between two ticks, looks up what was recent, and
    /// begins to record anew. Readers wait for the reopening, ticks for all of it.
    pub(super) fn renew(&self, state: &mut TreeState) -> Result<(), Error> {
        let began = Instant::now();
        self.raw.reopen(|| repair_before_open(&self.files.tree, &state.conf))?;
        let pause_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.prove_reopened(state)?;
        self.raw.sync()?;
        state.recent = self.begin_recent(state)?;
        self.note(state, |figures| {
            figures.renewals += 1;
            figures.renewal_pause_us = pause_us;
        });
        Ok(())
    }

    fn prove_reopened(&self, state: &TreeState) -> Result<(), Error> {
        let recent = match &state.recent {
            Some(_) => Recent::read(&self.files.recent)?,
            None => None,
        };
        let complete = |recent: &Recent| recent.base.tick + recent.ticks.len() as u64 == state.tick;
        let proven = match recent.filter(complete) {
            Some(recent) => holds_all(&recent, &self.raw),
            None => totals_of(&self.raw).map(|totals| totals == state.totals),
        };
        match proven.map_err(|error| self.unreadable(error))? {
            true => Ok(()),
            false => Err(self.distrust("sled lost changes as it was reopened")),
        }
    }

    /// Begins to record what changes from here on, if the tree is large enough and sled has
    /// written a snapshot; what it holds now must be synced and proven.
    pub(super) fn begin_recent(&self, state: &TreeState) -> Result<Option<RecentFile>, Error> {
        let snapshot = match self.must_record() {
            true => newest_snapshot(&self.files.tree)?,
            false => None,
        };
        let Some(snapshot) = snapshot else {
            files::remove(&self.files.recent)?;
            return Ok(None);
        };
        files::sync_directory(&self.files.tree)?;
        let base = Base { tick: state.tick, digest: state.totals.digest, snapshot };
        RecentFile::begin(&self.files.recent, &base).map(Some)
    }
}

/// The snapshot sled would read.
pub(super) fn newest_snapshot(tree: &Path) -> Result<Option<SnapshotMark>, Error> {
    let Some(name) = snapshots(tree)?.pop() else { return Ok(None) };
    let path = tree.join(&name);
    let content = fs::read(&path).map_err(|e| Error::io("reading", &path, e))?;
    Ok(Some(SnapshotMark { name, hash: *blake3::hash(&content).as_bytes() }))
}

/// Whether sled would read the snapshot that was noted, or one it made from it.
pub(super) fn snapshot_fits(tree: &Path, noted: &SnapshotMark) -> Result<bool, Error> {
    Ok(newest_snapshot(tree)?.is_some_and(|newest| {
        if newest.name == noted.name { newest == *noted } else { newest.name > noted.name }
    }))
}
