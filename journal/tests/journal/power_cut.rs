//! Power cuts at random points of recorded lives; see `tests/power-cut/README.md`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use backstitch_journal::Options;

use crate::calls::{Call, parse};
use crate::child;
use crate::crash::count_from_environment;
use crate::life::check_open;
use crate::medium::Medium;
use crate::workload::{Acknowledged, Dice, options, quick_options};

/// Cuts in one run of the tests; `JOURNAL_CUTS` asks for more.
const CUTS: u64 = 20;
/// Cuts of one life.
const CUTS_OF_A_LIFE: u64 = 10;
/// Lives that go on in the same directory, each on what the one before left.
const LIVES_OF_A_DIRECTORY: u64 = 3;

/// Compiles the shim.
pub fn shim(directory: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/power-cut/shim.c");
    let library = directory.join("shim.so");
    let compiled = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .args(["-ldl", "-lpthread"])
        .status();
    assert!(compiled.expect("a C compiler is there").success(), "the shim compiles");
    library
}

/// Runs the child under the shim until it dies by its own hand.
pub fn run_child(mut command: Command, shim: &Path, store: &Path) -> Output {
    command
        .env("LD_PRELOAD", shim)
        .env("SHIM_STORE", store)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .expect("the child starts")
}

/// What is different about a life.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Synced,
    /// The log is not synced.
    Unsynced,
    /// Trees open quickly and are rewritten all the while.
    Quick,
}

struct Life {
    medium: Medium,
    calls: Vec<Call>,
    before: Vec<(u16, u64, String)>,
}

/// The part of the file system that is cut: what is above the data directory too, since its
/// own name must become durable.
fn disk(work: &Path) -> PathBuf {
    work.join("disk")
}

/// The data directory below it.
fn store(disk: &Path) -> PathBuf {
    disk.join("data/store")
}

/// One life on the disk, recorded.
fn record_life(work: &Path, shim: &Path, seed: u64, kind: Kind) -> Life {
    let disk = disk(work);
    fs::create_dir_all(&disk).expect("there is space");
    let (record, acknowledged) = (work.join("record"), work.join("acknowledged"));
    let before = fs::read_to_string(&acknowledged).unwrap_or_default();
    let medium = Medium::holding(&disk);
    let mut command =
        child::command(&store(&disk), &acknowledged, seed, 60 + (seed % 120) as usize);
    match kind {
        Kind::Unsynced => drop(command.env(child::UNSYNCED, "1")),
        Kind::Quick => drop(command.env(child::QUICK, "1")),
        Kind::Synced if seed.is_multiple_of(2) => drop(command.env(child::CUTTING, "1")),
        Kind::Synced => {}
    }
    command.env("SHIM_LOG", &record).env("SHIM_ACK", &acknowledged);
    let output = run_child(command, shim, &disk);
    let calls = parse(&fs::read(&record).expect("the shim wrote a record"));
    let told = calls.iter().any(|call| matches!(call, Call::Acknowledged { .. }));
    assert!(told, "the child wrote: {}", String::from_utf8_lossy(&output.stderr));
    Life { medium, calls, before: Acknowledged::all_of(&before) }
}

/// Random points of a life; a third in its first tenth: creating, opening, recovering.
fn random_points(life: &Life, cuts: u64, dice: &mut Dice) -> Vec<u64> {
    let total = life.calls.len() as u64;
    let bound = |cut: u64| if cut.is_multiple_of(3) { total / 10 } else { total };
    (0..cuts).map(|cut| dice.below(bound(cut) + 1)).collect()
}

/// Cuts a life at some points; answers each place with what the check said.
fn cut_life(
    work: &Path,
    life: Life,
    mut points: Vec<u64>,
    dice: &mut Dice,
    options: &Options,
) -> Vec<(String, Result<(), String>)> {
    let Life { mut medium, calls, before } = life;
    let total = calls.len();
    points.sort_unstable();
    let (mut fed, mut checked) = (0, Vec::new());
    for point in points {
        let point = usize::try_from(point).expect("it indexes the calls");
        calls[fed..point].iter().for_each(|call| medium.feed(call));
        fed = point;
        let image = work.join("image");
        drop(fs::remove_dir_all(&image));
        medium.cut(dice, &disk(work), &image);
        let mut acknowledged = before.clone();
        let text = String::from_utf8_lossy(&medium.acknowledged);
        acknowledged.extend(Acknowledged::all_of(&text));
        let place = format!("cut at call {point} of {total}");
        checked.push((place, check_open(&store(&image), options.clone(), &acknowledged)));
    }
    checked
}

