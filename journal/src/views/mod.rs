//! Views: the rows of runs, dead letters and the audit, in the order lists show them.
//!
//! A view is a fold of the log that can be dropped and made again, while it serves. Rows
//! change in memory with each commit and reach the view's tree at ticks. Knows how rows are
//! listed and not how those of runs and letters come about: they arrive with each commit.
//! The audit's are read off the commits themselves.

mod audit;
mod filter;
mod groups;
mod home;
mod info;
mod letter;
mod page;
mod rebuild;
mod row;
mod run;
mod share;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod view;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use backstitch_core::audit::AuditRow;
use backstitch_core::ids::{ExecutionId, LetterId, PartitionId, StreamId};
use backstitch_core::statistics::RunStatistics;
use backstitch_core::summary::{LetterSummary, RunSummary, ViewChange};

pub use filter::{AuditFilter, LetterFilter, Order, Range, RunFilter};
pub use groups::LetterGroups;
pub use info::{RebuildInfo, ViewInfo, ViewName};
pub use page::{Cursor, Page};
pub use table::ROWS_READ_PER_PAGE_MAX;

use crate::commit::Commit;
use crate::directory::Directory;
use crate::error::Error;
use crate::fence::{FencedTree, TreeOptions};
use crate::locks::lock;
use crate::options::Options;
use crate::record::Record;
use home::Home;
pub(crate) use home::trees_in_force;
use tally::Tallies;
use view::View;

/// All views.
pub(crate) struct Views {
    runs: View<RunSummary>,
    letters: View<LetterSummary>,
    audit: View<AuditRow>,
    progress: Mutex<Progress>,
}

/// How far the rows have come.
struct Progress {
    /// Last commit of each partition whose rows are here.
    sequences: Vec<u64>,
    /// Runs that recovery handed out and whose rows are not here yet. Until then the marks
    /// of runs and letters stay where they are, so that a crash hands them out again.
    awaited: HashSet<ExecutionId>,
    /// Since when each view's tree is behind, in the order of [`ViewName::ALL`].
    behind: [Option<Instant>; 3],
}

impl Progress {
    fn new(partitions: usize) -> Mutex<Self> {
        let (sequences, awaited) = (vec![0; partitions], HashSet::new());
        Mutex::new(Self { sequences, awaited, behind: [None; 3] })
    }
}

impl Views {
    /// Views in memory.
    pub(crate) fn memory(partitions: usize) -> Self {
        Self {
            runs: View::memory(partitions),
            letters: View::memory(partitions),
            audit: View::memory(partitions),
            progress: Progress::new(partitions),
        }
    }

    /// Opens the views of a directory. Answers why some were emptied, too.
    ///
    /// # Errors
    /// If the file system refuses.
    pub(crate) fn open(
        directory: &Directory,
        partitions: usize,
        options: &Options,
    ) -> Result<(Self, Option<String>), Error> {
        let single = home::remove_single_tree(&directory.views(), &directory.views_marks())?;
        let home = |name: ViewName, share: u64| {
            let path = directory.views().join(name.word());
            let tree = options.tree();
            let tree = TreeOptions { cache_bytes: tree.cache_bytes / share, ..tree };
            Home::new(path, partitions, tree)
        };
        let (runs, runs_why) = View::open(home(ViewName::Runs, 2))?;
        let (letters, letters_why) = View::open(home(ViewName::Letters, 4))?;
        let (audit, audit_why) = View::open(home(ViewName::Audit, 4))?;
        let why = ViewName::ALL.into_iter().zip([runs_why, letters_why, audit_why]);
        let why: Vec<String> =
            why.filter_map(|(name, why)| Some(format!("{}: {}", name.word(), why?))).collect();
        let emptied = match (single, why.is_empty()) {
            (true, _) => Some("they were of the layout that had them in one tree".to_owned()),
            (false, false) => Some(why.join("; ")),
            (false, true) => None,
        };
        Ok((Self { runs, letters, audit, progress: Progress::new(partitions) }, emptied))
    }

