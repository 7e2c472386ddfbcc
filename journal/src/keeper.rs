//! The keeper: the thread that reads trees behind their quick open, and rewrites those that
//! hold too much dead space, a little at a time.
//!
//! Knows when and how fast, not how; that is the fence's.

use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::fence::{FencedTree, ScrubState, Step};
use crate::journal::{Journal, Parts};
use crate::locks::{lock, wait, wait_ms};

/// A part of the journal that is kept in trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Histories by run.
    Store,
    /// Rows of lists.
    Views,
    /// What shortens a start.
    Checkpoints,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 3] = [Self::Store, Self::Views, Self::Checkpoints];

    /// Its name, as in the data directory.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Views => "views",
            Self::Checkpoints => "checkpoints",
        }
    }
}

/// A tree of some part.
pub(crate) enum Tree<'a> {
    /// One that is there as long as the journal.
    Lasting(&'a FencedTree),
    /// One that may give way to another while it is looked at.
    OfView(Arc<FencedTree>),
}

impl Deref for Tree<'_> {
    type Target = FencedTree;

    fn deref(&self) -> &FencedTree {
        match self {
            Self::Lasting(tree) => tree,
            Self::OfView(tree) => tree,
        }
    }
}

/// Wakes the keeper.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<Rung>,
    signal: Condvar,
}

#[derive(Default)]
struct Rung {
    work: bool,
    closing: bool,
}

impl Bell {
    /// There may be work.
    pub(crate) fn ring(&self) {
        lock(&self.rung).work = true;
        self.signal.notify_all();
    }

    /// The journal closes.
    pub(crate) fn close(&self) {
        lock(&self.rung).closing = true;
        self.signal.notify_all();
    }

    /// Waits for work; answers `false` once the journal closes.
    fn wait_for_work(&self) -> bool {
        let mut rung = lock(&self.rung);
        while !rung.work && !rung.closing {
            rung = wait(&self.signal, rung);
        }
        rung.work = false;
        !rung.closing
    }

    /// Lets so much time pass; answers `false` once the journal closes.
    fn pause(&self, ms: u64) -> bool {
        let until = Instant::now() + Duration::from_millis(ms);
        let mut rung = lock(&self.rung);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left_ms = u64::try_from(left.as_millis()).unwrap_or(ms);
            if rung.closing || left_ms == 0 {
                return !rung.closing;
            }
            rung = wait_ms(&self.signal, rung, left_ms).0;
        }
    }
}

impl Parts {
    /// The trees there are.
    pub(crate) fn trees(&self) -> Vec<(Part, Tree<'_>)> {
        let store = self.store.tree().map(|tree| (Part::Store, Tree::Lasting(tree)));
        let views = self.views.trees().into_iter();
        let views = views.map(|(_, tree)| (Part::Views, Tree::OfView(tree)));
        let checkpoints = self.checkpoints.tree();
        let checkpoints = checkpoints.map(|tree| (Part::Checkpoints, Tree::Lasting(tree)));
        store.into_iter().chain(views).chain(checkpoints).collect()
    }

    pub(crate) fn scrub_state(&self) -> Vec<(Part, ScrubState)> {
        self.trees().into_iter().map(|(part, tree)| (part, tree.figures().scrub)).collect()
    }

    /// Wakes the keeper if there is something for it, and poisons the log if a tree was found
    /// damaged while it was read.
    pub(crate) fn look_after_trees(&self) {
        for (_, tree) in self.trees() {
            if let Some(reason) = tree.distrusted() {
                self.log.poison(&format!("{}: {reason}", tree.path().display()));
            }
            if tree.wants_rewrite() {
                self.bell.ring();
            }
        }
    }

    /// The keeper's thread.
    pub(crate) fn keep_until_closed(&self) {
        while self.bell.wait_for_work() {
            for (_, tree) in self.trees() {
                match self.keep(&tree) {
                    // One that gave way to another while it was looked at.
                    Ok(()) | Err(Error::Closed) => {}
                    Err(_) => return,
                }
            }
        }
    }

    fn keep(&self, tree: &FencedTree) -> Result<(), Error> {
        self.at_leisure(|| tree.scrub_step())?;
        if !tree.wants_rewrite() || tree.begin_rewrite().is_err() {
            // Why it could not begin is in the tree's figures.
            return Ok(());
        }
        self.at_leisure(|| tree.rewrite_step())?;
        self.at_leisure(|| tree.scrub_step())
    }

    /// Takes steps until there are none left, at the agreed pace. A failure poisons the log.
    fn at_leisure(&self, step: impl Fn() -> Result<Step, Error>) -> Result<(), Error> {
        loop {
            match self.stepped(step())? {
                Step::Done => return Ok(()),
                Step::More(bytes) => {
                    let ms = bytes * 1_000 / self.options.keeper_bytes_per_second;
                    if !self.bell.pause(ms) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes steps until there are none left, at once.
    fn hurry(&self, step: impl Fn() -> Result<Step, Error>) -> Result<(), Error> {
        while self.stepped(step())? != Step::Done {}
        Ok(())
    }

    fn stepped(&self, step: Result<Step, Error>) -> Result<Step, Error> {
        if let Err(error) = &step
            && !matches!(error, Error::Closed)
        {
            self.log.poison(&crate::open::with_source(error));
        }
        step
    }
}

impl Journal {
    /// How the reading of each part stands, which follows a quick open. Several trees of a
    /// part are several entries.
    #[must_use]
    pub fn scrub_state(&self) -> Vec<(Part, ScrubState)> {
        self.parts().scrub_state()
    }

    /// Reads all of the store and the views now, while they are in use, and compares it with
    /// what it must be; what was under way goes on from where it is.
    ///
    /// # Errors
    /// If something is not what it should be. Then the journal is poisoned, and the next
    /// open rebuilds the part.
    pub fn scrub(&self) -> Result<(), Error> {
        for (_, tree) in self.parts().trees() {
            tree.begin_scrub();
            self.parts().hurry(|| tree.scrub_step())?;
        }
        Ok(())
    }

    /// Rewrites a part into fresh files now, while it is in use, which gives the space of
    /// what is dead back to the file system.
    ///
    /// # Errors
    /// If there is no space for the copy, or the part is not what it should be; in the
    /// second case the journal is poisoned, and the next open rebuilds the part.
    pub fn compact(&self, part: Part) -> Result<(), Error> {
        for (_, tree) in self.parts().trees().into_iter().filter(|(of, _)| *of == part) {
            tree.begin_rewrite()?;
            self.parts().hurry(|| tree.rewrite_step())?;
            if let Some(detail) = tree.figures().rewrite_failure {
                let detail = format!("it was not rewritten: {detail}");
                return Err(Error::Store { path: tree.path().to_owned(), detail });
            }
            self.parts().hurry(|| tree.scrub_step())?;
        }
        Ok(())
    }
}
