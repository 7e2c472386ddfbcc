//! Restores killed at any call: what they leave is recognised, no store, and begun anew.

use std::path::Path;
use std::process::{Command, Stdio};

use backstitch_journal::{Journal, RestorePoint, verify};

use super::count;
use super::life::options;
use crate::archive::{archived_directory, names};
use crate::calls::parse;
use crate::crash::count_from_environment;
use crate::life::{check_open, lines};
use crate::power_cut::{run_child, shim};
use crate::restore::restored;
use crate::workload::Dice;

const FROM: &str = "JOURNAL_TORTURE_RESTORE_FROM";
const TO: &str = "JOURNAL_TORTURE_RESTORE_TO";
const KILLS: u64 = 8;
const KILLS_LONG: u64 = 150;

/// Only the child runs this; as a test of its own it does nothing.
#[test]
fn restores_until_it_dies() {
    let Ok(from) = std::env::var(FROM) else { return };
    let to = std::env::var(TO).expect("the parent sets it");
    restored(Path::new(&from), Path::new(&to), RestorePoint::End);
}

fn command(from: &Path, to: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test has a program"));
    command
        .args(["torture::restores::restores_until_it_dies", "--exact", "--test-threads=1"])
        .env(FROM, from)
        .env(TO, to)
        .stdin(Stdio::null());
    command
}

#[test]
fn a_restore_killed_anywhere_is_begun_anew() {
    let work = tempfile::tempdir().unwrap();
    let (source, disk) = (work.path().join("source"), work.path().join("disk"));
    let acknowledged = lines(&archived_directory(&source, 250));
    let shim = shim(work.path());
    let target = disk.join("target");
    std::fs::create_dir_all(&disk).unwrap();
    let record = work.path().join("record");
    let mut whole = command(&source, &target);
    whole.env("SHIM_LOG", &record);
    assert!(run_child(whole, &shim, &disk).status.success());
    let calls = parse(&std::fs::read(&record).unwrap()).len() as u64;
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let (mut half_made, mut named) = (0, 0);
    let kills = count("JOURNAL_KILLS", KILLS, KILLS_LONG);
    for kill in 0..kills {
        if kill % 3 == 0 {
            drop(std::fs::remove_dir_all(&disk));
            std::fs::create_dir_all(&disk).unwrap();
        } else {
            drop(std::fs::remove_dir_all(&target));
        }
        let at = 1 + dice.below(calls);
        let mut child = command(&source, &target);
        child.env("SHIM_FAULT", "kill").env("SHIM_FAULT_AT", at.to_string());
        run_child(child, &shim, &disk);
        if target.exists() {
            // The name came last: it is whole.
            assert!(verify(&target).unwrap().ok, "kill at {at}");
            named += 1;
        } else {
            let beside = disk.join("target.restoring");
            // Before it says what it is, it is an empty directory.
            if beside.exists() && !names(&disk, "target.restoring").is_empty() {
                let opened = Journal::open(&beside, options(false));
                assert!(opened.is_err(), "what is half made is no store: kill at {at}");
                half_made += 1;
            }
            // Sometimes the next attempt is killed over what this one left.
            if dice.below(3) == 0 {
                continue;
            }
            restored(&source, &target, RestorePoint::End);
        }
        check_open(&target, options(false), &acknowledged)
            .unwrap_or_else(|error| panic!("kill at {at} of {calls}: {error}"));
    }
    println!(
        "{kills} kills of a restore at one of {calls} calls: {half_made} half made, {named} whole"
    );
}
