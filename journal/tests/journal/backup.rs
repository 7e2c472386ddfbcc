//! Backups while the journal is written: whole, incremental, and whole again after any stop.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use backstitch_core::time::Timestamp;
use backstitch_journal::{
    Commit, Error, Journal, Manifest, RestorePoint, VerifyOptions, backup, restore, unheard,
    verify, verify_with,
};

use crate::crash::{count_from_environment, live_and_die_with};
use crate::damage::copy;
use crate::life::{check_open, lines, quiet_directory, quiet_directory_with};
use crate::restore::{commits, contents, request, restored, unarchived};
use crate::workload::{Dice, Writer, nobody, options};

/// Kills in one run of the tests; `JOURNAL_KILLS` asks for more.
const KILLS: u64 = 4;

/// A backup holds a prefix of every chain, its files are what its list says, and a store
/// restored from it serves what it holds.
fn check_backup(backed_up: &Path, work: &Path, acknowledged: &[(u16, u64, String)]) {
    let report = verify(backed_up).expect("it can be read");
    assert!(report.ok, "{report:?}");
    let checked = report.backup.expect("it is a backup");
    assert_eq!(checked.files, checked.files_whole);
    let target = work.join("restored");
    drop(std::fs::remove_dir_all(&target));
    restored(backed_up, &target, RestorePoint::End);
    check_open(&target, options(), acknowledged).expect("it serves what it holds");
}

#[test]
fn a_backup_under_load_holds_what_was_acknowledged_before_it() {
    let work = tempfile::tempdir().unwrap();
    let (data, to) = (work.path().join("data"), work.path().join("backup"));
    let opened = Journal::open(&data, options()).unwrap();
    let mut writer = Writer::take_over(opened, 3);
    let journal = writer.journal.clone();
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        acknowledged.extend(writer.write(120, &nobody()).unwrap());
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let backing_up = scope.spawn(|| {
                let report = journal.backup(&to, Timestamp(round), &mut unheard());
                stop.store(true, Ordering::SeqCst);
                report.unwrap()
            });
            let mut later = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                later.extend(writer.write(5, &nobody()).unwrap());
            }
            let report = backing_up.join().unwrap();
            assert!(report.files_copied > 0);
            check_backup(&to, work.path(), &lines(&acknowledged));
            acknowledged.extend(later);
        });
    }
    journal.close().unwrap();
}

#[test]
fn what_is_there_is_not_copied_again() {
    let work = tempfile::tempdir().unwrap();
    let (data, to) = (work.path().join("data"), work.path().join("backup"));
    quiet_directory_with(&data, 900, unarchived());
    let first = backup(&data, &to, Timestamp(1), &mut unheard()).unwrap();
    assert!(first.files_copied > 2, "{first:?}");
    assert_eq!(first.files, first.files_copied);
    let second = backup(&data, &to, Timestamp(2), &mut unheard()).unwrap();
    assert_eq!(second.files_copied, 0, "nothing was written: {second:?}");
    // A list that is gone is made again from the files that are there.
    std::fs::remove_file(to.join("backup.json")).unwrap();
    let third = backup(&data, &to, Timestamp(3), &mut unheard()).unwrap();
    assert!(third.files_copied <= 1, "{third:?}");
    // What rotted in the backup is copied again.
    let segment = to.join("log/0000000001.seg");
    let mut content = std::fs::read(&segment).unwrap();
    content[9_000] ^= 1;
    std::fs::write(&segment, &content).unwrap();
    assert!(!verify(&to).unwrap().ok);
    let fourth = backup(&data, &to, Timestamp(4), &mut unheard()).unwrap();
    assert_eq!(fourth.files_copied, 1, "{fourth:?}");
    check_backup(&to, work.path(), &[]);
}

/// What a check says of a backup: how many problems, and how many of them cost nothing.
fn problems(of: &Path) -> (u64, u64) {
    let report = verify(of).expect("it can be read");
    assert_eq!(report.ok, report.problem_count == 0);
    (report.problem_count, report.healable_count)
}

