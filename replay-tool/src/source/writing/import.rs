//! Taking runs in from a file, in a directory whose server does not run.
//!
//! As a server does it: the fact that a run is imported comes first, so that what a crash
//! leaves of one is known by it, is shown to nobody, and is removed before it is taken again
//! or a server starts. The same file can be taken again and goes on where it broke off. It is
//! read through first, so that nothing is taken of one that was changed or cut off.

use std::collections::HashSet;
use std::io::BufRead;

use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::export::{
    BadLine, ImportReport, ImportedDefinition, ImportedRun, Importer, Item, beyond_partitions,
    is_same, not_closed,
};
use backstitch_core::ids::{ExecutionId, PartitionId, StreamId};
use backstitch_core::machine::replay;
use backstitch_core::state::State;
use backstitch_core::workflow;
use backstitch_journal::{Fit, Head};
use serde_json::Value;

use super::super::lines::next_line;
use super::{StagedRecord, Writing, rows};
use crate::error::Error;

/// Where every workflow's stream is.
const WORKFLOWS_PARTITION: PartitionId = PartitionId(0);
/// Why what a crash left of an import is removed.
const CUT_SHORT: &str = "its import was cut short; import it again";

/// Reads a file through to its hash; `read` is told how many bytes were read.
///
/// # Errors
/// If it is no whole export.
pub(crate) fn check_export(mut file: impl BufRead, read: &mut dyn FnMut(u64)) -> Result<(), Error> {
    let (mut importer, mut line, mut bytes) = (Importer::default(), Vec::new(), 0_u64);
    loop {
        let count = next_line(&mut file, &mut line).map_err(|source| Error::Unread { source })?;
        if count == 0 {
            return importer.finish().map_err(|bad| Error::BadExport { bad });
        }
        importer.take(&line).map_err(|bad| Error::BadExport { bad })?;
        bytes += count as u64;
        read(bytes);
    }
}

impl Writing {
    /// Takes a file in that was read through already, line by line; `read` is told how many bytes were taken. Answers what
    /// the API would, with what stopped it before its end, if something did.
    ///
    /// # Errors
    /// If something could not be recorded. What was taken in before stays.
    pub(crate) fn import(
        &mut self,
        mut file: impl BufRead,
        actor: &str,
        read: &mut dyn FnMut(u64),
    ) -> Result<(Value, Option<Error>), Error> {
        let mut report = ImportReport::default();
        let stopped = match self.take_lines(&mut file, actor, &mut report, read) {
            Ok(()) => None,
            Err(Stop::Bad(bad)) => Some(Error::ImportStopped { bad }),
            Err(Stop::Unread(source)) => Some(Error::Unread { source }),
            Err(Stop::Failed(error)) => return Err(error),
        };
        Ok((report.json(), stopped))
    }

    fn take_lines(
        &mut self,
        file: &mut impl BufRead,
        actor: &str,
        report: &mut ImportReport,
        read: &mut dyn FnMut(u64),
    ) -> Result<(), Stop> {
        let named = self.imported_runs()?;
        let (mut importer, mut line, mut bytes) = (Importer::default(), Vec::new(), 0_u64);
        loop {
            let count = next_line(file, &mut line).map_err(Stop::Unread)?;
            if count == 0 {
                return Ok(importer.finish()?);
            }
            bytes += count as u64;
            match importer.take(&line)? {
                None => {}
                Some(Item::Definition(own)) => self.keep(*own, actor)?,
                Some(Item::Run(run)) => {
                    let source = importer.source_of(&run);
                    self.take_run(run, &named, source, actor, report)?;
                }
                Some(Item::Skipped(own)) => report.left_out(own),
            }
            read(bytes);
        }
    }

    /// Runs that were imported and not removed since.
    fn imported_runs(&self) -> Result<HashSet<ExecutionId>, Error> {
        let mut named = HashSet::new();
        for partition in (0..self.journal.partition_count()).map(PartitionId) {
            let own = self.journal.history(&StreamId::Partition(partition))?;
            for record in own.unwrap_or_default() {
                match record.event {
                    Event::Partition(PartitionEvent::RunsImported { runs, .. }) => {
                        named.extend(runs);
                    }
                    Event::Partition(PartitionEvent::RunsRemoved { runs, .. }) => {
                        runs.iter().for_each(|run| {
                            named.remove(run);
                        });
                    }
                    _ => {}
                }
            }
        }
        Ok(named)
    }

