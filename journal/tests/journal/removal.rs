//! Removed runs: gone for every reader at once, and for ever, whatever becomes of the store.

use std::collections::BTreeMap;
use std::path::Path;

use backstitch_core::event::PartitionEvent;
use backstitch_core::ids::{ExecutionId, LetterId, StreamId};
use backstitch_core::letters::Fingerprint;
use backstitch_core::summary::{
    LetterKind, LetterStatus, LetterSummary, RunStatus, RunSummary, ViewChange,
};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Journal, LetterFilter, Options, Reader, Record, RunFilter, verify};

use crate::workload::{Writer, length_of, nobody, options};

/// Ticks come when the test says so.
pub fn unhurried() -> Options {
    Options { tick_ms: u64::from(u32::MAX), ..options() }
}

pub fn everything() -> RunFilter {
    RunFilter { namespace: "default".to_owned(), ..RunFilter::default() }
}

pub fn finished(journal: &Journal) -> Vec<RunSummary> {
    let filter = RunFilter { status: Some(RunStatus::Completed), ..everything() };
    journal.runs(&filter, None, 1_000).expect("the views are whole").rows
}

type Histories = BTreeMap<StreamId, Vec<Record>>;

fn histories(journal: &Journal) -> Histories {
    let mut found = BTreeMap::new();
    let each = journal.for_each_history(|stream, records| {
        found.insert(stream, records);
    });
    each.expect("every history can be read");
    found
}

/// What a journal shows: no trace of those that are gone, and all of the others.
fn check(journal: &Journal, gone: &[ExecutionId], kept: &Histories) {
    for run in gone {
        let stream = StreamId::Execution(*run);
        assert_eq!(journal.history(&stream).expect("it is whole"), None);
        assert_eq!(journal.last_version(&stream).expect("it is whole"), None);
        assert_eq!(journal.run(run).expect("it is whole"), None);
        let mark = journal.removed_run(run).expect("it is whole").expect("it was removed");
        assert_eq!((&*mark.rule, mark.at), ("a test's", Timestamp(77)));
        let letter = LetterId { execution: *run, number: 0 };
        assert_eq!(journal.letter(&letter).expect("it is whole"), None);
    }
    let listed = journal.runs(&everything(), None, 1_000).expect("the views are whole").rows;
    assert!(listed.iter().all(|row| !gone.contains(&row.execution)));
    let letters = LetterFilter { namespace: "default".to_owned(), ..LetterFilter::default() };
    let letters = journal.letters(&letters, None, 1_000).expect("the views are whole").rows;
    assert!(letters.iter().all(|row| !gone.contains(&row.letter.execution)));
    assert_eq!(&histories(journal), kept);
    assert_eq!(listed.len(), kept.len(), "each of the others has its row");
}

fn reopen(directory: &Path) -> Writer {
    Writer::take_over(Journal::open(directory, unhurried()).expect("it opens"), 99)
}

/// A life with some finished runs, to be removed.
fn life(directory: &Path) -> (Writer, Vec<ExecutionId>) {
    let opened = Journal::open(directory, unhurried()).expect("an empty directory opens");
    let mut writer = Writer::take_over(opened, 3);
    writer.write(300, &nobody()).expect("everything is taken");
    let ended = finished(&writer.journal);
    let partition = ended[0].execution.partition;
    let mine = ended.iter().map(|row| row.execution).filter(|run| run.partition == partition);
    let gone: Vec<ExecutionId> = mine.take(5).collect();
    assert!(gone.len() > 2, "some have ended");
    let letters = gone.iter().map(|run| ViewChange::Letter(letter_of(run))).collect();
    writer.journal.mark(Vec::new(), letters);
    (writer, gone)
}

fn letter_of(run: &ExecutionId) -> LetterSummary {
    LetterSummary {
        letter: LetterId { execution: *run, number: 0 },
        namespace: "default".into(),
        workflow: "odd".into(),
        revision: 1,
        tags: [].into(),
        fingerprint: Fingerprint(7),
        kind: LetterKind::Step,
        subject: "a".to_owned(),
        code: "C".to_owned(),
        message: "m".to_owned(),
        status: LetterStatus::Discarded,
        assignee: None,
        opened_at: Timestamp(1),
        attempts: 1,
        version: 1,
    }
}

fn without(mut all: Histories, gone: &[ExecutionId]) -> Histories {
    all.retain(|stream, _| !gone.iter().any(|run| *stream == StreamId::Execution(*run)));
    all
}

#[test]
fn a_removed_run_is_gone_wherever_it_was() {
    for stored_before in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, gone) = life(directory.path());
        if stored_before {
            writer.journal.store_now().unwrap();
        }
        let kept = without(histories(&writer.journal), &gone);
        writer.remove(&gone).unwrap();
        check(&writer.journal, &gone, &kept);
        writer.journal.store_now().unwrap();
        check(&writer.journal, &gone, &kept);
        writer.journal.close().unwrap();
        drop(writer);
        let writer = reopen(directory.path());
        check(&writer.journal, &gone, &kept);
        drop(writer);
        assert!(verify(directory.path()).unwrap().ok);
        let reader = Reader::open(directory.path()).unwrap();
        assert_eq!(reader.history(&StreamId::Execution(gone[0])).unwrap(), None);
    }
}

