//! Limits whose newest runs have the oldest make room: who is asked to go.

use std::sync::Arc;

use backstitch_core::event::OnLimit;
use backstitch_core::ids::ExecutionId;

use super::claim::most;
use super::line::Line;
use super::{Claim, Inner};
use crate::catalog::Name;
use crate::turns::Wake;

/// A run that is to make room for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Displaced {
    /// The run that is to be cancelled.
    pub run: ExecutionId,
    /// The newer one.
    pub by: ExecutionId,
    /// Which limit it is about, in words.
    pub reason: String,
}

impl Line {
    /// Who makes room for a run that waits, with their seats: of all that are older only as many
    /// stay as the limit has room for beside the newer ones.
    fn displaced(&self, claim: &Claim) -> Vec<(u64, Displaced)> {
        let mut found = Vec::new();
        let cancels = |on_limit| on_limit == OnLimit::CancelRunning;
        if let Some(max) = claim.max_runs.filter(|_| claim.whole && cancels(claim.on_limit)) {
            found.extend(self.older(claim, None, max));
        }
        for own in claim.keys.iter().filter(|own| cancels(own.on_limit)) {
            found.extend(self.older(claim, Some(&own.key), most(own.max_runs)));
        }
        found
    }

    fn older(&self, claim: &Claim, key: Option<&Arc<str>>, max: usize) -> Vec<(u64, Displaced)> {
        let holders: Vec<_> = match key {
            None => self.holders().collect(),
            Some(key) => {
                let own = self.keys().filter(|(name, _)| *name == key);
                own.flat_map(|(_, own)| own.holders.iter().map(|(run, held)| (*run, held.clone())))
                    .collect()
            }
        };
        let holders = holders.iter().map(|(run, held)| ((held.submitted_at, *run), held.seat));
        let waiting = self.waiting(key.map(|key| &**key));
        let waiting = waiting.map(|(seat, own)| (own.since(), *seat));
        let mut all: Vec<_> = holders.chain(waiting).filter(|own| own.0.1 != claim.run).collect();
        all.sort_unstable();
        let newer = all.iter().filter(|(since, _)| *since > claim.since()).count();
        let kept = max.saturating_sub(1 + newer);
        let older = all.len() - newer;
        let of_key = key.map(|key| format!(" with key `{key}`")).unwrap_or_default();
        let workflow = &claim.workflow.1;
        let reason =
            format!("{} is newer, and `{workflow}` has {max} run(s){of_key} at a time", claim.run);
        let (by, gone) = (claim.run, all.into_iter().take(older.saturating_sub(kept)));
        gone.map(|((_, run), seat)| (seat, Displaced { run, by, reason: reason.clone() })).collect()
    }
}

impl Inner {
    /// Has the older ones make room for a run whose waiting is durable; answers whom to wake.
    pub(super) fn displace(&mut self, name: &Name, run: ExecutionId) -> Vec<Wake> {
        let Some(line) = self.lines.get_mut(name) else { return Vec::new() };
        let Some((_, claim)) = line.waiting_claim(run).cloned() else { return Vec::new() };
        line.displacing.insert(run);
        let displaced = line.displaced(&claim).into_iter();
        displaced.filter_map(|(seat, own)| self.tell(seat, own)).collect()
    }

    /// The same for every run that was found waiting at a start.
    pub(super) fn displace_all(&mut self) -> Vec<Wake> {
        let lines = self.lines.iter();
        let all =
            lines.flat_map(|(name, line)| line.displacing.iter().map(|run| (name.clone(), *run)));
        let all: Vec<_> = all.collect();
        all.iter().flat_map(|(name, run)| self.displace(name, *run)).collect()
    }
}
