//! Whether the archive's files hang together: each begins where the one before ends, and says so;
//! and whether they are of the log they stand beside.
//!
//! Reads headers only.

use crate::archive;
use crate::error::{Damage, Error};
use crate::log::wal::segments;
use crate::sources::{Sources, missing};

impl Sources {
    /// Refuses an archive that another life of this store has gone on with: the one it was
    /// restored from. To heal or cut by it would put that life in place of this one. What
    /// cannot be read is left to whoever reads it.
    ///
    /// # Errors
    /// [`Error::ForeignArchive`].
    pub(crate) fn check_archive_is_own(&self) -> Result<(), Error> {
        let numbers = segments::numbers(self.log())?;
        let (Some(archive), Some(&last)) = (self.archive(), numbers.last()) else {
            return Ok(());
        };
        let foreign =
            |detail: String| Err(Error::ForeignArchive { archive: archive.to_owned(), detail });
        let next = self.base().ok().flatten().map_or(0, |base| base.header().next_segment);
        if next > last {
            return foreign(format!(
                "it was cut up to segment {}, and the log ends with segment {last}",
                next - 1
            ));
        }
        for &number in &numbers {
            let (Ok(Some(archived)), Ok(Some(in_log))) =
                (self.archived(number), self.log_header(number))
            else {
                continue;
            };
            if archived.header().segment != in_log {
                return foreign(format!("its segment {number} is another one than the log's"));
            }
        }
        Ok(())
    }

    /// Follows the archive's headers from the chain's beginning.
    ///
    /// # Errors
    /// [`Error::Damaged`] at the first file that is missing or does not follow.
    pub(crate) fn check_links(&self) -> Result<(), Error> {
        let (beginning, base) = (self.beginning()?, self.base()?);
        let numbers = self.archive().map(archive::numbers).transpose()?.unwrap_or_default();
        let (Some(&first), Some(&last)) =
            (numbers.iter().find(|number| **number >= beginning.number), numbers.last())
        else {
            return Ok(());
        };
        let mut link = base.map(|base| base.header().last_archived).unwrap_or_default();
        let (mut next_group, mut heads) = (beginning.next_group, beginning.heads);
        if first != beginning.number {
            return Err(missing(beginning.number));
        }
        for number in first..=last {
            let archived = self.archived(number)?.ok_or_else(|| missing(number))?;
            let header = archived.header();
            let follows = header.previous == link
                && header.segment.first_group == next_group
                && header.segment.heads == heads;
            if !follows {
                let detail = "the archive file does not follow the one before it".to_owned();
                let (segment, offset) = (number, 0);
                let damage = Damage { segment, offset, partition: None, sequence: None, detail };
                return Err(damage.into());
            }
            link = header.link();
            (next_group, heads) = (header.groups_end, header.heads_after.clone());
        }
        Ok(())
    }
}
