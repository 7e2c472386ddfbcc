//! Taking closed runs in from elsewhere, with their whole histories.
//!
//! A history may be larger than a commit, and a crash may come between two. So the fact that
//! the run is imported comes first: a run named there that is not closed is the part that a
//! crash left. It is removed at the next start, before anything of it could go on, and can be
//! imported again. Until all of it is durable nobody is shown any of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstitch_core::audit::Mark;
use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::{Digest, ExecutionId, StreamId};
use backstitch_core::partition::RUNS_PER_REMOVAL_MAX;
use backstitch_core::summary::ViewChange;
use backstitch_core::time::{Moment, Timestamp};
use backstitch_core::workflow::Source;

use super::stage::StagedRecord;
use super::{Abandon, Answer, Kept, Partition};
use crate::catalog::Name;

/// Who removes what a crash left of an import, and why.
const ACTOR: &str = "backstitch";
const CUT_SHORT: &str = "its import or fork was cut short; ask for it again";

/// A closed run to take in.
#[derive(Debug)]
pub struct Import {
    /// The run.
    pub execution: ExecutionId,
    /// All of its events, oldest first; their fold is closed.
    pub events: Vec<(Event, Timestamp)>,
    /// The requests that some of them came of, by version.
    pub marks: BTreeMap<u64, Arc<Mark>>,
    /// Its rows in the lists.
    pub rows: Vec<ViewChange>,
    /// The store it comes from.
    pub source: String,
    /// Who imports it.
    pub actor: String,
}

impl<T: Abandon> Partition<T> {
    /// The contents kept for imported runs that were taken in at the start.
    ///
    /// # Errors
    /// A sentence, when a recorded definition can't be compiled.
    pub fn kept(&self) -> Result<Vec<Kept>, String> {
        self.workflows.kept()
    }

    /// The texts that contents of workflows were submitted as.
    #[must_use]
    pub fn sources(&self) -> Vec<(Name, Digest, Source)> {
        self.workflows.sources()
    }

    pub(super) fn import(&mut self, import: Import, ticket: T, moment: Moment) {
        let id = import.execution;
        let known = self.is_here(id) || self.arriving.contains_key(&id);
        let known = match self.histories.version(id) {
            Ok(version) => known || (version.is_some() && !self.leaving.contains_key(&id)),
            Err(why) => return self.answer(ticket, Answer::Quarantined(why)),
        };
        if known {
            return self.answer(ticket, Answer::Exists);
        }
        let Import { events, mut marks, rows, source, actor, .. } = import;
        let imported = PartitionEvent::RunsImported { runs: vec![id], source, actor };
        if !self.fits_own(&imported) {
            return self.answer(ticket, Answer::TooLarge);
        }
        self.stage_own(imported, moment);
        let stream = StreamId::Execution(id);
        let records = (1..).zip(events).map(|(version, (event, at))| {
            let stream = stream.clone();
            let mark = marks.remove(&version);
            StagedRecord { mark, ..StagedRecord::new(stream, version, at, event) }
        });
        self.open.records.extend(records);
        self.open.changes.extend(rows);
        self.open.quiescent.push(stream);
        self.arriving.insert(id, self.next_stage);
        self.answer(ticket, Answer::Imported);
    }

    /// Takes in the part of a run that a crash left of its import or fork.
    pub fn adopt_cut_short(&mut self, run: ExecutionId) {
        self.cut_short.push(run);
        self.arriving.insert(run, u64::MAX);
    }

    /// Removes what crashes left of imports and forks.
    pub(super) fn remove_cut_short(&mut self, moment: Moment) {
        let mut runs = std::mem::take(&mut self.cut_short);
        runs.sort_unstable();
        for runs in runs.chunks(RUNS_PER_REMOVAL_MAX) {
            for run in runs {
                self.leaving.insert(*run, self.next_stage);
                self.arriving.insert(*run, self.next_stage);
            }
            let (runs, rule, actor) = (runs.to_vec(), CUT_SHORT.to_owned(), ACTOR.to_owned());
            self.stage_own(PartitionEvent::RunsRemoved { runs, rule, actor }, moment);
        }
    }
}
