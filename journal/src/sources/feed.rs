//! Handing on everything of the chain that the log does not hold any more.
//!
//! What a store is made anew from, before recovery goes on with the log. Checks every chain.

use crate::commit::Commit;
use crate::error::{Damage, Error};
use crate::log::wal::scan::Chains;
use crate::log::wal::segments;
use crate::sources::{Sources, missing};

/// Receives each commit in order of writing.
pub(crate) type Take<'a> = &'a mut dyn FnMut(&Commit) -> Result<(), Error>;

impl Sources {
    /// Hands on the commits beyond `applied` (one sequence per partition) that come before the
    /// log's first segment. Answers how many segments it read.
    pub(crate) fn feed_before_log(&self, applied: &[u64], take: Take<'_>) -> Result<u64, Error> {
        let Some(&first) = segments::numbers(self.log())?.first() else { return Ok(0) };
        let beginning = self.beginning()?;
        let Some(from) = self.first_needed(beginning.number, first, applied)? else {
            return Ok(0);
        };
        let mut chains: Option<Chains> = None;
        for number in from..first {
            let mut reading = match chains.take() {
                Some(chains) => chains,
                None => Chains::at(self.header(number)?.heads),
            };
            self.read_segment(number, &mut reading, &mut |commit| {
                let seen = applied.get(usize::from(commit.partition().0)).copied();
                if commit.sequence() > seen.unwrap_or(0) { take(commit) } else { Ok(()) }
            })?;
            chains = Some(reading);
        }
        Ok(first - from)
    }

    /// Hands on the commits of a sealed segment, which must follow `chains`.
    pub(crate) fn read_segment(
        &self,
        number: u64,
        chains: &mut Chains,
        take: Take<'_>,
    ) -> Result<(), Error> {
        let header = self.header(number)?;
        if header.heads != chains.heads {
            let detail = "the segment before it ends elsewhere than this one begins";
            return Err(broken(number, 0, detail));
        }
        let next = self.begun_header(number + 1)?;
        let mut piece = self.piece(number, &header, next.as_ref(), None)?;
        while let Some((offset, group)) = piece.next_group()? {
            let commits = group.commit_bytes(0).map_err(|e| broken(number, offset, &e.0))?;
            for (within, bytes) in commits {
                let at = offset + within as u64;
                let commit =
                    Commit::decode(bytes.to_vec()).map_err(|e| broken(number, at, &e.0))?;
                chains
                    .accept(&header.origin, &commit)
                    .map_err(|detail| commit.damage(number, at, detail))?;
                take(&commit)?;
            }
        }
        Ok(())
    }

    /// The last archived segment that begins at or before `applied`; `None` if the log itself
    /// does.
    fn first_needed(
        &self,
        beginning: u64,
        first_in_log: u64,
        applied: &[u64],
    ) -> Result<Option<u64>, Error> {
        for number in (beginning..=first_in_log).rev() {
            let header = match self.begun_header(number) {
                Ok(Some(header)) => header,
                // The log's own beginning is recovery's business.
                _ if number == first_in_log => continue,
                Ok(None) => return Err(missing(number)),
                Err(error) => return Err(error),
            };
            if header.heads.iter().zip(applied).all(|(head, &at)| head.sequence <= at) {
                return Ok(Some(number).filter(|number| *number < first_in_log));
            }
        }
        Ok(Some(beginning).filter(|number| *number < first_in_log))
    }
}

fn broken(segment: u64, offset: u64, detail: &str) -> Error {
    let detail = detail.to_owned();
    Damage { segment, offset, partition: None, sequence: None, detail }.into()
}
