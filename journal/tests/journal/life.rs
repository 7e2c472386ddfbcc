//! Lives of a journal without crashes: write, read, close, open, rebuild.

use std::fs;
use std::path::Path;

use backstitch_core::event::{Event, WorkflowEvent};
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StreamId};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Batch, Commit, Fit, Fsync, Journal, Opened, Options, Reader, verify};

use crate::erased::{Erased, check_history, check_history_but};
use crate::workload::{Acknowledged, Writer, length_of, nobody, options, row_of};

/// Everything a journal must show after any crash: the acknowledged commits are there, each
/// history is what was written, each run has its row, it takes more, and its log is whole.
pub fn check_open(
    directory: &Path,
    options: Options,
    acknowledged: &[(u16, u64, String)],
) -> Result<(), String> {
    check_open_but(directory, options, acknowledged, &Erased::default())
}

/// The same when some contents were erased.
pub fn check_open_but(
    directory: &Path,
    options: Options,
    acknowledged: &[(u16, u64, String)],
    erased: &Erased,
) -> Result<(), String> {
    let runs = check_served_but(directory, options, acknowledged, erased)?;
    check_log(directory, acknowledged, &runs)
}

/// What an open journal serves, and that it takes more; answers the runs with their last
/// versions.
pub fn check_served(
    directory: &Path,
    options: Options,
    acknowledged: &[(u16, u64, String)],
) -> Result<Vec<(ExecutionId, u64)>, String> {
    check_served_but(directory, options, acknowledged, &Erased::default())
}

fn check_served_but(
    directory: &Path,
    options: Options,
    acknowledged: &[(u16, u64, String)],
    erased: &Erased,
) -> Result<Vec<(ExecutionId, u64)>, String> {
    let opened = Journal::open(directory, options).map_err(|e| format!("open: {e}"))?;
    // A crash alone never makes a tree untrusted, but for one that was just being made.
    for reason in opened.report.store_rebuilt.iter().chain(&opened.report.views_emptied) {
        if !reason.contains("missing") && !reason.contains("there was none") {
            return Err(format!("a tree was made anew: {reason}"));
        }
    }
    for (partition, sequence, _) in acknowledged {
        if opened.heads[usize::from(*partition)].sequence < *sequence {
            return Err(format!("commit {sequence} of partition {partition} is lost"));
        }
    }
    for stream in &opened.streams {
        if let StreamId::Execution(run) = stream {
            let records = opened.journal.history(stream).map_err(|e| format!("history: {e}"))?;
            check_history_but(run, &records.ok_or("a live run without a history")?, erased)?;
        }
    }
    // Another seed than before, or the same runs would be submitted again.
    let written: u64 = opened.heads.iter().map(|head| head.sequence).sum();
    let mut writer = Writer::take_over(opened, 1_000_000 + written);
    writer.write(20, &nobody()).map_err(|e| format!("append: {e}"))?;
    let (mut runs, mut checked) = (Vec::new(), Vec::new());
    let each = writer.journal.for_each_history(|stream, records| {
        let StreamId::Execution(run) = stream else { return };
        checked.extend(check_history_but(&run, &records, erased).err());
        runs.push((run, records.len() as u64));
    });
    each.map_err(|e| format!("histories: {e}"))?;
    if let Some(error) = checked.pop() {
        return Err(error);
    }
    for (run, version) in &runs {
        let row = writer.journal.run(run).map_err(|e| format!("row: {e}"))?;
        if row.as_ref() != Some(&row_of(run, *version)) {
            return Err(format!("the row of {run} at version {version} is {row:?}"));
        }
    }
    writer.journal.close().map_err(|e| format!("close: {e}"))?;
    Ok(runs)
}

