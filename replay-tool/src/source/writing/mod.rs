//! A directory that this process has for itself, as a server would: what changes something
//! in it while no server runs.
//!
//! Records facts only: as a draining server does, it leaves what follows to the next start,
//! so that no attempt counts as begun that nobody makes. Where the archive is, and whether
//! anything is archived, the directory itself says.

mod cut;
mod import;
mod keys;
mod letters;
mod retention;
mod views;

use std::path::Path;
use std::sync::{Arc, mpsc};

use backstitch_core::audit::Mark;
use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::{ExecutionId, PartitionId, StreamId};
use backstitch_core::report::{letter_summaries, run_summary};
use backstitch_core::state::State;
use backstitch_core::summary::ViewChange;
use backstitch_core::time::{Moment, Timestamp};
use backstitch_journal::{
    Batch, Fit, Head, Journal, Opened, Options, Reader, Record, Statistics, archives,
};

pub(crate) use import::check_export;

use super::archive::check_directory;
use super::definitions::Definitions;
use super::fold::Fold;
use crate::clock;
use crate::error::Error;

/// Every commit made here carries it, as those of a server do.
const EPOCH: u64 = 1;

/// Rows handed to the views at once where they miss some.
const ROWS_PER_MARK: usize = 1_024;

/// A directory that this process has for itself.
pub(crate) struct Writing {
    journal: Journal,
    heads: Vec<Head>,
    definitions: Definitions,
}

impl Writing {
    /// Takes the directory, as a server would.
    pub(crate) fn open(directory: &Path) -> Result<Self, Error> {
        check_directory(directory)?;
        // Opening would make a journal where there is none.
        drop(Reader::open(directory)?);
        let archive = archives(directory);
        let options = Options { ballast_bytes: 0, archive, ..Options::default() };
        let Opened { journal, heads, streams, report } = Journal::open(directory, options)?;
        let mut writing = Self { journal, heads, definitions: Definitions::default() };
        let (runs, others): (Vec<_>, Vec<_>) =
            streams.iter().partition(|stream| matches!(stream, StreamId::Execution(_)));
        for stream in others {
            for record in writing.journal.history(stream)?.unwrap_or_default() {
                if let Event::Workflow(event) = &record.event {
                    writing.definitions.take(stream, event, record.recorded_at);
                }
            }
        }
        // Without their rows the next start would read every history to make them.
        for stream in runs {
            let StreamId::Execution(run) = stream else { continue };
            if let Ok(Some(state)) = writing.state(*run) {
                writing.journal.mark(Vec::new(), rows(&state));
            }
        }
        if report.views_missing {
            writing.supply_views()?;
        }
        writing.journal.rows_complete();
        Ok(writing)
    }

    /// What the journal amounts to.
    pub(crate) fn statistics(&self) -> Statistics {
        self.journal.statistics()
    }

    /// Gives the views the rows of every run, where they miss some that nobody can name.
    fn supply_views(&mut self) -> Result<(), Error> {
        let (journal, definitions) = (&self.journal, &mut self.definitions);
        let mut changes = Vec::new();
        journal.for_each_history(|stream, records| {
            changes.extend(rows_of(&stream, &records, definitions));
            if changes.len() >= ROWS_PER_MARK {
                journal.mark(Vec::new(), std::mem::take(&mut changes));
            }
        })?;
        journal.mark(Vec::new(), changes);
        Ok(())
    }

    /// Writes everything and gives the directory back.
    pub(crate) fn close(self) -> Result<(), Error> {
        Ok(self.journal.close()?)
    }

    /// The run as it stands.
    fn state(&mut self, run: ExecutionId) -> Result<Option<Box<State>>, Error> {
        let Some(records) = self.journal.history(&StreamId::Execution(run))? else {
            return Ok(None);
        };
        match Fold::of(run, &records, &mut self.definitions) {
            Fold::Whole(state) => Ok(Some(state)),
            Fold::Broken { why } => Err(Error::Quarantined { run: run.to_string(), why }),
            Fold::Empty => Ok(None),
        }
    }

