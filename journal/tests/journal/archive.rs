//! The archive: packed while the log is written, enough to make a store anew from, and whole
//! after a crash at any moment.

use std::fs;
use std::path::{Path, PathBuf};

use backstitch_journal::{Error, Journal, Options, verify};

use crate::chain::{check_chain, check_reader};
use crate::crash::count_from_environment;
use crate::damage::copy;
use crate::life::{check_open, check_served, lines, quiet_directory_with};
use crate::workload::{Acknowledged, Dice, Writer, nobody, options};

/// Bits flipped in archive files in one run of the tests; `JOURNAL_FLIPS` asks for more.
const FLIPS: u64 = 40;

/// Segments as small as they may be, so that a short life fills many.
pub fn small() -> Options {
    Options { segment_bytes: 256 * 1024, log_segments_kept: 1, ..options() }
}

/// The files of a part of the data directory, by name.
pub fn names(directory: &Path, part: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory.join(part)) else { return Vec::new() };
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let entries = entries.map(|entry| entry.expect("it is there"));
    let mut names: Vec<String> = entries.filter(|entry| !entry.path().is_dir()).map(name).collect();
    names.sort();
    names
}

/// Segments of the log that were begun: the last one is only made ready.
pub fn begun(directory: &Path) -> Vec<u64> {
    names(directory, "log")
        .iter()
        .filter_map(|name| name.strip_suffix(".seg")?.parse().ok())
        .filter(|number| {
            let path = directory.join(format!("log/{number:010}.seg"));
            fs::read(path).is_ok_and(|bytes| bytes[0] != 0)
        })
        .collect()
}

/// Waits until everything sealed is archived, and out of the log but for what is kept.
pub fn settle(journal: &Journal, directory: &Path, kept: usize) {
    loop {
        journal.store_now().expect("there is space");
        let archived = journal.info().archive.last_segment.unwrap_or(0);
        let in_log = begun(directory);
        if in_log.last() == Some(&(archived + 1)) && in_log.len() == (kept + 1).min(in_log.len()) {
            return;
        }
        std::thread::yield_now();
    }
}

/// A directory whose log was archived and taken off, and closed.
pub fn archived_directory(directory: &Path, commits: usize) -> Vec<Acknowledged> {
    let opened = Journal::open(directory, small()).expect("an empty directory opens");
    let mut writer = Writer::take_over(opened, 7);
    let written = writer.write(commits, &nobody()).expect("everything is taken");
    settle(&writer.journal, directory, 1);
    writer.journal.close().expect("the store takes the rest");
    written
}

pub fn arc(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("archive/{number:010}.arc"))
}

pub fn seg(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("log/{number:010}.seg"))
}

pub fn lose_store(directory: &Path) {
    for lost in ["store", "views"] {
        fs::remove_dir_all(directory.join(lost)).expect("it is there");
    }
    // The views keep their marks with them.
    fs::remove_file(directory.join("store.marks")).expect("it is there");
}

#[test]
fn segments_are_archived_and_leave_the_log_while_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let opened = Journal::open(directory.path(), small()).unwrap();
    let mut writer = Writer::take_over(opened, 3);
    let mut written = Vec::new();
    for _ in 0..4 {
        written.extend(writer.write(200, &nobody()).unwrap());
        let journal = writer.journal.clone();
        let read = |partition, after, visit: &mut dyn FnMut(&_) -> _| {
            journal.commits_after(partition, after, visit)
        };
        check_chain(&read, 4, &written);
        settle(&journal, directory.path(), 1);
        check_chain(&read, 4, &written);
    }
    let archive = writer.journal.info().archive;
    assert!(archive.segments_archived > 3 && archive.segments_removed > 2, "{archive:?}");
    assert_eq!(archive.failure, None);
    assert_eq!(archive.segments_healed, 0);
    writer.journal.close().unwrap();
    drop(writer);
    assert!(!seg(directory.path(), 1).exists() && arc(directory.path(), 1).exists());
    check_reader(directory.path(), &written);
    check_open(directory.path(), small(), &lines(&written)).unwrap();
}