/// The log itself is whole, holds what was acknowledged, and the same histories.
fn check_log(
    directory: &Path,
    acknowledged: &[(u16, u64, String)],
    runs: &[(ExecutionId, u64)],
) -> Result<(), String> {
    let report = verify(directory).map_err(|e| format!("verify: {e}"))?;
    if !report.ok || report.torn_tail.is_some() {
        return Err(format!("verify: {report:?}"));
    }
    let mut hashes = std::collections::HashMap::new();
    let mut last = std::collections::HashMap::new();
    let reader = Reader::open(directory).map_err(|e| format!("reader: {e}"))?;
    reader
        .for_each_commit(|commit, _| {
            hashes.insert((commit.partition().0, commit.sequence()), commit.head().hash);
            true
        })
        .map_err(|e| format!("reader: {e}"))?;
    reader
        .for_each_record(|record| {
            last.insert(record.stream, record.version);
            true
        })
        .map_err(|e| format!("reader: {e}"))?;
    let beginning = reader.beginning().map_err(|e| format!("reader: {e}"))?;
    for (partition, sequence, hash) in acknowledged {
        if *sequence <= beginning[usize::from(*partition)].sequence {
            continue;
        }
        if hashes.get(&(*partition, *sequence)).map(Digest::to_string).as_ref() != Some(hash) {
            return Err(format!("commit {sequence} of partition {partition} is another"));
        }
    }
    match runs.iter().find(|(run, version)| last.get(&StreamId::Execution(*run)) != Some(version)) {
        Some((run, version)) => Err(format!("{run} ends at {version}, not so in the log")),
        None => Ok(()),
    }
}

/// A directory written by a life that ended well.
pub fn quiet_directory(directory: &Path, commits: usize) -> Vec<(u16, u64, String)> {
    lines(&quiet_directory_with(directory, commits, options()))
}

/// The same with other options.
pub fn quiet_directory_with(
    directory: &Path,
    commits: usize,
    options: Options,
) -> Vec<Acknowledged> {
    let opened = Journal::open(directory, options).expect("an empty directory opens");
    let mut writer = Writer::take_over(opened, 5);
    let acknowledged = writer.write(commits, &nobody()).expect("everything is taken");
    writer.journal.close().expect("the store takes the rest");
    acknowledged
}

pub fn lines(acknowledged: &[Acknowledged]) -> Vec<(u16, u64, String)> {
    acknowledged.iter().map(|a| (a.partition, a.sequence, a.hash.to_string())).collect()
}

#[test]
fn what_was_written_is_there_after_a_clean_close() {
    let directory = tempfile::tempdir().unwrap();
    let acknowledged = quiet_directory(directory.path(), 400);
    let opened = Journal::open(directory.path(), options()).unwrap();
    assert_eq!(opened.report.commits_replayed, 0, "a clean close leaves nothing to replay");
    assert_eq!(opened.report.store_rebuilt, None);
    assert!(!opened.report.views_missing);
    assert!(opened.streams.iter().all(|stream| match stream {
        StreamId::Execution(run) => {
            let records = opened.journal.history(stream).unwrap().unwrap();
            (records.len() as u64) < length_of(run)
        }
        _ => true,
    }));
    assert!(!opened.streams.is_empty(), "some runs are unfinished");
    drop(opened);
    check_open(directory.path(), options(), &acknowledged).unwrap();
}

#[test]
fn a_deleted_store_and_views_are_rebuilt() {
    let directory = tempfile::tempdir().unwrap();
    let acknowledged = quiet_directory(directory.path(), 300);
    for lost in [
        "store",
        "views",
        "store.marks",
        "views/runs/current",
        "store/db",
        "views/letters",
        "views/audit",
    ] {
        let path = directory.path().join(lost);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        check_open(directory.path(), options(), &acknowledged).unwrap_or_else(|e| {
            panic!("without {lost}: {e}");
        });
    }
}

#[test]
fn syncs_are_counted_one_for_each_group() {
    let directory = tempfile::tempdir().unwrap();
    let opened = Journal::open(directory.path(), options()).unwrap();
    let mut writer = Writer::take_over(opened, 1);
    writer.write(200, &nobody()).unwrap();
    let stats = writer.journal.info().log;
    assert_eq!(stats.groups, stats.group_syncs);
    assert_eq!(stats.commits, 200 - skipped(&writer));
    assert!(stats.groups < stats.commits, "commits in flight share a group");
}

