//! Runs of a directory written to a file, batch by batch.
//!
//! The log holds histories side by side, so each reading of it gathers as many runs as fit in
//! memory; the lines are the core's. The file appears under its name when it is whole.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use backstitch_core::event::{Event, PartitionEvent, RunEvent};
use backstitch_core::export::{Exporter, Recorded, Redaction};
use backstitch_core::ids::Digest;
use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_journal::Record;
use serde_json::{Value, json};

use super::archive::Archive;
use super::definitions::Definitions;
use super::fold::Fold;
use super::listing::Row;
use crate::clock;
use crate::error::Error;

/// Events of runs that one reading of the log gathers, unless a single run has more.
pub const EVENTS_PER_READING_MAX: u64 = 250_000;

/// Writes these runs, the oldest first; answers what was written and what was not, and why.
///
/// # Errors
/// If the log cannot be read, or the file is there already or cannot be written.
pub(crate) fn write(
    archive: &Archive,
    mut rows: Vec<Row>,
    generation: u32,
    redaction: Redaction,
    to: &Path,
) -> Result<Value, Error> {
    rows.sort_by_key(|row| (row.summary.submitted_at, row.summary.execution));
    let mut out = Target::create(to)?;
    let (store, _) = archive.identity();
    let (mut exporter, header) = Exporter::begin(&store, generation, clock::now(), redaction);
    out.write(&header)?;
    let (mut runs, mut events, mut skipped) = (0_u64, 0_u64, Vec::new());
    for batch in batches(&rows) {
        let (mut histories, mut definitions) = gather(archive, batch)?;
        for row in batch {
            let run = row.summary.execution;
            let records = histories.remove(&run).unwrap_or_default();
            match Fold::of(run, &records, &mut definitions) {
                Fold::Whole(state) => {
                    let text_of = |digest: &Digest| {
                        definitions.text(digest).map(|text| text.to_string()).unwrap_or_default()
                    };
                    (runs, events) = (runs + 1, events + records.len() as u64);
                    let events = records.into_iter().map(|record| {
                        let Record { event, recorded_at: at, position, mark, .. } = record;
                        Recorded { event, at, position, mark }
                    });
                    out.write(&exporter.run(&state, events.collect(), &text_of))?;
                }
                Fold::Broken { why } => skipped.push((run, why)),
                Fold::Empty => skipped.push((run, "nothing was recorded".to_owned())),
            }
            if let Some((skipped, why)) = skipped.last().filter(|(skipped, _)| *skipped == run) {
                out.write(&exporter.skip(*skipped, why.clone()))?;
            }
        }
    }
    out.write(&exporter.end())?;
    let bytes = out.finish()?;
    Ok(written(to, bytes, [runs, events], &skipped))
}

/// What was written: how many runs with how many events.
pub(super) fn written(
    to: &Path,
    bytes: u64,
    [runs, events]: [u64; 2],
    skipped: &[(ExecutionId, String)],
) -> Value {
    let skipped =
        skipped.iter().map(|(run, why)| json!({ "execution_id": run.to_string(), "why": why }));
    json!({
        "file": to.display().to_string(),
        "bytes": bytes,
        "executions": runs,
        "events": events,
        "skipped": skipped.collect::<Vec<_>>(),
    })
}

/// Runs whose events fit in memory together.
fn batches(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let mut events = 0_u64;
        let fits = |row: &&Row| {
            events = events.saturating_add(row.summary.version);
            events <= EVENTS_PER_READING_MAX
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (batch, later) = rest.split_at(count);
        rest = later;
        Some(batch).filter(|batch| !batch.is_empty())
    })
}

/// The histories of some runs, with their payloads, and the definitions of the log.
fn gather(
    archive: &Archive,
    batch: &[Row],
) -> Result<(HashMap<ExecutionId, Vec<Record>>, Definitions), Error> {
    let wanted: BTreeMap<ExecutionId, ()> =
        batch.iter().map(|row| (row.summary.execution, ())).collect();
    let mut histories: HashMap<ExecutionId, Vec<Record>> = HashMap::new();
    let mut definitions = Definitions::default();
    let is_wanted = |stream: &StreamId| match stream {
        StreamId::Execution(run) => wanted.contains_key(run),
        StreamId::Workflow { .. } | StreamId::Partition(_) => true,
        StreamId::Replay(_) | StreamId::Redrive(_) => false,
    };
    archive.scan(is_wanted, |_, record| match (&record.stream, &record.event) {
        (StreamId::Execution(run), Event::Run(event)) => {
            let history = histories.entry(*run).or_default();
            // The same id may have had a life before, which was removed.
            if matches!(event, RunEvent::Submitted(_)) {
                history.clear();
            }
            history.push(record);
        }
        (stream, Event::Workflow(event)) => definitions.take(stream, event, record.recorded_at),
        (_, Event::Partition(PartitionEvent::RunsRemoved { runs, .. })) => {
            runs.iter().for_each(|run| drop(histories.remove(run)));
        }
        _ => {}
    })?;
    for records in histories.values_mut() {
        archive.give_back(records)?;
    }
    Ok((histories, definitions))
}

/// A file that is made beside its name, and is gone if it does not get it.
pub(super) struct Target {
    path: PathBuf,
    beside: PathBuf,
    out: BufWriter<File>,
    bytes: u64,
    finished: bool,
}

impl Target {
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let mut name = path.as_os_str().to_owned();
        name.push(".unfinished");
        let beside = PathBuf::from(name);
        if path.exists() {
            return Err(Error::Taken { path: path.to_owned() });
        }
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&beside);
        let file = file.map_err(|source| failed(&beside, source))?;
        Ok(Self {
            path: path.to_owned(),
            beside,
            out: BufWriter::new(file),
            bytes: 0,
            finished: false,
        })
    }

    pub(super) fn write(&mut self, text: &str) -> Result<(), Error> {
        self.bytes += text.len() as u64;
        self.out.write_all(text.as_bytes()).map_err(|source| failed(&self.beside, source))
    }

    /// Syncs the file and gives it its name.
    pub(super) fn finish(mut self) -> Result<u64, Error> {
        let flushed = self.out.flush().and_then(|()| self.out.get_ref().sync_all());
        let named = flushed.and_then(|()| fs::rename(&self.beside, &self.path));
        named.map_err(|source| failed(&self.path, source))?;
        self.finished = true;
        Ok(self.bytes)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed is written over the next time.
            drop(fs::remove_file(&self.beside));
        }
    }
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::File { action: "writing", path: path.to_owned(), source }
}
