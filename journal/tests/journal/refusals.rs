//! Directories that cannot be opened, each refused in its own words.

use std::fs;

use backstitch_core::ids::{ExecutionId, PartitionId, StreamId};
use backstitch_journal::{Error, Journal, Options, Reader, verify};

use crate::life::{quiet_directory, quiet_directory_with};
use crate::restore::unarchived;
use crate::workload::options;

fn refusal(directory: &std::path::Path) -> Error {
    Journal::open(directory, options()).err().expect("it is refused")
}

#[test]
fn a_second_opener_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let opened = Journal::open(directory.path(), options()).unwrap();
    assert!(matches!(refusal(directory.path()), Error::Locked { .. }));
    assert!(matches!(Reader::open(directory.path()), Err(Error::Locked { .. })));
    opened.journal.close().unwrap();
    let first = Reader::open(directory.path()).unwrap();
    let second = Reader::open(directory.path()).unwrap();
    assert!(matches!(refusal(directory.path()), Error::Locked { .. }));
    drop((first, second));
    let again = Journal::open(directory.path(), options()).unwrap();
    assert_eq!(again.report.store_rebuilt, None, "a handle that remains holds nothing");
    let stream = StreamId::Execution(ExecutionId { partition: PartitionId(0), digits: 1 });
    assert!(matches!(opened.journal.history(&stream), Err(Error::Closed)));
}

#[test]
fn a_foreign_directory_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("thesis.txt"), "do not touch").unwrap();
    let error = refusal(directory.path());
    assert!(matches!(error, Error::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("thesis.txt"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    assert!(matches!(Reader::open(directory.path()), Err(Error::Foreign { .. })));
}

#[test]
fn a_log_without_its_identity_is_not_taken_for_new() {
    let directory = tempfile::tempdir().unwrap();
    quiet_directory(directory.path(), 5);
    fs::remove_file(directory.path().join("identity")).unwrap();
    let read = Reader::open(directory.path()).map(drop).unwrap_err();
    for error in [read, refusal(directory.path())] {
        assert!(matches!(error, Error::Identity { .. }), "{error}");
        assert!(error.to_string().contains("replay-tool salvage"), "{error}");
    }
    for name in ["store", "views"] {
        fs::remove_dir_all(directory.path().join(name)).unwrap();
    }
    drop(fs::remove_dir_all(directory.path().join("blobs")));
    fs::remove_file(directory.path().join("store.marks")).unwrap();
    let error = refusal(directory.path());
    assert!(error.to_string().contains("the log has records"), "{error}");
}

#[test]
fn an_interrupted_creation_starts_over() {
    let directory = tempfile::tempdir().unwrap();
    Journal::open(directory.path(), options()).unwrap();
    for name in ["store", "views"] {
        fs::remove_dir_all(directory.path().join(name)).unwrap();
    }
    fs::remove_file(directory.path().join("store.marks")).unwrap();
    fs::rename(directory.path().join("identity"), directory.path().join("identity.new")).unwrap();
    let opened = Journal::open(directory.path(), options()).unwrap();
    assert!(opened.report.created);
}

#[test]
fn a_damaged_identity_is_healed_and_a_newer_one_refused() {
    let directory = tempfile::tempdir().unwrap();
    Journal::open(directory.path(), options()).unwrap();
    let path = directory.path().join("identity");
    let known = fs::read(&path).unwrap();
    let mut damaged = known.clone();
    damaged[30] ^= 1;
    fs::write(&path, &damaged).unwrap();
    Journal::open(directory.path(), options()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), known, "one damaged copy is healed");
    damaged[known.len() / 2 + 30] ^= 1;
    fs::write(&path, &damaged).unwrap();
    assert!(matches!(refusal(directory.path()), Error::Identity { .. }));
    let mut newer = known[..known.len() / 2].to_vec();
    newer[8] = 200;
    let covered = newer.len() - 32;
    let hash = backstitch_core::ids::Digest::of(&newer[..covered]);
    newer[covered..].copy_from_slice(&hash.0);
    fs::write(&path, newer.repeat(2)).unwrap();
    assert!(matches!(refusal(directory.path()), Error::Format { found: 200, .. }));
}

#[test]
fn a_lost_log_end_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    quiet_directory(directory.path(), 50);
    let segment = directory.path().join("log/0000000001.seg");
    let mut content = fs::read(&segment).unwrap();
    content[4_096..].fill(0);
    fs::write(&segment, &content).unwrap();
    let error = refusal(directory.path());
    assert!(matches!(error, Error::LogBehindStore { .. }), "{error}");
}

#[test]
fn options_out_of_range_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    for bad in [
        Options { partitions: 0, ..options() },
        Options { partitions: 5_000, ..options() },
        Options { segment_bytes: 1_000, ..options() },
        Options { tick_ms: 0, ..options() },
    ] {
        let error = Journal::open(directory.path(), bad).err().expect("it is refused");
        assert!(matches!(error, Error::Options { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_path_that_is_no_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = refusal(&file);
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(error.to_string().contains("file"), "{error}");
}

#[test]
fn a_directory_removed_under_the_journal_poisons_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().join("data");
    let opened = Journal::open(&place, options()).expect("a new journal");
    std::fs::rename(&place, directory.path().join("moved")).expect("moved");
    while opened.journal.poisoned().is_none() {
        std::thread::yield_now();
    }
    let closed = opened.journal.close();
    assert!(matches!(closed, Err(Error::Gone { .. })), "{closed:?}");
}

#[test]
fn a_log_that_lost_its_end_is_not_read_as_if_it_were_whole() {
    let directory = tempfile::tempdir().unwrap();
    quiet_directory_with(directory.path(), 900, unarchived());
    let log = directory.path().join("log");
    let segments = fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = segments.filter(|path| path.extension().is_some()).collect();
    segments.sort();
    // The one that is kept ready is not written yet.
    while segments.last().is_some_and(|path| fs::read(path).unwrap().iter().all(|b| *b == 0)) {
        fs::remove_file(segments.pop().unwrap()).unwrap();
    }
    assert!(segments.len() > 1);
    fs::remove_file(segments.pop().unwrap()).unwrap();
    let reader = Reader::open(directory.path()).unwrap();
    let read = reader.for_each_record(|_| true).unwrap_err();
    assert!(matches!(read, Error::LogBehindStore { .. }), "{read}");
    // Whoever breaks off does not get to the end.
    reader.for_each_record(|_| false).unwrap();
    drop(reader);
    let report = verify(directory.path()).unwrap();
    assert!(!report.ok && report.healable_count < report.problem_count, "{report:?}");
    assert!(report.store.is_none(), "without looking into the store");
}