/// Appends that found nothing to write.
fn skipped(writer: &Writer) -> u64 {
    200 - writer.heads.iter().map(|head| head.sequence).sum::<u64>()
}

#[test]
fn other_sync_policies_keep_everything_over_a_close() {
    for fsync in [Fsync::Never, Fsync::Interval { ms: 5 }] {
        let directory = tempfile::tempdir().unwrap();
        let relaxed = Options { fsync, ..options() };
        let opened = Journal::open(directory.path(), relaxed.clone()).unwrap();
        let mut writer = Writer::take_over(opened, 2);
        let acknowledged = writer.write(150, &nobody()).unwrap();
        writer.journal.close().unwrap();
        drop(writer);
        check_open(directory.path(), relaxed, &lines(&acknowledged)).unwrap();
    }
}

#[test]
fn workflows_are_always_handed_out() {
    let directory = tempfile::tempdir().unwrap();
    let stream = StreamId::Workflow { namespace: "default".into(), workflow: "order".into() };
    for version in 1..=3 {
        let opened = Journal::open(directory.path(), options()).unwrap();
        assert_eq!(opened.streams.len(), usize::from(version > 1));
        let commit = defined(&opened, &stream, version);
        append(&opened.journal, commit);
        opened.journal.close().unwrap();
    }
    let opened = Journal::open(directory.path(), options()).unwrap();
    assert_eq!(opened.streams, std::slice::from_ref(&stream));
    assert_eq!(opened.journal.history(&stream).unwrap().unwrap().len(), 3);
}

fn defined(opened: &Opened, stream: &StreamId, version: u64) -> Commit {
    let mut builder = opened.journal.commit_builder(PartitionId(2), 1, &opened.heads[2]);
    let event = Event::Workflow(WorkflowEvent::DefinitionPart { text: "{}".to_owned() });
    assert_eq!(builder.push(stream, version, Timestamp(1), &event), Fit::Fits);
    builder.finish(Timestamp(1))
}

fn append(journal: &Journal, commit: Commit) {
    let (sender, answer) = std::sync::mpsc::channel();
    let batch = Batch { commit, quiescent: Vec::new(), changes: Vec::new() };
    journal.append(batch, Box::new(move |done| sender.send(done).expect("we wait")));
    answer.recv().expect("it is answered").expect("it is taken");
}

#[test]
fn a_large_decision_spans_commits_and_an_oversized_record_is_refused() {
    let opened = Journal::memory(1);
    let stream = StreamId::Workflow { namespace: "n".into(), workflow: "w".into() };
    let part =
        |bytes: usize| Event::Workflow(WorkflowEvent::DefinitionPart { text: "x".repeat(bytes) });
    let mut builder = opened.journal.commit_builder(PartitionId(0), 1, &opened.heads[0]);
    assert_eq!(builder.push(&stream, 1, Timestamp(1), &part(100_000)), Fit::Fits);
    assert_eq!(builder.push(&stream, 2, Timestamp(1), &part(100_000)), Fit::Full);
    assert_eq!(builder.push(&stream, 2, Timestamp(1), &part(131_000)), Fit::TooLarge);
    assert_eq!(builder.push(&stream, 2, Timestamp(1), &part(10)), Fit::Fits);
    let commit = builder.finish(Timestamp(1));
    assert_eq!((commit.count(), commit.head().position), (2, 2));
    assert_eq!(Commit::decode(commit.bytes().to_vec()), Ok(commit));
}

#[test]
fn memory_journal_reads_its_own_writes() {
    let mut writer = Writer::take_over(Journal::memory(3), 9);
    writer.write(100, &nobody()).unwrap();
    let mut runs = 0;
    let each = writer.journal.for_each_history(|stream, records| {
        let StreamId::Execution(run) = stream else { return };
        check_history(&run, &records).unwrap();
        let row = writer.journal.run(&run).unwrap();
        assert_eq!(row, Some(row_of(&run, records.len() as u64)));
        runs += 1;
    });
    each.unwrap();
    assert!(runs > 10);
    writer.journal.close().unwrap();
}
