//! How fast appends are, as a glance; asserted is only that all of them arrive.
//!
//! `JOURNAL_THROUGHPUT=seconds` measures; without it a few commits suffice.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use backstitch_core::event::{Event, RunEvent};
use backstitch_core::ids::{ExecutionId, PartitionId, StepIndex, StreamId};
use backstitch_core::payload::Payload;
use backstitch_core::summary::ViewChange;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Batch, Fit, Head, Info, Journal, Options};

use crate::crash::count_from_environment;
use crate::workload::{Dice, row_of};

/// One commit in flight, so many records of about 200 bytes in each; runs of 22 events.
fn append_one_by_one(records: u64, window: Duration, commits_min: u64) -> String {
    let directory = tempfile::tempdir().expect("there is space");
    // To compare: what does archiving cost?
    let archives = std::env::var_os("JOURNAL_UNARCHIVED").is_none();
    let options =
        Options { partitions: 1, ballast_bytes: 0, archive: archives, ..Options::default() };
    let opened = Journal::open(directory.path(), options).expect("it opens");
    let journal = opened.journal;
    let mut head = Head::default();
    let event = Event::Run(RunEvent::StepSucceeded {
        step: StepIndex(1),
        attempt: 1,
        output: Payload::of(&serde_json::Value::String("x".repeat(160))),
    });
    let (mut written, mut latencies_us) = (0_u64, Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < window || (latencies_us.len() as u64) < commits_min {
        let mut builder = journal.commit_builder(PartitionId(0), 1, &head);
        let mut quiescent = Vec::new();
        for _ in 0..records {
            let digits = u128::from(written / 22);
            let stream = StreamId::Execution(ExecutionId { partition: PartitionId(0), digits });
            let version = written % 22 + 1;
            match builder.push(&stream, version, Timestamp(1), &event) {
                Fit::Fits => {}
                other => panic!("{records} records do not go into a commit: {other:?}"),
            }
            written += 1;
            if version == 22 {
                quiescent.push(stream);
            }
        }
        let commit = builder.finish(Timestamp(1));
        head = commit.head();
        let (sender, answer) = channel();
        let sent = Instant::now();
        let batch = Batch { commit, quiescent, changes: Vec::new() };
        journal.append(batch, Box::new(move |done| sender.send(done).expect("we wait")));
        answer.recv().expect("it is answered").expect("it is taken");
        latencies_us.push(sent.elapsed().as_micros());
    }
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(journal.info().heads[0], head);
    latencies_us.sort_unstable();
    let at = |share: usize| latencies_us[(latencies_us.len() - 1) * share / 100];
    let rate = written as f64 / seconds;
    let sealed = journal.info().log.written_bytes / Options::default().segment_bytes;
    while archives && journal.info().archive.segments_archived < sealed {
        std::thread::yield_now();
    }
    let archive = archive_in_words(&journal.info());
    journal.close().expect("it closes");
    let latencies = format!("p50 {} us, p99 {} us", at(50), at(99));
    format!("{records} records: {rate:.0} records/s, {latencies}; {archive}")
}

/// What archiving cost so far, for segments of 64 MiB.
fn archive_in_words(info: &Info) -> String {
    let archive = &info.archive;
    let segments = archive.segments_archived;
    let ms = archive.busy_us as f64 / 1_000.0 / segments.max(1) as f64;
    let share = archive.archived_bytes as f64 / archive.raw_bytes.max(1) as f64;
    format!("{segments} segments archived, {ms:.0} ms each, to {share:.3} of their bytes")
}

#[test]
fn appends_of_all_sizes_arrive() {
    let seconds = count_from_environment("JOURNAL_THROUGHPUT", 0);
    for records in [1, 8, 64, 512] {
        println!("{}", append_one_by_one(records, Duration::from_secs(seconds), 20));
    }
}

/// Writes runs of three events in commits of a hundred runs; answers runs per second until
/// acknowledged, and until everything is in the store and the views.
fn write_runs(journal: &Journal, mut head: Head, runs: u64, live: bool) -> String {
    let begun = Instant::now();
    let (sender, answers) = channel();
    let mut commits = 0;
    for first in (0..runs).step_by(100) {
        for version in 1..=3 {
            let mut builder = journal.commit_builder(PartitionId(0), 1, &head);
            let (mut quiescent, mut changes) = (Vec::new(), Vec::new());
            for number in first..(first + 100).min(runs) {
                // Scattered like hashes, so that the trees are not filled in order.
                let digits = u128::from(Dice(number).next());
                let run = ExecutionId { partition: PartitionId(0), digits };
                let stream = StreamId::Execution(run);
                let event = Event::Run(RunEvent::StepSkipped { step: StepIndex(version as u32) });
                assert_eq!(builder.push(&stream, version, Timestamp(1), &event), Fit::Fits);
                changes.push(ViewChange::Run(row_of(&run, version)));
                if version == 3 && !live {
                    quiescent.push(stream);
                }
            }
            let commit = builder.finish(Timestamp(1));
            head = commit.head();
            let sender = sender.clone();
            let batch = Batch { commit, quiescent, changes };
            journal.append(batch, Box::new(move |done| sender.send(done).expect("we wait")));
            commits += 1;
        }
    }
    (0..commits).for_each(|_| answers.recv().expect("it is answered").expect("it is taken"));
    let acknowledged = begun.elapsed().as_secs_f64();
    journal.store_now().expect("there is space");
    let stored = begun.elapsed().as_secs_f64();
    let rate = |seconds: f64| runs as f64 / seconds;
    format!("{:.0} runs/s acknowledged, {:.0} runs/s stored", rate(acknowledged), rate(stored))
}

#[test]
fn many_runs_are_stored_and_handed_out_again() {
    let runs = count_from_environment("JOURNAL_RUNS", 300);
    for live in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { partitions: 1, ballast_bytes: 0, ..Options::default() };
        let opened = Journal::open(directory.path(), options.clone()).unwrap();
        println!("live {live}: {}", write_runs(&opened.journal, opened.heads[0], runs, live));
        opened.journal.close().unwrap();
        for rebuild in [false, true] {
            if rebuild {
                std::fs::remove_file(directory.path().join("store.marks")).unwrap();
            }
            let begun = Instant::now();
            let opened = Journal::open(directory.path(), options.clone()).unwrap();
            let ms = begun.elapsed().as_millis();
            let expected = if live || rebuild { runs } else { 0 };
            assert_eq!(opened.streams.len() as u64, expected);
            println!("opened with {expected} runs in {ms} ms, store rebuilt: {rebuild}");
            opened.journal.close().unwrap();
        }
    }
}
