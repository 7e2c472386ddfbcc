//! The rewrite: copying a tree into a fresh one while it is in use, to give space back.
//!
//! sled's file stays at 2.3 to 5 times its live bytes and never shrinks. The copy is made in
//! key order; ticks change what is copied in both. At the end the copy is synced, closed and
//! opened once, so that sled writes its snapshot; then, with readers waiting, the trees change
//! names:
//! ```text
//! 1  the recent file is removed: it speaks of the old tree
//! 2  store          -> store.replaced
//! 3  store.fresh    -> store            from here on the fresh one counts
//! 4  the marks note the new size, the recent file begins anew
//! 5  store.replaced is removed
//! ```
//! A crash before 2 leaves a fresh tree that is removed at open, one between 2 and 3 no
//! tree, and the replaced one gets its name back. After 3 both trees hold what the marks say.
//! A rewrite that fails before 2 is given up and hurts nobody.

use std::fs;

use crate::error::Error;
use crate::fence::pass::Pass;
use crate::fence::scrub::Scrub;
use crate::fence::tick::{BATCH_BYTES_MAX, Planned};
use crate::fence::{FencedTree, Step, TreeFiles, TreeState};
use crate::files;
use crate::locks::lock;
use crate::marks::{Marks, Totals};
use crate::repair::{has_blobs, repair_before_open};
use crate::sled::{Entry, RawTree, sync_files};

/// A file this many times as large as its live bytes may be worth a rewrite.
const FILE_BYTES_PER_LIVE_BYTE_MAX: u64 = 3;
/// What an entry takes in a fresh file beside 7/4 of its bytes, as measured with histories of
/// a thousand bytes and rows of forty.
const FRESH_BYTES_PER_ENTRY: u64 = 110;

/// A rewrite under way.
pub(super) struct Rewrite {
    pass: Pass,
    fresh: RawTree,
}

/// Removes what a crash left of a rewrite.
pub(super) fn clear_leftovers(files: &TreeFiles) -> Result<(), Error> {
    if files.replaced.exists() && !files.tree.exists() {
        rename(&files.replaced, &files.tree)?;
        files::sync_directory(files::parent(&files.tree))?;
    }
    files::remove(&files.fresh)?;
    files::remove(&files.replaced)
}

fn rename(from: &std::path::Path, to: &std::path::Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|e| Error::io("renaming to", to, e))
}

impl Rewrite {
    /// Copies some entries; each batch as small as a tick's.
    fn copy(&self, entries: &[Entry]) -> Result<(), Error> {
        let (mut start, mut bytes) = (0, 0);
        for (at, (key, value)) in entries.iter().enumerate() {
            let more = key.len() + value.len();
            if bytes > 0 && bytes + more > BATCH_BYTES_MAX {
                self.insert(&entries[start..at])?;
                (start, bytes) = (at, 0);
            }
            bytes += more;
        }
        self.insert(&entries[start..])
    }

    fn insert(&self, entries: &[Entry]) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        self.fresh.apply(entries.iter().map(|(key, value)| (&**key, Some(&**value))))
    }

    /// Takes over what changed behind the copy.
    pub(super) fn follow(&mut self, changes: &[Planned]) -> Result<(), Error> {
        let mut passed =
            changes.iter().filter(|change| self.pass.has_passed(&change.key)).peekable();
        if passed.peek().is_some() {
            self.fresh.apply(passed.map(|change| (&*change.key, change.value.as_deref())))?;
        }
        changes.iter().for_each(|change| self.pass.adjust(change));
        Ok(())
    }

    /// Ends it without a result.
    pub(super) fn give_up(self, files: &TreeFiles) {
        self.fresh.close();
        // What cannot be removed now is removed at the next open.
        drop(files::remove(&files.fresh));
    }
}

impl FencedTree {
    /// Whether so little of the file is live that a rewrite gives much space back: at least a
    /// third of the file, since small entries take more than their bytes even in a fresh one,
    /// and not before the file has grown by half since the last rewrite.
    pub(crate) fn wants_rewrite(&self) -> bool {
        let state = lock(&self.state);
        let file_bytes = self.raw.file_bytes();
        let Totals { bytes, entries, .. } = state.totals;
        let fresh_bytes = bytes + bytes / 4 * 3 + entries * FRESH_BYTES_PER_ENTRY;
        state.rewrite.is_none()
            && lock(&self.figures).rewrite_failure.is_none()
            && file_bytes > self.options.rewrite_above_bytes
            && file_bytes / FILE_BYTES_PER_LIVE_BYTE_MAX > state.totals.bytes
            && file_bytes > fresh_bytes + fresh_bytes / 2
            && file_bytes > state.rewritten_bytes + state.rewritten_bytes / 2
    }

