//! kill -9 while runs are written and removed: what was removed stays removed.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_journal::Journal;

use crate::child::{DIRECTORY, SEED};
use crate::crash::count_from_environment;
use crate::life::check_open;
use crate::removal::finished;
use crate::workload::{Dice, Writer, nobody, options};

const REMOVES: &str = "JOURNAL_CHILD_REMOVES";
/// Kills in one run of the tests; `JOURNAL_KILLS` asks for more.
const KILLS: u64 = 6;

/// Only the child runs this; as a test of its own it does nothing.
#[test]
fn removes_until_it_dies() {
    let Ok(directory) = std::env::var(REMOVES) else { return };
    let mut dice = Dice(std::env::var(SEED).expect("the parent sets it").parse().unwrap());
    let opened = Journal::open(directory, options()).expect("it opens");
    let mut writer = Writer::take_over(opened, dice.next());
    loop {
        writer.write(1 + dice.below(30) as usize, &nobody()).expect("everything is taken");
        let ended = finished(&writer.journal);
        let Some(first) = ended.first() else { continue };
        let partition = first.execution.partition;
        let mine = ended.iter().map(|row| row.execution).filter(|run| run.partition == partition);
        let runs: Vec<ExecutionId> = mine.take(1 + dice.below(8) as usize).collect();
        writer.remove(&runs).expect("the removal is taken");
        let words: Vec<String> = runs.iter().map(ToString::to_string).collect();
        println!("\nGONE {} .", words.join(" "));
        std::io::stdout().flush().unwrap();
    }
}

fn gone_in(text: &str) -> Vec<ExecutionId> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("GONE ")?.strip_suffix(" ."));
    lines.flat_map(|line| line.split(' ').map(|word| word.parse().expect("an id"))).collect()
}

#[test]
fn what_was_removed_stays_removed_by_kill() {
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 2));
    let directory = tempfile::tempdir().unwrap();
    let mut gone: Vec<ExecutionId> = Vec::new();
    for kill in 0..count_from_environment("JOURNAL_KILLS", KILLS) {
        let mut process = Command::new(std::env::current_exe().expect("a test has a program"))
            .args(["removal_crash::removes_until_it_dies", "--exact", "--nocapture"])
            .env(REMOVES, directory.path())
            .env(SEED, dice.next().to_string())
            .env_remove(DIRECTORY)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the child starts");
        let mut output = BufReader::new(process.stdout.take().expect("it is piped"));
        let (mut text, wanted) = (String::new(), 1 + dice.below(25) as usize);
        while gone_in(&text).len() < wanted {
            let read = output.read_line(&mut text).expect("the child writes text");
            assert!(read > 0, "the child ended by itself after kill {kill}: {text}");
        }
        process.kill().expect("the child is there");
        output.read_to_string(&mut text).expect("the child writes text");
        process.wait().expect("the child is there");
        gone.extend(gone_in(&text));

        check_open(directory.path(), options(), &[]).unwrap_or_else(|error| {
            panic!("after kill {kill}: {error}");
        });
        let journal = Journal::open(directory.path(), options()).expect("it opens").journal;
        for run in &gone {
            let stream = StreamId::Execution(*run);
            assert_eq!(journal.history(&stream).unwrap(), None, "{run} after kill {kill}");
            assert_eq!(journal.run(run).unwrap(), None, "{run} after kill {kill}");
            assert!(journal.removed_run(run).unwrap().is_some(), "{run} after kill {kill}");
        }
    }
    assert!(gone.len() > 5, "{} runs were removed", gone.len());
}
