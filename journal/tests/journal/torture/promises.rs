//! What a life has promised, and whether a directory keeps it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::event::{Event, PartitionEvent, RunEvent};
use backstitch_core::ids::{Digest, ExecutionId, StreamId};
use backstitch_core::plan::{Plan, TaskTypes};
use backstitch_core::state::State;
use backstitch_core::yaml::{Format, parse};
use backstitch_journal::{Journal, Options, Reader, RestorePoint, verify};
use serde_json::Value;

use crate::erased::Erased;
use crate::life::check_open_but;
use crate::restore::restored;
use crate::workload::{Acknowledged, event_of, recorded_at};

/// What was said, by one life or several.
#[derive(Debug, Clone, Default)]
pub struct Promises {
    pub acknowledged: Vec<(u16, u64, String)>,
    gone: Vec<ExecutionId>,
    pub erased: Erased,
    pub backups: usize,
}

impl Promises {
    /// Takes what a life said; a torn last line was not said.
    pub fn take(&mut self, text: &str) {
        self.acknowledged.extend(Acknowledged::all_of(text));
        let digest = |word: &str| Digest::parse(word).expect("it is written by a life");
        for line in text.lines().filter_map(|line| line.strip_suffix(" .")) {
            let Some((what, rest)) = line.split_once(' ') else { continue };
            match what {
                "GONE" => self.gone.extend(
                    rest.split(' ')
                        .map(|run| run.parse::<ExecutionId>().expect("it is written by a life")),
                ),
                "ERASING" => drop(self.erased.begun.insert(digest(rest))),
                "ERASED" => drop(self.erased.done.insert(digest(rest))),
                "BACKED" => self.backups += 1,
                _ => {}
            }
        }
    }

    /// Everything that was promised is kept.
    pub fn check(&self, directory: &Path, options: &Options) -> Result<(), String> {
        check_open_but(directory, options.clone(), &self.acknowledged, &self.erased)?;
        let known = histories_of_chain(directory)?;
        let opened = Journal::open(directory, options.clone()).map_err(|e| format!("open: {e}"))?;
        for run in &self.gone {
            let stream = StreamId::Execution(*run);
            let history = opened.journal.history(&stream).map_err(|e| e.to_string())?;
            let row = opened.journal.run(run).map_err(|e| e.to_string())?;
            if history.is_some() || row.is_some() {
                return Err(format!("{run} was removed and is there again"));
            }
        }
        for (run, version) in known {
            let stream = StreamId::Execution(run);
            let stored = opened.journal.last_version(&stream).map_err(|e| e.to_string())?;
            if stored != Some(version) {
                return Err(format!("{run} ends at {version}, in the store at {stored:?}"));
            }
            check_recoverable(&opened.journal, &run, &self.erased)?;
        }
        opened.journal.close().map_err(|e| format!("close: {e}"))
    }

    /// As [`Self::check`], where a tree may have to be made anew from the log and holds everything
    /// then. Answers whether that was so.
    pub fn check_healing(&self, directory: &Path, options: &Options) -> (Result<(), String>, bool) {
        let mut checked = self.check(directory, options);
        let mut healed = false;
        // Store and views each tell it at an open of their own.
        for _ in 0..2 {
            if checked.as_ref().is_err_and(|why| why.contains("a tree was made anew")) {
                (checked, healed) = (self.check(directory, options), true);
            }
        }
        (checked, healed)
    }

    /// A backup that was finished once is whole, restores, and serves what it holds. What was
    /// erased since may be in it still.
    pub fn check_backup(&self, backup: &Path, work: &Path) -> Result<(), String> {
        let report = verify(backup).map_err(|e| format!("backup: {e}"))?;
        if !report.ok {
            return Err(format!("backup: {report:?}"));
        }
        let target = work.join("restored");
        drop(std::fs::remove_dir_all(&target));
        restored(backup, &target, RestorePoint::End);
        let erased = Erased { done: Default::default(), ..self.erased.clone() };
        check_open_but(&target, super::life::options(false), &[], &erased)
            .map_err(|e| format!("restored from a backup: {e}"))
    }
}

/// The runs of the chain that were not removed, with their last versions.
fn histories_of_chain(directory: &Path) -> Result<HashMap<ExecutionId, u64>, String> {
    let reader = Reader::open(directory).map_err(|e| format!("reader: {e}"))?;
    let mut found = HashMap::new();
    let read = reader.for_each_record(|record| {
        match (&record.stream, &record.event) {
            (StreamId::Execution(run), _) => drop(found.insert(*run, record.version)),
            (_, Event::Partition(PartitionEvent::RunsRemoved { runs, .. })) => {
                for run in runs {
                    found.remove(run);
                }
            }
            _ => {}
        }
        true
    });
    read.map_err(|e| format!("reader: {e}"))?;
    Ok(found)
}

/// A checkpoint that a start would begin with is of the run's own past.
fn check_recoverable(journal: &Journal, run: &ExecutionId, erased: &Erased) -> Result<(), String> {
    let Some(found) = journal.recoverable(run).map_err(|e| e.to_string())? else { return Ok(()) };
    let Some(checkpoint) = found.checkpoint else { return Ok(()) };
    let mut expected = checkpoint_of(run, checkpoint.version());
    let all = &erased.begun;
    expected.for_each_payload_mut(&mut |payload| {
        if payload.reference().is_some_and(|(digest, _)| all.contains(&digest)) {
            payload.let_go(backstitch_core::payload::AbsentWhy::Erased);
        }
    });
    let next = found.records.first().map_or(checkpoint.version() + 1, |record| record.version);
    if *checkpoint != expected && erased.begun.is_empty() {
        return Err(format!("the checkpoint of {run} is another"));
    }
    if next != checkpoint.version() + 1 {
        return Err(format!("behind the checkpoint of {run} comes version {next}"));
    }
    Ok(())
}

struct Types;

impl TaskTypes for Types {
    fn effectful(&self) -> &[&'static str] {
        &[]
    }

    fn check(&self, _: &str, _: &Value) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// A checkpoint of a run's version: all that the journal looks at is true.
pub fn checkpoint_of(run: &ExecutionId, version: u64) -> Checkpoint {
    let text = b"{ id: order, steps: [{ id: a, type: wait, with: { duration: 5s } }] }";
    let definition = parse(text, Format::Yaml).expect("it is YAML");
    let (_, plan) = Plan::read(&definition, &Types).expect("it is a definition");
    let Event::Run(RunEvent::Submitted(submitted)) = event_of(run, 1) else {
        panic!("a run begins with it");
    };
    let mut state = State::begin(*run, Arc::new(plan), submitted, recorded_at(run, 1));
    state.version = version;
    Checkpoint::of(&state)
}
