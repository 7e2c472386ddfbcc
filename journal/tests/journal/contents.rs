//! The second copies of contents, in the archive: what is lost or damaged comes back from them,
//! and what is erased or collected is gone from them, too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use backstitch_core::ids::Digest;
use backstitch_core::payload::{AbsentWhy, Payload};
use backstitch_core::time::Timestamp;
use backstitch_journal::{
    Journal, Options, Reader, RestorePoint, SalvageRequest, check_blobs, salvage, unheard, verify,
};

use crate::archive::small;
use crate::blobs::{Life, answered, digest_of, file_of, named, payload, run, why_absent};
use crate::restore::restored;

/// Records that fill more than two segments.
const FILLERS: u64 = 12;

pub fn copy_of(directory: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.to_string();
    directory.join("archive/contents").join(&hex[..2]).join(&hex)
}

fn keeping() -> Options {
    Options { log_segments_kept: 100, ..small() }
}

pub fn open(directory: &Path, options: Options) -> Life {
    Life::of(Journal::open(directory, options).expect("it opens"))
}

pub fn wait_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}

/// Contents of a run each, and a life in which what names them is archived.
fn archived(directory: &Path, options: Options) -> (Life, [Payload; 2]) {
    let mut life = open(directory, options);
    let contents = [payload("a", 70_000), payload("b", 80_000)];
    for (digits, content) in (1..).zip(&contents) {
        life.record(&run(digits), 1, &answered(content.clone()));
    }
    for version in 1..=FILLERS {
        life.record(&run(0), version, &answered(payload("f", 60_000)));
    }
    wait_until(|| contents.iter().all(|own| copy_of(directory, &digest_of(own)).exists()));
    life.journal.store_now().expect("there is space");
    (life, contents)
}

/// Loses one of the contents and flips a bit of the other.
fn spoil(directory: &Path, [lost, flipped]: &[Payload; 2]) {
    fs::remove_file(file_of(directory, &digest_of(lost))).expect("it is there");
    flip(&file_of(directory, &digest_of(flipped)));
}

pub fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(path, bytes).expect("there is space");
}

pub fn are_whole(directory: &Path, contents: &[Payload; 2]) -> bool {
    contents.iter().all(|own| {
        fs::read(file_of(directory, &digest_of(own)))
            .is_ok_and(|text| text == own.text().as_bytes())
    })
}

#[test]
fn what_is_lost_or_damaged_is_read_from_the_archive_and_put_back() {
    let directory = tempfile::tempdir().unwrap();
    let (life, contents) = archived(directory.path(), small());
    spoil(directory.path(), &contents);
    for digits in [1, 2] {
        assert_eq!(why_absent(&life.history(&run(digits)), 0), None);
    }
    assert!(are_whole(directory.path(), &contents));
    life.journal.close().unwrap();
    assert!(verify(directory.path()).unwrap().ok);
}

#[test]
fn verify_tells_what_the_archive_can_heal_and_looking_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (life, contents) = archived(directory.path(), small());
    life.journal.close().unwrap();
    spoil(directory.path(), &contents);
    let report = verify(directory.path()).unwrap();
    assert_eq!((report.problem_count, report.healable_count), (2, 2), "{report:?}");
    let found = check_blobs(directory.path(), &named(directory.path()), &BTreeSet::new()).unwrap();
    assert_eq!((found.healable.len(), found.damaged.len(), found.missing.len()), (2, 0, 0));
    let reader = Reader::open(directory.path()).unwrap();
    for digits in [1, 2] {
        assert_eq!(why_absent(&reader.history(&run(digits)).unwrap().unwrap(), 0), None);
    }
    assert!(!are_whole(directory.path(), &contents));
}

#[test]
fn a_restored_and_a_salvaged_store_have_what_only_the_archive_has() {
    let work = tempfile::tempdir().unwrap();
    let from = work.path().join("own");
    let (life, contents) = archived(&from, small());
    life.journal.close().unwrap();
    spoil(&from, &contents);
    let (restored_to, salvaged_to) = (work.path().join("restored"), work.path().join("salvaged"));
    restored(&from, &restored_to, RestorePoint::End);
    let request = SalvageRequest {
        from,
        to: salvaged_to.clone(),
        dry_run: false,
        scratch: Some(work.path().join("scratch")),
        at: Timestamp(9),
        actor: "ann".to_owned(),
    };
    salvage(&request, &mut unheard()).unwrap();
    for to in [restored_to, salvaged_to] {
        assert!(are_whole(&to, &contents), "{}", to.display());
        // What is archived there gets its copies, too.
        let life = open(&to, small());
        wait_until(|| contents.iter().all(|own| copy_of(&to, &digest_of(own)).exists()));
        drop(life);
    }
}

