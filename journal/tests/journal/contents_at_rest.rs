//! The second copies of contents that the open segment names: made while the log rests, and as a
//! journal closes.

use std::fs;
use std::path::Path;

use backstitch_core::ids::Digest;
use backstitch_core::payload::{AbsentWhy, Payload};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Fsync, Options, SalvageRequest, salvage, unheard, verify};

use crate::archive::{names, settle, small};
use crate::blobs::{Life, answered, digest_of, file_of, payload, run, why_absent};
use crate::contents::{copy_of, flip, open, wait_until};

/// More than the tests append.
fn roomy() -> Options {
    Options { segment_bytes: 4 * 1024 * 1024, ..small() }
}

/// One that never rests before it closes.
fn restless() -> Options {
    Options { fsync: Fsync::Never, ..roomy() }
}

/// A content named by the open segment.
fn one_named(directory: &Path, options: Options) -> (Life, Payload, Digest) {
    let mut life = open(directory, options);
    let content = payload("a", 70_000);
    life.record(&run(1), 1, &answered(content.clone()));
    let digest = digest_of(&content);
    (life, content, digest)
}

fn is_whole(directory: &Path, digest: &Digest) -> bool {
    fs::read(file_of(directory, digest)).is_ok_and(|bytes| Digest::of(&bytes) == *digest)
}

#[test]
fn what_the_open_segment_names_is_copied_once_the_log_rests_and_not_again_when_it_is_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let (mut life, content, digest) = one_named(directory.path(), small());
    wait_until(|| copy_of(directory.path(), &digest).exists());
    wait_until(|| life.journal.info().archive.contents_archived == 1);
    assert_eq!(life.journal.info().archive.last_segment, None);
    let modified = || fs::metadata(copy_of(directory.path(), &digest)).unwrap().modified().unwrap();
    let made = modified();
    for version in 1..=12 {
        // Named once more, in other segments.
        life.record(&run(2), version, &answered(content.clone()));
        life.record(&run(0), version, &answered(payload("f", 60_000)));
    }
    settle(&life.journal, directory.path(), 1);
    life.journal.close().unwrap();
    assert_eq!((life.journal.info().archive.contents_archived, modified()), (1, made));
}

#[test]
fn a_journal_that_closes_copies_what_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let (life, _, digest) = one_named(directory.path(), restless());
    life.journal.store_now().unwrap();
    assert!(!copy_of(directory.path(), &digest).exists(), "it never rests");
    life.journal.close().unwrap();
    assert!(copy_of(directory.path(), &digest).exists());
    flip(&file_of(directory.path(), &digest));
    let report = verify(directory.path()).unwrap();
    assert_eq!((report.problem_count, report.healable_count), (1, 1), "{report:?}");
}

#[test]
fn what_a_kill_has_left_without_a_copy_is_copied_behind_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let (life, _, digest) = one_named(directory.path(), restless());
    life.journal.close().unwrap();
    fs::remove_dir_all(directory.path().join("archive")).unwrap();
    let copy = copy_of(directory.path(), &digest);
    fs::create_dir_all(copy.parent().unwrap()).unwrap();
    fs::write(copy.with_extension("new"), b"half").unwrap();
    let life = open(directory.path(), roomy());
    wait_until(|| copy.exists());
    life.journal.close().unwrap();
    assert!(!copy.with_extension("new").exists());
    assert!(verify(directory.path()).unwrap().ok);
}

#[test]
fn both_copies_are_compared_behind_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let (mut life, _, first) = one_named(directory.path(), roomy());
    let second = payload("b", 80_000);
    life.record(&run(2), 1, &answered(second.clone()));
    life.journal.close().unwrap();
    let copy = copy_of(directory.path(), &digest_of(&second));
    let before = fs::read(&copy).unwrap();
    flip(&file_of(directory.path(), &first));
    flip(&copy);
    let life = open(directory.path(), roomy());
    wait_until(|| life.journal.info().archive.contents_healed == 2);
    assert!(is_whole(directory.path(), &first) && fs::read(&copy).unwrap() == before);
}

