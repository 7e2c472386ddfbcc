//! kill -9 at any moment: nothing acknowledged is lost, and the next life goes on.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use backstitch_journal::Options;

use crate::child;
use crate::life::check_open;
use crate::workload::{Acknowledged, Dice, options, quick_options};

/// Kills in one run of the tests; `JOURNAL_KILLS` asks for more.
const KILLS: u64 = 8;

pub fn count_from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Starts a life and kills it after some acknowledgements; answers all of them.
fn live_and_die(directory: &Path, seed: u64, after: u64, quick: bool) -> Vec<(u16, u64, String)> {
    live_and_die_with(directory, seed, after, &|command| {
        if quick {
            command.env(child::QUICK, "1");
        }
    })
}

/// The same with a child that is told more.
pub fn live_and_die_with(
    directory: &Path,
    seed: u64,
    after: u64,
    tell: &dyn Fn(&mut Command),
) -> Vec<(u16, u64, String)> {
    let mut command = child::command(directory, Path::new("/dev/stdout"), seed, usize::MAX);
    tell(&mut command);
    let mut process =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the child starts");
    let mut output = BufReader::new(process.stdout.take().expect("it is piped"));
    let mut text = String::new();
    let mut acknowledged = 0;
    while acknowledged < after {
        let from = text.len();
        if output.read_line(&mut text).expect("the child writes text") == 0 {
            let mut complaint = String::new();
            let mut error = process.stderr.take().expect("it is piped");
            error.read_to_string(&mut complaint).expect("the child writes text");
            panic!("the child ended by itself: {text} {complaint}");
        }
        acknowledged += u64::from(text[from..].starts_with("ACK "));
    }
    process.kill().expect("the child is there");
    output.read_to_string(&mut text).expect("the child writes text");
    process.wait().expect("the child is there");
    Acknowledged::all_of(&text)
}

#[test]
fn nothing_acknowledged_is_lost_by_kill() {
    kill_lives(false, &options());
}

/// The same with trees that open quickly and are rewritten all the while.
#[test]
fn nothing_acknowledged_is_lost_by_kill_with_quick_trees() {
    kill_lives(true, &quick_options());
}

fn kill_lives(quick: bool, options: &Options) {
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let mut directory = tempfile::tempdir().expect("there is space");
    let mut acknowledged = Vec::new();
    for kill in 0..count_from_environment("JOURNAL_KILLS", KILLS) {
        if kill.is_multiple_of(6) {
            directory = tempfile::tempdir().expect("there is space");
            acknowledged.clear();
        }
        let after = 1 + dice.below(if kill % 3 == 0 { 5 } else { 300 });
        acknowledged.extend(live_and_die(directory.path(), dice.next(), after, quick));
        // Every other time the next life takes over as it is, without a checker between.
        if kill % 2 == 0 {
            check_open(directory.path(), options.clone(), &acknowledged).unwrap_or_else(|error| {
                panic!("after kill {kill}: {error}");
            });
        }
    }
}
