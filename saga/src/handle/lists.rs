//! Lists of runs, dead letters and the audit; statistics; the views behind them.

use std::collections::BTreeMap;

use backstitch_core::audit::AuditRow;
use backstitch_core::statistics::RunStatistics;
use backstitch_core::summary::{LetterSummary, RunSummary};
use backstitch_journal::{
    AuditFilter, Cursor, Journal, LetterFilter, Page, RunFilter, ViewInfo, ViewName,
};

use super::{Handle, reading};
use crate::engine::{JournalHistories, rebuild_view};
use crate::error::Error;

/// Rows of a page that is looked through for a workflow's last run.
const LAST_PAGE_ROWS: usize = 8;
/// Pages that are; chunks of loops may fill more.
const LAST_PAGES_MAX: usize = 128;

/// What is known of a workflow's retained runs.
#[derive(Debug, Clone, Default)]
pub struct WorkflowStatistics {
    /// Counts and durations.
    pub runs: RunStatistics,
    /// The run that was submitted last.
    pub last: Option<RunSummary>,
}

impl Handle {
    /// Runs by submission, and where the next page begins.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub async fn runs(
        &self,
        filter: RunFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<RunSummary>, Error> {
        let journal = self.shared.journal.clone();
        Ok(reading(move || journal.runs(&filter, after.as_ref(), limit)).await??)
    }

    /// Dead letters by opening, and where the next page begins.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub async fn letters(
        &self,
        filter: LetterFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<LetterSummary>, Error> {
        let journal = self.shared.journal.clone();
        Ok(reading(move || journal.letters(&filter, after.as_ref(), limit)).await??)
    }

    /// What was done by somebody, and where the next page begins.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub async fn audit(
        &self,
        filter: AuditFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<AuditRow>, Error> {
        let journal = self.shared.journal.clone();
        Ok(reading(move || journal.audit(&filter, after.as_ref(), limit)).await??)
    }

    /// Statistics of every workflow of a namespace, defined now or with runs.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub async fn statistics(
        &self,
        namespace: &str,
    ) -> Result<BTreeMap<String, WorkflowStatistics>, Error> {
        let defined = self.catalog().all(namespace).into_iter();
        let defined: Vec<_> = defined.map(|own| own.plan.workflow.to_string()).collect();
        let (journal, namespace) = (self.shared.journal.clone(), namespace.to_owned());
        reading(move || {
            let mut all: BTreeMap<String, WorkflowStatistics> =
                defined.into_iter().map(|name| (name, WorkflowStatistics::default())).collect();
            for (workflow, runs) in journal.run_statistics(&namespace) {
                all.entry(workflow).or_default().runs = runs;
            }
            for (workflow, own) in &mut all {
                own.last = last_of(&journal, &namespace, workflow, &own.runs)?;
            }
            Ok(all)
        })
        .await?
    }

    /// Statistics of one workflow; nothing if it is neither defined nor has runs.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub async fn statistics_of(
        &self,
        namespace: &str,
        workflow: &str,
    ) -> Result<Option<WorkflowStatistics>, Error> {
        let is_defined = !self.catalog().revisions(namespace, workflow).is_empty();
        let journal = self.shared.journal.clone();
        let (namespace, workflow) = (namespace.to_owned(), workflow.to_owned());
        reading(move || {
            let runs = journal.run_statistics_of(&namespace, &workflow);
            let last = last_of(&journal, &namespace, &workflow, &runs)?;
            let is_known = is_defined || runs.total() > 0;
            Ok(is_known.then_some(WorkflowStatistics { runs, last }))
        })
        .await?
    }

    /// How every view stands.
    #[must_use]
    pub fn views(&self) -> Vec<ViewInfo> {
        self.shared.journal.views()
    }

    /// Begins to make a view anew; answers `false` if that is under way already. How it goes,
    /// [`Handle::views`] tells. Must be called on a runtime.
    #[must_use]
    pub fn rebuild_view(&self, view: ViewName) -> bool {
        let (journal, catalog) = (self.shared.journal.clone(), self.shared.catalog.clone());
        if journal.views().iter().any(|own| own.view == view && own.rebuild.is_some()) {
            return false;
        }
        let histories = JournalHistories { journal, catalog };
        // Nobody waits for it: the old view serves, and its state tells the end.
        drop(tokio::task::spawn_blocking(move || match rebuild_view(&histories, view) {
            Ok(_) => tracing::info!(view = view.word(), "the view was made anew"),
            Err(error) => tracing::error!(view = view.word(), "not made anew: {error:?}"),
        }));
        true
    }
}

/// The newest run of a workflow that is no chunk of a loop, if `runs` counts any.
fn last_of(
    journal: &Journal,
    namespace: &str,
    workflow: &str,
    runs: &RunStatistics,
) -> Result<Option<RunSummary>, Error> {
    if runs.total() == 0 {
        return Ok(None);
    }
    let (namespace, workflow) = (namespace.to_owned(), Some(workflow.to_owned()));
    let filter = RunFilter { namespace, workflow, ..RunFilter::default() };
    let mut after = None;
    for _ in 0..LAST_PAGES_MAX {
        let page = journal.runs(&filter, after.as_ref(), LAST_PAGE_ROWS)?;
        let found = page.rows.into_iter().find(|row| !row.chunk);
        if found.is_some() || page.next.is_none() {
            return Ok(found);
        }
        after = page.next;
    }
    Ok(None)
}