/// The disk of the archive is gone for a while: nothing is archived into its empty place, and
/// nothing leaves the log.
#[test]
fn an_archive_that_is_not_there_is_not_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    let mut written = archived_directory(directory.path(), 400);
    let (place, away) = (directory.path().join("archive"), directory.path().join("away"));
    let opened = Journal::open(directory.path(), small()).unwrap();
    let mut writer = Writer::take_over(opened, 8);
    fs::rename(&place, &away).unwrap();
    let first = begun(directory.path())[0];
    written.extend(writer.write(400, &nobody()).unwrap());
    while writer.journal.info().archive.failures == 0 {
        std::thread::yield_now();
    }
    writer.journal.close().unwrap();
    drop(writer);
    assert_eq!(names(directory.path(), "archive"), Vec::<String>::new());
    assert_eq!(begun(directory.path())[0], first);
    assert!(Journal::open(directory.path(), small()).is_err(), "the log begins behind a gap");
    // It is made only if the failure came when a segment was to be archived.
    if place.exists() {
        fs::remove_dir_all(&place).unwrap();
    }
    fs::rename(&away, &place).unwrap();
    check_open(directory.path(), small(), &lines(&written)).unwrap();
    assert!(verify(directory.path()).unwrap().ok);
}

#[test]
fn a_lost_store_is_made_anew_from_the_archive_and_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let written = archived_directory(directory.path(), 700);
    lose_store(directory.path());
    let opened = Journal::open(directory.path(), small()).unwrap();
    assert!(opened.report.store_rebuilt.is_some());
    assert_eq!(opened.report.commits_replayed, written.len() as u64);
    drop(opened);
    check_open(directory.path(), small(), &lines(&written)).unwrap();
}

/// A closed directory whose segments are in the log and in the archive; answers how to open it
/// so that they stay there, and what was acknowledged.
pub fn kept_twice(directory: &Path) -> (Options, Vec<Acknowledged>) {
    let keeping = Options { log_segments_kept: 100, ..small() };
    let opened = Journal::open(directory, keeping.clone()).expect("it opens");
    let mut writer = Writer::take_over(opened, 8);
    let written = writer.write(500, &nobody()).expect("it is written");
    settle(&writer.journal, directory, 100);
    writer.journal.close().expect("it closes");
    (keeping, written)
}

/// Flips a bit in what is written, not in what pads it.
pub fn flip_a_record(bytes: &mut [u8]) {
    let byte = bytes[9_000..].iter_mut().find(|byte| **byte != 0);
    *byte.expect("a segment is written to its end") ^= 1;
}

#[test]
fn a_segment_unpacks_to_the_bytes_it_had() {
    let directory = tempfile::tempdir().unwrap();
    let (keeping, written) = kept_twice(directory.path());
    let sealed = begun(directory.path()).len() as u64 - 1;
    assert!(sealed >= 3);
    let before: Vec<Vec<u8>> =
        (1..=sealed).map(|number| fs::read(seg(directory.path(), number)).unwrap()).collect();
    // Missing, without a header, and with a flipped bit: each is put back.
    fs::remove_file(seg(directory.path(), 2)).unwrap();
    let mut bytes = before[0].clone();
    bytes[20] ^= 1;
    fs::write(seg(directory.path(), 1), &bytes).unwrap();
    let mut bytes = before[2].clone();
    flip_a_record(&mut bytes);
    fs::write(seg(directory.path(), 3), &bytes).unwrap();
    lose_store(directory.path());
    let opened = Journal::open(directory.path(), keeping.clone()).unwrap();
    assert_eq!(opened.report.segments_healed, [1, 2, 3]);
    drop(opened);
    for (number, bytes) in (1..).zip(&before) {
        assert!(fs::read(seg(directory.path(), number)).unwrap() == *bytes, "segment {number}");
    }
    check_open(directory.path(), small(), &lines(&written)).unwrap();
}

