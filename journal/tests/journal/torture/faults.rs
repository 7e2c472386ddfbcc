//! A disk that runs full, turns read-only, or fails a write or a sync at any moment of a life
//! that does everything: said clearly, and nothing promised is broken when the fault is gone.

use std::fs;
use std::path::Path;

use super::count;
use super::life::{backing_up, command, options};
use super::promises::Promises;
use crate::calls::{Call, parse};
use crate::crash::count_from_environment;
use crate::medium::Medium;
use crate::power_cut::{run_child, shim};
use crate::workload::Dice;

const FAULTS: u64 = 8;
const FAULTS_LONG: u64 = 120;
/// Deeds of a life.
const STEPS: usize = 40;
/// Changes of the directory before the fault, at most.
const CHANGES: u64 = 4_000;

/// A fault by its name for the shim, and what of it a person must be told.
const KINDS: [(&str, &str); 4] = [
    ("full", "space"),
    ("read-only", "ead-only"),
    ("sync", "nput/output error"),
    ("write", "nput/output error"),
];

/// What became of the lives with one kind of fault.
#[derive(Debug, Default)]
struct Tally {
    refused_at_open: u32,
    stopped: u32,
    ended_by_watchdog: u32,
    went_on: u32,
    trees_made_anew: u32,
}

fn live_with(work: &Path, shim: &Path, kind: (&str, &str), seed: u64, at: u64, tally: &mut Tally) {
    let disk = work.join("disk");
    drop(fs::remove_dir_all(&disk));
    fs::create_dir_all(&disk).expect("the disk of the test is whole");
    let (data, said, record) = (disk.join("data"), work.join("said"), work.join("record"));
    drop(fs::remove_file(&said));
    let mut promises = Promises::default();
    // A life before it, or the fault falls into the making of the directory.
    if !seed.is_multiple_of(3) {
        let output = command(&data, &said, seed ^ 1, STEPS / 2).output().expect("it starts");
        assert!(output.status.success());
        promises.take(&fs::read_to_string(&said).expect("the disk of the test is whole"));
        fs::remove_file(&said).expect("the disk of the test is whole");
    }
    let medium = Medium::holding(&disk);
    let mut child = command(&data, &said, seed, STEPS);
    backing_up(&mut child, &disk.join("backup"));
    child.env("SHIM_FAULT", kind.0).env("SHIM_FAULT_AT", at.to_string());
    child.env("SHIM_LOG", &record).env("SHIM_ACK", &said);
    let output = run_child(child, shim, &disk);
    let text = fs::read_to_string(&said).unwrap_or_default();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let told: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("REFUSED ") || line.starts_with("COMPLAINED "))
        .collect();
    let place = format!("{} at {at}, seed {seed}: {told:?} {complaint}", kind.0);
    // sled's panics are caught and become the refusal; nobody else may panic.
    let own_panic = |line: &&str| line.contains("panicked at") && !line.contains("/sled-");
    assert_eq!(complaint.lines().find(own_panic), None, "{place}");
    // sled may wait for ever after a failed write, and no longer than the watchdog lets it.
    let stuck = complaint.contains("did not finish a call in");
    assert!(stuck || output.status.success(), "{place}: {}", output.status);
    let refused = told.iter().any(|line| line.starts_with("REFUSED "));
    let clear = told.iter().any(|line| line.contains(kind.1));
    assert!(clear || !refused, "{place}");
    promises.take(&text);
    match (refused, text.contains("ACK ")) {
        _ if stuck => tally.ended_by_watchdog += 1,
        (true, false) => tally.refused_at_open += 1,
        (true, true) => tally.stopped += 1,
        (false, _) => tally.went_on += 1,
    }
    let calls = parse(&fs::read(&record).expect("the shim wrote a record"));
    if calls.iter().any(|call| matches!(call, Call::SyncFailed { .. })) {
        let mut cut = CutBehind { medium, work, disk: &disk, dice: Dice(seed), place: &place };
        cut.check(&calls, &promises);
        // Another life goes on upon what the system still holds in its memory.
        fs::remove_file(&said).expect("the life said something");
        let mut child = command(&data, &said, seed ^ 2, STEPS / 2);
        child.env("SHIM_LOG", &record).env("SHIM_ACK", &said);
        let output = run_child(child, shim, &disk);
        assert!(output.status.success(), "{place}: the next life");
        promises.take(&fs::read_to_string(&said).unwrap_or_default());
        cut.medium.begin_record();
        cut.check(&parse(&fs::read(&record).expect("the shim wrote a record")), &promises);
    }
    let (kept, healed) = promises.check_healing(&data, &options(seed.is_multiple_of(2)));
    kept.unwrap_or_else(|why| panic!("{place}: {why}"));
    tally.trees_made_anew += u32::from(healed);
}

/// Power cuts behind a sync that failed: what it covered was in memory only, and nobody may have
/// taken it for durable.
struct CutBehind<'a> {
    medium: Medium,
    work: &'a Path,
    disk: &'a Path,
    dice: Dice,
    place: &'a str,
}

impl CutBehind<'_> {
    fn check(&mut self, calls: &[Call], promises: &Promises) {
        calls.iter().for_each(|call| self.medium.feed(call));
        let image = self.work.join("image");
        drop(fs::remove_dir_all(&image));
        self.medium.cut(&mut self.dice, self.disk, &image);
        let (kept, _) = promises.check_healing(&image.join("data"), &options(false));
        kept.unwrap_or_else(|why| panic!("a power cut behind {}: {why}", self.place));
    }
}

/// One fault asked for again, as `JOURNAL_FAULT=full:521:14646652180046636950`: its kind, when,
/// and the seed of the life. Threads take turns otherwise each time, so it is done often.
fn repeated() -> Option<(usize, u64, u64)> {
    let asked = std::env::var("JOURNAL_FAULT").ok()?;
    let mut words = asked.split(':');
    let kind = words.next()?;
    let kind = KINDS.iter().position(|known| known.0 == kind)?;
    let mut number = || words.next()?.parse().ok();
    Some((kind, number()?, number()?))
}

#[test]
fn nothing_promised_is_broken_by_a_broken_disk() {
    let work = tempfile::tempdir().unwrap();
    let shim = shim(work.path());
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let mut tallies: [Tally; KINDS.len()] = Default::default();
    let faults = count("JOURNAL_FAULTS", FAULTS, FAULTS_LONG);
    if let Some((kind, at, seed)) = repeated() {
        for _ in 0..faults {
            live_with(work.path(), &shim, KINDS[kind], seed, at, &mut tallies[kind]);
        }
    }
    let faults = if std::env::var_os("JOURNAL_FAULT").is_some() { 0 } else { faults };
    for fault in 0..faults {
        let kind = (fault % KINDS.len() as u64) as usize;
        let at = 1 + dice.below(if fault % 8 < 2 { CHANGES / 20 } else { CHANGES });
        live_with(work.path(), &shim, KINDS[kind], dice.next(), at, &mut tallies[kind]);
    }
    for (kind, tally) in KINDS.iter().zip(&tallies) {
        println!("{}: {tally:?}", kind.0);
    }
}
