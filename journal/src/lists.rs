//! The journal's lists: rows of runs, dead letters and the audit, and their views.

use std::collections::{BTreeMap, BTreeSet};

use backstitch_core::audit::AuditRow;
use backstitch_core::ids::{ExecutionId, LetterId, PartitionId, StreamId};
use backstitch_core::letters::{LetterCause, LetterCounts};
use backstitch_core::statistics::RunStatistics;
use backstitch_core::summary::{LetterSummary, RunSummary, ViewChange};
use backstitch_core::time::Timestamp;

use crate::error::Error;
use crate::journal::Journal;
use crate::record::Record;
use crate::views::{
    AuditFilter, Cursor, LetterFilter, LetterGroups, Page, RunFilter, ViewInfo, ViewName,
};

impl Journal {
    /// A run's row.
    ///
    /// # Errors
    /// If the views cannot be read.
    pub fn run(&self, id: &ExecutionId) -> Result<Option<RunSummary>, Error> {
        self.parts().views.run(id)
    }

    /// Runs by submission. The most selective index of the filter is walked and the rest is
    /// filtered, past at most [`crate::ROWS_READ_PER_PAGE_MAX`] rows and a little: a page that
    /// has to stop there has fewer rows than asked for, and a cursor to go on.
    ///
    /// # Errors
    /// [`Error::Cursor`] for a cursor of another list; if the views cannot be read.
    pub fn runs(
        &self,
        filter: &RunFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<RunSummary>, Error> {
        self.parts().views.runs(filter, after, limit)
    }

    /// A dead letter's row.
    ///
    /// # Errors
    /// If the views cannot be read.
    pub fn letter(&self, id: &LetterId) -> Result<Option<LetterSummary>, Error> {
        self.parts().views.letter(id)
    }

    /// Dead letters by opening; pages end as those of [`Journal::runs`].
    ///
    /// # Errors
    /// [`Error::Cursor`] for a cursor of another list; if the views cannot be read.
    pub fn letters(
        &self,
        filter: &LetterFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<LetterSummary>, Error> {
        self.parts().views.letters(filter, after, limit)
    }

    /// Groups of dead letters of one cause each, behind the first `skip`: those that have a letter which the filter
    /// takes by status, workflow, kind, code or fingerprint, the largest first; what else it
    /// says is not heeded. Counts are as of the last tick, first and last letters as of now.
    ///
    /// # Errors
    /// If the views cannot be read.
    pub fn letter_groups(
        &self,
        filter: &LetterFilter,
        skip: usize,
        limit: usize,
    ) -> Result<LetterGroups, Error> {
        self.parts().views.letter_groups(filter, skip, limit)
    }

    /// How many dead letters of a namespace there are of each cause, as of the last tick.
    #[must_use]
    pub fn letter_counts(&self, namespace: &str) -> Vec<(LetterCause, LetterCounts)> {
        self.parts().views.letter_counts(namespace)
    }

    /// When each of a namespace's open letters was opened, the oldest ones first: at most so
    /// many, and whether that is all.
    ///
    /// # Errors
    /// If the views cannot be read.
    pub fn open_letters_since(
        &self,
        namespace: &str,
        most: usize,
    ) -> Result<(Vec<Timestamp>, bool), Error> {
        self.parts().views.open_letters_since(namespace, most)
    }

    /// The row of the audit of the record at a place; nothing if it has none.
    ///
    /// # Errors
    /// If the views cannot be read.
    pub fn audit_row(
        &self,
        partition: PartitionId,
        position: u64,
    ) -> Result<Option<AuditRow>, Error> {
        self.parts().views.audit_row(partition, position)
    }

    /// What was done by somebody; pages end as those of [`Journal::runs`].
    ///
    /// # Errors
    /// [`Error::Cursor`] for a cursor of another list; if the views cannot be read.
    pub fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<AuditRow>, Error> {
        self.parts().views.audit(filter, after, limit)
    }

    /// Statistics of a namespace's retained runs by workflow, as of the last tick: at most
    /// so many milliseconds ago as ticks are apart.
    #[must_use]
    pub fn run_statistics(&self, namespace: &str) -> BTreeMap<String, RunStatistics> {
        self.parts().views.statistics(namespace)
    }

    /// Those of one workflow; nothing is counted of one that has no runs.
    #[must_use]
    pub fn run_statistics_of(&self, namespace: &str, workflow: &str) -> RunStatistics {
        self.parts().views.statistics_of(namespace, workflow)
    }

    /// Statistics of a workflow's retained runs by the arm of a roll-out that they fell into and
    /// the arm's revision, as of the last tick.
    #[must_use]
    pub fn arm_statistics(
        &self,
        namespace: &str,
        workflow: &str,
    ) -> BTreeMap<(String, u32), RunStatistics> {
        self.parts().views.arm_statistics(namespace, workflow)
    }

    /// Namespaces that have retained runs, as of the last tick.
    #[must_use]
    pub fn namespaces(&self) -> BTreeSet<String> {
        self.parts().views.namespaces()
    }

    /// How every view stands.
    #[must_use]
    pub fn views(&self) -> Vec<ViewInfo> {
        self.parts().views.info()
    }

    /// Makes a view anew from the histories while the old one serves, and puts it into force;
    /// `false` if that is under way already. `fold` makes a run's rows of its history. Takes
    /// as long as reading every history.
    ///
    /// # Errors
    /// If the store cannot be read or the new view not be written: then the old one stays in
    /// force.
    pub fn rebuild_view(
        &self,
        view: ViewName,
        fold: &mut dyn FnMut(StreamId, Vec<Record>) -> Vec<ViewChange>,
    ) -> Result<bool, Error> {
        let parts = self.parts();
        parts.views.rebuild(view, &parts.store, fold)
    }
}