/// Every state that a crash can leave between packing a segment and its leaving the log.
#[test]
fn every_crash_between_packing_and_removal_leaves_a_whole_chain() {
    let work = tempfile::tempdir().unwrap();
    let full = work.path().join("full");
    let unarchived = Options { archive: false, ..small() };
    let written = lines(&quiet_directory_with(&full, 400, unarchived));
    let archived = work.path().join("archived");
    copy(&full, &archived);
    let opened = Journal::open(&archived, small()).unwrap();
    settle(&Writer::take_over(opened, 1).journal, &archived, 1);
    let sealed = begun(&full).len() as u64 - 1;
    assert!(sealed >= 2);
    for packed in 0..=sealed {
        for removed in 0..=packed {
            let state = work.path().join("state");
            drop(fs::remove_dir_all(&state));
            copy(&full, &state);
            fs::create_dir(state.join("archive")).unwrap();
            for number in 1..=packed {
                fs::copy(arc(&archived, number), arc(&state, number)).unwrap();
            }
            for number in 1..=removed {
                fs::remove_file(seg(&state, number)).unwrap();
            }
            if let Ok(next) = fs::read(arc(&archived, packed + 1)) {
                let beside = arc(&state, packed + 1).with_extension("arc.new");
                fs::write(beside, &next[..next.len() / 2]).unwrap();
            }
            check_open(&state, small(), &written)
                .unwrap_or_else(|e| panic!("{packed} packed, {removed} removed: {e}"));
            assert!(names(&state, "archive").iter().all(|name| name.ends_with(".arc")));
        }
    }
}

#[test]
fn flipped_bits_in_archive_files_are_found_and_never_served() {
    let work = tempfile::tempdir().unwrap();
    let quiet = work.path().join("quiet");
    let written = lines(&archived_directory(&quiet, 400));
    let files = names(&quiet, "archive");
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let (mut refused, mut harmless) = (0, 0);
    for flip in 0..count_from_environment("JOURNAL_FLIPS", FLIPS) {
        let damaged = work.path().join("damaged");
        drop(fs::remove_dir_all(&damaged));
        copy(&quiet, &damaged);
        let name = &files[dice.below(files.len() as u64) as usize];
        let path = damaged.join("archive").join(name);
        let mut content = fs::read(&path).unwrap();
        // Half of them where the headers are.
        let bound = if flip % 2 == 0 { content.len() as u64 } else { 500 };
        let from_end = flip % 4 == 1;
        let at = dice.below(bound) as usize;
        let at = if from_end { content.len() - 1 - at } else { at };
        content[at] ^= 1 << dice.below(8);
        fs::write(&path, &content).unwrap();
        let place = format!("flip {flip}: byte {at} of {name}");
        assert!(!verify(&damaged).unwrap().ok, "{place}: verify finds nothing");
        lose_store(&damaged);
        match Journal::open(&damaged, small()) {
            Err(Error::Damaged { .. }) => refused += 1,
            Err(error) => panic!("{place}: {error}"),
            Ok(opened) => {
                drop(opened);
                check_served(&damaged, small(), &written)
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
                harmless += 1;
            }
        }
    }
    println!("{refused} refused, {harmless} harmless");
    assert!(refused > 0 && harmless > 0);
}

#[test]
fn without_an_archive_segments_stay() {
    let directory = tempfile::tempdir().unwrap();
    let unarchived = Options { archive: false, ..small() };
    let written = quiet_directory_with(directory.path(), 400, unarchived.clone());
    assert!(begun(directory.path()).len() > 2 && seg(directory.path(), 1).exists());
    assert!(!directory.path().join("archive").exists());
    check_open(directory.path(), unarchived, &lines(&written)).unwrap();
    // Switched on later it takes up what is there.
    let opened = Journal::open(directory.path(), small()).unwrap();
    settle(&Writer::take_over(opened, 1).journal, directory.path(), 1);
    assert!(!seg(directory.path(), 1).exists());
    check_open(directory.path(), small(), &lines(&written)).unwrap();
}

