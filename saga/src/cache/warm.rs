//! After a start: what recent runs answered comes back from the journal, so that a restart does
//! not ask every service anew.
//!
//! Runs beside the work and off the way to being ready; reads a bounded number of histories,
//! each for itself. What was taken out while a history was read does not come back with it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use backstitch_core::event::{Event, PartitionEvent, RunEvent};
use backstitch_core::ids::{ExecutionId, PartitionId, StreamId};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Order, RunFilter};

use super::ResultCache;
use crate::clock;
use crate::engine::JournalHistories;
use crate::error::Error;
use crate::handle::{Handle, blocking};
use crate::partition::{Histories, answers, fold};

/// Runs of one workflow that are looked at, those submitted last.
const RUNS_PER_WORKFLOW_MAX: usize = 256;
/// Runs of all workflows that are looked at.
const RUNS_MAX: usize = 2_048;

/// Brings back what counts still.
pub(crate) async fn warm(handle: Handle) {
    let cache = handle.cache().clone();
    match bring_back(&handle, &cache).await {
        Ok(0) => {}
        Ok(runs) => {
            let entries = cache.usage().entries;
            tracing::info!(runs, entries, "the result cache has what recent runs answered");
        }
        // It fills again with what runs answer from now on.
        Err(error) => tracing::warn!(%error, "the result cache starts without recent answers"),
    }
    cache.set_warming(false);
}

/// Answers how many runs were read.
async fn bring_back(handle: &Handle, cache: &ResultCache) -> Result<usize, Error> {
    let workflows = cached_workflows(handle);
    if workflows.is_empty() || cache.is_off() {
        return Ok(0);
    }
    let histories = handle.histories();
    let imported = imported(&histories).await?;
    let mut runs = recent(handle, &workflows).await?;
    // The newest last, so that it leaves last.
    runs.reverse();
    let mut read = 0;
    for run in runs.into_iter().filter(|run| !imported.contains(run)) {
        let (histories, cache) = (histories.clone(), cache.clone());
        let done = blocking(move || take_up(&histories, &cache, run)).await?;
        if let Err(why) = done {
            tracing::debug!(execution_id = %run, "its answers are not in the result cache: {why}");
        }
        read += 1;
        if handle.is_draining() {
            break;
        }
    }
    Ok(read)
}

/// Workflows of which some revision has a cached step, with the longest that an answer counts.
fn cached_workflows(handle: &Handle) -> BTreeMap<(Arc<str>, Arc<str>), u64> {
    handle.catalog().workflows(|plan| {
        let ttls = plan.steps.iter().filter_map(|step| step.cache.as_ref());
        ttls.map(|cache| cache.ttl_ms).max()
    })
}

/// Runs that came from another store: what services answered there is none of ours.
async fn imported(histories: &JournalHistories) -> Result<HashSet<ExecutionId>, Error> {
    let histories = histories.clone();
    blocking(move || {
        let mut imported = HashSet::new();
        for partition in (0..histories.partitions()).map(PartitionId) {
            let own = histories.journal.history(&StreamId::Partition(partition))?;
            for record in own.into_iter().flatten() {
                if let Event::Partition(PartitionEvent::RunsImported { runs, .. }) = record.event {
                    imported.extend(runs);
                }
            }
        }
        Ok(imported)
    })
    .await?
}

/// The runs to look at, the newest first.
async fn recent(
    handle: &Handle,
    workflows: &BTreeMap<(Arc<str>, Arc<str>), u64>,
) -> Result<Vec<ExecutionId>, Error> {
    let (now, mut rows) = (clock::now(), Vec::new());
    for ((namespace, workflow), ttl_ms) in workflows {
        let filter = RunFilter {
            namespace: namespace.to_string(),
            workflow: Some(workflow.to_string()),
            order: Order::NewestFirst,
            ..RunFilter::default()
        };
        let page = handle.runs(filter, None, RUNS_PER_WORKFLOW_MAX).await?;
        let counts = |ended_at: Timestamp| now <= ended_at.plus_ms(*ttl_ms);
        let recent = page.rows.into_iter().filter(|row| row.ended_at.is_none_or(counts));
        rows.extend(recent.map(|row| (row.submitted_at, row.execution)));
    }
    rows.sort_unstable_by(|one, other| other.cmp(one));
    rows.truncate(RUNS_MAX);
    Ok(rows.into_iter().map(|(_, run)| run).collect())
}

/// Takes up what one run answered.
fn take_up(
    histories: &JournalHistories,
    cache: &ResultCache,
    run: ExecutionId,
) -> Result<(), String> {
    loop {
        let taken_out = cache.taken_out();
        let Some(events) = histories.history(run)? else { return Ok(()) };
        let state = fold(run, &events, histories)?;
        let own = events.iter().filter_map(|(event, at)| match event {
            Event::Run(event @ RunEvent::StepSucceeded { .. }) => Some((event, *at)),
            _ => None,
        });
        let now = clock::now();
        let mut found = answers(&state, own);
        found.retain(|answered| now <= answered.at.plus_ms(answered.ttl_ms));
        if cache.remember_read(found, taken_out) {
            return Ok(());
        }
    }
}
