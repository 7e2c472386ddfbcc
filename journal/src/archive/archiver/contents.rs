//! The contents that archived segments name: they have a copy in the archive, too.

use backstitch_core::ids::Digest;

use super::{Progress, Signals, Work};
use crate::blobs::Pair;
use crate::error::Error;
use crate::locks::lock;
use crate::log::wal::segments;

impl Work {
    /// Copies the contents that archived segments name, of those first that opening found.
    pub(super) fn archive_contents(
        &self,
        progress: &mut Progress,
        signals: &Signals,
    ) -> Result<(), Error> {
        for number in crate::archive::numbers(&self.archive)? {
            if number > progress.contents {
                for digest in self.contents_of(number)? {
                    if signals.is_closing() {
                        return Ok(());
                    }
                    self.pair(&digest, false)?;
                }
                progress.contents = number;
            }
        }
        Ok(())
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