#[test]
fn a_backup_without_its_list_is_not_whole() {
    let work = tempfile::tempdir().unwrap();
    let (data, to) = (work.path().join("data"), work.path().join("backup"));
    quiet_directory_with(&data, 900, unarchived());
    backup(&data, &to, Timestamp(1), &mut unheard()).unwrap();
    let list = to.join("backup.json");
    for content in [None, Some("{}")] {
        std::fs::remove_file(&list).unwrap();
        content.into_iter().for_each(|text| std::fs::write(&list, text).unwrap());
        assert_eq!(problems(&to), (1, 0));
        let request = request(&to, &work.path().join("restored"), RestorePoint::End);
        let refused = restore(&request, &mut unheard());
        assert!(matches!(refused, Err(Error::Manifest { .. })), "{refused:?}");
        std::fs::write(&list, "").unwrap();
    }
}

#[test]
fn what_a_backup_lacks_costs_nothing_only_where_it_is_twice() {
    let work = tempfile::tempdir().unwrap();
    let (data, to) = (work.path().join("data"), work.path().join("backup"));
    quiet_directory_with(&data, 900, unarchived());
    backup(&data, &to, Timestamp(1), &mut unheard()).unwrap();
    let last = commits(&to).len();
    for name in ["log/0000000001.seg", "log/0000000002.seg"] {
        let lacking = work.path().join("lacking");
        drop(std::fs::remove_dir_all(&lacking));
        copy(&to, &lacking);
        std::fs::remove_file(lacking.join(name)).unwrap();
        let (found, healable) = problems(&lacking);
        assert!(found > 1 && healable == 0, "{name}: {found} and {healable}");
    }
    // The same segment in the archive, too: either copy may go.
    let archived = work.path().join("archived");
    quiet_directory(&archived, 900);
    let twice = work.path().join("twice");
    backup(&archived, &twice, Timestamp(1), &mut unheard()).unwrap();
    let manifest = Manifest::read(&twice).unwrap().unwrap();
    let both = manifest.files.keys().find_map(|name| {
        let number = name.strip_prefix("archive/")?.strip_suffix(".arc")?;
        let in_log = format!("log/{number}.seg");
        manifest.files.contains_key(&in_log).then_some((name.clone(), in_log))
    });
    for name in both.iter().flat_map(|(one, other)| [one, other]) {
        let lacking = work.path().join("lacking");
        std::fs::remove_dir_all(&lacking).unwrap();
        copy(&twice, &lacking);
        std::fs::remove_file(lacking.join(name)).unwrap();
        let (found, healable) = problems(&lacking);
        assert!(found > 0 && found == healable, "{name}: {found} and {healable}");
    }
    assert!(last > 0);
}

