//! How long a directory with many ended runs takes to open, and how much memory.
//!
//! `JOURNAL_OPENING_RUNS=1000000` measures, in a release build; without it a few runs
//! suffice, and what is asserted is the same: nothing is replayed whole, nothing rebuilt.

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Instant;

use backstitch_core::event::{Event, RunEvent};
use backstitch_core::ids::{ExecutionId, PartitionId, StepIndex, StreamId};
use backstitch_core::payload::Payload;
use backstitch_core::summary::ViewChange;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Batch, Fit, Head, Journal, Options, Part};

use crate::crash::count_from_environment;
use crate::workload::{Dice, row_of};

const DIRECTORY: &str = "JOURNAL_OPENING_CHILD_DIRECTORY";
const RUNS: &str = "JOURNAL_OPENING_CHILD_RUNS";
const FIRST: &str = "JOURNAL_OPENING_CHILD_FIRST";
const DIES: &str = "JOURNAL_OPENING_CHILD_DIES";
const EVENTS: u64 = 5;
const RUNS_OF_A_COMMIT: u64 = 50;
const IN_FLIGHT: u64 = 64;

fn options() -> Options {
    // The test's trees are to open as large ones do, however small they are.
    let few = count_from_environment("JOURNAL_OPENING_RUNS", 0) == 0;
    let check_whole_below_bytes = if few { 0 } else { Options::default().check_whole_below_bytes };
    Options { check_whole_below_bytes, ..Options::default() }
}

/// Only the child runs this; as a test of its own it does nothing.
#[test]
fn opens_and_writes() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let begun = Instant::now();
    let opened = Journal::open(directory, options()).unwrap();
    let open_ms = begun.elapsed().as_millis();
    let report = &opened.report;
    assert_eq!((&report.store_rebuilt, &report.views_emptied), (&None, &None));
    let trees = opened.journal.statistics();
    for tree in trees.store.trees.iter().chain(&trees.views.trees) {
        let is_large = tree.file_bytes >= options().check_whole_below_bytes;
        assert!(report.created || !is_large || tree.opened_quickly, "{tree:?}");
    }
    println!(
        "\nopened in {open_ms} ms, {} commits replayed, {} runs handed out, at most {} MiB",
        report.commits_replayed,
        opened.streams.len(),
        memory_mib_max(),
    );
    let journal = opened.journal.clone();
    let (first, runs) = (count_from_environment(FIRST, 0), count_from_environment(RUNS, 0));
    let mut heads = opened.heads.clone();
    println!("{}", write(&journal, &mut heads, first, runs));
    if std::env::var_os(DIES).is_some() {
        std::process::abort();
    }
    if runs == 0 {
        let begun = Instant::now();
        journal.scrub().unwrap();
        println!("scrubbed in {} ms, at most {} MiB", ms(begun), memory_mib_max());
        for part in [Part::Store, Part::Views] {
            let begun = Instant::now();
            journal.compact(part).unwrap();
            println!("rewrote {part:?} in {} ms, at most {} MiB", ms(begun), memory_mib_max());
        }
    }
    let trees = journal.statistics();
    for tree in trees.store.trees.iter().chain(&trees.views.trees) {
        println!(
            "{}: file {} MiB, live {} MiB, {} renewals, the last one held readers for {} ms",
            tree.name,
            tree.file_bytes >> 20,
            tree.live_bytes >> 20,
            tree.renewals,
            tree.renewal_pause_us / 1_000
        );
    }
    let begun = Instant::now();
    journal.close().unwrap();
    println!("closed in {} ms, at most {} MiB", ms(begun), memory_mib_max());
}

fn ms(begun: Instant) -> u128 {
    begun.elapsed().as_millis()
}

/// The most memory this process ever held.
fn memory_mib_max() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) >> 10
}

/// Writes ended runs of events of 200 bytes, some commits always in flight.
fn write(journal: &Journal, heads: &mut [Head], first: u64, runs: u64) -> String {
    let begun = Instant::now();
    let event = |version: u64| {
        let text = "x".repeat(160) + &version.to_string();
        let output = Payload::of(&serde_json::Value::String(text));
        Event::Run(RunEvent::StepSucceeded { step: StepIndex(1), attempt: 1, output })
    };
    let (sender, answers) = channel();
    let (mut sent, mut answered) = (0, 0);
    for group in (first..first + runs).step_by(RUNS_OF_A_COMMIT as usize) {
        let partition = PartitionId((group / RUNS_OF_A_COMMIT % heads.len() as u64) as u16);
        let head = &mut heads[usize::from(partition.0)];
        let mut builder = journal.commit_builder(partition, 1, head);
        let (mut quiescent, mut changes) = (Vec::new(), Vec::new());
        for number in group..(group + RUNS_OF_A_COMMIT).min(first + runs) {
            let digits = u128::from(Dice(number).next());
            let run = ExecutionId { partition, digits };
            let stream = StreamId::Execution(run);
            for version in 1..=EVENTS {
                let fits = builder.push(&stream, version, Timestamp(1), &event(version));
                assert_eq!(fits, Fit::Fits);
            }
            changes.push(ViewChange::Run(row_of(&run, 100)));
            quiescent.push(stream);
        }
        let commit = builder.finish(Timestamp(1));
        *head = commit.head();
        let sender = sender.clone();
        let batch = Batch { commit, quiescent, changes };
        journal.append(batch, Box::new(move |done| sender.send(done).expect("we wait")));
        sent += 1;
        while sent - answered >= IN_FLIGHT {
            answers.recv().expect("it is answered").expect("it is taken");
            answered += 1;
        }
    }
    for _ in answered..sent {
        answers.recv().expect("it is answered").expect("it is taken");
    }
    format!("{runs} runs acknowledged in {} ms, at most {} MiB", ms(begun), memory_mib_max())
}

fn child(directory: &Path, first: u64, runs: u64, dies: bool) -> String {
    let program = std::env::current_exe().expect("a test has a program");
    let mut command = Command::new(program);
    command
        .args(["opening::opens_and_writes", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(FIRST, first.to_string())
        .env(RUNS, runs.to_string());
    if dies {
        command.env(DIES, "1");
    }
    let output = command.output().expect("the child starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(dies || output.status.success(), "{text} {error}");
    assert!(!error.contains("panicked"), "{error}");
    let told = |line: &&str| !line.starts_with("test ") && !line.starts_with("running ");
    text.lines()
        .filter(|line| !line.is_empty())
        .filter(told)
        .fold(String::new(), |told, line| told + "  " + line + "\n")
}

#[test]
fn many_ended_runs_open_quickly() {
    let runs = count_from_environment("JOURNAL_OPENING_RUNS", 600);
    let directory = tempfile::tempdir().unwrap();
    let more = (runs / 50).max(50);
    println!("{runs} runs of {EVENTS} events:");
    println!("{}", child(directory.path(), 0, runs, false));
    println!("after a clean close, then {more} runs more and a kill:");
    println!("{}", child(directory.path(), runs, more, true));
    println!("after the kill, then {more} runs more and a kill:");
    println!("{}", child(directory.path(), runs + more, more, true));
    println!("after the kill:");
    println!("{}", child(directory.path(), runs + 2 * more, 0, false));
    println!("after a rewrite and a clean close:");
    println!("{}", child(directory.path(), runs + 2 * more, 0, false));
}