    /// Gives the trees' files back; reading is refused from then on.
    pub(crate) fn close(&self) {
        self.runs.close();
        self.letters.close();
        self.audit.close();
    }

    /// The trees in force, with the names of their views.
    pub(crate) fn trees(&self) -> Vec<(ViewName, Arc<FencedTree>)> {
        let [runs, letters, audit] = ViewName::ALL;
        let found = [
            (runs, self.runs.table().tree.clone()),
            (letters, self.letters.table().tree.clone()),
            (audit, self.audit.table().tree.clone()),
        ];
        found.into_iter().filter_map(|(name, tree)| Some((name, tree?))).collect()
    }

    /// How far each view's tree has applied the log, in the order of [`ViewName::ALL`].
    pub(crate) fn applied(&self) -> [Vec<u64>; 3] {
        [self.runs.applied(), self.letters.applied(), self.audit.applied()]
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

    /// Takes the rows of a durable commit. `history` reads a run that has no row yet.
    pub(crate) fn apply(
        &self,
        commit: &Commit,
        changes: Vec<ViewChange>,
        history: impl Fn(&StreamId) -> Option<Vec<Record>>,
    ) {
        let deeds = self.deeds(commit, &changes, history);
        let mut progress = lock(&self.progress);
        for change in changes {
            self.put(&mut progress, change);
        }
        deeds.into_iter().for_each(|row| self.audit.put(row));
        if let Some(last) = progress.sequences.get_mut(usize::from(commit.partition().0)) {
            *last = commit.sequence();
        }
        let now = Instant::now();
        for since in &mut progress.behind {
            since.get_or_insert(now);
        }
    }

    fn deeds(
        &self,
        commit: &Commit,
        changes: &[ViewChange],
        history: impl Fn(&StreamId) -> Option<Vec<Record>>,
    ) -> Vec<AuditRow> {
        let of_run = |run: &ExecutionId| {
            let fresh = changes.iter().find_map(|change| match change {
                ViewChange::Run(row) if row.execution == *run => Some(row.namespace.clone()),
                _ => None,
            });
            // A view that cannot be read says so at the next tick.
            let known = || self.run(run).ok().flatten().map(|row| row.namespace);
            fresh.or_else(known)
        };
        let namespace_of = |stream: &StreamId| {
            let known = match stream {
                StreamId::Execution(run) => of_run(run),
                StreamId::Replay(_) | StreamId::Redrive(_) => None,
                StreamId::Workflow { .. } | StreamId::Partition(_) => return None,
            };
            known.or_else(|| audit::namespace_in(&history(stream)?))
        };
        audit::rows_of_commit(commit, &namespace_of)
    }

    /// Takes the audit's rows of a commit that was read again at open.
    pub(crate) fn replay(
        &self,
        commit: &Commit,
        history: impl Fn(&StreamId) -> Option<Vec<Record>>,
    ) {
        for row in self.deeds(commit, &[], history) {
            self.audit.put(row);
        }
    }

    /// Takes rows that recovery folded, but for those older than what is known.
    pub(crate) fn supply(&self, changes: Vec<ViewChange>) {
        let mut progress = lock(&self.progress);
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
            match (known.unwrap_or(false), change) {
                (false, change) => self.put(&mut progress, change),
                (true, ViewChange::Run(row)) => drop(progress.awaited.remove(&row.execution)),
                (true, ViewChange::Letter(_)) => {}
            }
        }
    }

    fn put(&self, progress: &mut Progress, change: ViewChange) {
        match change {
            ViewChange::Run(row) => {
                progress.awaited.remove(&row.execution);
                self.runs.put(row);
            }
            ViewChange::Letter(row) => self.letters.put(row),
        }
    }

    /// Drops a run's row and those of its letters, with their index entries and their share
    /// of the statistics. What the audit says of it stays.
    ///
    /// # Errors
    /// If the letters cannot be read.
    pub(crate) fn remove(&self, run: &ExecutionId) -> Result<(), Error> {
        let mut progress = lock(&self.progress);
        progress.awaited.remove(run);
        for letter in
            self.letters.ids_in(&letter::by_execution(run), |id: &LetterId| id.execution == *run)?
        {
            self.letters.remove(&letter);
        }
        self.runs.remove(run);
        Ok(())
    }

