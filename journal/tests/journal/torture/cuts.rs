//! Power cuts at random points of lives that do everything; the disk is that of `medium.rs`.

use std::fs;
use std::path::Path;

use super::count;
use super::life::{command, options, unsynced};
use super::promises::Promises;
use crate::calls::{Call, parse};
use crate::crash::count_from_environment;
use crate::medium::Medium;
use crate::power_cut::{run_child, shim};
use crate::workload::Dice;

const CUTS: u64 = 8;
const CUTS_LONG: u64 = 100;
const CUTS_OF_A_LIFE: u64 = 5;
/// Lives that go on in the same directory, each on what the one before left.
const LIVES_OF_A_DIRECTORY: u64 = 3;
/// Deeds of a life.
const STEPS: usize = 25;

struct Recorded {
    medium: Medium,
    calls: Vec<Call>,
}

fn record_life(work: &Path, shim: &Path, seed: u64, synced: bool) -> Recorded {
    let disk = work.join("disk");
    fs::create_dir_all(&disk).expect("there is space");
    let (record, said) = (work.join("record"), work.join("said"));
    drop(fs::remove_file(&said));
    let medium = Medium::holding(&disk);
    let mut child = command(&disk.join("data/store"), &said, seed, STEPS);
    if !synced {
        unsynced(&mut child);
    }
    child.env("SHIM_LOG", &record).env("SHIM_ACK", &said);
    let output = run_child(child, shim, &disk);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "seed {seed}: {complaint}");
    let calls = parse(&fs::read(&record).expect("the shim wrote a record"));
    Recorded { medium, calls }
}

/// Cuts a life at some points; answers what the checks said, and what the whole life promised.
fn cut_life(
    work: &Path,
    life: Recorded,
    before: &Promises,
    cuts: u64,
    dice: &mut Dice,
) -> (Vec<Result<(), String>>, Promises) {
    let Recorded { mut medium, calls } = life;
    let total = calls.len();
    let bound = |cut: u64| if cut.is_multiple_of(3) { total / 10 } else { total } as u64;
    let mut points: Vec<usize> = (0..cuts).map(|cut| dice.below(bound(cut) + 1) as usize).collect();
    points.sort_unstable();
    let promised = |medium: &Medium| {
        let mut promises = before.clone();
        promises.take(&String::from_utf8_lossy(&medium.acknowledged));
        promises
    };
    let (mut fed, mut checked) = (0, Vec::new());
    for point in points {
        calls[fed..point].iter().for_each(|call| medium.feed(call));
        fed = point;
        let image = work.join("image");
        drop(fs::remove_dir_all(&image));
        medium.cut(dice, &work.join("disk"), &image);
        let kept = promised(&medium).check(&image.join("data/store"), &options(false));
        checked.push(kept.map_err(|why| format!("cut at call {point} of {total}: {why}")));
    }
    calls[fed..].iter().for_each(|call| medium.feed(call));
    (checked, promised(&medium))
}

#[test]
fn nothing_promised_is_broken_by_power_cuts() {
    let work = tempfile::tempdir().unwrap();
    let shim = shim(work.path());
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let wanted = count("JOURNAL_CUTS", CUTS, CUTS_LONG);
    let (mut cuts, mut lives, mut promises) = (0, 0, Promises::default());
    while cuts < wanted {
        if lives % LIVES_OF_A_DIRECTORY == 0 {
            drop(fs::remove_dir_all(work.path().join("disk")));
            promises = Promises::default();
        }
        lives += 1;
        let seed = dice.next();
        let life = record_life(work.path(), &shim, seed, true);
        let of_this_life = CUTS_OF_A_LIFE.min(wanted - cuts);
        let (checked, next) = cut_life(work.path(), life, &promises, of_this_life, &mut dice);
        for checked in checked {
            checked.unwrap_or_else(|why| panic!("life {lives} (seed {seed}): {why}"));
        }
        (cuts, promises) = (cuts + of_this_life, next);
    }
    println!("{cuts} cuts in {lives} lives");
}

/// The same cuts find what is lost when the log is not synced: the model has teeth.
#[test]
fn the_same_cuts_find_what_is_lost_unsynced() {
    let work = tempfile::tempdir().unwrap();
    let shim = shim(work.path());
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let life = record_life(work.path(), &shim, dice.next(), false);
    let (checked, _) = cut_life(work.path(), life, &Promises::default(), 12, &mut dice);
    let lost = checked.iter().filter(|checked| checked.is_err()).count();
    println!("{lost} of {} cuts lose something", checked.len());
    assert!(lost > 0);
}
