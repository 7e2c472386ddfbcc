//! Reading runs: from memory where they are, from the journal where they are not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backstitch_core::command::Rejection;
use backstitch_core::event::{Event, RunEvent};
use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_core::lineage::{Plans as _, lineage_of, revision_of};
use backstitch_core::plan::Plan;
use backstitch_core::report::execution_json;
use backstitch_core::state::State;
use backstitch_core::unwind_plan::unwind_plan_json;
use backstitch_core::why::{blockers, why_json};
use backstitch_journal::{Journal, Record, RemovedRun};
use serde_json::Value;

use super::blocked::with_shared;
use super::{Handle, reading, unexpected};
use crate::document_metrics;
use crate::engine::JournalHistories;
use crate::error::Error;
use crate::partition::{Answer, Histories, Input, fold};

/// Payloads of a run whose JSON is made without leaving the async worker, in bytes.
const PAYLOAD_BYTES_PRINTED_IN_PLACE_MAX: usize = 256 * 1024;
/// Steps of a run whose JSON is made without leaving the async worker.
const STEPS_PRINTED_IN_PLACE_MAX: usize = 256;

impl Handle {
    /// The run, once it has its final word; nothing if that takes longer than `limit`.
    ///
    /// # Errors
    /// [`Error::ExecutionNotFound`], [`Error::ExecutionRemoved`], [`Error::Quarantined`],
    /// [`Error::Stopped`].
    pub async fn wait(
        &self,
        run: ExecutionId,
        limit: Duration,
    ) -> Result<Option<Arc<Value>>, Error> {
        let ask = self.ask(run.partition, |ticket| Input::WaitForEnd(run, ticket));
        match tokio::time::timeout(limit, ask).await {
            Err(_) => Ok(None),
            Ok(answer) => match answer? {
                Answer::Shown(state) => Ok(Some(self.print(state).await?)),
                Answer::NotResident => Ok(Some(self.print_history(run).await?)),
                answer => Err(unexpected(answer, Some(run))),
            },
        }
    }

    /// The run as it stands: what `GET /api/v1/executions/{id}` answers.
    ///
    /// # Errors
    /// [`Error::ExecutionNotFound`], [`Error::ExecutionRemoved`], [`Error::Quarantined`],
    /// [`Error::Stopped`].
    pub async fn execution(&self, run: ExecutionId) -> Result<Arc<Value>, Error> {
        let began = Instant::now();
        let answer = self.ask(run.partition, |ticket| Input::Show(run, ticket)).await?;
        let (in_memory, shown) = match answer {
            Answer::Shown(state) => (true, self.print(state).await),
            Answer::NotResident => (false, self.print_history(run).await),
            answer => return Err(unexpected(answer, Some(run))),
        };
        document_metrics::asked("execution", in_memory);
        document_metrics::read("get_execution", began.elapsed());
        shown
    }

    /// The tenant of a run.
    ///
    /// # Errors
    /// [`Error::ExecutionNotFound`], [`Error::ExecutionRemoved`], [`Error::Stopped`].
    pub async fn namespace_of(&self, run: ExecutionId) -> Result<Arc<str>, Error> {
        if let Answer::Shown(state) =
            self.ask(run.partition, |ticket| Input::Show(run, ticket)).await?
        {
            return Ok(state.submitted.namespace.clone());
        }
        let (records, _) = self.history(run).await?;
        let submitted = records.into_iter().find_map(|record| match record.event {
            Event::Run(RunEvent::Submitted(own)) => Some(own.namespace),
            _ => None,
        });
        submitted.ok_or(Error::ExecutionNotFound(run))
    }

    /// What the run waits for: what `GET /api/v1/executions/{id}/why` answers.
    ///
    /// # Errors
    /// As [`Handle::execution`].
    pub async fn why(&self, run: ExecutionId) -> Result<Value, Error> {
        let shared = self.shared.clone();
        let print = move |state: &State| {
            let blockers = with_shared(&shared, state, blockers(state));
            why_json(state, &blockers)
        };
        match self.ask(run.partition, |ticket| Input::Show(run, ticket)).await? {
            Answer::Shown(state) => reading(move || print(&state)).await,
            Answer::NotResident => {
                let histories = self.histories();
                reading(move || read_history(&histories, run).map(|state| print(&state))).await?
            }
            answer => Err(unexpected(answer, Some(run))),
        }
    }

