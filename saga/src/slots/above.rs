//! Runs below others that hold the same limit: they take no slot of it, whatever order runs say
//! in what they hold. What is above them can't end before them.

use std::borrow::Cow;
use std::sync::Arc;

use backstitch_core::ids::ExecutionId;
use backstitch_core::links::DEPTH_MAX;

use super::{Claim, Inner};

impl Inner {
    /// The runs above one, the nearest first.
    pub(super) fn all_above(
        &self,
        parent: Option<ExecutionId>,
    ) -> impl Iterator<Item = ExecutionId> + '_ {
        let next = |run: &ExecutionId| self.above.get(run).map(|(_, parent)| *parent);
        std::iter::successors(parent, next).take(usize::from(DEPTH_MAX) + 1)
    }

    /// Those of them that have not ended.
    fn lasting_above(&self, parent: Option<ExecutionId>) -> impl Iterator<Item = ExecutionId> + '_ {
        self.all_above(parent).filter(move |run| !self.ending.contains_key(run))
    }

    /// What a run wants that no run above it holds for it.
    pub(super) fn wanted<'a>(&self, claim: &'a Claim) -> Cow<'a, Claim> {
        let Some(line) = self.lines.get(&claim.workflow).filter(|_| claim.is_child()) else {
            return Cow::Borrowed(claim);
        };
        let above = || self.lasting_above(claim.parent);
        let within = above().any(|run| line.is_held_by(run));
        let of_key = |key: &str| above().any(|run| line.is_key_held_by(key, run));
        if !within && !claim.keys.iter().any(|own| of_key(&own.key)) {
            return Cow::Borrowed(claim);
        }
        let mut wanted = claim.clone();
        wanted.whole = !within;
        wanted.keys.retain(|own| !of_key(&own.key));
        Cow::Owned(wanted)
    }

    /// Runs may have said what they hold before the runs above them did.
    pub(super) fn release_within(&mut self) {
        let (mut whole, mut keyed) = (Vec::new(), Vec::new());
        for (name, line) in &self.lines {
            let parent = |run: ExecutionId| self.above.get(&run).map(|own| own.1);
            let above = |run: ExecutionId| self.lasting_above(parent(run));
            let own = line.holders().map(|(run, _)| run);
            let own = own.filter(|run| above(*run).any(|above| line.is_held_by(above)));
            whole.extend(own.map(|run| (name.clone(), run)));
            for (key, own) in line.keys() {
                let own = own.holders.keys();
                let own = own.filter(|run| above(**run).any(|up| line.is_key_held_by(key, up)));
                keyed.extend(own.map(|run| (name.clone(), Arc::clone(key), *run)));
            }
        }
        for (name, run) in whole {
            self.lines.get_mut(&name).into_iter().for_each(|line| line.release_whole(run));
        }
        for (name, key, run) in keyed {
            self.lines.get_mut(&name).into_iter().for_each(|line| line.release_key(&key, run));
        }
    }
}
