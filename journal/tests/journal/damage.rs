//! Damage at rest: every flipped bit is refused, healed or harmless, never served.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use backstitch_core::ids::StreamId;
use backstitch_core::payload::AbsentWhy;
use backstitch_journal::{Error, Journal, Opened, Options, Part, ScrubState, check_blobs, verify};

use crate::blobs::named;
use crate::crash::count_from_environment;
use crate::life::{check_open, check_served, lines, quiet_directory, quiet_directory_with};
use crate::workload::{Dice, event_of, options, quick_options};

/// Bits flipped in one run of the tests; `JOURNAL_FLIPS` asks for more.
const FLIPS: u64 = 200;

pub fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("it is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("there is space");
    for entry in fs::read_dir(from).expect("it is there") {
        let path = entry.expect("it can be read").path();
        let target = to.join(path.file_name().expect("it has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("there is space");
        }
    }
}

/// Where a flip is worth most: half of them hit bytes that are not zero.
pub fn choose(dice: &mut Dice, content: &[u8]) -> usize {
    let length = content.len() as u64;
    let start = dice.below(length) as usize;
    if dice.below(4) == 0 {
        return start;
    }
    (start..content.len()).chain(0..start).find(|&at| content[at] != 0).unwrap_or(start)
}

#[test]
fn single_bit_flips_are_refused_healed_or_harmless() {
    println!("{}", flip_bits(&options(), FLIPS));
}

/// The same with trees that open quickly: what the open does not see, the scrub behind it
/// does, and the next start heals it.
#[test]
fn single_bit_flips_are_found_behind_a_quick_open() {
    println!("{}", flip_bits(&quick_options(), FLIPS / 2));
}

fn flip_bits(options: &Options, flips: u64) -> String {
    let directory = tempfile::tempdir().expect("it is there");
    let quiet = directory.path().join("quiet");
    let acknowledged = lines(&quiet_directory_with(&quiet, 150, options.clone()));
    let mut files = Vec::new();
    files_below(&quiet, &mut files);
    files.sort();
    files.retain(|path| fs::metadata(path).expect("it is there").len() > 0);
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let (mut refused, mut healed, mut harmless, mut latent) = (0, 0, 0, 0);
    let mut found_behind = 0;
    for flip in 0..count_from_environment("JOURNAL_FLIPS", flips) {
        let file = &files[dice.below(files.len() as u64) as usize];
        let damaged = directory.path().join("damaged");
        if damaged.exists() {
            fs::remove_dir_all(&damaged).expect("it is there");
        }
        copy(&quiet, &damaged);
        let path = damaged.join(file.strip_prefix(&quiet).expect("it is there"));
        let mut content = fs::read(&path).expect("it is there");
        let at = choose(&mut dice, &content);
        content[at] ^= 1 << dice.below(8);
        fs::write(&path, &content).expect("it is there");
        let place = format!("flip {flip}: byte {at} of {}", path.display());
        if path.starts_with(damaged.join("blobs")) {
            let name = path.strip_prefix(damaged.join("blobs")).expect("it is there");
            if damaged.join("archive/contents").join(name).exists() {
                check_served(&damaged, options.clone(), &acknowledged)
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
                assert!(verify(&damaged).expect("it is there").ok, "{place}");
                healed += 1;
            } else {
                check_flipped_content(&damaged, &place);
                latent += 1;
            }
            continue;
        }
        match Journal::open(&damaged, options.clone()) {
            Err(Error::Damaged { damage }) => {
                let report = verify(&damaged).expect("it is there");
                assert!(!report.ok, "{place}: refused ({damage}), but verify finds nothing");
                refused += 1;
            }
            Err(Error::Identity { .. } | Error::Foreign { .. }) => refused += 1,
            Err(error) => panic!("{place}: {error}"),
            Ok(opened) => {
                let mut healed_here = is_healed(&opened);
                let scrubbed = opened.journal.scrub();
                assert_eq!(scrubbed.is_err(), opened.journal.poisoned().is_some(), "{place}");
                drop(opened);
                if scrubbed.is_err() {
                    let again = Journal::open(&damaged, options.clone());
                    let again = again.unwrap_or_else(|error| panic!("{place}: {error}"));
                    assert!(is_healed(&again), "{place}");
                    healed_here = true;
                    found_behind += 1;
                }
                check_served(&damaged, options.clone(), &acknowledged)
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
                let whole = verify(&damaged).expect("it is there").ok;
                // In a part of the log that the store has applied, damage hurts nobody until
                // the store must be rebuilt; that it is there, `verify` says.
                let spare = ["log", "archive/contents"].map(|part| damaged.join(part));
                assert!(whole || spare.iter().any(|part| path.starts_with(part)), "{place}");
                match (whole, healed_here) {
                    (false, _) => latent += 1,
                    (true, true) => healed += 1,
                    (true, false) => harmless += 1,
                }
            }
        }
    }
    format!(
        "{refused} refused, {healed} healed ({found_behind} behind the open), {harmless} \
         harmless, {latent} latent"
    )
}

fn is_healed(opened: &Opened) -> bool {
    opened.report.store_rebuilt.is_some() || opened.report.views_emptied.is_some()
}

/// Every history is as it was written but for one content, which is named and not served.
fn check_flipped_content(directory: &Path, place: &str) {
    let opened = Journal::open(directory, options()).expect("it works on a whole directory");
    let (mut damaged, mut wrong) = (0, 0);
    let each = opened.journal.for_each_history(|stream, records| {
        let StreamId::Execution(run) = stream else { return };
        for mut record in records {
            let mut lost = false;
            record.event.for_each_payload_mut(&mut |payload| {
                lost |= payload.absent().is_some_and(|own| own.why == AbsentWhy::Damaged);
            });
            damaged += usize::from(lost);
            wrong += usize::from(!lost && record.event != event_of(&run, record.version));
        }
    });
    each.expect("it works on a whole directory");
    assert!(damaged > 0 && wrong == 0, "{place}: {damaged} damaged, {wrong} wrong");
    drop(opened);
    let report = check_blobs(directory, &named(directory), &BTreeSet::new())
        .expect("it works on a whole directory");
    assert_eq!((report.damaged.len(), report.missing.len()), (1, 0), "{place}");
}

#[test]
fn damage_in_the_log_is_named() {
    let directory = tempfile::tempdir().unwrap();
    quiet_directory(directory.path(), 100);
    let segment = directory.path().join("log/0000000001.seg");
    let mut content = fs::read(&segment).unwrap();
    content[9_000] ^= 4;
    fs::write(&segment, &content).unwrap();
    // The store has applied everything, so opening looks only where the log ends; a store
    // that is gone has it read whole.
    fs::remove_file(directory.path().join("store.marks")).unwrap();
    let error = Journal::open(directory.path(), options()).err().expect("it is damaged");
    let Error::Damaged { damage } = &error else { panic!("{error}") };
    assert_eq!(damage.segment, 1);
    assert!(damage.offset <= 9_000);
    assert!(error.to_string().contains("replay-tool verify"), "{error}");
    assert_eq!(fs::read(&segment).unwrap(), content, "nothing was changed");
    let report = verify(directory.path()).unwrap();
    assert!(!report.ok);
    assert_eq!(report.problems[0].damage.segment, 1);
    assert!(report.problems.iter().any(|problem| problem.stream.is_some()), "{report:?}");
    assert!(serde_json::to_string(&report).unwrap().contains("\"segment\":1"));
}

#[test]
fn a_missing_segment_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let unarchived = Options { archive: false, ..options() };
    quiet_directory_with(directory.path(), 600, unarchived.clone());
    fs::remove_file(directory.path().join("log/0000000001.seg")).unwrap();
    for options in [unarchived, options()] {
        let error = Journal::open(directory.path(), options).err().expect("it is damaged");
        assert!(error.to_string().contains("not in the archive"), "{error}");
    }
    assert!(!verify(directory.path()).unwrap().ok);
}