    /// What rolling the run back would undo, or rolling it back to a step: what
    /// `GET /api/v1/executions/{id}/rollback` answers.
    ///
    /// # Errors
    /// As [`Handle::execution`]; [`Rejection::UnknownStep`].
    pub async fn unwind_plan(&self, run: ExecutionId, to: Option<&str>) -> Result<Value, Error> {
        let state = match self.ask(run.partition, |ticket| Input::Show(run, ticket)).await? {
            Answer::Shown(state) => state,
            Answer::NotResident => self.read_state(run).await?,
            answer => return Err(unexpected(answer, Some(run))),
        };
        let known =
            |step: &str| state.plan.index_of(step).filter(|own| !state.plan.step(*own).gone);
        let to = match to {
            Some(step) => match known(step) {
                None => {
                    let step = step.to_owned();
                    return Err(Error::Rejected(Rejection::UnknownStep { step }));
                }
                known => known,
            },
            None => None,
        };
        reading(move || unwind_plan_json(&state, to)).await
    }

    /// The run's JSON; that of a large run is made beside the async workers.
    async fn print(&self, state: Arc<State>) -> Result<Arc<Value>, Error> {
        let small = state.payload_bytes <= PAYLOAD_BYTES_PRINTED_IN_PLACE_MAX;
        if small && state.steps.len() <= STEPS_PRINTED_IN_PLACE_MAX {
            return Ok(Arc::new(execution_json(&state)));
        }
        // JSON in memory takes many times its text: few are made at a time.
        let _turn = self.shared.large_prints.acquire().await.map_err(|_| Error::Stopped)?;
        reading(move || Arc::new(execution_json(&state))).await
    }

    /// The JSON of a run that has left memory, from its history.
    async fn print_history(&self, run: ExecutionId) -> Result<Arc<Value>, Error> {
        let histories = self.histories();
        let print = |state| Arc::new(execution_json(&state));
        reading(move || read_history(&histories, run).map(print)).await?
    }

    /// A run that has left memory, from its history.
    pub(super) async fn read_state(&self, run: ExecutionId) -> Result<Arc<State>, Error> {
        let histories = self.histories();
        reading(move || read_history(&histories, run).map(Arc::new)).await?
    }

    /// The revision that a history ends with, and its plan as new runs of it have it.
    pub(super) fn plain<'a>(
        &self,
        plan: &Plan,
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Result<(u32, Arc<Plan>), Error> {
        let missing = || Error::Fold(format!("no plan of the content {}", plan.digest));
        let revision = revision_of(events).ok_or_else(missing)?;
        Ok((revision, self.catalog().plan(&plan.digest).ok_or_else(missing)?))
    }

    /// What to say of a run that is not there: never was, or is no more.
    pub(super) async fn missing(&self, run: ExecutionId) -> Result<Error, Error> {
        let journal = self.shared.journal.clone();
        reading(move || missing(&journal, run)).await?
    }

    /// The run's whole history, and the plan to read it by: its last one, in which every step
    /// that it ever had keeps its place.
    ///
    /// # Errors
    /// [`Error::ExecutionNotFound`], [`Error::ExecutionRemoved`], [`Error::Journal`].
    pub async fn history(
        &self,
        run: ExecutionId,
    ) -> Result<(Vec<Record>, Option<Arc<Plan>>), Error> {
        // A run that is being imported is shown whole or not at all.
        if let Ok(Answer::NotFound) =
            self.ask(run.partition, |ticket| Input::Visible(run, ticket)).await
        {
            return Err(Error::ExecutionNotFound(run));
        }
        let journal = self.shared.journal.clone();
        let read = move || match journal.history(&StreamId::Execution(run))? {
            Some(records) => Ok(records),
            None => Err(missing(&journal, run)?),
        };
        let records = reading(read).await??;
        let events = || records.iter().map(|own| &own.event);
        let plan = self.catalog().plan_of(&lineage_of(events()));
        let plan = plan.map(|plan| plan.of_run(events()));
        Ok((records, plan))
    }
}

/// A run that has left memory, folded from its history.
pub(super) fn read_history(histories: &JournalHistories, run: ExecutionId) -> Result<State, Error> {
    let events = histories.history(run).map_err(Error::Fold)?;
    let Some(events) = events else { return Err(missing(&histories.journal, run)?) };
    fold(run, &events, histories).map_err(Error::Quarantined)
}

fn missing(journal: &Journal, run: ExecutionId) -> Result<Error, Error> {
    Ok(match journal.removed_run(&run)? {
        Some(RemovedRun { at, rule, .. }) => {
            Error::ExecutionRemoved { run, at, rule: rule.to_string() }
        }
        None => Error::ExecutionNotFound(run),
    })
}
