//! From an opened journal to partitions that can go on.

use std::sync::Arc;

use backstitch_core::event::Event;
use backstitch_core::ids::{PartitionId, StreamId};
use backstitch_core::report::{letter_summaries, run_summary};
use backstitch_core::state::State;
use backstitch_core::summary::ViewChange;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Journal, OpenReport, Opened, Record};

use super::worker::Start;
use super::{JournalHistories, WORKFLOWS_PARTITION};
use crate::catalog::Catalog;
use crate::error::Error;
use crate::partition::{Partition, fold};

/// What was found when the engine was opened.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Runs that go on.
    pub live: usize,
    /// Runs that can't be folded: shown, not worked on.
    pub quarantined: usize,
    /// What the journal had to do.
    pub journal: OpenReport,
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
    let (workflows, runs): (Vec<_>, Vec<_>) =
        streams.into_iter().partition(|(stream, _)| matches!(stream, StreamId::Workflow { .. }));
    for (stream, records) in workflows {
        let events = timed(records);
        let partition = &mut starts[usize::from(WORKFLOWS_PARTITION.0)].partition;
        partition.adopt_workflow(stream, &events).map_err(Error::Fold)?;
    }
    for (name, revision) in
        starts[usize::from(WORKFLOWS_PARTITION.0)].partition.revisions().map_err(Error::Fold)?
    {
        catalog.add(name, revision);
    }
    let mut recovered = Recovered { live: 0, quarantined: 0, journal: report };
    for (stream, records) in runs {
        let StreamId::Execution(run) = &stream else { continue };
        let partition = &mut starts[usize::from(run.partition.0)].partition;
        match fold(*run, &timed(records), &histories) {
            Ok(state) => {
                let quiescent =
                    if state.is_quiescent() { vec![stream.clone()] } else { Vec::new() };
                journal.mark(quiescent, rows(&state));
                if !state.is_quiescent() {
                    recovered.live += 1;
                    partition.adopt(state);
                }
            }
            Err(why) => {
                tracing::error!(execution = %run, "set aside: {why}");
                recovered.quarantined += 1;
                partition.quarantine(*run, why);
            }
        }
    }
    if recovered.journal.views_missing {
        supply_views(&journal, &histories)?;
    }
    // A run that can't be folded has no row, and must not hold the views' mark back for ever.
    journal.rows_complete();
    Ok((journal, starts, recovered))
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
            Err(why) => tracing::error!(execution = %run, "not listed: {why}"),
        }
        if changes.len() >= ROWS_PER_MARK {
            journal.mark(Vec::new(), std::mem::take(&mut changes));
        }
    })?;
    journal.mark(Vec::new(), changes);
    Ok(())
}
