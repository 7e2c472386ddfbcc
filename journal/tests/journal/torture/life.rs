//! The life: this test binary started again, doing everything in an order drawn from a seed.
//!
//! It says what it promises in lines, before and behind each deed; see `promises.rs`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use backstitch_core::event::PartitionEvent;
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StreamId};
use backstitch_core::summary::{RunStatus, ViewChange};
use backstitch_core::time::Timestamp;
use backstitch_journal::{
    CutPoint, Error, Fsync, Journal, Options, Part, RunFilter, ViewName, unheard,
};

use super::promises::checkpoint_of;
use crate::archive::small;
use crate::erased::{Erased, check_history_but};
use crate::removal::everything;
use crate::workload::{Acknowledged, Dice, Stop, Writer, length_of, quick_options, row_of};

const DIRECTORY: &str = "JOURNAL_TORTURE_DIRECTORY";
const SAID: &str = "JOURNAL_TORTURE_SAID";
const SEED: &str = "JOURNAL_TORTURE_SEED";
const STEPS: &str = "JOURNAL_TORTURE_STEPS";
const UNSYNCED: &str = "JOURNAL_TORTURE_UNSYNCED";
const BACKUP: &str = "JOURNAL_TORTURE_BACKUP";

/// Small segments; in every other life trees that open quickly and are rewritten all the while.
pub fn options(quick: bool) -> Options {
    let Options { segment_bytes, log_segments_kept, .. } = small();
    let trees = if quick { quick_options() } else { small() };
    Options { segment_bytes, log_segments_kept, ..trees }
}

