//! Whether runs of workflows begin: disabled, archived, purged.

use std::sync::Arc;

use backstitch_core::availability::{Availability, AvailabilityAct};
use backstitch_core::ids::PartitionId;
use backstitch_journal::{Journal, RunFilter};

use super::{Handle, blocking, unexpected};
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;
use crate::partition::{Answer, AvailabilityOrder, Input};

/// Rows that are counted at a time.
const PAGE_ROWS: usize = 1_000;

/// How a workflow stands, and whether asking changed it.
#[derive(Debug, Clone)]
pub struct Availed {
    /// Whether runs of it begin.
    pub availability: Availability,
    /// Whether it is new.
    pub changed: bool,
}

impl Handle {
    /// Disables, enables, archives or restores a workflow. When this answers, it is durable, and
    /// every run that is asked for later meets it.
    ///
    /// # Errors
    /// [`Error::WorkflowNotFound`], [`Error::Unavailable`] for one that is archived,
    /// [`Error::Draining`], [`Error::Stopped`].
    pub async fn avail(
        &self,
        namespace: &Arc<str>,
        workflow: &str,
        act: AvailabilityAct,
        (reason, actor): (String, String),
    ) -> Result<Availed, Error> {
        self.known_workflow(namespace, workflow)?;
        let name = (namespace.clone(), workflow.into());
        let order = Box::new(AvailabilityOrder { name, act, reason, actor });
        match self.ask(WORKFLOWS_PARTITION, |ticket| Input::Availability(order, ticket)).await? {
            Answer::Availability { availability, changed } => {
                Ok(Availed { availability: *availability, changed })
            }
            Answer::NotFound => Err(Error::WorkflowNotFound { workflow: workflow.to_owned() }),
            Answer::NotArchived => Err(Error::NotArchived { workflow: workflow.to_owned() }),
            answer => Err(unexpected(answer, None)),
        }
    }

    /// Lets an archived workflow's revisions go, if none of its runs is kept.
    ///
    /// # Errors
    /// [`Error::WorkflowNotFound`], [`Error::NotArchived`], [`Error::RunsKept`] with how many,
    /// [`Error::Draining`], [`Error::Stopped`].
    pub async fn purge(
        &self,
        namespace: &Arc<str>,
        workflow: &str,
        words: (String, String),
    ) -> Result<(), Error> {
        self.known_workflow(namespace, workflow)?;
        let known = self.catalog().availability(namespace, workflow);
        let not_archived = || Error::NotArchived { workflow: workflow.to_owned() };
        let archived_at = known.archived.as_ref().ok_or_else(not_archived)?.at;
        // No partition begins a run of it any more; those it has begun are durable then.
        for partition in (0..).map(PartitionId).take(self.shared.mailboxes.len()) {
            self.ask(partition, Input::Barrier).await?;
        }
        let (journal, filter) = (
            self.shared.journal.clone(),
            RunFilter {
                namespace: namespace.to_string(),
                workflow: Some(workflow.to_owned()),
                ..RunFilter::default()
            },
        );
        let runs = blocking(move || count(&journal, &filter)).await??;
        if runs > 0 {
            return Err(Error::RunsKept { workflow: workflow.to_owned(), runs });
        }
        let act = AvailabilityAct::Purge { archived_at };
        self.avail(namespace, workflow, act, words).await.map(drop)
    }
}

fn count(journal: &Journal, filter: &RunFilter) -> Result<usize, Error> {
    let (mut count, mut after) = (0, None);
    loop {
        let page = journal.runs(filter, after.as_ref(), PAGE_ROWS)?;
        count += page.rows.len();
        after = page.next;
        if after.is_none() {
            return Ok(count);
        }
    }
}
