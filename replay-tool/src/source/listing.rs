//! Rows of many runs, folded in one reading of the log.
//!
//! A run's state is dropped for its row once nothing more is owed, so memory grows with the
//! runs that are live and the rows, not with histories. A run that somebody reopens later is
//! folded again in a second reading, and so is one that does not fold in the first: partitions
//! are written side by side, so that a run's revision may stand behind it, as where a salvage
//! wrote one of them anew.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use backstitch_core::event::{Event, PartitionEvent, RunEvent};
use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_core::report::{letter_summaries, run_summary};
use backstitch_core::summary::{LetterSummary, RunStatus, RunSummary};
use backstitch_journal::{Damage, Record};

use super::archive::Archive;
use super::definitions::Definitions;
use super::fold::Fold;
use crate::error::Error;

/// Where a run stands, as lists show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its history folds to this.
    Run(RunStatus),
    /// Its history does not fold.
    Quarantined,
}

impl Standing {
    /// The word of a run that does not fold.
    pub const QUARANTINED: &'static str = "quarantined";

    /// The word that is shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Run(status) => status.word(),
            Self::Quarantined => Self::QUARANTINED,
        }
    }
}

/// One run of a list.
#[derive(Debug, Clone)]
pub struct Row {
    /// What a list shows. For a quarantined run: what its submission says; the status means
    /// nothing then.
    pub summary: RunSummary,
    /// Why the run does not fold.
    pub quarantined: Option<String>,
    /// Its dead letters.
    pub letters: Vec<LetterSummary>,
}

impl Row {
    /// Where the run stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self.quarantined {
            Some(_) => Standing::Quarantined,
            None => Standing::Run(self.summary.status),
        }
    }
}

/// Every run that was asked for.
#[derive(Debug)]
pub struct Listing {
    /// Newest first.
    pub rows: Vec<Row>,
    /// Workflow streams that do not fold, and why.
    pub broken_workflows: BTreeMap<StreamId, String>,
    /// How many records were read, of runs and of everything else.
    pub records: u64,
    /// The store's generation, by its last commit.
    pub generation: u32,
    /// Where reading stopped early.
    pub damage: Option<Damage>,
}

/// Folds the runs of one workflow, or all.
///
/// # Errors
/// If the log cannot be read.
pub fn fold_all(archive: &Archive, workflow: Option<&str>) -> Result<Listing, Error> {
    let mut first = Pass { workflow, ..Pass::default() };
    let (mut records, mut last_generation) = (0, 0);
    let damage = archive.scan(
        |_| true,
        |generation, record| {
            (records, last_generation) = (records + 1, generation);
            first.take(&record);
        },
    )?;
    let mut rows = std::mem::take(&mut first.closed);
    if !first.again.is_empty() {
        let again = std::mem::take(&mut first.again);
        let mut second = Pass {
            only: Some(again.clone()),
            definitions: std::mem::take(&mut first.definitions),
            ..Pass::default()
        };
        let wanted = |stream: &StreamId| match stream {
            StreamId::Execution(run) => again.contains(run),
            StreamId::Partition(_) => true,
            _ => false,
        };
        archive.scan(wanted, |_, record| second.take(&record))?;
        rows.extend(second.tracked.drain().map(|(run, tracked)| (run, tracked.into_row())));
        first.definitions = second.definitions;
    }
    rows.extend(first.tracked.drain().map(|(run, tracked)| (run, tracked.into_row())));
    let mut rows: Vec<Row> = rows.into_values().collect();
    rows.sort_by_key(|row| Reverse((row.summary.submitted_at, row.summary.execution)));
    let (broken_workflows, generation) = (first.definitions.broken, last_generation);
    Ok(Listing { rows, broken_workflows, records, generation, damage })
}

/// One reading of the log.
#[derive(Default)]
struct Pass<'a> {
    workflow: Option<&'a str>,
    /// The runs of a second reading. They are kept until its end.
    only: Option<HashSet<ExecutionId>>,
    definitions: Definitions,
    tracked: HashMap<ExecutionId, Tracked>,
    closed: HashMap<ExecutionId, Row>,
    /// Those to be folded once more: closed, and then something happened to them, or not
    /// folding with the revisions met so far.
    again: HashSet<ExecutionId>,
}

/// A run whose state is in memory.
struct Tracked {
    fold: Fold,
    /// What its first record says.
    summary: RunSummary,
    records: u64,
}

impl Pass<'_> {
    fn take(&mut self, record: &Record) {
        match (&record.stream, &record.event) {
            (StreamId::Execution(run), _) => self.take_run(*run, record),
            (stream, Event::Workflow(event)) if self.only.is_none() => {
                self.definitions.take(stream, event, record.recorded_at);
            }
            (_, Event::Partition(PartitionEvent::RunsRemoved { runs, .. })) => {
                for run in runs {
                    self.tracked.remove(run);
                    self.closed.remove(run);
                    self.again.remove(run);
                }
            }
            _ => {}
        }
    }

    fn take_run(&mut self, run: ExecutionId, record: &Record) {
        let wanted = self.only.as_ref().is_none_or(|only| only.contains(&run));
        if !wanted || self.again.contains(&run) {
            return;
        }
        if self.closed.remove(&run).is_some() {
            self.again.insert(run);
            return;
        }
        if !self.tracked.contains_key(&run) {
            let summary = summary_of(run, record);
            if self.workflow.is_some_and(|workflow| *workflow != *summary.workflow) {
                return;
            }
            self.tracked.insert(run, Tracked { fold: Fold::Empty, summary, records: 0 });
        }
        let Some(tracked) = self.tracked.get_mut(&run) else { return };
        tracked.records += 1;
        tracked.fold.push(run, record, &mut self.definitions);
        if self.only.is_some() {
            return;
        }
        match &tracked.fold {
            Fold::Whole(state) if state.is_quiescent() => {
                let row = self.tracked.remove(&run).map(Tracked::into_row);
                self.closed.extend(row.map(|row| (run, row)));
            }
            Fold::Broken { .. } => {
                self.tracked.remove(&run);
                self.again.insert(run);
            }
            Fold::Whole(_) | Fold::Empty => {}
        }
    }
}

impl Tracked {
    fn into_row(self) -> Row {
        match self.fold {
            Fold::Whole(state) => Row {
                summary: run_summary(&state),
                quarantined: None,
                letters: letter_summaries(&state).collect(),
            },
            Fold::Broken { why } => {
                let summary = RunSummary { version: self.records, ..self.summary };
                Row { summary, quarantined: Some(why), letters: Vec::new() }
            }
            Fold::Empty => Row {
                summary: self.summary,
                quarantined: Some("nothing was recorded".to_owned()),
                letters: Vec::new(),
            },
        }
    }
}

/// What can be said of a run by the first record met of it.
fn summary_of(run: ExecutionId, record: &Record) -> RunSummary {
    let nothing: Arc<str> = "".into();
    let (namespace, workflow, revision, correlation_id) = match &record.event {
        Event::Run(RunEvent::Submitted(own)) => {
            (own.namespace.clone(), own.workflow.clone(), own.revision, own.correlation_id.clone())
        }
        _ => (nothing.clone(), nothing.clone(), 0, nothing),
    };
    RunSummary {
        execution: run,
        namespace,
        workflow,
        revision,
        status: RunStatus::Pending,
        correlation_id,
        tags: [].into(),
        submitted_at: record.recorded_at,
        ended_at: None,
        parent: None,
        chunk: false,
        variant: None,
        trace: None,
        version: 0,
    }
}
