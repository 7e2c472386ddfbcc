//! kill -9 at any moment of a life that does everything.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use backstitch_core::time::Timestamp;
use backstitch_journal::{Error, backup, unheard, verify};

use super::count;
use super::life::{backing_up, command, options};
use super::promises::Promises;
use crate::crash::count_from_environment;
use crate::workload::Dice;

const KILLS: u64 = 10;
const KILLS_LONG: u64 = 300;
/// Kills of one directory.
const KILLS_OF_A_DIRECTORY: u64 = 5;

/// A life that is killed once it has said so much; answers all it said.
fn live_and_die(directory: &Path, to: &Path, seed: u64, lines: u64) -> String {
    let mut child = command(directory, Path::new("/dev/stdout"), seed, usize::MAX);
    backing_up(&mut child, to);
    let child = child.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = child.spawn().expect("the child starts");
    let mut output = BufReader::new(process.stdout.take().expect("it is piped"));
    let (mut text, mut said) = (String::new(), 0);
    while said < lines {
        let from = text.len();
        if output.read_line(&mut text).expect("the child writes text") == 0 {
            let mut complaint = String::new();
            let mut error = process.stderr.take().expect("it is piped");
            error.read_to_string(&mut complaint).expect("the child writes text");
            panic!("the child (seed {seed}) ended by itself: {complaint} {}", tail(&text));
        }
        said += u64::from(text[from..].ends_with(" .\n"));
    }
    process.kill().expect("the child is there");
    output.read_to_string(&mut text).expect("the child writes text");
    process.wait().expect("the child is there");
    text
}

/// The last lines that are not of every commit.
fn tail(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("ACK "));
    let lines: Vec<&str> = lines.collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

#[test]
fn nothing_promised_is_broken_by_kills() {
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let mut work = tempfile::tempdir().expect("there is space");
    let mut promises = Promises::default();
    let (mut backups, mut unfinished, mut complaints) = (0, 0, 0);
    let kills = count("JOURNAL_KILLS", KILLS, KILLS_LONG);
    for kill in 0..kills {
        if kill % KILLS_OF_A_DIRECTORY == 0 {
            work = tempfile::tempdir().expect("there is space");
            promises = Promises::default();
        }
        let (data, to) = (work.path().join("data"), work.path().join("backup"));
        let seed = dice.next();
        let lines = 1 + dice.below(if kill % 4 == 0 { 10 } else { 900 });
        let text = live_and_die(&data, &to, seed, lines);
        complaints += text.lines().filter(|line| line.starts_with("COMPLAINED ")).count();
        let odd = text
            .lines()
            .find(|line| line.starts_with("COMPLAINED ") && !line.contains("the chain is not cut"));
        assert_eq!(odd, None, "kill {kill}, seed {seed}");
        promises.take(&text);
        let failed = |why: String| panic!("kill {kill}, seed {seed}: {why}\n{}", tail(&text));
        // Every other time the next life takes over as it is, without a checker between.
        if kill % 2 == 0 || kill + 1 == kills {
            promises.check(&data, &options(kill % 4 == 0)).unwrap_or_else(failed);
        }
        if to.join("backup.json").exists() {
            // Whatever moment of its next run the kill chose, it is whole.
            promises.check_backup(&to, work.path()).unwrap_or_else(failed);
            backups += 1;
        } else if to.join("BACKUP").exists() {
            match verify(&to) {
                Err(Error::UnfinishedBackup { .. }) => unfinished += 1,
                // All was there but its list.
                verified => assert!(verified.expect("it is whole").ok, "kill {kill}, seed {seed}"),
            }
        }
        if kill % KILLS_OF_A_DIRECTORY == KILLS_OF_A_DIRECTORY - 1 {
            promises.check(&data, &options(false)).unwrap_or_else(failed);
            backup(&data, &to, Timestamp(9), &mut unheard()).expect("it is taken up");
            promises.check_backup(&to, work.path()).unwrap_or_else(failed);
        }
    }
    println!(
        "{kills} kills; backups: {backups} whole, {unfinished} known as unfinished; \
         {complaints} refused cuts"
    );
}
