//! Whom runs belong to and which plan they follow, looked up in the lists and remembered for
//! as long as a page is read.

use std::collections::HashMap;
use std::sync::Arc;

use backstitch_core::event::{Event, RunEvent};
use backstitch_core::history::Owner;
use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_core::lineage::{Plans as _, lineage_of};
use backstitch_core::plan::Plan;
use backstitch_journal::{Journal, Record};

use crate::catalog::Catalog;

/// Runs remembered before all are forgotten again.
const REMEMBERED_MAX: usize = 10_000;

/// What is known of some runs.
pub(crate) struct Owners<'a> {
    journal: &'a Journal,
    catalog: &'a Catalog,
    known: HashMap<ExecutionId, Known>,
}

#[derive(Clone, Default)]
struct Known {
    owner: Option<Owner>,
    plan: Option<Arc<Plan>>,
}

impl<'a> Owners<'a> {
    pub(crate) fn new(journal: &'a Journal, catalog: &'a Catalog) -> Self {
        Self { journal, catalog, known: HashMap::new() }
    }

    /// Namespace and workflow of a run; nothing if no list has it any more.
    pub(crate) fn owner(&mut self, run: &ExecutionId) -> Option<Owner> {
        self.known(run).owner
    }

    /// The plan to read a record by.
    pub(crate) fn plan(&mut self, record: &Record) -> Option<Arc<Plan>> {
        match (&record.stream, &record.event) {
            (_, Event::Run(RunEvent::Submitted(own))) => self.catalog.plan(&own.digest),
            (StreamId::Execution(run), _) => self.known(run).plan,
            _ => None,
        }
    }

    fn known(&mut self, run: &ExecutionId) -> Known {
        if self.known.len() >= REMEMBERED_MAX {
            self.known.clear();
        }
        let (journal, catalog) = (self.journal, self.catalog);
        let known = self.known.entry(*run).or_insert_with(|| {
            // A list that can't be read knows nothing; whoever needs more reads the history.
            let Ok(Some(row)) = journal.run(run) else { return Known::default() };
            let revisions = catalog.revisions(&row.namespace, &row.workflow);
            let loops = |plan: &Arc<Plan>| plan.steps.iter().any(|own| own.each.is_some());
            let plan = match revisions.as_slice() {
                [only]
                    if only.number == row.revision
                        && (row.parent.is_none() || !loops(&only.plan)) =>
                {
                    Some(only.plan.clone())
                }
                // It may have been migrated, or be a chunk of a loop: only its history says
                // which places its steps have.
                _ => {
                    let records = journal.history(&StreamId::Execution(*run)).ok().flatten();
                    let records = records.unwrap_or_default();
                    let events = || records.iter().map(|own| &own.event);
                    let plan = catalog.plan_of(&lineage_of(events()));
                    plan.map(|plan| plan.of_run(events()))
                }
            };
            Known { owner: Some((row.namespace, row.workflow)), plan }
        });
        known.clone()
    }
}