#[test]
fn nothing_acknowledged_is_lost_by_power_cut() {
    println!("{}", cut_lives(Kind::Synced, &options()));
}

/// The same with trees that open quickly and are rewritten all the while.
#[test]
fn nothing_acknowledged_is_lost_by_power_cut_with_quick_trees() {
    println!("{}", cut_lives(Kind::Quick, &quick_options()));
}

fn cut_lives(kind: Kind, options: &Options) -> String {
    let work = tempfile::tempdir().expect("there is space");
    let shim = shim(work.path());
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let (mut cuts, mut lives) = (0, 0);
    let wanted = count_from_environment("JOURNAL_CUTS", CUTS);
    while cuts < wanted {
        if lives % LIVES_OF_A_DIRECTORY == 0 {
            for leftover in [disk(work.path()), work.path().join("acknowledged")] {
                drop(fs::remove_dir_all(&leftover).or_else(|_| fs::remove_file(&leftover)));
            }
        }
        lives += 1;
        let seed = dice.next();
        let life = record_life(work.path(), &shim, seed, kind);
        let of_this_life = CUTS_OF_A_LIFE.min(wanted - cuts);
        let points = random_points(&life, of_this_life, &mut dice);
        for (place, checked) in cut_life(work.path(), life, points, &mut dice, options) {
            if let Err(error) = checked {
                panic!("life {lives} (seed {seed}), {place}: {error}");
            }
            cuts += 1;
        }
    }
    format!("{cuts} cuts in {lives} lives")
}

/// The same cuts find what is lost when the log is not synced: the model has teeth.
#[test]
fn unsynced_commits_are_lost_by_power_cut() {
    let work = tempfile::tempdir().unwrap();
    let shim = shim(work.path());
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let life = record_life(work.path(), &shim, dice.next(), Kind::Unsynced);
    // All at the end, when much is acknowledged and nothing is synced.
    let points = vec![life.calls.len() as u64; 10];
    let checked = cut_life(work.path(), life, points, &mut dice, &options());
    let lost = checked.iter().filter(|(_, checked)| checked.is_err()).count();
    assert!(lost > 0, "{checked:?}");
}

/// One write and one fdatasync for a group, and answers only after it.
#[test]
fn acknowledgements_follow_the_sync_of_their_group() {
    let work = tempfile::tempdir().unwrap();
    let shim = shim(work.path());
    let life = record_life(work.path(), &shim, 11, Kind::Synced);
    // Open segments, and the write to each that no sync has covered yet.
    let mut segments: HashMap<u32, Option<usize>> = HashMap::new();
    let (mut groups, mut answers) = (0, 0);
    for (at, call) in life.calls.iter().enumerate() {
        match call {
            Call::Open { file, path, .. } if path.to_string_lossy().contains(".seg") => {
                segments.insert(*file, None);
            }
            // Zeros are a segment being made ready.
            Call::Write { file, data, .. } if data.iter().any(|&byte| byte != 0) => {
                if let Some(unsynced) = segments.get_mut(file) {
                    assert_eq!(*unsynced, None, "a second write before the sync, at call {at}");
                    *unsynced = Some(at);
                    groups += 1;
                }
            }
            Call::Sync { file, covered, .. } => {
                if let Some(unsynced) = segments.get_mut(file) {
                    *unsynced = unsynced.filter(|written| written >= covered);
                }
            }
            Call::Acknowledged { .. } => {
                answers += 1;
                assert!(segments.values().all(Option::is_none), "too early, at call {at}");
            }
            _ => {}
        }
    }
    assert!(groups > 10 && answers > groups, "{groups} groups, {answers} answers");
}