    /// The same for each run of some streams.
    ///
    /// # Errors
    /// If the letters cannot be read.
    pub(crate) fn remove_all<'a>(
        &self,
        streams: impl Iterator<Item = &'a StreamId>,
    ) -> Result<(), Error> {
        for stream in streams {
            if let StreamId::Execution(run) = stream {
                self.remove(run)?;
            }
        }
        Ok(())
    }

    pub(crate) fn run(&self, id: &ExecutionId) -> Result<Option<RunSummary>, Error> {
        self.runs.table().get(id)
    }

    pub(crate) fn letter(&self, id: &LetterId) -> Result<Option<LetterSummary>, Error> {
        self.letters.table().get(id)
    }

    pub(crate) fn runs(
        &self,
        filter: &RunFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<RunSummary>, Error> {
        let table = self.runs.table();
        let is_few = |filter: &RunFilter| {
            let Some(workflow) = &filter.workflow else { return false };
            let own = table.statistics_of(&filter.namespace, workflow);
            let count = filter.status.map_or_else(|| own.total(), |status| own.of_status(status));
            count <= ROWS_READ_PER_PAGE_MAX as u64
        };
        table.list(filter, &is_few, after, limit)
    }

    pub(crate) fn letters(
        &self,
        filter: &LetterFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<LetterSummary>, Error> {
        self.letters.table().list(filter, &|_| false, after, limit)
    }

    /// What was done by somebody in the record at a place.
    pub(crate) fn audit_row(
        &self,
        partition: PartitionId,
        position: u64,
    ) -> Result<Option<AuditRow>, Error> {
        self.audit.table().get(&(partition.0, position))
    }

    pub(crate) fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<AuditRow>, Error> {
        self.audit.table().list(filter, &|_| false, after, limit)
    }

    /// Statistics of a namespace's runs by workflow.
    pub(crate) fn statistics(&self, namespace: &str) -> BTreeMap<String, RunStatistics> {
        let all = self.runs.table().statistics(Tallies::by_workflow).into_iter();
        let own = all.filter(|((space, _), _)| space == namespace);
        own.map(|((_, workflow), statistics)| (workflow, statistics)).collect()
    }

    /// Statistics of a workflow's runs.
    pub(crate) fn statistics_of(&self, namespace: &str, workflow: &str) -> RunStatistics {
        self.runs.table().statistics_of(namespace, workflow)
    }

    /// Statistics of a workflow's runs by the arm of a roll-out and its revision.
    pub(crate) fn arm_statistics(
        &self,
        namespace: &str,
        workflow: &str,
    ) -> BTreeMap<(String, u32), RunStatistics> {
        self.runs.table().statistics(|all| {
            let arms = all.of_arms(namespace, workflow);
            arms.filter_map(|(arm, own)| Some((arm.clone()?, own.clone()))).collect()
        })
    }

    /// Namespaces that have runs.
    pub(crate) fn namespaces(&self) -> BTreeSet<String> {
        let all = self.runs.table().statistics(Tallies::by_workflow);
        all.into_keys().map(|(namespace, _)| namespace).collect()
    }

    /// Writes the rows that changed into the trees, durably.
    pub(crate) fn tick(&self) -> Result<(), Error> {
        let since = Instant::now();
        self.runs.tick(|before| self.reached(before))?;
        self.letters.tick(|before| self.reached(before))?;
        self.audit.tick(|_| lock(&self.progress).sequences.clone())?;
        self.caught_up(since);
        Ok(())
    }

    /// How far the rows of runs and letters have come, if the tree has come to `before`.
    fn reached(&self, before: &[u64]) -> Vec<u64> {
        let progress = lock(&self.progress);
        if progress.awaited.is_empty() { progress.sequences.clone() } else { before.to_vec() }
    }

    /// Rows not yet in the trees.
    pub(crate) fn pending_rows(&self) -> usize {
        self.runs.table().changed_count()
            + self.letters.table().changed_count()
            + self.audit.table().changed_count()
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
