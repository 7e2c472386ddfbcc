//! An archive elsewhere belongs to one store, and one process at a time writes to it.

use std::fs;
use std::path::Path;

use backstitch_journal::{Error, Journal, Options};

use crate::archive::{archived_directory, names, settle, small};
use crate::damage::copy;
use crate::life::{check_open, lines};
use crate::workload::{Writer, nobody};

fn archiving_to(place: &Path) -> Options {
    Options { archive_directory: Some(place.to_owned()), ..small() }
}

fn refused(data: &Path, place: &Path) -> String {
    match Journal::open(data, archiving_to(place)) {
        Err(error @ Error::ArchiveTaken { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the archive is another's"),
    }
}

#[test]
fn two_stores_do_not_share_an_archive() {
    let work = tempfile::tempdir().unwrap();
    let (one, other) = (work.path().join("one"), work.path().join("other"));
    let place = work.path().join("archive");
    let opened = Journal::open(&one, archiving_to(&place)).unwrap();
    let mut writer = Writer::take_over(opened, 7);
    let written = writer.write(300, &nobody()).unwrap();
    settle(&writer.journal, &one, 1);
    let before = names(work.path(), "archive");
    assert!(refused(&other, &place).contains("it is of store"), "while it is in use");
    writer.journal.close().unwrap();
    drop(writer);
    assert!(refused(&other, &place).contains("it is of store"), "and behind");
    // Without the owner's word the files tell.
    fs::remove_file(place.join("OWNER")).unwrap();
    assert!(refused(&other, &place).contains("its files are of store"));
    check_open(&one, archiving_to(&place), &lines(&written)).unwrap();
    assert!(names(work.path(), "archive").len() >= before.len());
    // Another's own archive is no place either.
    let third = work.path().join("third");
    archived_directory(&third, 300);
    assert!(refused(&other, &third.join("archive")).contains("its files are of store"));
}

#[test]
fn two_copies_of_a_store_do_not_write_to_one_archive() {
    let work = tempfile::tempdir().unwrap();
    let (one, copied) = (work.path().join("one"), work.path().join("copied"));
    let place = work.path().join("archive");
    let opened = Journal::open(&one, archiving_to(&place)).unwrap();
    let mut writer = Writer::take_over(opened, 7);
    writer.write(300, &nobody()).unwrap();
    settle(&writer.journal, &one, 1);
    writer.journal.close().unwrap();
    drop(writer);
    copy(&one, &copied);
    let opened = Journal::open(&one, small()).unwrap();
    assert!(refused(&copied, &place).contains("another process writes to it"));
    opened.journal.close().unwrap();
    drop(opened);
    Journal::open(&copied, small()).unwrap().journal.close().unwrap();
}
