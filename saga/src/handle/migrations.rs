//! Migrations: runs under way that go on with another revision of their workflow.

use std::sync::Arc;

use backstitch_core::command::{Command, Rejection};
use backstitch_core::definition::problem::{Problem, codes};
use backstitch_core::ids::ExecutionId;
use backstitch_core::lineage::Plans as _;
use backstitch_core::migration::misfits;
use backstitch_core::plan::Plan;
use backstitch_core::state::State;
use backstitch_core::summary::RunSummary;
use backstitch_journal::{Cursor, Order, RunFilter};
use tokio::task::JoinSet;

use super::reads::read_history;
use super::{Handle, blocking, unexpected};
use crate::catalog::Revision;
use crate::error::Error;
use crate::partition::{Answer, Input};

/// Runs that one request migrates; it answers where the next one goes on.
pub const MIGRATED_AT_ONCE_MAX: usize = 500;

/// Runs that are migrated side by side.
const SIDE_BY_SIDE: usize = 32;

/// A wish to have runs go on with another revision.
#[derive(Debug, Clone, Default)]
pub struct MigrationWish {
    /// The revision; the newest if unsaid.
    pub revision: Option<u32>,
    /// In their words.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// Whether it is only said what would become of it.
    pub dry_run: bool,
}

/// What became of the wish for one run. What it changed is durable.
#[derive(Debug, Clone)]
pub struct Migrated {
    /// The run.
    pub execution: ExecutionId,
    /// The revision it had.
    pub from: u32,
    /// The revision it was to have.
    pub to: u32,
    /// Its status word.
    pub status: &'static str,
    /// Whether it goes on with the revision, now or before.
    pub migrated: bool,
    /// Why it can't; none if it can.
    pub reasons: Vec<String>,
}

/// What became of the wish for the runs of a workflow.
#[derive(Debug, Clone)]
pub struct AllMigrated {
    /// The revision they were to have.
    pub to: u32,
    /// Each run, in the order of submission.
    pub runs: Vec<Migrated>,
    /// Where the next request goes on, if there are more.
    pub next: Option<Cursor>,
}

impl Handle {
    /// Has a run go on with another revision, or says whether it could.
    ///
    /// # Errors
    /// [`Error::ExecutionNotFound`], [`Error::InvalidSubmission`] for a revision there is not,
    /// [`Error::Rejected`] with every reason unless it is a dry run, [`Error::Draining`], ...
    pub async fn migrate(&self, run: ExecutionId, wish: MigrationWish) -> Result<Migrated, Error> {
        let state = self.state_of(run).await?;
        let own = &state.submitted;
        let to = self.revision_to(&own.namespace, &own.workflow, wish.revision, "revision")?;
        let to = self.pinned_revision(&own.namespace, to).await?;
        self.migrate_onto(state, to, wish).await
    }

    /// The same for every run of a workflow that has not ended: those with the revision `from`,
    /// if it is said. A run that can't be migrated is answered with its reasons and stays.
    ///
    /// # Errors
    /// [`Error::WorkflowNotFound`], [`Error::InvalidSubmission`], [`Error::Draining`], ...
    pub async fn migrate_all(
        &self,
        namespace: &Arc<str>,
        workflow: &str,
        from: Option<u32>,
        wish: MigrationWish,
        after: Option<Cursor>,
    ) -> Result<AllMigrated, Error> {
        let is_first = after.is_none();
        let to = self.revision_to(namespace, workflow, wish.revision, "to")?;
        let to = self.pinned_revision(namespace, to).await?;
        let filter = RunFilter {
            namespace: namespace.to_string(),
            workflow: Some(workflow.to_owned()),
            active: true,
            order: Order::OldestFirst,
            ..RunFilter::default()
        };
        let page = self.runs(filter, after, MIGRATED_AT_ONCE_MAX).await?;
        let wanted = |row: &RunSummary| {
            row.revision != to.number && from.is_none_or(|from| from == row.revision)
        };
        let rows: Vec<_> = page.rows.into_iter().filter(wanted).collect();
        let revisions = self.catalog().revisions(namespace, workflow);
        let unknown = from.filter(|from| revisions.iter().all(|own| own.number != *from));
        // A run may have a revision that nobody defined here: one that goes on with an imported run.
        if let Some(from) = unknown.filter(|_| is_first && rows.is_empty()) {
            return Err(no_revision("from", workflow, from));
        }
        let mut runs = Vec::with_capacity(rows.len());
        for rows in rows.chunks(SIDE_BY_SIDE) {
            let mut side_by_side = JoinSet::new();
            for (at, row) in rows.iter().enumerate() {
                let (handle, to, wish) = (self.clone(), to.clone(), wish.clone());
                let run = row.execution;
                side_by_side.spawn(async move { (at, handle.migrate_one(run, to, wish).await) });
            }
            let mut done = Vec::with_capacity(rows.len());
            while let Some(joined) = side_by_side.join_next().await {
                done.push(joined.map_err(|_| Error::Stopped)?);
            }
            done.sort_unstable_by_key(|(at, _)| *at);
            for (_, migrated) in done {
                runs.extend(migrated?);
            }
        }
        Ok(AllMigrated { to: to.number, runs, next: page.next })
    }

