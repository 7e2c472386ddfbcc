//! Whether the archive's files hang together: each begins where the one before ends, and says so.
//!
//! Reads headers only.

use crate::archive;
use crate::error::{Damage, Error};
use crate::sources::{Sources, missing};

impl Sources {
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
