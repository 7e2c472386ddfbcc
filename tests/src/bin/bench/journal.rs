//! Appends to a journal from one thread, one commit in flight: what durability costs alone.

use std::path::Path;
use std::sync::mpsc::sync_channel;

use backstitch_core::event::{Event, RunEvent, Submitted};
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StepIndex, StreamId};
use backstitch_core::payload::Payload;
use backstitch_core::summary::{RunStatus, RunSummary, ViewChange};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Batch, Fit, Head, Info, Journal, Options};
use serde_json::Value;

use crate::figures::Measured;
use crate::load::{Pace, blocking_loop};

/// Records a commit.
pub const RECORDS: [usize; 4] = [1, 8, 64, 512];
/// Events a run has until it owes nothing.
const EVENTS_PER_RUN: u64 = 22;
/// So long is a payload that a record has about 200 bytes.
const PAYLOAD_BYTES: usize = 155;
const PARTITION: PartitionId = PartitionId(0);

/// Events a second, the time of a commit, and what becomes of an event on disk.
///
/// # Errors
/// Of the journal.
pub fn measure(folder: &Path, records: usize, pace: Pace) -> Result<Measured, String> {
    let opened = Journal::open(folder, Options::default()).map_err(|e| e.to_string())?;
    let mut writer = Writer {
        head: opened.heads[usize::from(PARTITION.0)],
        journal: opened.journal,
        payload: Payload::of(&Value::String("x".repeat(PAYLOAD_BYTES))),
        written: 0,
        record_bytes: 0,
    };
    let before = writer.journal.info();
    let mut measured = blocking_loop(pace, || writer.commit(records))?;
    let events = writer.written as f64;
    writer.journal.close().map_err(|error| error.to_string())?;
    let after = writer.journal.info();
    let grown = |of: fn(&Info) -> u64| of(&after).saturating_sub(of(&before)) as f64 / events;
    measured.per_second *= records as f64;
    measured.counted *= records as u64;
    measured.each("syncs_per_commit", after.log.group_syncs as f64);
    measured.extra.extend([
        ("record_bytes", writer.record_bytes as f64 / events),
        ("log_bytes_per_event", grown(|info| info.log.written_bytes)),
        ("store_bytes_per_event", grown(|info| info.store_bytes + info.views_bytes)),
    ]);
    Ok(measured)
}

struct Writer {
    journal: Journal,
    head: Head,
    payload: Payload,
    /// Events so far; run and version follow from it.
    written: u64,
    /// Bytes of the commits so far.
    record_bytes: u64,
}

impl Writer {
    fn commit(&mut self, records: usize) -> Result<(), String> {
        let mut builder = self.journal.commit_builder(PARTITION, 1, &self.head);
        let (mut quiescent, mut changes) = (Vec::new(), Vec::new());
        for _ in 0..records {
            let (number, version) = (self.written / EVENTS_PER_RUN, self.written % EVENTS_PER_RUN);
            let run = ExecutionId { partition: PARTITION, digits: u128::from(number) };
            let (stream, now) = (StreamId::Execution(run), self.now());
            if builder.push(&stream, version + 1, now, &self.event(version)) != Fit::Fits {
                return Err(format!("{records} records do not fit one commit"));
            }
            if version + 1 == EVENTS_PER_RUN {
                changes.push(ViewChange::Run(row(run, now)));
                quiescent.push(stream);
            }
            self.written += 1;
        }
        let commit = builder.finish(self.now());
        self.record_bytes += commit.bytes().len() as u64;
        self.head = commit.head();
        let (done, answered) = sync_channel(1);
        // The receiver waits below, so that sending cannot fail.
        let callback = Box::new(move |answer| drop(done.send(answer)));
        self.journal.append(Batch { commit, quiescent, changes }, callback);
        let answer = answered.recv().map_err(|_| "an append was never answered".to_owned())?;
        answer.map_err(|error| error.to_string())
    }

    /// A clock that counts events: the journal's own times are not what is measured.
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(self.written).unwrap_or(i64::MAX))
    }

    fn event(&self, version: u64) -> Event {
        let payload = self.payload.clone();
        Event::Run(match version {
            0 => RunEvent::Submitted(Box::new(submitted(payload))),
            _ => RunEvent::StepSucceeded { step: StepIndex(0), attempt: 1, output: payload },
        })
    }
}

fn submitted(input: Payload) -> Submitted {
    Submitted {
        namespace: "default".into(),
        workflow: "bench".into(),
        revision: 1,
        digest: Digest::of(b"bench"),
        input,
        variables: Payload::null(),
        correlation_id: "bench".into(),
        idempotency_key: None,
        request: Digest::of(b"request"),
        callbacks: Vec::new(),
        deadline_at: None,
        retry_of: None,
        actor: "bench".to_owned(),
    }
}

fn row(execution: ExecutionId, now: Timestamp) -> RunSummary {
    RunSummary {
        execution,
        namespace: "default".into(),
        workflow: "bench".into(),
        revision: 1,
        status: RunStatus::Completed,
        correlation_id: "bench".into(),
        tags: [].into(),
        submitted_at: now,
        ended_at: Some(now),
        version: EVENTS_PER_RUN,
    }
}