#[test]
fn an_archive_elsewhere_is_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let (data, place) = (directory.path().join("data"), directory.path().join("far/away"));
    let elsewhere = Options { archive_directory: Some(place.clone()), ..small() };
    let opened = Journal::open(&data, elsewhere).unwrap();
    let mut writer = Writer::take_over(opened, 7);
    let written = writer.write(400, &nobody()).unwrap();
    settle(&writer.journal, &data, 1);
    assert_eq!(writer.journal.info().archive.directory, place.display().to_string());
    writer.journal.close().unwrap();
    drop(writer);
    assert!(!data.join("archive").exists() && names(directory.path(), "far/away").len() > 1);
    check_reader(&data, &written);
    lose_store(&data);
    check_open(&data, small(), &lines(&written)).unwrap();
    // Moved by hand: without a word the chain has a gap, with one all is well.
    fs::rename(&place, data.join("archive")).unwrap();
    let error = Journal::open(&data, small()).err().expect("there is nothing");
    assert!(error.to_string().contains("say where it is"), "{error}");
    let moved = Options { archive_directory: Some(data.join("archive")), ..small() };
    check_open(&data, moved, &lines(&written)).unwrap();
    check_open(&data, small(), &lines(&written)).unwrap();
    assert!(!data.join("archive-directory").exists());
}

#[test]
fn a_failing_archive_is_shown_and_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let in_the_way = directory.path().join("in the way");
    fs::write(&in_the_way, "a file").unwrap();
    let blocked = Options { archive_directory: Some(in_the_way.join("archive")), ..small() };
    let data = directory.path().join("data");
    let opened = Journal::open(&data, blocked).unwrap();
    let mut writer = Writer::take_over(opened, 7);
    let mut written = writer.write(300, &nobody()).unwrap();
    while writer.journal.info().archive.failure.is_none() {
        std::thread::yield_now();
    }
    assert_eq!(writer.journal.poisoned(), None);
    written.extend(writer.write(100, &nobody()).unwrap());
    assert!(seg(&data, 1).exists());
    fs::remove_file(&in_the_way).unwrap();
    settle(&writer.journal, &data, 1);
    let archive = writer.journal.info().archive;
    assert!(archive.failure.is_none() && archive.failures > 0, "{archive:?}");
    writer.journal.close().unwrap();
    drop(writer);
    check_open(&data, small(), &lines(&written)).unwrap();
}

#[test]
fn a_segment_that_is_not_whole_is_never_archived() {
    let directory = tempfile::tempdir().unwrap();
    let unarchived = Options { archive: false, ..small() };
    quiet_directory_with(directory.path(), 400, unarchived);
    let mut bytes = fs::read(seg(directory.path(), 2)).unwrap();
    bytes[9_000] ^= 1;
    fs::write(seg(directory.path(), 2), &bytes).unwrap();
    let opened = Journal::open(directory.path(), small()).unwrap();
    let failure = loop {
        if let Some(failure) = opened.journal.info().archive.failure {
            break failure;
        }
        std::thread::yield_now();
    };
    assert!(failure.contains("segment 2"), "{failure}");
    opened.journal.close().unwrap();
    assert_eq!(names(directory.path(), "archive"), ["0000000001.arc"]);
    assert!(seg(directory.path(), 2).exists());
}

#[test]
fn a_gap_in_the_archive_is_shown_and_the_log_stays() {
    let directory = tempfile::tempdir().unwrap();
    archived_directory(directory.path(), 700);
    let swap = directory.path().join("archive/swap");
    for break_it in [&|| fs::remove_file(arc(directory.path(), 2)).unwrap(), &|| {
        fs::rename(arc(directory.path(), 3), &swap).unwrap();
        fs::rename(arc(directory.path(), 1), arc(directory.path(), 3)).unwrap();
        fs::rename(&swap, arc(directory.path(), 1)).unwrap();
    }] as [&dyn Fn(); 2]
    {
        break_it();
        assert!(!verify(directory.path()).unwrap().ok);
        let opened = Journal::open(directory.path(), small()).unwrap();
        let mut writer = Writer::take_over(opened, 9);
        while writer.journal.info().archive.failure.is_none() {
            std::thread::yield_now();
        }
        let before = names(directory.path(), "log").len();
        writer.write(200, &nobody()).unwrap();
        writer.journal.store_now().unwrap();
        writer.journal.close().unwrap();
        assert_eq!(writer.journal.info().archive.segments_removed, 0);
        assert!(names(directory.path(), "log").len() > before);
    }
}
