//! The scrub: reading a whole tree while it is in use, and comparing it with its totals.
//!
//! What a quick open has only checked is proven so, and a tree just rewritten is read back.
//! Goes in small steps under the lock of the ticks; who takes them, and how fast, is not
//! known here.

use crate::error::Error;
use crate::fence::pass::Pass;
use crate::fence::{FencedTree, Step};
use crate::locks::lock;

/// How the reading of a whole tree stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ScrubState {
    /// None was needed yet: the tree was read whole as it was opened.
    #[default]
    Idle,
    /// It is being read.
    Running {
        /// Entries read so far.
        done_entries: u64,
        /// Bytes of keys and values read so far.
        done_bytes: u64,
    },
    /// All of it was read and is right.
    Proven {
        /// Entries read.
        entries: u64,
        /// Bytes of keys and values read.
        bytes: u64,
    },
    /// It is not what it should be; the next start rebuilds it.
    Damaged,
}

/// A scrub under way.
#[derive(Default)]
pub(super) struct Scrub {
    pub pass: Pass,
}

impl Scrub {
    pub(super) fn state(&self) -> ScrubState {
        let totals = self.pass.totals;
        ScrubState::Running { done_entries: totals.entries, done_bytes: totals.bytes }
    }
}

impl FencedTree {
    /// Begins to read the tree whole, unless that is under way.
    pub(crate) fn begin_scrub(&self) {
        let mut state = lock(&self.state);
        let scrub = state.scrub.get_or_insert_default().state();
        self.note(&state, |figures| figures.scrub = scrub);
    }

    /// Reads on a little, if there is a scrub.
    ///
    /// # Errors
    /// If the tree cannot be read or is not what it should be. Then it is noted on the disk
    /// that the next open must not trust it.
    pub(crate) fn scrub_step(&self) -> Result<Step, Error> {
        let mut state = lock(&self.state);
        let Some(mut scrub) = state.scrub.take() else { return Ok(Step::Done) };
        if let Some(reason) = self.distrusted.get() {
            return Err(self.distrust(reason));
        }
        if state.unsettled {
            return Ok(Step::Done);
        }
        let before = scrub.pass.totals.bytes;
        let read = scrub.pass.read(&self.raw);
        let end = match read {
            Ok((_, end)) => end,
            Err(Error::Closed) => return Ok(Step::Done),
            Err(error) => {
                self.note(&state, |figures| figures.scrub = ScrubState::Damaged);
                return Err(self.unreadable(error));
            }
        };
        let totals = scrub.pass.totals;
        if !end {
            let reading = scrub.state();
            state.scrub = Some(scrub);
            self.note(&state, |figures| figures.scrub = reading);
            return Ok(Step::More(totals.bytes.saturating_sub(before)));
        }
        if totals != state.totals {
            self.note(&state, |figures| figures.scrub = ScrubState::Damaged);
            return Err(self.distrust("a scrub found that its content does not match its marks"));
        }
        let proven = ScrubState::Proven { entries: totals.entries, bytes: totals.bytes };
        self.note(&state, |figures| figures.scrub = proven);
        Ok(Step::Done)
    }
}