#[test]
fn the_next_open_removes_what_the_last_life_did_not() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, gone) = life(directory.path());
    writer.journal.store_now().unwrap();
    let kept = without(histories(&writer.journal), &gone);
    let before = tempfile::tempdir().unwrap();
    writer.journal.close().unwrap();
    copy(directory.path(), before.path());
    drop(writer);
    let mut writer = reopen(directory.path());
    writer.remove(&gone).unwrap();
    writer.journal.close().unwrap();
    drop(writer);
    // The store and the views as they were before: every delete has come back.
    for part in ["store", "store.marks", "views", "views.marks"] {
        let (from, to) = (before.path().join(part), directory.path().join(part));
        if from.is_dir() {
            std::fs::remove_dir_all(&to).unwrap();
            copy(&from, &to);
        } else if from.exists() {
            std::fs::copy(&from, &to).unwrap();
        }
        let writer = reopen(directory.path());
        check(&writer.journal, &gone, &kept);
        writer.journal.close().unwrap();
    }
    for part in ["store", "views"] {
        std::fs::remove_dir_all(directory.path().join(part)).unwrap();
        let writer = reopen(directory.path());
        check(&writer.journal, &gone, &kept);
        writer.journal.close().unwrap();
    }
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("room for it");
    for entry in std::fs::read_dir(from).expect("it is there") {
        let path = entry.expect("it is there").path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            // A file that is being made may get its name just now.
            match std::fs::copy(&path, &target) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied.expect("room for it")),
            }
        }
    }
}

#[test]
fn an_id_may_live_again_and_leave_again() {
    for ticks in 0..8_u8 {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, gone) = life(directory.path());
        let tick = |writer: &Writer, bit: u8| {
            if ticks & (1 << bit) != 0 {
                writer.journal.store_now().unwrap();
            }
        };
        tick(&writer, 0);
        let mut kept = without(histories(&writer.journal), &gone);
        writer.remove(&gone).unwrap();
        tick(&writer, 1);
        writer.begin(&gone[0], length_of(&gone[0])).unwrap();
        writer.begin(&gone[1], 1).unwrap();
        tick(&writer, 2);
        for run in &gone[..2] {
            let stream = StreamId::Execution(*run);
            let records = writer.journal.history(&stream).unwrap().expect("it began again");
            kept.insert(stream, records);
        }
        check(&writer.journal, &gone[2..], &kept);
        let again = gone[0];
        writer.remove(&[again]).unwrap();
        kept.remove(&StreamId::Execution(again));
        check(&writer.journal, &[again], &kept);
        // Not closed: the next start finds the directory as a crash leaves it.
        let crashed = tempfile::tempdir().unwrap();
        copy(directory.path(), crashed.path());
        let next = reopen(crashed.path());
        check(&next.journal, &[again], &kept);
        check(&next.journal, &gone[2..], &kept);
        next.journal.close().unwrap();
        drop(next);
        let next = reopen(crashed.path());
        check(&next.journal, &[again], &kept);
        assert_eq!(next.journal.last_version(&StreamId::Execution(gone[1])).unwrap(), Some(1));
        drop(next);
        assert!(verify(crashed.path()).unwrap().ok);
    }
}

#[test]
fn a_run_may_be_removed_and_begin_again_in_one_commit() {
    for ticks in 0..4_u8 {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, gone) = life(directory.path());
        let tick = |writer: &Writer, bit: u8| {
            if ticks & (1 << bit) != 0 {
                writer.journal.store_now().unwrap();
            }
        };
        tick(&writer, 0);
        let mut kept = without(histories(&writer.journal), &gone);
        let (again, partition) = (gone[0], gone[0].partition);
        let (runs, rule, actor) = (gone.clone(), "a test's".to_owned(), "test".to_owned());
        let event = PartitionEvent::RunsRemoved { runs, rule, actor };
        writer.record_and_begin(partition, event, Some(again)).unwrap();
        tick(&writer, 1);
        let stream = StreamId::Execution(again);
        let records = writer.journal.history(&stream).unwrap().expect("it began again");
        assert_eq!(records.len(), 1);
        kept.insert(stream, records);
        check(&writer.journal, &gone[1..], &kept);
        let crashed = tempfile::tempdir().unwrap();
        copy(directory.path(), crashed.path());
        for _ in 0..2 {
            let next = reopen(crashed.path());
            check(&next.journal, &gone[1..], &kept);
            assert_eq!(next.journal.run(&again).unwrap().map(|row| row.version), Some(1));
            next.journal.close().unwrap();
            drop(next);
        }
        assert!(verify(crashed.path()).unwrap().ok);
    }
}

#[test]
fn the_stores_live_bytes_fall() {
    let directory = tempfile::tempdir().unwrap();
    let opened = Journal::open(directory.path(), unhurried()).expect("it opens");
    let mut writer = Writer::take_over(opened, 3);
    writer.write(900, &nobody()).expect("everything is taken");
    writer.journal.store_now().unwrap();
    let before = writer.journal.stored_bytes().unwrap();
    let mut by_partition: BTreeMap<u16, Vec<ExecutionId>> = BTreeMap::new();
    for row in finished(&writer.journal) {
        by_partition.entry(row.execution.partition.0).or_default().push(row.execution);
    }
    for runs in by_partition.values() {
        writer.remove(runs).unwrap();
    }
    writer.journal.store_now().unwrap();
    let after = writer.journal.stored_bytes().unwrap();
    assert!(after * 2 < before, "{before} bytes before, {after} after");
}
