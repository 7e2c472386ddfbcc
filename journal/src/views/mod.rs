//! Views: the rows of runs and dead letters, in the order lists show them.
//!
//! A view is a fold of the log that can be dropped and made again. Rows change in memory
//! with each commit and reach the tree at ticks. Knows how rows are listed and not how they
//! come about: they arrive with each commit.

mod removed;
mod row;
mod table;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_core::summary::{LetterStatus, LetterSummary, RunStatus, RunSummary, ViewChange};

pub use table::{Cursor, Page};

use crate::error::Error;
use crate::locks::lock;
use crate::sled::{FencedTree, Unit};
use crate::store::encode_applied;
use row::{Query, Row};
use table::Table;

use crate::removal::RemovedRun;

/// Which runs a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this tenant.
    pub namespace: String,
    /// With this status only.
    pub status: Option<RunStatus>,
    /// Of this workflow only.
    pub workflow: Option<String>,
}

/// Which dead letters a list shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterFilter {
    /// Of this tenant.
    pub namespace: String,
    /// With this status only.
    pub status: Option<LetterStatus>,
    /// Of this workflow only.
    pub workflow: Option<String>,
}

/// All views.
pub(crate) struct Views {
    tree: Option<FencedTree>,
    runs: Table<RunSummary>,
    letters: Table<LetterSummary>,
    progress: Mutex<Progress>,
}

/// How far the rows have come.
struct Progress {
    /// Last commit of each partition whose rows are here.
    sequences: Vec<u64>,
    /// What the tree has applied.
    applied: Vec<u64>,
    /// Runs that recovery handed out and whose rows are not here yet. Until then the tree's
    /// mark stays where it is, so that a crash hands them out again.
    awaited: HashSet<ExecutionId>,
}

impl Views {
    /// Views over a tree that has applied the log up to `applied`; without a tree every row
    /// stays in memory.
    pub(crate) fn new(tree: Option<FencedTree>, applied: &[u64]) -> Self {
        let progress = Progress {
            sequences: applied.to_vec(),
            applied: applied.to_vec(),
            awaited: HashSet::new(),
        };
        let (runs, letters) = (Table::default(), Table::default());
        Self { tree, runs, letters, progress: Mutex::new(progress) }
    }

    /// Gives the tree's files back; reading is refused from then on.
    pub(crate) fn close(&self) {
        self.tree.iter().for_each(FencedTree::close);
    }

    /// What recovery knows: the log's end, and the runs whose rows are due.
    pub(crate) fn await_rows(&self, sequences: &[u64], awaited: HashSet<ExecutionId>) {
        let mut progress = lock(&self.progress);
        progress.sequences = sequences.to_vec();
        progress.awaited = awaited;
    }

    /// No more rows are due, whether or not all have come.
    pub(crate) fn complete(&self) {
        lock(&self.progress).awaited.clear();
    }

    /// Takes the rows of a durable commit.
    pub(crate) fn apply(&self, partition: u16, sequence: u64, changes: Vec<ViewChange>) {
        let mut progress = lock(&self.progress);
        for change in changes {
            self.put(&mut progress, change);
        }
        if let Some(last) = progress.sequences.get_mut(usize::from(partition)) {
            *last = sequence;
        }
    }

    /// Forgets the rows of removed runs, and of their letters.
    pub(crate) fn remove(&self, removed: Vec<(StreamId, RemovedRun)>) {
        let mut progress = lock(&self.progress);
        for (stream, mark) in removed {
            let StreamId::Execution(run) = stream else { continue };
            progress.awaited.remove(&run);
            self.runs.remove(run, mark.position);
            self.letters.remove(run, mark.position);
        }
    }