/// The command that starts a life of so many deeds.
pub fn command(directory: &Path, said: &Path, seed: u64, steps: usize) -> Command {
    let program = std::env::current_exe().expect("a test has a program");
    let mut command = Command::new(program);
    command
        .args(["torture::life::lives_until_it_dies", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(SAID, said)
        .env(SEED, seed.to_string())
        .env(STEPS, steps.to_string())
        .stdin(Stdio::null());
    command
}

/// Has the life back itself up.
pub fn backing_up(command: &mut Command, to: &Path) {
    command.env(BACKUP, to);
}

/// Has the life not sync its log: to show that it matters.
pub fn unsynced(command: &mut Command) {
    command.env(UNSYNCED, "1");
}

fn variable(name: &str) -> String {
    std::env::var(name).expect("the parent sets all variables")
}

/// An error with all its causes, in one line.
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |own: &&dyn std::error::Error| own.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ").replace('\n', " ")
}

type Say = Arc<dyn Fn(&str) + Send + Sync>;

struct Life {
    writer: Writer,
    dice: Dice,
    say: Say,
}

impl Life {
    fn step(&mut self) -> Result<(), Stop> {
        match self.dice.below(14) {
            0..7 => {
                let commits = 1 + self.dice.below(25) as usize;
                self.write(commits)?;
            }
            7 => self.write(60)?,
            8 => self.writer.journal.store_now()?,
            9 => self.checkpoint()?,
            10 => self.remove()?,
            11 => self.erase()?,
            12 => self.cut()?,
            _ => self.read()?,
        }
        Ok(())
    }

    fn write(&mut self, commits: usize) -> Result<(), Stop> {
        let say = Arc::clone(&self.say);
        let told = Arc::new(move |commit: &Acknowledged| say(commit.line().trim()));
        self.writer.write(commits, &(told as Arc<_>))?;
        Ok(())
    }

    /// A run that is there.
    fn any_run(&mut self) -> Result<Option<ExecutionId>, Stop> {
        let rows = self.writer.journal.runs(&everything(), None, 100)?.rows;
        let chosen = self.dice.below(rows.len().max(1) as u64) as usize;
        Ok(rows.get(chosen).map(|row| row.execution))
    }

    fn checkpoint(&mut self) -> Result<(), Stop> {
        let mut made = Vec::new();
        for _ in 0..4 {
            let Some(run) = self.any_run()? else { continue };
            let version = self.writer.journal.last_version(&StreamId::Execution(run))?;
            let live = version.filter(|version| *version < length_of(&run));
            made.extend(live.map(|version| (run, Box::new(checkpoint_of(&run, version)))));
        }
        self.writer.journal.checkpoint(made);
        Ok(())
    }

    fn remove(&mut self) -> Result<(), Stop> {
        let status = Some(RunStatus::Completed);
        let filter = RunFilter { status, ..everything() };
        let ended = self.writer.journal.runs(&filter, None, 1_000)?.rows;
        let Some(first) = ended.get(self.dice.below(ended.len().max(1) as u64) as usize) else {
            return Ok(());
        };
        let partition = first.execution.partition;
        let mine = ended.iter().map(|row| row.execution).filter(|run| run.partition == partition);
        let runs: Vec<_> = mine.take(1 + self.dice.below(8) as usize).collect();
        let words: Vec<_> = runs.iter().map(ToString::to_string).collect();
        self.writer.remove(&runs)?;
        (self.say)(&format!("GONE {} .", words.join(" ")));
        Ok(())
    }

    /// Erases a content that nobody else has.
    fn erase(&mut self) -> Result<(), Stop> {
        let Some(run) = self.any_run()? else { return Ok(()) };
        let records = self.writer.journal.history(&StreamId::Execution(run))?.unwrap_or_default();
        let mut own: Vec<Digest> = Vec::new();
        for record in &records {
            record.event.for_each_payload(&mut |payload| {
                let shared = payload.length_bytes() < 12 || payload.text().starts_with("\"aaaa");
                if payload.absent().is_none() && !shared {
                    own.extend(payload.reference().map(|(digest, _)| digest));
                }
            });
        }
        let Some(digest) = own.pop() else { return Ok(()) };
        (self.say)(&format!("ERASING {digest} ."));
        let (reason, actor) = ("asked for".to_owned(), "ann".to_owned());
        let event = PartitionEvent::PayloadErased { digest, reason, actor };
        self.writer.record(run.partition, event)?;
        self.writer.journal.finish_erasures();
        if self.writer.journal.poisoned().is_none() {
            (self.say)(&format!("ERASED {digest} ."));
        }
        Ok(())
    }

    /// Cuts as an engine would.
    fn cut(&mut self) -> Result<(), Stop> {
        self.writer.journal.store_now()?;
        let plan = self.writer.journal.plan_cut(&CutPoint::Everything)?;
        for anchor in plan.anchor.iter().filter(|anchor| anchor.moves) {
            let (sequence, hash, actor) = (anchor.sequence, anchor.hash, "test".to_owned());
            let event = PartitionEvent::LogCut { sequence, hash, actor };
            self.writer.record(PartitionId(anchor.partition), event)?;
        }
        self.writer.journal.cut(&plan)?;
        let positions: Vec<u64> = plan.anchor.iter().map(|anchor| anchor.position).collect();
        self.writer.journal.forget_removed(&positions);
        Ok(())
    }

    /// What is read while all of it goes on is right.
    fn read(&mut self) -> Result<(), Stop> {
        for _ in 0..5 {
            let Some(run) = self.any_run()? else { return Ok(()) };
            let erased = Erased { any: true, ..Erased::default() };
            let records = self.writer.journal.history(&StreamId::Execution(run))?;
            let records = records.expect("only this thread removes runs");
            check_history_but(&run, &records, &erased).unwrap_or_else(|wrong| panic!("{wrong}"));
        }
        Ok(())
    }
}

/// What goes on beside the writing: backups, scrubs, rewriting of trees and views, collecting.
fn work_beside(journal: &Journal, seed: u64, backup: Option<&Path>, say: &Say, end: &AtomicBool) {
    let mut dice = Dice(seed);
    while !end.load(Ordering::SeqCst) && journal.poisoned().is_none() {
        let done = match dice.below(6) {
            0 => journal.compact(Part::ALL[dice.below(3) as usize]),
            1 => journal.scrub(),
            2 => journal.collect_blobs(false).map(drop),
            3 => rebuild(journal),
            _ => backup.map_or(Ok(()), |to| {
                let report = journal.backup(to, Timestamp(1), &mut unheard());
                report.map(|report| say(&format!("BACKED {} .", report.files)))
            }),
        };
        match done {
            Ok(()) | Err(Error::Closed) => {}
            Err(error) => say(&format!("COMPLAINED {}", whole(&error))),
        }
    }
}

fn rebuild(journal: &Journal) -> Result<(), Error> {
    let mut fold = |stream, records: Vec<_>| match stream {
        StreamId::Execution(run) => vec![ViewChange::Run(row_of(&run, records.len() as u64))],
        _ => Vec::new(),
    };
    journal.rebuild_view(ViewName::Runs, &mut fold).map(drop)
}

/// Only the child runs this; as a test of its own it does nothing.
#[test]
fn lives_until_it_dies() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let said = OpenOptions::new().append(true).create(true).open(variable(SAID)).unwrap();
    let said = Mutex::new(said);
    let say: Say = Arc::new(move |line: &str| {
        said.lock().unwrap().write_all(format!("\n{line}\n").as_bytes()).unwrap();
    });
    let seed: u64 = variable(SEED).parse().unwrap();
    let mut options = options(seed.is_multiple_of(2));
    if std::env::var_os(UNSYNCED).is_some() {
        // The store's ticks would sync the log too.
        options = Options { fsync: Fsync::Never, tick_ms: u64::from(u32::MAX), ..options };
    }
    let opened = match Journal::open(directory, options) {
        Ok(opened) => opened,
        Err(error) => return say(&format!("REFUSED {}", whole(&error))),
    };
    let writer = Writer::take_over(opened, seed);
    let (journal, beside) = (writer.journal.clone(), Arc::clone(&say));
    let end = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&end);
    let backup = std::env::var_os(BACKUP).map(PathBuf::from);
    let worker = std::thread::spawn(move || {
        work_beside(&journal, seed, backup.as_deref(), &beside, &ended);
    });
    let mut life = Life { writer, dice: Dice(seed), say: Arc::clone(&say) };
    let mut left: usize = variable(STEPS).parse().unwrap();
    while left > 0 {
        left -= 1;
        match life.step() {
            Ok(()) => {}
            Err(Stop::Append(error)) => {
                say(&format!("REFUSED {}", whole(&error)));
                break;
            }
            Err(Stop::Journal(error)) if life.writer.journal.poisoned().is_some() => {
                say(&format!("REFUSED {}", whole(&error)));
                break;
            }
            Err(Stop::Journal(error)) => say(&format!("COMPLAINED {}", whole(&error))),
        }
    }
    end.store(true, Ordering::SeqCst);
    worker.join().unwrap();
    let closed = life.writer.journal.close();
    say(&closed.map_or_else(|error| format!("REFUSED {}", whole(&error)), |()| "CLOSED".into()));
}