    /// Keeps a definition that runs of the file are pinned to, unless it is known.
    fn keep(&mut self, own: ImportedDefinition, actor: &str) -> Result<(), Error> {
        let ImportedDefinition { definition, plan } = own;
        if self.definitions.plan(&plan.digest).is_ok() {
            return Ok(());
        }
        let namespace = definition.namespace.as_str().into();
        let stream = StreamId::Workflow { namespace, workflow: plan.workflow.clone() };
        let state = self.definitions.workflow(&stream);
        let events = workflow::keep(&state, &definition.text, plan.digest, actor);
        let at = self.moment(WORKFLOWS_PARTITION).stamp;
        let last = self.journal.last_version(&stream)?.unwrap_or(0);
        let record = |(version, event)| StagedRecord {
            stream: stream.clone(),
            version,
            at,
            event: Event::Workflow(event),
            mark: None,
        };
        let records: Vec<_> = (last + 1..).zip(events.iter().cloned()).map(record).collect();
        self.append(WORKFLOWS_PARTITION, &records, Vec::new(), Vec::new(), at)?;
        events.iter().for_each(|event| self.definitions.take(&stream, event, at));
        Ok(())
    }

    fn take_run(
        &mut self,
        run: ImportedRun,
        named: &HashSet<ExecutionId>,
        source: String,
        actor: &str,
        report: &mut ImportReport,
    ) -> Result<(), Stop> {
        let (id, line) = (run.execution, run.line);
        let bad = |why: String| Stop::Bad(BadLine { line, why });
        if let Some(why) = beyond_partitions(&id, self.journal.partition_count()) {
            report.refuse(id, why);
            return Ok(());
        }
        let plan = self.definitions.plan_of(&run.lineage);
        plan.map_err(|why| bad(format!("the definition of {id} cannot be had: {why}")))?;
        let told = run.events.iter().map(|(event, at)| (event, *at));
        let state = replay(id, &self.definitions, told)
            .map_err(|why| bad(format!("{id} does not fold: {why}")))?;
        if let Some(why) = not_closed(&state) {
            report.refuse(id, why);
            return Ok(());
        }
        let stream = StreamId::Execution(id);
        if let Some(known) = self.journal.history(&stream)? {
            let known = known.iter().map(|record| (&record.event, record.recorded_at));
            if is_same(known, &run.events) {
                report.here(id, true);
                return Ok(());
            }
            let closed = self.state(id).is_ok_and(|own| own.is_some_and(|own| own.is_closed()));
            if closed || !named.contains(&id) {
                report.here(id, false);
                return Ok(());
            }
            self.remove_cut_short(id, actor)?;
        }
        for (event, at) in &run.events {
            let mut builder = self.journal.commit_builder(id.partition, 1, &Head::default());
            if builder.push(&stream, 1, *at, event) != Fit::Fits {
                return Err(bad(format!("an event of {id} is larger than a record may be")));
            }
        }
        self.append_import(&state, run, source, actor)?;
        report.imported += 1;
        Ok(())
    }

    fn append_import(
        &mut self,
        state: &State,
        run: ImportedRun,
        source: String,
        actor: &str,
    ) -> Result<(), Error> {
        let (partition, stream) = (state.id.partition, StreamId::Execution(state.id));
        let at = self.moment(partition).stamp;
        let (runs, actor) = (vec![state.id], actor.to_owned());
        let event = PartitionEvent::RunsImported { runs, source, actor };
        let own = self.own_record(partition, event, at)?;
        let mut marks = run.marks;
        let events = (1..).zip(run.events).map(|(version, (event, at))| StagedRecord {
            stream: stream.clone(),
            version,
            at,
            event,
            mark: marks.remove(&version),
        });
        let records: Vec<_> = std::iter::once(own).chain(events).collect();
        self.append(partition, &records, rows(state), vec![stream.clone()], at)
    }

    /// Removes what a crash left of an import.
    fn remove_cut_short(&mut self, run: ExecutionId, actor: &str) -> Result<(), Error> {
        let at = self.moment(run.partition).stamp;
        let (runs, rule, actor) = (vec![run], CUT_SHORT.to_owned(), actor.to_owned());
        let event = PartitionEvent::RunsRemoved { runs, rule, actor };
        let own = self.own_record(run.partition, event, at)?;
        self.append(run.partition, &[own], Vec::new(), Vec::new(), at)
    }
}

/// Why no more lines are taken.
enum Stop {
    Bad(BadLine),
    Unread(std::io::Error),
    Failed(Error),
}

impl From<BadLine> for Stop {
    fn from(bad: BadLine) -> Self {
        Self::Bad(bad)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<backstitch_journal::Error> for Stop {
    fn from(error: backstitch_journal::Error) -> Self {
        Self::Failed(error.into())
    }
}