    /// Begins a rewrite, unless one is under way.
    ///
    /// # Errors
    /// If the fresh tree cannot be made.
    pub(crate) fn begin_rewrite(&self) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if let Some(reason) = self.distrusted.get() {
            return Err(self.distrust(reason));
        }
        if state.rewrite.is_some() {
            return Ok(());
        }
        let made = files::remove(&self.files.fresh)
            .and_then(|()| RawTree::open(&self.files.fresh, self.options.cache_bytes));
        let failure = made.as_ref().err().map(|error| crate::open::with_source(error));
        self.note(&state, |figures| figures.rewrite_failure = failure);
        state.rewrite = Some(Rewrite { pass: Pass::default(), fresh: made? });
        Ok(())
    }

    /// Copies a little more, if there is a rewrite; the last step changes the trees.
    ///
    /// # Errors
    /// If the tree cannot be read, is not what it should be, or cannot be changed for the
    /// fresh one. What merely keeps the fresh one from being written ends the rewrite and is
    /// in the figures.
    pub(crate) fn rewrite_step(&self) -> Result<Step, Error> {
        let mut state = lock(&self.state);
        let Some(mut rewrite) = state.rewrite.take() else { return Ok(Step::Done) };
        if state.unsettled || self.distrusted.get().is_some() {
            rewrite.give_up(&self.files);
            return Ok(Step::Done);
        }
        let before = rewrite.pass.totals.bytes;
        let (entries, end) = match rewrite.pass.read(&self.raw) {
            Ok(read) => read,
            Err(error) => {
                rewrite.give_up(&self.files);
                return Err(self.unreadable(error));
            }
        };
        if let Err(error) = rewrite.copy(&entries) {
            self.give_up_rewrite(rewrite, &state, &error);
            return Ok(Step::Done);
        }
        if !end {
            let bytes = rewrite.pass.totals.bytes.saturating_sub(before);
            state.rewrite = Some(rewrite);
            return Ok(Step::More(bytes));
        }
        if rewrite.pass.totals != state.totals {
            rewrite.give_up(&self.files);
            let reason = "a rewrite found that its content does not match its marks";
            return Err(self.distrust(reason));
        }
        if let Err(error) = self.finish_copy(&rewrite, &state) {
            self.give_up_rewrite(rewrite, &state, &error);
            return Ok(Step::Done);
        }
        let changed = self.change_trees(&mut state);
        changed.map_err(|error| self.failed_to_change(&mut state, error))?;
        Ok(Step::Done)
    }

    /// Ends a rewrite that cannot go on; the tree is as it was.
    pub(super) fn give_up_rewrite(&self, rewrite: Rewrite, state: &TreeState, error: &Error) {
        rewrite.give_up(&self.files);
        let failure = crate::open::with_source(error);
        self.note(state, |figures| figures.rewrite_failure = Some(failure));
    }

    /// Makes the copy durable, has sled write its snapshot, and closes it.
    fn finish_copy(&self, rewrite: &Rewrite, state: &TreeState) -> Result<(), Error> {
        let Rewrite { fresh, .. } = rewrite;
        fresh.sync()?;
        fresh.reopen(|| Ok(()))?;
        fresh.sync()?;
        fresh.close();
        sync_files(fresh.path())?;
        let conf = fresh.path().join("conf");
        let conf = fs::read(&conf).map_err(|e| Error::io("reading", &conf, e))?;
        match conf == state.conf && !has_blobs(fresh.path())? {
            true => Ok(()),
            false => Err(Error::Store {
                path: fresh.path().to_owned(),
                detail: "the fresh tree has another configuration or blob files".to_owned(),
            }),
        }
    }

    /// Puts the fresh tree in the old one's place.
    fn change_trees(&self, state: &mut TreeState) -> Result<(), Error> {
        let files = &self.files;
        state.unsettled = true;
        state.recent = None;
        files::remove(&files.recent)?;
        self.raw.reopen(|| {
            // One that was replaced before may be left in part.
            files::remove(&files.replaced)?;
            rename(&files.tree, &files.replaced)?;
            rename(&files.fresh, &files.tree)?;
            files::sync_directory(files::parent(&files.tree))?;
            repair_before_open(&files.tree, &state.conf)
        })?;
        self.raw.sync()?;
        state.rewritten_bytes = self.raw.file_bytes();
        state.tick += 1;
        self.marks.write(&Marks {
            tick: state.tick,
            applied_after: state.applied.clone(),
            applied_before: state.applied.clone(),
            states: vec![state.totals],
            counted: true,
            rewritten_bytes: state.rewritten_bytes,
            conf: state.conf.clone(),
        })?;
        state.recent = self.begin_recent(state)?;
        // What was copied is read back behind.
        let scrub = Scrub::default();
        let reading = scrub.state();
        state.scrub = Some(scrub);
        state.unsettled = false;
        self.note(state, |figures| {
            figures.rewrites += 1;
            figures.scrub = reading;
        });
        files::remove(&files.replaced)
    }
}
