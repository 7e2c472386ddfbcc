//! From an opened journal to partitions that can go on.

use std::collections::HashSet;
use std::sync::Arc;

use backstitch_core::api_keys::ApiKey;
use backstitch_core::event::{BreakerOrder, Event, PartitionEvent};
use backstitch_core::ids::{ExecutionId, PartitionId, StreamId};
use backstitch_core::objects::Objects;
use backstitch_core::report::{letter_summaries, run_summary};
use backstitch_core::state::State;
use backstitch_core::summary::ViewChange;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Journal, OpenReport, Opened, Record};

use super::worker::Start;
use super::{JournalHistories, WORKFLOWS_PARTITION};
use crate::breakers::{Forced, Name};
use crate::catalog::Catalog;
use crate::clock;
use crate::error::Error;
use crate::partition::{Partition, Recoverable, fold, fold_found};
use crate::retention::{self, Retention};

/// What was found when the engine was opened.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Runs that go on.
    pub live: usize,
    /// Runs that can't be folded: shown, not worked on.
    pub quarantined: usize,
    /// Runs folded from a checkpoint on.
    pub checkpoints: usize,
    /// What the journal had to do.
    pub journal: OpenReport,
}

/// What one thread recovered.
#[derive(Debug, Default)]
struct Share {
    live: usize,
    quarantined: usize,
    checkpoints: usize,
}

/// Rows handed to the views at once while they are rebuilt.
const ROWS_PER_MARK: usize = 1_024;

pub(super) fn recover(
    opened: Opened,
    catalog: &Arc<Catalog>,
) -> Result<(Arc<Journal>, Vec<Start>, Recovered), Error> {
    let Opened { journal, heads, streams, report } = opened;
    let journal = Arc::new(journal);
    let histories = JournalHistories { journal: journal.clone(), catalog: catalog.clone() };
    let mut starts: Vec<Start> = (0..)
        .map(PartitionId)
        .zip(heads)
        .map(|(id, head)| {
            let partition = Partition::new(id, head.committed_at, Box::new(histories.clone()));
            Start { partition, head }
        })
        .collect();
    let (runs, others): (Vec<_>, Vec<_>) =
        streams.into_iter().partition(|stream| matches!(stream, StreamId::Execution(_)));
    for stream in others {
        let Some(records) = journal.history(&stream)? else { continue };
        let partition = &mut starts[usize::from(WORKFLOWS_PARTITION.0)].partition;
        match stream {
            StreamId::Workflow { .. } => partition.adopt_workflow(stream, &timed(records)),
            StreamId::Replay(id) => partition.adopt_replay(id, &timed(records)),
            StreamId::Redrive(id) => partition.adopt_redrive(id, &timed(records)),
            StreamId::Execution(_) | StreamId::Partition(_) => Ok(()),
        }
        .map_err(Error::Fold)?;
    }
    for (name, revision) in
        starts[usize::from(WORKFLOWS_PARTITION.0)].partition.revisions().map_err(Error::Fold)?
    {
        catalog.add(name, revision);
    }
    for kept in starts[usize::from(WORKFLOWS_PARTITION.0)].partition.kept().map_err(Error::Fold)? {
        if let Some(own) = kept.adaptation {
            catalog.adapt(kept.plan.digest, own);
        }
        catalog.keep(kept.plan, kept.text);
    }
    for (name, content, source) in starts[usize::from(WORKFLOWS_PARTITION.0)].partition.sources() {
        catalog.keep_source(name, content, source);
    }
    for (name, rollout) in starts[usize::from(WORKFLOWS_PARTITION.0)].partition.rollouts() {
        catalog.roll_out(name, Some(rollout));
    }
    for (name, own) in starts[usize::from(WORKFLOWS_PARTITION.0)].partition.unavailable() {
        catalog.avail(name, own);
    }
    let mut imported = HashSet::new();
    for start in &mut starts {
        let own = journal.history(&StreamId::Partition(start.partition.id()))?.unwrap_or_default();
        let events = own.iter().map(|record| (&record.event, record.recorded_at));
        start.partition.adopt_own(events).map_err(Error::Fold)?;
        own.iter().for_each(|record| follow_imports(record, &mut imported));
    }
    let mut recovered = Recovered { live: 0, quarantined: 0, checkpoints: 0, journal: report };
    for share in recover_runs(&mut starts, &runs, &imported, &histories)? {
        recovered.live += share.live;
        recovered.quarantined += share.quarantined;
        recovered.checkpoints += share.checkpoints;
    }
    if recovered.journal.views_missing {
        supply_views(&journal, &histories)?;
    }
    // A run that can't be folded has no row, and must not hold the views' mark back for ever.
    journal.rows_complete();
    Ok((journal, starts, recovered))
}

