//! Where the chains end, and where they should.
//!
//! A chain that lost its end looks whole by itself. What else knows of later commits tells: a
//! backup's list, the marks of the store, the views and the checkpoints, and the archive, whose
//! segments have another one behind them.

use super::provable::promised_ends;
use super::{Gap, SalvageReport};
use crate::commit::Head;
use crate::error::Error;
use crate::reader::Reader;
use crate::witnesses::{furthest, missing_segment};

/// The ends of all chains.
pub(super) struct Ends {
    /// As far as commits were found.
    heads: Vec<Head>,
    /// The last commit of each that something knows of.
    known: Vec<u64>,
    /// The last commit of each that a proven store has applied.
    stored: Vec<u64>,
    missing_segment: Option<u64>,
    /// Neither a segment nor a base is there.
    is_empty: bool,
}

impl Ends {
    pub(super) fn known(reader: &Reader, heads: Vec<Head>) -> Result<Self, Error> {
        let witnesses = reader.witnesses()?;
        let furthest = furthest(&witnesses, heads.len());
        let mut known: Vec<u64> =
            furthest.iter().map(|own| own.map_or(0, |(sequence, _)| sequence)).collect();
        for (own, promised) in known.iter_mut().zip(promised_ends(reader)?) {
            *own = promised.sequence.max(*own);
        }
        let is_empty = reader.sources.numbers()?.is_empty() && reader.sources.base()?.is_none();
        let missing_segment = missing_segment(&reader.directory, &reader.sources)?;
        Ok(Self { stored: vec![0; heads.len()], heads, known, missing_segment, is_empty })
    }

    /// Adds a gap to each chain whose end is known to be missing. Of a whole segment nobody
    /// knows whose commits were in it.
    pub(super) fn mark_gaps(&self, gaps: &mut [Vec<Gap>]) {
        for (index, head) in self.heads.iter().enumerate() {
            if self.missing_segment.is_some() || head.sequence < self.known[index] {
                gaps[index].push(Gap { before: *head, next_position: None });
            }
        }
    }

    /// Takes how far a proven store has come.
    pub(super) fn take_stored(&mut self, applied: Vec<u64>) {
        self.stored = applied;
    }

    /// Whether there was nothing to find commits or histories in.
    pub(super) fn found_nothing(&self) -> bool {
        self.is_empty
    }

    /// Says what is missing for good.
    pub(super) fn tell(&self, report: &mut SalvageReport) {
        report.missing_segment = self.missing_segment;
        for (index, partition) in report.partitions.iter_mut().enumerate() {
            let had = self.heads[index].sequence.max(self.stored[index]);
            partition.commits_lost_at_end = self.known[index].saturating_sub(had);
        }
    }
}