    /// One of many: nothing if it is gone since, and a refusal is an answer.
    async fn migrate_one(
        &self,
        run: ExecutionId,
        to: Revision,
        wish: MigrationWish,
    ) -> Result<Option<Migrated>, Error> {
        let state = match self.state_of(run).await {
            Ok(state) => state,
            Err(Error::ExecutionNotFound(_) | Error::ExecutionRemoved { .. }) => return Ok(None),
            Err(Error::Quarantined(why)) => {
                let (number, reasons) = (to.number, vec![why]);
                let (from, status, migrated) = (0, "quarantined", false);
                let to = number;
                return Ok(Some(Migrated { execution: run, from, to, status, migrated, reasons }));
            }
            Err(error) => return Err(error),
        };
        let (from, number, status) = (state.submitted.revision, to.number, state.status().word());
        match self.migrate_onto(state, to, wish).await {
            Ok(migrated) => Ok(Some(migrated)),
            Err(Error::Rejected(Rejection::MigrationRefused { reasons })) => {
                let (to, migrated) = (number, false);
                Ok(Some(Migrated { execution: run, from, to, status, migrated, reasons }))
            }
            Err(Error::ExecutionNotFound(_) | Error::ExecutionRemoved { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn migrate_onto(
        &self,
        state: Arc<State>,
        to: Revision,
        wish: MigrationWish,
    ) -> Result<Migrated, Error> {
        let (run, from) = (state.id, state.submitted.revision);
        let mut answer = Migrated {
            execution: run,
            from,
            to: to.number,
            status: state.status().word(),
            migrated: false,
            reasons: Vec::new(),
        };
        if wish.dry_run {
            let catalog = self.shared.catalog.clone();
            let reasons = move || {
                let mut lineage = state.lineage();
                lineage.push(to.plan.digest);
                let same = state.plan.digest == to.plan.digest;
                match catalog.plan_of(&lineage) {
                    _ if same => Vec::new(),
                    Some(plan) => misfits(&state, &plan),
                    None => vec!["its steps and the revision's together are too many".to_owned()],
                }
            };
            answer.reasons = blocking(reasons).await?;
            return Ok(answer);
        }
        let MigrationWish { reason, actor, .. } = wish;
        let (plan, revision): (Arc<Plan>, _) = (to.plan, to.number);
        let command = Command::Migrate { plan, revision, reason, actor };
        answer.status = self.command(run, command).await?;
        answer.migrated = true;
        Ok(answer)
    }

    /// The run as it stands, from memory or from its history.
    async fn state_of(&self, run: ExecutionId) -> Result<Arc<State>, Error> {
        match self.ask(run.partition, |ticket| Input::Show(run, ticket)).await? {
            Answer::Shown(state) => Ok(state),
            Answer::NotResident => {
                let histories = self.histories();
                blocking(move || read_history(&histories, run).map(Arc::new)).await?
            }
            answer => Err(unexpected(answer, Some(run))),
        }
    }

    fn revision_to(
        &self,
        namespace: &str,
        workflow: &str,
        wanted: Option<u32>,
        path: &str,
    ) -> Result<Revision, Error> {
        let mut revisions = self.catalog().revisions(namespace, workflow);
        if revisions.is_empty() {
            let workflow = workflow.chars().take(256).collect();
            return Err(Error::WorkflowNotFound { workflow });
        }
        let found = match wanted {
            None => revisions.pop(),
            Some(wanted) => revisions.into_iter().find(|own| own.number == wanted),
        };
        found.ok_or_else(|| no_revision(path, workflow, wanted.unwrap_or_default()))
    }
}

fn no_revision(path: &str, workflow: &str, wanted: u32) -> Error {
    let (path, message) = (path.to_owned(), format!("`{workflow}` has no revision {wanted}"));
    Error::InvalidSubmission(vec![Problem { path, code: codes::BAD_VALUE, message }])
}
