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
/// sled does not open what one of several hundred cuts leaves: then the log makes its tree anew.
/// More than one in so many, or one, would be a hole in the fence.
const CUTS_PER_TREE_MADE_ANEW: u64 = 50;
/// Deeds of a life.
const STEPS: usize = 25;
/// Every other life is killed at one of so many changes of the directory; some end before.
const KILL_AT_MAX: u64 = 2_500;

/// A directory that lives go on in, each upon what the one before left: closed, or killed with
/// much of it in the system's memory only.
struct Lived<'a> {
    work: &'a Path,
    shim: &'a Path,
    medium: Medium,
    lives: u64,
    /// Cuts behind which a tree was made anew.
    made_anew: u64,
}

impl<'a> Lived<'a> {
    fn new(work: &'a Path, shim: &'a Path) -> Self {
        let disk = work.join("disk");
        drop(fs::remove_dir_all(&disk));
        fs::create_dir_all(&disk).expect("there is space");
        Self { work, shim, medium: Medium::holding(&disk), lives: 0, made_anew: 0 }
    }

    /// Records the next life; `kill_at` ends it at that change of the directory.
    fn record(&mut self, seed: u64, synced: bool, kill_at: Option<u64>) -> Vec<Call> {
        let (record, said) = (self.work.join("record"), self.work.join("said"));
        drop(fs::remove_file(&said));
        let disk = self.work.join("disk");
        let mut child = command(&disk.join("data/store"), &said, seed, STEPS);
        if !synced {
            unsynced(&mut child);
        }
        if let Some(at) = kill_at {
            child.env("SHIM_FAULT", "kill").env("SHIM_FAULT_AT", at.to_string());
        }
        child.env("SHIM_LOG", &record).env("SHIM_ACK", &said);
        let output = run_child(child, self.shim, &disk);
        let complaint = String::from_utf8_lossy(&output.stderr);
        let ended = output.status.success() || kill_at.is_some_and(|_| complaint.is_empty());
        assert!(ended, "seed {seed}: {complaint}");
        if self.lives > 0 {
            self.medium.begin_record();
        }
        self.lives += 1;
        parse(&fs::read(&record).expect("the shim wrote a record"))
    }

    /// Cuts a life at some points; answers what the checks said.
    fn cut(&mut self, calls: &[Call], quick: bool, cuts: u64, dice: &mut Dice) -> Vec<Checked> {
        let total = calls.len();
        let bound = |cut: u64| if cut.is_multiple_of(3) { total / 10 } else { total } as u64;
        let mut points: Vec<usize> =
            (0..cuts).map(|cut| dice.below(bound(cut) + 1) as usize).collect();
        points.sort_unstable();
        let (mut fed, mut checked) = (0, Vec::new());
        for point in points {
            calls[fed..point].iter().for_each(|call| self.medium.feed(call));
            fed = point;
            let image = self.work.join("image");
            drop(fs::remove_dir_all(&image));
            self.medium.cut(dice, &self.work.join("disk"), &image);
            let mut promises = Promises::default();
            promises.take(&String::from_utf8_lossy(&self.medium.acknowledged));
            let (kept, healed) = promises.check_healing(&image.join("data/store"), &options(quick));
            self.made_anew += u64::from(healed);
            checked.push(kept.map_err(|why| format!("cut at call {point} of {total}: {why}")));
        }
        calls[fed..].iter().for_each(|call| self.medium.feed(call));
        checked
    }
}

type Checked = Result<(), String>;

#[test]
fn nothing_promised_is_broken_by_power_cuts() {
    let work = tempfile::tempdir().unwrap();
    let shim = shim(work.path());
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let wanted = count("JOURNAL_CUTS", CUTS, CUTS_LONG);
    let (mut cuts, mut lives, mut killed, mut made_anew) = (0, 0, 0, 0);
    let mut lived = Lived::new(work.path(), &shim);
    while cuts < wanted {
        if lived.lives == LIVES_OF_A_DIRECTORY {
            lived = Lived::new(work.path(), &shim);
        }
        lives += 1;
        let (seed, kill_at) = (dice.next(), 1 + dice.below(KILL_AT_MAX));
        let kill_at = Some(kill_at).filter(|_| lives % 2 == 0);
        let calls = lived.record(seed, true, kill_at);
        killed += u64::from(kill_at.is_some());
        let of_this_life = CUTS_OF_A_LIFE.min(wanted - cuts);
        for checked in lived.cut(&calls, seed.is_multiple_of(2), of_this_life, &mut dice) {
            checked.unwrap_or_else(|why| panic!("life {lives} (seed {seed}, {kill_at:?}): {why}"));
        }
        cuts += of_this_life;
        made_anew += std::mem::take(&mut lived.made_anew);
    }
    println!("{cuts} cuts in {lives} lives, {killed} of them killed; {made_anew} trees made anew");
    assert!(made_anew <= 1 + cuts / CUTS_PER_TREE_MADE_ANEW, "{made_anew} trees made anew");
}

/// The same cuts find what is lost when the log is not synced: the model has teeth.
#[test]
fn the_same_cuts_find_what_is_lost_unsynced() {
    let work = tempfile::tempdir().unwrap();
    let shim = shim(work.path());
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let mut lived = Lived::new(work.path(), &shim);
    let calls = lived.record(dice.next(), false, None);
    let checked = lived.cut(&calls, false, 12, &mut dice);
    let lost = checked.iter().filter(|checked| checked.is_err()).count();
    println!("{lost} of {} cuts lose something", checked.len());
    assert!(lost > 0);
}