#[test]
fn a_backup_broken_off_anywhere_leaves_the_one_before_and_is_taken_up() {
    let work = tempfile::tempdir().unwrap();
    let (data, to) = (work.path().join("data"), work.path().join("backup"));
    let mut acknowledged = quiet_directory(&data, 200);
    backup(&data, &to, Timestamp(1), &mut unheard()).unwrap();
    let before = Manifest::read(&to).unwrap();
    let first = acknowledged.clone();
    let opened = Journal::open(&data, options()).unwrap();
    let mut writer = Writer::take_over(opened, 77);
    acknowledged.extend(lines(&writer.write(400, &nobody()).unwrap()));
    let (mut heard, mut broken_off) = (0, 0);
    loop {
        let mut left = heard;
        let run = writer.journal.backup(&to, Timestamp(2), &mut |_| {
            left -= 1;
            if left < 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match run {
            Err(Error::Cancelled) => {
                assert_eq!(Manifest::read(&to).unwrap(), before, "the one before is in force");
                if broken_off % 4 == 0 {
                    check_backup(&to, work.path(), &first);
                }
                (heard, broken_off) = (heard + 1, broken_off + 1);
            }
            other => {
                other.unwrap();
                break;
            }
        }
    }
    assert!(broken_off > 2);
    check_backup(&to, work.path(), &acknowledged);
    writer.journal.close().unwrap();
}

#[test]
fn a_backup_killed_anywhere_is_taken_up() {
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let work = tempfile::tempdir().unwrap();
    let (data, to) = (work.path().join("data"), work.path().join("backup"));
    let mut acknowledged = Vec::new();
    for _ in 0..count_from_environment("JOURNAL_KILLS", KILLS) {
        let after = 50 + dice.below(400);
        acknowledged.extend(live_and_die_with(&data, dice.next(), after, &|child| {
            child.env(crate::child::BACKUP, &to);
        }));
        if to.join("backup.json").exists() {
            check_backup(&to, work.path(), &[]);
        }
    }
    check_open(&data, options(), &acknowledged).unwrap();
    backup(&data, &to, Timestamp(9), &mut unheard()).unwrap();
    check_backup(&to, work.path(), &acknowledged);
}

#[test]
fn directories_that_are_no_place_for_it_are_refused() {
    let work = tempfile::tempdir().unwrap();
    let (data, other) = (work.path().join("data"), work.path().join("other"));
    let to = work.path().join("backup");
    quiet_directory(&data, 30);
    quiet_directory(&other, 30);
    let refused = |from: &Path, to: &Path| backup(from, to, Timestamp(1), &mut unheard());
    assert!(matches!(refused(&data, &data.join("log")), Err(Error::Target { .. })));
    assert!(matches!(refused(&data, &data.join("new/below")), Err(Error::Target { .. })));
    assert!(!data.join("new").exists(), "nothing is made in what is only read");
    assert!(matches!(refused(&data, &other.join("new")), Err(Error::Target { .. })));
    assert!(!other.join("new").exists(), "nothing is made in another store");
    assert!(matches!(refused(&data, &other), Err(Error::Target { .. })));
    backup(&data, &to, Timestamp(1), &mut unheard()).unwrap();
    assert!(matches!(refused(&other, &to), Err(Error::Target { .. })), "another store's");
    let inside = to.join("archive");
    assert!(matches!(refused(&data, &inside), Err(Error::Target { .. })), "in a backup");
    assert!(!inside.join("BACKUP").exists());
    let next = work.path().join("next");
    restored(&to, &next, RestorePoint::End);
    assert!(matches!(refused(&next, &to), Err(Error::Target { .. })), "another generation's");
    let error = Journal::open(&to, options()).err().expect("it is refused");
    assert!(matches!(error, Error::IsBackup { .. }), "{error}");
}

#[test]
fn the_end_of_a_backup_that_is_missing_is_noticed() {
    let work = tempfile::tempdir().unwrap();
    let (data, to) = (work.path().join("data"), work.path().join("backup"));
    quiet_directory(&data, 100);
    backup(&data, &to, Timestamp(1), &mut unheard()).unwrap();
    let all: Vec<Commit> = commits(&to);
    let segment = to.join("log/0000000001.seg");
    let mut content = std::fs::read(&segment).unwrap();
    let last = content.iter().rposition(|&byte| byte != 0).unwrap();
    content[last - 3_000..].fill(0);
    std::fs::write(&segment, &content).unwrap();
    assert!(!verify(&to).unwrap().ok);
    let asked = crate::restore::request(&to, &work.path().join("target"), RestorePoint::End);
    let refused = backstitch_journal::restore(&asked, &mut unheard());
    assert!(matches!(refused, Err(Error::Damaged { .. })), "{} {refused:?}", all.len());
}

#[test]
fn the_store_is_checked_in_a_copy() {
    let work = tempfile::tempdir().unwrap();
    let (data, damaged) = (work.path().join("data"), work.path().join("damaged"));
    quiet_directory(&data, 300);
    let before = contents(&data);
    let options = VerifyOptions { store: true, scratch: Some(work.path().join("scratch")) };
    let report = verify_with(&data, &options, &mut unheard()).unwrap();
    assert!(report.ok, "{report:?}");
    let store = report.store.unwrap();
    assert!(store.proven && store.histories > 10 && store.views_proven > 0, "{store:?}");
    assert!(contents(&data) == before, "nothing was changed");
    assert_eq!(std::fs::read_dir(work.path().join("scratch")).unwrap().count(), 0);
    copy(&data, &damaged);
    let tree = damaged.join("store/db");
    let mut content = std::fs::read(&tree).unwrap();
    let at = content.len() / 3;
    content[at..at + 4_096].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(&tree, &content).unwrap();
    let report = verify_with(&damaged, &options, &mut unheard()).unwrap();
    assert!(!report.ok && report.healable_count == report.problem_count, "{report:?}");
}
