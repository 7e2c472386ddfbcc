//! The contents that the chain names: they have a copy in the archive, too.
//!
//! Those of a segment at the latest as it is archived, and before that while the log rests: then
//! the segment that is still open is read on from where this was, and whoever appends again is
//! given way to. A journal that closes has the last of them copied, as far as a short while goes.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use backstitch_core::ids::Digest;

use super::{Progress, Signals, Work};
use crate::archive::blobs_named;
use crate::blobs::Pair;
use crate::error::Error;
use crate::files;
use crate::locks::lock;
use crate::log::wal::{End, segments};
use crate::sources::Place;

/// How long a journal that closes goes on copying contents; what is left the next start copies.
pub const LAST_CONTENTS_MS: u64 = 5_000;

/// Whether there is still time.
type GoesOn<'a> = &'a dyn Fn() -> bool;

impl Work {
    /// Copies the contents that archived segments name, of those first that opening found.
    pub(super) fn archive_contents(
        &self,
        progress: &mut Progress,
        goes_on: GoesOn<'_>,
    ) -> Result<(), Error> {
        for number in crate::archive::numbers(&self.archive)? {
            if number > progress.contents {
                for digest in self.contents_of(number)? {
                    if !goes_on() {
                        return Ok(());
                    }
                    self.pair(&digest, false)?;
                }
                progress.contents = number;
            }
        }
        Ok(())
    }

    /// Copies what the log names behind its archived segments; of what was there when this began
    /// both copies are compared.
    pub(super) fn archive_contents_at_rest(
        &self,
        progress: &mut Progress,
        rests: End,
        signals: &Signals,
    ) -> Result<(), Error> {
        let goes_on = || !signals.is_closing() && signals.rests_at() == Some(rests);
        let found = *progress.found.get_or_insert(rests);
        self.archive_contents_in_log(progress, (found, true), &goes_on)?;
        self.archive_contents_in_log(progress, (rests, false), &goes_on)
    }

    /// Copies what has no copy yet as the journal closes.
    pub(super) fn archive_last_contents(
        &self,
        progress: &mut Progress,
        rests: End,
    ) -> Result<(), Error> {
        let begun = Instant::now();
        let goes_on = || begun.elapsed() < Duration::from_millis(LAST_CONTENTS_MS);
        self.archive_contents(progress, &goes_on)?;
        self.archive_contents_in_log(progress, (rests, false), &goes_on)
    }

    /// Goes on through the log up to `end`, from its first segment that is not archived.
    fn archive_contents_in_log(
        &self,
        progress: &mut Progress,
        (end, compare): (End, bool),
        goes_on: GoesOn<'_>,
    ) -> Result<(), Error> {
        let archived = lock(&self.info).last_segment.unwrap_or(0);
        let numbers = segments::numbers(self.sources.log())?;
        let Some(&first) = numbers.iter().find(|number| **number > archived) else {
            return Ok(());
        };
        let place = &mut progress.contents_in_log;
        if place.segment < first {
            *place = Place::beginning_of(first);
        }
        self.sources.commits_from(place, end, &mut |commit| {
            for digest in blobs_named(commit) {
                if !goes_on() {
                    return Ok(ControlFlow::Break(()));
                }
                if !self.contents.has_copy(&digest) {
                    self.reach(first)?;
                }
                self.pair(&digest, compare)?;
            }
            Ok(if goes_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })
    }

    /// Has the archive there and taken, with everything before a segment.
    fn reach(&self, first: u64) -> Result<(), Error> {
        {
            let _removing = lock(&self.removing);
            self.previous(first)?;
        }
        files::make_directories(&self.archive)?;
        self.own()
    }

    /// Compares both copies of what segments name that are in the log and in the archive.
    pub(super) fn compare_contents(&self, signals: &Signals) -> Result<(), Error> {
        for number in segments::numbers(self.sources.log())? {
            for digest in self.contents_of(number)? {
                if signals.is_closing() {
                    return Ok(());
                }
                self.pair(&digest, true)?;
            }
        }
        Ok(())
    }

    /// What an archived segment names; nothing of one that cannot be read.
    fn contents_of(&self, number: u64) -> Result<Vec<Digest>, Error> {
        match self.sources.archived(number) {
            Ok(archived) => Ok(archived.map_or_else(Vec::new, |own| own.header().blobs.clone())),
            Err(Error::Damaged { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn pair(&self, digest: &Digest, compare: bool) -> Result<(), Error> {
        let paired = self.contents.pair(digest, compare)?;
        let mut info = lock(&self.info);
        info.contents_archived += u64::from(paired == Pair::Archived);
        info.contents_healed += u64::from(paired == Pair::Healed);
        Ok(())
    }
}
