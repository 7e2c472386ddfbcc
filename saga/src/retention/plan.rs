//! What the core's planner reads of a journal: the list of runs, and their histories.

use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_core::retention::{Asked, Plan, Planner, Runs, Seen};
use backstitch_core::summary::RunSummary;
use backstitch_journal::{Cursor, RunFilter};

use crate::clock;
use crate::engine::JournalHistories;
use crate::error::Error;
use crate::handle::{Handle, blocking};
use crate::partition::{Histories, fold};

/// Rows read at a time.
const ROWS_PER_PAGE: usize = 500;

impl Handle {
    /// A dry run: nothing changes.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub async fn plan_retention(&self, asked: Asked) -> Result<Plan, Error> {
        let mut planner = planner(self.histories(), asked);
        blocking(move || planner.plan(clock::now())).await?
    }
}

/// Plans over what a journal knows.
pub(super) fn planner(histories: JournalHistories, asked: Asked) -> Planner<Known> {
    let bounds = asked.bounds();
    let mut filter = RunFilter { namespace: asked.namespace.to_string(), ..RunFilter::default() };
    filter.ended.before = bounds.ended_before;
    filter.submitted.before = bounds.submitted_before;
    Planner::new(Known { histories, filter, cursor: None, read: false }, asked)
}

/// The runs of a journal.
pub(super) struct Known {
    histories: JournalHistories,
    filter: RunFilter,
    cursor: Option<Cursor>,
    read: bool,
}

impl Runs for Known {
    type Error = Error;

    fn rows(&mut self) -> Result<Option<Vec<RunSummary>>, Error> {
        if self.read {
            return Ok(None);
        }
        let journal = &self.histories.journal;
        let page = journal.runs(&self.filter, self.cursor.as_ref(), ROWS_PER_PAGE)?;
        self.read = page.next.is_none();
        self.cursor = page.next;
        Ok(Some(page.rows))
    }

    fn look(&mut self, run: ExecutionId) -> Seen {
        match self.histories.history(run) {
            Err(_) => Seen::Broken,
            Ok(None) => Seen::Gone,
            Ok(Some(events)) => fold(run, &events, &self.histories)
                .map_or(Seen::Broken, |state| Seen::Whole(Box::new(state))),
        }
    }

    fn row(&mut self, run: ExecutionId) -> Result<Option<RunSummary>, Error> {
        Ok(self.histories.journal.run(&run)?)
    }

    fn history_bytes(&mut self, run: ExecutionId) -> Result<u64, Error> {
        Ok(self.histories.journal.history_bytes(&StreamId::Execution(run))?)
    }
}
