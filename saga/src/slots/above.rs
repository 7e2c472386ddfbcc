//! Runs below others of their own workflow: they take no slot, whatever order runs say in what
//! they hold.

use backstitch_core::ids::ExecutionId;
use backstitch_core::links::DEPTH_MAX;

use super::{Claim, Inner};

impl Inner {
    /// The runs above one, the nearest first.
    fn all_above(&self, parent: Option<ExecutionId>) -> impl Iterator<Item = ExecutionId> + '_ {
        let next = |run: &ExecutionId| self.above.get(run).map(|(_, parent)| *parent);
        std::iter::successors(parent, next).take(usize::from(DEPTH_MAX) + 1)
    }

    /// Whether a run of its own workflow is above it and holds a slot.
    pub(super) fn is_within(&self, claim: &Claim) -> bool {
        let line = self.lines.get(&claim.workflow);
        line.is_some_and(|line| self.all_above(claim.parent).any(|run| line.is_held_by(run)))
    }

    /// Runs may have said what they hold before the runs above them did.
    pub(super) fn release_within(&mut self) {
        let mut within = Vec::new();
        for (name, line) in &self.lines {
            let own = line.holders().filter(|run| {
                let parent = self.above.get(run).map(|(_, parent)| *parent);
                self.all_above(parent).any(|above| line.is_held_by(above))
            });
            within.extend(own.map(|run| (name.clone(), run)));
        }
        for (name, run) in within {
            self.lines.get_mut(&name).into_iter().for_each(|line| line.release(run));
        }
    }
}
