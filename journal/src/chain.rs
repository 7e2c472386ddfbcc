//! The chain as the engine sees it: read it from any position, cut it.
//!
//! Thin: reading is the log's and `sources`', cutting is the archive's.

use std::ops::ControlFlow;

use backstitch_core::ids::PartitionId;

use crate::archive::archiver::{ArchiveInfo, Archiver};
use crate::archive::cut::{CutPlan, CutPoint};
use crate::commit::{Commit, Head};
use crate::error::Error;
use crate::journal::Journal;

impl Journal {
    /// Visits the durable commits of a partition that hold records behind a position, in
    /// order, until `visit` breaks off. Goes through the files while the log is being written;
    /// commits acknowledged meanwhile may be left out.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the chain is not whole; what was visited before is right.
    pub fn commits_after(
        &self,
        partition: PartitionId,
        after_position: u64,
        visit: &mut dyn FnMut(&Commit) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.parts().log.commits_after(partition, after_position, visit)
    }

    /// Visits the durable commits of all partitions that hold records behind these positions, in
    /// the order of writing, until `visit` breaks off; what is missing in `positions` counts as 0.
    ///
    /// # Errors
    /// [`Error::Cut`] if some of that was cut; otherwise as [`Journal::commits_after`].
    pub fn commits_behind(
        &self,
        positions: &[u64],
        visit: &mut dyn FnMut(&Commit) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.parts().log.commits_behind(positions, visit)
    }

    /// How archiving stands, but for the bytes of its files, which [`Journal::info`] adds up;
    /// `None` if nothing is archived.
    #[must_use]
    pub fn archive(&self) -> Option<ArchiveInfo> {
        self.parts().archiver.as_ref().map(Archiver::info)
    }

    /// Says exactly what cutting the chain would do, and changes nothing. Counting what is kept
    /// takes as long as the cut itself.
    ///
    /// # Errors
    /// [`Error::CutRefused`] without an archive; others if the chain cannot be read.
    pub fn plan_cut(&self, point: &CutPoint) -> Result<CutPlan, Error> {
        self.archiver()?.plan_cut(point)
    }

    /// Cuts the chain as planned: its first segments go, what is kept of them goes into the
    /// base. Every partition of the anchor that moves must have recorded
    /// [`LogCut`](backstitch_core::event::PartitionEvent::LogCut) with it, as its last one. After
    /// a crash the cut is done or undone as a whole; plan it again with
    /// [`CutPoint::Sequences`] of the anchor recorded to finish it.
    ///
    /// # Errors
    /// [`Error::CutRefused`] if the plan is none any more or is not recorded; others if files
    /// cannot be read or written. Nothing is lost then.
    pub fn cut(&self, plan: &CutPlan) -> Result<CutPlan, Error> {
        self.archiver()?.cut(plan, &|stream| self.history(stream))
    }

    /// Where the chain begins: each partition's last commit that was cut; all zeros if none was.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub fn beginning(&self) -> Result<Vec<Head>, Error> {
        self.parts().log.beginning()
    }

    fn archiver(&self) -> Result<&Archiver, Error> {
        let detail = "nothing is archived (`archive` is off)".to_owned();
        self.parts().archiver.as_ref().ok_or(Error::CutRefused { detail })
    }
}