    /// Takes rows that recovery folded, but for those older than what is known.
    pub(crate) fn supply(&self, changes: Vec<ViewChange>) {
        for change in changes {
            let known = match &change {
                ViewChange::Run(row) => self
                    .run(&row.execution)
                    .map(|known| known.is_some_and(|known| known.version > row.version)),
                ViewChange::Letter(row) => self
                    .letter(&row.letter)
                    .map(|known| known.is_some_and(|known| known.version > row.version)),
            };
            // A tree that cannot be read says so at the next tick; then the row is as good.
            if !known.unwrap_or(false) {
                self.put(&mut lock(&self.progress), change);
            }
        }
    }

    fn put(&self, progress: &mut Progress, change: ViewChange) {
        match change {
            ViewChange::Run(row) => {
                progress.awaited.remove(&row.execution);
                self.runs.put(row.clipped());
            }
            ViewChange::Letter(row) => self.letters.put(row.clipped()),
        }
    }

    pub(crate) fn run(&self, id: &ExecutionId) -> Result<Option<RunSummary>, Error> {
        self.runs.get(self.tree.as_ref(), id)
    }

    pub(crate) fn letter(
        &self,
        id: &backstitch_core::ids::LetterId,
    ) -> Result<Option<LetterSummary>, Error> {
        self.letters.get(self.tree.as_ref(), id)
    }

    pub(crate) fn runs(
        &self,
        filter: &RunFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<RunSummary>, Error> {
        let query = Query {
            namespace: &filter.namespace,
            status: filter.status.map(row::run_status),
            workflow: filter.workflow.as_deref(),
        };
        self.runs.list(self.tree.as_ref(), &query, after, limit)
    }

    pub(crate) fn letters(
        &self,
        filter: &LetterFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<LetterSummary>, Error> {
        let query = Query {
            namespace: &filter.namespace,
            status: filter.status.map(row::letter_status),
            workflow: filter.workflow.as_deref(),
        };
        self.letters.list(self.tree.as_ref(), &query, after, limit)
    }

    /// Writes the rows that changed into the tree, durably.
    pub(crate) fn tick(&self) -> Result<(), Error> {
        let Some(tree) = &self.tree else { return Ok(()) };
        let (applied, removed, runs, letters) = {
            let progress = lock(&self.progress);
            let behind = !progress.awaited.is_empty();
            let applied = if behind { &progress.applied } else { &progress.sequences };
            (applied.clone(), self.runs.removed(), self.runs.changed(), self.letters.changed())
        };
        let mut units = changes(tree, &runs, &removed)?;
        units.extend(changes(tree, &letters, &removed)?);
        tree.tick(units, &encode_applied(&applied))?;
        lock(&self.progress).applied = applied;
        self.runs.written(&runs, &removed);
        self.letters.written(&letters, &removed);
        Ok(())
    }

    /// Rows not yet in the tree.
    pub(crate) fn pending_rows(&self) -> usize {
        self.runs.changed_count() + self.letters.changed_count()
    }

    /// Runs among `streams`, as what recovery awaits rows of.
    pub(crate) fn executions<'a>(
        streams: impl Iterator<Item = &'a StreamId>,
    ) -> HashSet<ExecutionId> {
        streams
            .filter_map(|stream| match stream {
                StreamId::Execution(id) => Some(*id),
                _ => None,
            })
            .collect()
    }
}

/// What a tick changes of one kind of rows.
fn changes<R: Row>(
    tree: &FencedTree,
    rows: &[Arc<R>],
    removed: &HashMap<ExecutionId, u64>,
) -> Result<Vec<Unit>, Error> {
    let mut fresh: HashMap<ExecutionId, Vec<&R>> =
        removed.keys().map(|run| (*run, Vec::new())).collect();
    let mut units = Vec::new();
    for row in rows {
        match fresh.get_mut(&R::run_of(&row.id())) {
            Some(fresh) => fresh.push(row.as_ref()),
            None => units.extend(table::unit(tree, row.as_ref())?),
        }
    }
    for (run, fresh) in fresh {
        units.push(removed::unit(tree, run, &fresh)?);
    }
    Ok(units)
}
