//! Removing closed runs: decided here, where nothing can happen to a run in between.
//!
//! Whoever plans a removal has read and folded each run beside the partition, and names the
//! version it saw. A run that is not in memory and stands at that version is the one that was
//! seen; anything else is left out and reported.

use std::collections::BTreeSet;

use backstitch_core::event::PartitionEvent;
use backstitch_core::ids::ExecutionId;
use backstitch_core::partition::RUNS_PER_REMOVAL_MAX;
use backstitch_core::retention::{Candidate, Held};
use backstitch_core::time::Moment;

use super::cell::Cell;
use super::{Abandon, Answer, Partition};

/// A wish to remove runs.
#[derive(Debug, Clone)]
pub struct Removal {
    /// At most [`RUNS_PER_REMOVAL_MAX`]; what is beyond is left out.
    pub runs: Vec<Candidate>,
    /// The rule that says so, in words.
    pub rule: String,
    /// Who applies it.
    pub actor: String,
}

impl<T: Abandon> Partition<T> {
    /// Stages one `RunsRemoved` with the runs that may go.
    pub(super) fn remove(&mut self, removal: Removal, ticket: T, moment: Moment) {
        let (mut removed, mut held) = (BTreeSet::new(), Vec::new());
        for candidate in removal.runs {
            let run = candidate.execution;
            if removed.len() >= RUNS_PER_REMOVAL_MAX {
                held.push((run, Held::TooMany));
                continue;
            }
            match self.holds(candidate, moment) {
                _ if removed.contains(&run) => {}
                Ok(None) => {
                    removed.insert(run);
                }
                Ok(Some(why)) => held.push((run, why)),
                Err(_) => held.push((run, Held::SetAside)),
            }
        }
        let removed: Vec<ExecutionId> = removed.into_iter().collect();
        if !removed.is_empty() {
            self.leaving.extend(removed.iter().map(|run| (*run, self.next_stage)));
            let (runs, rule, actor) = (removed.clone(), removal.rule, removal.actor);
            self.stage_own(PartitionEvent::RunsRemoved { runs, rule, actor }, moment);
        }
        self.answer(ticket, Answer::Removed { removed, held });
    }

    /// Why a run must stay, if it must.
    fn holds(&mut self, candidate: Candidate, moment: Moment) -> Result<Option<Held>, String> {
        let Candidate { execution, version, not_before } = candidate;
        self.evict(execution);
        match self.runs.get(&execution) {
            Some(Cell::Run(run)) if run.state.is_closed() => return Ok(Some(Held::Changed)),
            Some(Cell::Run(_)) => return Ok(Some(Held::Live)),
            Some(Cell::Quarantined(_)) => return Ok(Some(Held::SetAside)),
            None if self.resting.contains(execution) => return Ok(Some(Held::Live)),
            None => {}
        }
        if execution.partition != self.id || self.leaving.contains_key(&execution) {
            return Ok(Some(Held::Missing));
        }
        Ok(match self.histories.version(execution)? {
            None => Some(Held::Missing),
            Some(known) if known != version => Some(Held::Changed),
            Some(_) if moment.now < not_before => Some(Held::Key(not_before)),
            Some(_) => None,
        })
    }
}
