//! Cutting the chain of a directory whose server does not run: recorded by every partition
//! first, then carried out by the journal, as a server does it.

use backstitch_core::event::PartitionEvent;
use backstitch_core::ids::PartitionId;
use backstitch_journal::{CutPlan, CutPoint};

use super::Writing;
use crate::error::Error;

impl Writing {
    /// Says what a cut would do.
    pub(crate) fn plan_cut(&self, point: &CutPoint) -> Result<CutPlan, Error> {
        // What store and views have not taken yet would hold the cut back.
        self.journal.store_now()?;
        Ok(self.journal.plan_cut(point)?)
    }

    /// Cuts the chain; answers what was done. What was recorded and not done is done by the
    /// next cut, or when a server starts.
    pub(crate) fn cut(&mut self, point: &CutPoint, actor: &str) -> Result<CutPlan, Error> {
        let plan = self.plan_cut(point)?;
        for anchor in plan.anchor.iter().filter(|anchor| anchor.moves) {
            let partition = PartitionId(anchor.partition);
            let (sequence, hash, actor) = (anchor.sequence, anchor.hash, actor.to_owned());
            let event = PartitionEvent::LogCut { sequence, hash, actor };
            let at = self.moment(partition).stamp;
            let own = self.own_record(partition, event, at)?;
            self.append(partition, &[own], Vec::new(), Vec::new(), at)?;
        }
        let done = self.journal.cut(&plan)?;
        // Nothing before the anchor is ever replayed again.
        let gone: Vec<u64> = done.anchor.iter().map(|anchor| anchor.sequence).collect();
        if done.through_segment.is_some() {
            self.journal.forget_removed(&gone);
        }
        Ok(done)
    }
}