/// Folds runs into their partitions, on every core.
fn recover_runs(
    starts: &mut [Start],
    runs: &[StreamId],
    imported: &HashSet<ExecutionId>,
    histories: &JournalHistories,
) -> Result<Vec<Share>, Error> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let per_thread = starts.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let shares: Vec<_> = starts
            .chunks_mut(per_thread)
            .map(|starts| scope.spawn(move || recover_share(starts, runs, imported, histories)))
            .collect();
        shares
            .into_iter()
            .map(|share| share.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Folds the runs of some partitions.
fn recover_share(
    starts: &mut [Start],
    runs: &[StreamId],
    imported: &HashSet<ExecutionId>,
    histories: &JournalHistories,
) -> Result<Share, Error> {
    let journal = &histories.journal;
    let mut share = Share::default();
    for stream in runs {
        let StreamId::Execution(run) = stream else { continue };
        let own = starts.iter_mut().find(|start| start.partition.id() == run.partition);
        let Some(Start { partition, .. }) = own else { continue };
        let (state, checkpointed) = match recover_run(*run, histories)? {
            Some(Ok(recovered)) => recovered,
            Some(Err(why)) => {
                tracing::error!(execution_id = %run, "set aside: {why}");
                share.quarantined += 1;
                partition.quarantine(*run, why);
                continue;
            }
            None => continue,
        };
        // Only closed runs are imported: this one is the part that a crash left of one.
        if imported.contains(run) && !state.is_closed() {
            partition.adopt_cut_short(*run);
            continue;
        }
        if state.is_unstarted_fork() {
            partition.adopt_unstarted(&state);
            continue;
        }
        share.checkpoints += usize::from(checkpointed > 0);
        let quiescent = if state.is_quiescent() { vec![stream.clone()] } else { Vec::new() };
        journal.mark(quiescent, rows(&state));
        if !state.is_quiescent() {
            share.live += 1;
            partition.adopt_found(state, checkpointed, clock::now());
        }
    }
    Ok(share)
}

/// A run's state and the version of the checkpoint it was folded from, 0 without one.
type Folded = Result<(State, u64), String>;

/// Folds a run from its checkpoint, or from its beginning if that does not work.
fn recover_run(run: ExecutionId, histories: &JournalHistories) -> Result<Option<Folded>, Error> {
    let Some(found) = histories.journal.recoverable(&run)? else { return Ok(None) };
    let (checkpoint, events) = (found.checkpoint, timed(found.records));
    Ok(Some(fold_found(run, Recoverable { checkpoint, events }, histories)))
}

/// Keeps up which runs were imported and not removed since: a removed one's id may have been
/// taken by a run that began here.
fn follow_imports(record: &Record, imported: &mut HashSet<ExecutionId>) {
    match &record.event {
        Event::Partition(PartitionEvent::RunsImported { runs, .. }) => imported.extend(runs),
        Event::Partition(PartitionEvent::RunsRemoved { runs, .. }) => {
            runs.iter().for_each(|run| {
                imported.remove(run);
            });
        }
        _ => {}
    }
}

pub(super) fn timed(records: Vec<Record>) -> Vec<(Event, Timestamp)> {
    records.into_iter().map(|record| (record.event, record.recorded_at)).collect()
}

pub(super) fn rows(state: &State) -> Vec<ViewChange> {
    let run = ViewChange::Run(run_summary(state));
    std::iter::once(run).chain(letter_summaries(state).map(ViewChange::Letter)).collect()
}

/// Views are folds: every run is folded once and its rows written again.
fn supply_views(journal: &Arc<Journal>, histories: &JournalHistories) -> Result<(), Error> {
    let mut changes = Vec::new();
    journal.for_each_history(|stream, records| {
        let StreamId::Execution(run) = stream else { return };
        match fold(run, &timed(records), histories) {
            Ok(state) => changes.extend(rows(&state)),
            Err(why) => tracing::error!(execution_id = %run, "not listed: {why}"),
        }
        if changes.len() >= ROWS_PER_MARK {
            journal.mark(Vec::new(), std::mem::take(&mut changes));
        }
    })?;
    journal.mark(Vec::new(), changes);
    Ok(())
}

/// What the partitions' own streams say of retention.
pub(super) fn retention(starts: &[Start], settings: retention::Settings) -> Retention {
    let own: Vec<_> = starts.iter().map(|start| start.partition.own()).collect();
    Retention::new(settings, &own)
}

/// When somebody last emptied the result cache.
pub(super) fn cache_emptied_at(starts: &[Start]) -> Option<Timestamp> {
    starts.iter().filter_map(|start| start.partition.own().cache_emptied_at).max()
}

/// What operators have breakers be; partition 0 says so.
pub(super) fn breakers_set(starts: &[Start]) -> Vec<(Name, Forced)> {
    let set = starts.iter().flat_map(|start| &start.partition.own().breakers);
    let forced = set.map(|(name, own)| match own.order {
        BreakerOrder::Open => (name.clone(), Some(Forced::Open)),
        BreakerOrder::Close => (name.clone(), Some(Forced::Closed)),
        BreakerOrder::Release | BreakerOrder::Reset => (name.clone(), None),
    });
    forced.filter_map(|(name, forced)| Some((name, forced?))).collect()
}

/// API keys that were not revoked; partition 0 says so.
pub(super) fn api_keys(starts: &[Start]) -> Vec<Arc<ApiKey>> {
    starts.iter().flat_map(|start| start.partition.own().api_keys.values().cloned()).collect()
}

/// Objects of configuration; partition 0 says so.
pub(super) fn objects(starts: &[Start]) -> Objects {
    let own = |start: &Start| start.partition.own().objects.clone();
    starts.iter().flat_map(own).collect()
}
