//! How fast appends are, as a glance; asserted is only that all of them arrive.
//!
//! `JOURNAL_THROUGHPUT=seconds` measures; without it a few commits suffice.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use backstitch_core::event::{Event, RunEvent};
use backstitch_core::ids::{ExecutionId, PartitionId, StepIndex, StreamId};
use backstitch_core::payload::Payload;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Batch, Fit, Head, Journal, Options};

use crate::crash::count_from_environment;

/// One commit in flight, so many records of about 200 bytes in each; runs of 22 events.
fn append_one_by_one(records: u64, window: Duration, commits_min: u64) {
    let directory = tempfile::tempdir().expect("there is space");
    let options = Options { partitions: 1, ballast_bytes: 0, ..Options::default() };
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
    println!("{records} records: {rate:.0} records/s, p50 {} us, p99 {} us", at(50), at(99));
    journal.close().expect("it closes");
}

#[test]
fn appends_of_all_sizes_arrive() {
    let seconds = count_from_environment("JOURNAL_THROUGHPUT", 0);
    for records in [1, 8, 64, 512] {
        append_one_by_one(records, Duration::from_secs(seconds), 20);
    }
}