#[test]
fn salvage_restores_a_damaged_content_of_the_open_segment() {
    let work = tempfile::tempdir().unwrap();
    let (from, to) = (work.path().join("own"), work.path().join("salvaged"));
    let (life, _, digest) = one_named(&from, roomy());
    life.journal.close().unwrap();
    flip(&file_of(&from, &digest));
    let request = SalvageRequest {
        from,
        to: to.clone(),
        dry_run: false,
        scratch: Some(work.path().join("scratch")),
        at: Timestamp(9),
        actor: "ann".to_owned(),
    };
    salvage(&request, &mut unheard()).unwrap();
    assert!(is_whole(&to, &digest));
}

#[test]
fn what_was_erased_is_not_copied_any_more_and_its_copy_goes() {
    let directory = tempfile::tempdir().unwrap();
    let is_gone = |digest: &Digest| {
        let copy = copy_of(directory.path(), digest);
        let files = [file_of(directory.path(), digest), copy.with_extension("new"), copy];
        files.iter().all(|path| !path.exists())
    };
    let (mut life, _, first) = one_named(directory.path(), roomy());
    wait_until(|| copy_of(directory.path(), &first).exists());
    life.erase(1, first);
    assert!(is_gone(&first));
    // Nobody rests between the two: it is erased before it could be copied.
    let second = payload("b", 80_000);
    life.journal.close().unwrap();
    let mut life = open(directory.path(), restless());
    life.record(&run(2), 1, &answered(second.clone()));
    life.erase(2, digest_of(&second));
    life.journal.close().unwrap();
    assert!(is_gone(&digest_of(&second)));
    let life = open(directory.path(), roomy());
    for digits in [1, 2] {
        assert_eq!(why_absent(&life.history(&run(digits)), 0), Some(AbsentWhy::Erased));
    }
    life.journal.close().unwrap();
    assert!(is_gone(&first) && is_gone(&digest_of(&second)));
}

/// Its disk may be gone: copies on the one below it would be in nobody's reach.
#[test]
fn no_archive_is_begun_anew_in_place_of_one_that_is_out_of_reach() {
    let directory = tempfile::tempdir().unwrap();
    let mut life = open(directory.path(), small());
    for version in 1..=12 {
        life.record(&run(0), version, &answered(payload("f", 60_000)));
    }
    settle(&life.journal, directory.path(), 1);
    let (archive, away) = (directory.path().join("archive"), directory.path().join("away"));
    fs::rename(&archive, &away).unwrap();
    let content = payload("a", 70_000);
    life.record(&run(1), 1, &answered(content.clone()));
    wait_until(|| life.journal.info().archive.failure.is_some());
    assert!(!archive.exists());
    fs::rename(&away, &archive).unwrap();
    life.journal.close().unwrap();
    assert!(copy_of(directory.path(), &digest_of(&content)).exists());
}

#[test]
fn an_archive_elsewhere_is_taken_with_the_first_copy() {
    let work = tempfile::tempdir().unwrap();
    let (data, place) = (work.path().join("data"), work.path().join("elsewhere"));
    let options = Options { archive_directory: Some(place.clone()), ..roomy() };
    let (life, _, digest) = one_named(&data, options.clone());
    life.journal.close().unwrap();
    assert!(names(work.path(), "elsewhere").contains(&"OWNER".to_owned()));
    flip(&file_of(&data, &digest));
    let life = open(&data, options);
    assert_eq!(why_absent(&life.history(&run(1)), 0), None);
    assert!(is_whole(&data, &digest) && !data.join("archive").exists());
}

#[test]
fn without_archiving_there_are_no_copies() {
    let directory = tempfile::tempdir().unwrap();
    let (life, ..) = one_named(directory.path(), Options { archive: false, ..roomy() });
    life.journal.close().unwrap();
    assert!(!directory.path().join("archive").exists());
}