    /// What is recorded never goes back within a partition, whatever the clock does.
    fn moment(&self, partition: PartitionId) -> Moment {
        let now = clock::now();
        let last = self.heads.get(usize::from(partition.0)).map_or(0, |h| h.committed_at.0);
        let partitions = u16::try_from(self.heads.len()).unwrap_or(1);
        Moment { now, stamp: now.max(Timestamp(last.saturating_add(1))), partitions }
    }

    /// Makes records durable, in as many commits as they need; rows and what nothing is
    /// outstanding of come with the last.
    fn append(
        &mut self,
        partition: PartitionId,
        records: &[StagedRecord],
        changes: Vec<ViewChange>,
        quiescent: Vec<StreamId>,
        at: Timestamp,
    ) -> Result<(), Error> {
        let Some(&first) = self.heads.get(usize::from(partition.0)) else {
            return Err(not_recorded("the partition is not one of this journal"));
        };
        let (mut head, mut changes, mut quiescent) = (first, Some(changes), Some(quiescent));
        let mut records = records.iter().peekable();
        while records.peek().is_some() {
            let mut builder = self.journal.commit_builder(partition, EPOCH, &head);
            while let Some(StagedRecord { stream, version, at, event, mark }) = records.peek() {
                match builder.push_marked(stream, *version, *at, (event, mark.as_deref())) {
                    Fit::Fits => drop(records.next()),
                    Fit::Full if !builder.is_empty() => break,
                    Fit::Full | Fit::TooLarge => {
                        return Err(not_recorded("an event is larger than a commit"));
                    }
                }
            }
            let commit = builder.finish(at);
            head = commit.head();
            let last = records.peek().is_none();
            let changes = if last { changes.take().unwrap_or_default() } else { Vec::new() };
            let quiescent = if last { quiescent.take().unwrap_or_default() } else { Vec::new() };
            let batch = Batch { commit, quiescent, changes };
            let (answer, answered) = mpsc::channel();
            // Whoever waits below is there until it is answered.
            self.journal.append(batch, Box::new(move |result| drop(answer.send(result))));
            let result = answered.recv().map_err(|_| not_recorded("the log is gone"))?;
            result.map_err(|why| not_recorded(&why.to_string()))?;
            self.heads[usize::from(partition.0)] = head;
        }
        Ok(())
    }

    /// What follows in a partition's own stream.
    fn own_record(
        &self,
        partition: PartitionId,
        event: PartitionEvent,
        at: Timestamp,
    ) -> Result<StagedRecord, Error> {
        let stream = StreamId::Partition(partition);
        let version = self.journal.last_version(&stream)?.unwrap_or(0) + 1;
        Ok(StagedRecord { stream, version, at, event: Event::Partition(event), mark: None })
    }
}

/// A record that is to be durable.
struct StagedRecord {
    stream: StreamId,
    version: u64,
    at: Timestamp,
    event: Event,
    mark: Option<Arc<Mark>>,
}

fn rows(state: &State) -> Vec<ViewChange> {
    let run = ViewChange::Run(run_summary(state));
    std::iter::once(run).chain(letter_summaries(state).map(ViewChange::Letter)).collect()
}

/// The rows of a history; none of what is no run or does not fold.
fn rows_of(
    stream: &StreamId,
    records: &[Record],
    definitions: &mut Definitions,
) -> Vec<ViewChange> {
    let StreamId::Execution(run) = stream else { return Vec::new() };
    match Fold::of(*run, records, definitions) {
        Fold::Whole(state) => rows(&state),
        Fold::Broken { .. } | Fold::Empty => Vec::new(),
    }
}

fn not_recorded(why: &str) -> Error {
    Error::NotRecorded { why: why.to_owned() }
}
