//! A log that lost its end looks whole by itself: what else knows of it tells.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{
    Error, Journal, Reader, SalvageReport, SalvageRequest, StoreEvidence, VerifyOptions, salvage,
    unheard, verify, verify_with,
};

use crate::archive::{archived_directory, lose_store, names, seg, settle, small};
use crate::cut::cut_now;
use crate::damage::copy;
use crate::life::{check_served, quiet_directory_with};
use crate::restore::unarchived;
use crate::workload::{Writer, nobody, options};

fn salvaged(from: &Path, to: &Path) -> Result<SalvageReport, Error> {
    drop(fs::remove_dir_all(to));
    let request = SalvageRequest {
        from: from.to_owned(),
        to: to.to_owned(),
        dry_run: false,
        scratch: Some(to.with_extension("scratch")),
        at: Timestamp(7_000_000),
        actor: "ann".to_owned(),
    };
    salvage(&request, &mut unheard())
}

/// Removes the segments from one on.
fn lose_segments(directory: &Path, from: u64) {
    for name in names(directory, "log") {
        let number = name.strip_suffix(".seg").and_then(|number| number.parse::<u64>().ok());
        if number.is_some_and(|number| number >= from) {
            fs::remove_file(directory.join("log").join(name)).expect("it is there");
        }
    }
}