#[test]
fn a_log_that_is_gone_is_refused_and_not_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    quiet_directory(directory.path(), 40);
    fs::remove_dir_all(directory.path().join("log")).unwrap();
    let error = Journal::open(directory.path(), options()).err().expect("it is damaged");
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("salvage"), "{error}");
    assert!(!directory.path().join("log").exists(), "nothing was changed");
}

#[test]
fn a_torn_tail_is_cut_and_reported() {
    let directory = tempfile::tempdir().unwrap();
    let acknowledged = quiet_directory(directory.path(), 40);
    let segment = directory.path().join("log/0000000001.seg");
    let mut content = fs::read(&segment).unwrap();
    let last = content.iter().rposition(|&byte| byte != 0).unwrap();
    let end = (last + 1).next_multiple_of(512);
    // What a crash may leave of a group: its middle, without the beginning.
    content[end + 600..end + 700].fill(0xAB);
    fs::write(&segment, &content).unwrap();
    let torn = verify(directory.path()).unwrap();
    assert!(torn.ok && torn.torn_tail.is_some(), "{torn:?}");
    let opened = Journal::open(directory.path(), options()).unwrap();
    assert_eq!(opened.report.torn_tail, torn.torn_tail);
    drop(opened);
    assert_eq!(verify(directory.path()).unwrap().torn_tail, None, "nothing is left of it");
    check_open(directory.path(), options(), &acknowledged).unwrap();
}

/// Damage that a quick open did not see, or that came later.
#[test]
fn damage_behind_a_quick_open_poisons_and_is_healed() {
    let directory = tempfile::tempdir().unwrap();
    // After its first piece the keeper's scrub rests for days.
    let options = Options { keeper_bytes_per_second: 1, ..quick_options() };
    let acknowledged = lines(&quiet_directory_with(directory.path(), 600, options.clone()));
    let opened = Journal::open(directory.path(), options.clone()).unwrap();
    assert_eq!(opened.report.store_rebuilt, None);
    assert!(opened.journal.statistics().store.trees[0].opened_quickly);
    let path = directory.path().join("store/db");
    let mut content = fs::read(&path).unwrap();
    content.iter_mut().step_by(1_000).for_each(|byte| *byte ^= 1);
    fs::write(&path, &content).unwrap();
    let error = opened.journal.scrub().expect_err("it cannot be read");
    assert!(error.to_string().contains("the next start rebuilds it"), "{error}");
    assert!(opened.journal.poisoned().is_some());
    let states = opened.journal.scrub_state();
    assert!(states.contains(&(Part::Store, ScrubState::Damaged)), "{states:?}");
    drop(opened);
    let opened = Journal::open(directory.path(), options.clone()).unwrap();
    let reason = opened.report.store_rebuilt.clone().expect("it was noted");
    assert!(reason.contains("cannot be read") || reason.contains("scrub"), "{reason}");
    drop(opened);
    check_open(directory.path(), options, &acknowledged).unwrap();
}