#[test]
fn a_backup_takes_from_the_archive_what_the_source_has_lost() {
    let work = tempfile::tempdir().unwrap();
    let (own, to) = (work.path().join("own"), work.path().join("backup"));
    let (life, contents) = archived(&own, small());
    spoil(&own, &contents);
    life.journal.backup(&to, Timestamp(1), &mut unheard()).unwrap();
    assert!(are_whole(&to, &contents) && !are_whole(&own, &contents));
    assert!(verify(&to).unwrap().ok);
    // Once more, from files that are whole again.
    assert_eq!(why_absent(&life.history(&run(1)), 0), None);
    assert_eq!(why_absent(&life.history(&run(2)), 0), None);
    life.journal.backup(&to, Timestamp(2), &mut unheard()).unwrap();
    assert!(are_whole(&to, &contents) && verify(&to).unwrap().ok);
    life.journal.close().unwrap();
}

#[test]
fn an_erased_content_leaves_the_archive_with_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let (mut life, [first, _]) = archived(directory.path(), small());
    let digest = digest_of(&first);
    life.erase(1, digest);
    assert!(!file_of(directory.path(), &digest).exists());
    assert!(!copy_of(directory.path(), &digest).exists());
    life.journal.close().unwrap();
    let life = open(directory.path(), small());
    assert_eq!(why_absent(&life.history(&run(1)), 0), Some(AbsentWhy::Erased));
    assert!(!copy_of(directory.path(), &digest).exists());
}

#[test]
fn an_erasure_reaches_an_archive_that_was_out_of_reach_once_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let (mut life, [first, _]) = archived(directory.path(), small());
    let (archive, away) = (directory.path().join("archive"), directory.path().join("away"));
    let digest = digest_of(&first);
    fs::rename(&archive, &away).unwrap();
    life.erase(1, digest);
    life.journal.close().unwrap();
    drop(fs::remove_dir_all(&archive));
    fs::rename(&away, &archive).unwrap();
    assert!(copy_of(directory.path(), &digest).exists());
    let life = open(directory.path(), small());
    assert_eq!(why_absent(&life.history(&run(1)), 0), Some(AbsentWhy::Erased));
    wait_until(|| !copy_of(directory.path(), &digest).exists());
    assert!(!file_of(directory.path(), &digest).exists());
}

#[test]
fn copies_are_compared_behind_an_open_and_healed_either_way() {
    let directory = tempfile::tempdir().unwrap();
    let (life, contents) = archived(directory.path(), keeping());
    life.journal.close().unwrap();
    let [first, second] = [&contents[0], &contents[1]].map(digest_of);
    let copy = copy_of(directory.path(), &first);
    let before = fs::read(&copy).unwrap();
    flip(&copy);
    flip(&file_of(directory.path(), &second));
    let report = verify(directory.path()).unwrap();
    assert_eq!((report.problem_count, report.healable_count), (2, 2), "{report:?}");
    let life = open(directory.path(), keeping());
    wait_until(|| life.journal.info().archive.contents_healed == 2);
    assert!(fs::read(&copy).unwrap() == before && are_whole(directory.path(), &contents));
}

/// An archive that was made before contents had copies, or lost them.
#[test]
fn archived_segments_without_copies_get_them_behind_an_open() {
    let directory = tempfile::tempdir().unwrap();
    let (life, contents) = archived(directory.path(), small());
    life.journal.close().unwrap();
    fs::remove_dir_all(directory.path().join("archive/contents")).unwrap();
    let life = open(directory.path(), small());
    wait_until(|| contents.iter().all(|own| copy_of(directory.path(), &digest_of(own)).exists()));
    drop(life);
}

#[test]
fn a_copy_that_nothing_names_is_collected() {
    let directory = tempfile::tempdir().unwrap();
    let (life, [first, _]) = archived(directory.path(), small());
    let (kept, left) = (copy_of(directory.path(), &digest_of(&first)), payload("l", 70_000));
    let mut beside = left.clone();
    beside.keep_beside();
    let left = copy_of(directory.path(), &digest_of(&beside));
    fs::create_dir_all(left.parent().unwrap()).unwrap();
    fs::copy(&kept, &left).unwrap();
    life.journal.collect_blobs(true).unwrap();
    assert!(left.exists());
    life.journal.collect_blobs(false).unwrap();
    assert!(!left.exists() && kept.exists());
}