fn lose(directory: &Path, names: &[&str]) {
    for name in names {
        let path = directory.join(name);
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// The events of every run, in order.
fn events(directory: &Path) -> BTreeMap<StreamId, Vec<String>> {
    let mut found: BTreeMap<StreamId, Vec<String>> = BTreeMap::new();
    let reader = Reader::open(directory).expect("it is a data directory");
    let read = reader.for_each_record(|record| {
        if matches!(record.stream, StreamId::Execution(_)) {
            found.entry(record.stream).or_default().push(format!("{:?}", record.event));
        }
        true
    });
    read.expect("it is whole");
    found
}

/// What verify says of the end that is missing.
fn told(directory: &Path) -> Vec<String> {
    let report = verify(directory).expect("it can be read");
    assert!(!report.ok, "{report:?}");
    report.problems.into_iter().map(|problem| problem.damage.to_string()).collect()
}

#[test]
fn whoever_has_read_further_than_the_log_is_heard() {
    let work = tempfile::tempdir().unwrap();
    let (quiet, damaged) = (work.path().join("quiet"), work.path().join("damaged"));
    let to = work.path().join("to");
    quiet_directory_with(&quiet, 900, unarchived());
    assert!(names(&quiet, "log").len() > 3);
    let records: u64 = verify(&quiet).unwrap().records;
    for (lost, who, evidence) in [
        (&[][..], "the store", StoreEvidence::Proven),
        (&["store"][..], "the store", StoreEvidence::NotProven),
        (&["store", "store.marks"][..], "the view `audit`", StoreEvidence::NotProven),
    ] {
        drop(fs::remove_dir_all(&damaged));
        copy(&quiet, &damaged);
        lose_segments(&damaged, 2);
        lose(&damaged, lost);
        let told = told(&damaged);
        assert!(
            told.iter().any(|line| line.contains(who) && line.contains("are missing")),
            "{told:?}"
        );
        let read = Reader::open(&damaged).unwrap().for_each_record(|_| true);
        assert!(matches!(read, Err(Error::LogBehindStore { .. })), "{read:?}");
        let report = salvaged(&damaged, &to).unwrap();
        assert_eq!((report.whole, report.store), (false, evidence), "{report:?}");
        let at_end: u64 = report.partitions.iter().map(|own| own.commits_lost_at_end).sum();
        let found = verify(&to).unwrap();
        assert!(found.ok, "{found:?}");
        match evidence {
            StoreEvidence::Proven => {
                assert_eq!(at_end, 0, "the store has all of it: {report:?}");
                // One more for each partition that says what was done.
                assert!(found.records >= records, "{} {records}", found.records);
            }
            _ => assert!(at_end > 0, "{report:?}"),
        }
        check_served(&to, options(), &[]).unwrap();
    }
    // The runs that are touched are named by the store.
    drop(fs::remove_dir_all(&damaged));
    copy(&quiet, &damaged);
    lose_segments(&damaged, 2);
    let looked = VerifyOptions { store: true, scratch: Some(work.path().join("scratch")) };
    let report = verify_with(&damaged, &looked, &mut unheard()).unwrap();
    assert!(!report.ok && !report.touched.is_empty(), "{report:?}");
}

#[test]
fn an_archived_segment_has_another_one_behind_it() {
    let work = tempfile::tempdir().unwrap();
    let (quiet, damaged) = (work.path().join("quiet"), work.path().join("damaged"));
    let to = work.path().join("to");
    archived_directory(&quiet, 500);
    let archived = names(&quiet, "archive").iter().filter(|name| name.ends_with(".arc")).count();
    let next = archived as u64 + 1;
    assert!(seg(&quiet, next).exists());
    copy(&quiet, &damaged);
    lose_store(&damaged);
    lose_segments(&damaged, next);
    let words = format!("segment {next}, byte 0: the segment file is missing");
    assert!(told(&damaged).iter().any(|line| line.starts_with(&words)), "{:?}", told(&damaged));
    let report = salvaged(&damaged, &to).unwrap();
    assert_eq!((report.whole, report.missing_segment), (false, Some(next)), "{report:?}");
    assert!(report.generation > report.generation_before, "what comes next is another life");
    assert!(verify(&to).unwrap().ok);
    check_served(&to, small(), &[]).unwrap();
}

#[test]
fn without_a_log_the_store_and_the_archive_are_salvaged() {
    let work = tempfile::tempdir().unwrap();
    let (quiet, damaged) = (work.path().join("quiet"), work.path().join("damaged"));
    let to = work.path().join("to");
    archived_directory(&quiet, 500);
    let opened = Journal::open(&quiet, small()).unwrap();
    let mut writer = Writer::take_over(opened, 41);
    cut_now(&mut writer);
    writer.write(300, &nobody()).unwrap();
    settle(&writer.journal, &quiet, 1);
    writer.journal.close().unwrap();
    let all = events(&quiet);
    let store = ["store", "store.marks", "views"];
    for (lost, all_runs) in [
        (vec!["log"], true),
        (vec!["log", "identity"], true),
        (vec!["log", "archive"], true),
        (vec!["log", store[0], store[1], store[2]], false),
        (vec!["log", "identity", store[0], store[1], store[2]], false),
    ] {
        drop(fs::remove_dir_all(&damaged));
        copy(&quiet, &damaged);
        lose(&damaged, &lost);
        let report = salvaged(&damaged, &to).unwrap_or_else(|e| panic!("{lost:?}: {e}"));
        assert!(!report.whole, "{lost:?}: {report:?}");
        assert!(verify(&to).unwrap().ok, "{lost:?}");
        match all_runs {
            true => assert!(events(&to) == all, "{lost:?}: every run is as it was"),
            false => assert!(report.missing_segment.is_some(), "{lost:?}: {report:?}"),
        }
        check_served(&to, options(), &[]).unwrap();
    }
    for (lost, words) in [
        (vec!["log", "archive", store[0], store[1], store[2]], "neither log nor archive"),
        (vec!["log", "archive", store[1], store[2]], "neither log nor archive"),
        (vec!["log", "archive", "identity"], "put a copy of `identity`"),
    ] {
        drop(fs::remove_dir_all(&damaged));
        copy(&quiet, &damaged);
        lose(&damaged, &lost);
        drop(fs::remove_dir_all(damaged.join("checkpoints")));
        drop(fs::remove_file(damaged.join("checkpoints.marks")));
        let refused = salvaged(&damaged, &to).expect_err("nothing says what it was");
        assert!(refused.to_string().contains(words), "{lost:?}: {refused}");
        assert!(!to.exists(), "no empty store is made");
    }
}
