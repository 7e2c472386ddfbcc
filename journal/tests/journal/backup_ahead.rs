//! A backup is not replaced by a source that has less than it, or another history.

use std::fs;
use std::path::Path;

use backstitch_core::time::Timestamp;
use backstitch_journal::{BackupReport, Error, Journal, RestorePoint, backup, unheard, verify};

use crate::archive::{arc, archived_directory, settle, small};
use crate::blobs::{Life, answered, digest_of, file_of, payload, run};
use crate::damage::copy;
use crate::life::quiet_directory;
use crate::restore::{contents, restored};
use crate::workload::{Writer, nobody, options};

fn again(from: &Path, to: &Path) -> Result<BackupReport, Error> {
    backup(from, to, Timestamp(3), &mut unheard())
}

/// The run is refused with these words, and the backup is as it was.
fn check_refused(run: Result<BackupReport, Error>, to: &Path, before: &[Held], words: &str) {
    match run {
        Err(Error::Target { detail, .. }) => assert!(detail.contains(words), "{detail}"),
        other => panic!("{other:?}"),
    }
    assert!(contents(to) == before, "the backup is as it was");
    assert!(verify(to).expect("it can be read").ok);
}

type Held = (std::path::PathBuf, Vec<u8>);

fn write_more(directory: &Path, seed: u64, commits: usize) {
    let mut writer =
        Writer::take_over(Journal::open(directory, options()).expect("it opens"), seed);
    writer.write(commits, &nobody()).expect("it is taken");
    writer.journal.close().expect("there is space");
}

#[test]
fn an_older_source_and_one_that_went_on_otherwise_are_refused() {
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name);
    quiet_directory(&path("data"), 120);
    copy(&path("data"), &path("older"));
    copy(&path("data"), &path("diverged"));
    write_more(&path("data"), 21, 60);
    write_more(&path("diverged"), 22, 300);
    again(&path("data"), &path("backup")).unwrap();
    let before = contents(&path("backup"));
    let older = again(&path("older"), &path("backup"));
    check_refused(older, &path("backup"), &before, "it is older");
    let diverged = again(&path("diverged"), &path("backup"));
    check_refused(diverged, &path("backup"), &before, "went on otherwise");
    // Its list is gone: the files say it, too.
    fs::remove_file(path("backup/backup.json")).unwrap();
    for source in ["older", "diverged"] {
        let refused = again(&path(source), &path("backup"));
        assert!(matches!(refused, Err(Error::Target { .. })), "{source}: {refused:?}");
    }
    write_more(&path("data"), 23, 60);
    again(&path("data"), &path("backup")).unwrap();
    assert!(verify(path("backup")).unwrap().ok);
}

#[test]
fn a_source_that_has_lost_a_segment_takes_none_from_the_backup() {
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name);
    archived_directory(&path("data"), 500);
    again(&path("data"), &path("backup")).unwrap();
    let before = contents(&path("backup"));
    let opened = Journal::open(path("data"), small()).unwrap();
    let mut writer = Writer::take_over(opened, 31);
    writer.write(100, &nobody()).unwrap();
    settle(&writer.journal, &path("data"), 1);
    let whole = fs::read(arc(&path("data"), 2)).unwrap();
    let run = || writer.journal.backup(&path("backup"), Timestamp(3), &mut unheard());
    fs::remove_file(arc(&path("data"), 2)).unwrap();
    check_refused(run(), &path("backup"), &before, "archive/0000000002.arc");
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(arc(&path("data"), 2), &damaged).unwrap();
    let refused = run();
    assert!(matches!(refused, Err(Error::Target { .. })), "{refused:?}");
    assert_eq!(fs::read(arc(&path("backup"), 2)).unwrap(), whole);
    fs::write(arc(&path("data"), 2), &whole).unwrap();
    run().unwrap();
    writer.journal.close().unwrap();
    assert!(verify(path("backup")).unwrap().ok);
}

#[test]
fn payloads_that_the_source_has_lost_stay_in_the_backup() {
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name);
    let mut life = Life::of(Journal::open(path("data"), options()).unwrap());
    let payloads = ["a", "b", "c"].map(|letter| payload(letter, 100_000));
    for (version, payload) in (1..).zip(&payloads) {
        life.record(&run(1), version, &answered(payload.clone()));
    }
    life.journal.close().unwrap();
    again(&path("data"), &path("backup")).unwrap();
    let [lost, damaged, erased] = payloads.map(|payload| digest_of(&payload));
    fs::remove_file(file_of(&path("data"), &lost)).unwrap();
    fs::write(file_of(&path("data"), &damaged), b"another").unwrap();
    let mut life = Life::of(Journal::open(path("data"), options()).unwrap());
    life.erase(1, erased);
    life.journal.close().unwrap();
    again(&path("data"), &path("backup")).unwrap();
    let report = verify(path("backup")).unwrap();
    assert!(report.ok, "{report:?}");
    let found = report.contents.expect("payloads are named");
    assert_eq!((found.whole, found.erased.len()), (2, 1), "{found:?}");
    restored(&path("backup"), &path("restored"), RestorePoint::End);
    assert!(verify(path("restored")).unwrap().ok);
}
