//! A restored store that is given the archive of the store it was restored from: nothing of
//! either is taken for the other's, and nothing is lost.

use std::path::Path;

use backstitch_journal::{Error, Journal, Options, RestorePoint, verify};

use crate::archive::{settle, small};
use crate::cut::cut_now;
use crate::life::{check_open, lines};
use crate::restore::{contents, restored};
use crate::workload::{Writer, nobody};

/// A store whose archive is elsewhere and grows on behind the point it was restored to. Answers
/// its options and what the restored one holds.
fn store_and_past(work: &Path, cut: bool) -> (Options, Vec<(u16, u64, String)>) {
    let (data, past) = (work.join("data"), work.join("past"));
    let elsewhere = Options { archive_directory: Some(work.join("far/away")), ..small() };
    let opened = Journal::open(&data, elsewhere.clone()).expect("it opens");
    let mut writer = Writer::take_over(opened, 7);
    let kept = writer.write(300, &nobody()).expect("everything is taken");
    settle(&writer.journal, &data, 1);
    writer.journal.close().expect("the store takes the rest");
    drop(writer);
    restored(&data, &past, RestorePoint::End);
    // The store itself lives on, and its archive grows.
    let opened = Journal::open(&data, elsewhere.clone()).expect("it opens");
    let mut writer = Writer::take_over(opened, 9);
    writer.write(600, &nobody()).expect("everything is taken");
    settle(&writer.journal, &data, 1);
    if cut {
        cut_now(&mut writer);
    }
    writer.journal.close().expect("the store takes the rest");
    (elsewhere, lines(&kept))
}

#[test]
fn a_restored_store_does_not_take_the_archive_of_the_one_it_comes_from() {
    for cut in [false, true] {
        let work = tempfile::tempdir().unwrap();
        let (elsewhere, kept) = store_and_past(work.path(), cut);
        let past = work.path().join("past");
        let (log, far) = (contents(&past.join("log")), contents(&work.path().join("far/away")));
        let error = Journal::open(&past, elsewhere).err().expect("it is another's");
        assert!(matches!(error, Error::ForeignArchive { .. }), "cut {cut}: {error}");
        assert!(contents(&past.join("log")) == log, "cut {cut}: the log is as it was");
        assert!(contents(&work.path().join("far/away")) == far, "so is the archive");
        check_open(&past, small(), &kept).unwrap();
        assert!(verify(&past).unwrap().ok);
    }
}
