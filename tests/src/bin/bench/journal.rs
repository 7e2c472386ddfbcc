//! Appends to a journal from one thread, one commit in flight: what durability costs alone.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use backstitch_core::event::{Event, RunEvent, Submitted};
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StepIndex, StreamId};
use backstitch_core::payload::Payload;
use backstitch_core::summary::{RunStatus, RunSummary, ViewChange};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Batch, Fit, Head, Info, Journal, Options, PENDING_BYTES_MAX};
use serde_json::json;

use crate::figures::Measured;
use crate::load::{Pace, blocking_loop};
use crate::machine::{peak_mib, processor_us};
use crate::scale::Sizes;

/// Records a commit.
pub const RECORDS: [usize; 4] = [1, 8, 64, 512];
/// Events a run has until it owes nothing.
const EVENTS_PER_RUN: u64 = 22;
/// Payloads that differ; one after the other they are far longer than what an archive's block
/// looks back on.
const PAYLOADS: u64 = 65_536;
/// Records a commit while a log grows.
const GROW_RECORDS: usize = 512;
/// Rates at each end of a growing log that are averaged. The store works in ticks of a few
/// hundred thousand records, and has sled write a snapshot every four million, which takes a
/// second: fewer would show where those fall instead.
const ENDS_RATES: usize = 30;
/// Bytes of commits after which what may be pending is, however fast the store takes it over
/// meanwhile.
const BURST_BYTES: u64 = 2 * PENDING_BYTES_MAX as u64;
/// How long the store may take to come to the log's end, and how often it is asked.
const DRAIN_LIMIT: Duration = Duration::from_secs(120);
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(20);
const PARTITION: PartitionId = PartitionId(0);

/// Events a second, the time of a commit, and what becomes of an event on disk.
///
/// # Errors
/// Of the journal.
pub fn measure(folder: &Path, records: usize, pace: Pace) -> Result<Measured, String> {
    let mut writer = Writer::open(folder)?;
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

/// Appends so many records, and answers how the rate at the end compares with that of the
/// beginning, and what an event takes on disk. The beginning is where appends wait for the store
/// behind the log, once what may be pending is. The log's own rate shows in bursts, each once the
/// store has what was before it: some behind the first few records, as many behind all.
///
/// # Errors
/// Of the journal.
pub fn grow(folder: &Path, sizes: Sizes) -> Result<Measured, String> {
    let Sizes { records, rate_records, .. } = sizes;
    let mut writer = Writer::open(folder)?;
    let few = writer.bursts(sizes)?;
    let (mut took_us, mut windows, begun) = (Vec::new(), Vec::new(), Instant::now());
    let bytes_before = writer.record_bytes;
    let (mut unhindered, end) = (0, writer.written + records);
    while writer.written < end {
        if writer.record_bytes - bytes_before <= BURST_BYTES {
            unhindered = windows.len();
        }
        windows.push(writer.grow_by(rate_records.min(end - writer.written), &mut took_us)?);
    }
    let (commits, elapsed) = (took_us.len() as u64, begun.elapsed());
    let grown = events(&windows);
    // One at least, however few they are.
    let sustained = windows.split_off(unhindered);
    writer.drain()?;
    let stored = begun.elapsed();
    let many = writer.bursts(sizes)?;
    let mut measured = Measured::of(took_us, commits, elapsed);
    measured.per_second = grown / elapsed.as_secs_f64();
    writer.journal.close().map_err(|error| error.to_string())?;
    let ends = sustained.len().min(ENDS_RATES);
    let (first, last) = (&sustained[..ends], &sustained[sustained.len() - ends..]);
    let all = writer.written as f64;
    let each = |name: &str| size_bytes(&folder.join(name)) as f64 / all;
    measured.extra.extend([
        ("burst_per_second", rate(&few)),
        ("burst_behind_all_of_burst", rate(&many) / rate(&few)),
        ("stored_per_second", grown / stored.as_secs_f64()),
        ("first_per_second", rate(first)),
        ("last_per_second", rate(last)),
        ("last_of_first", rate(last) / rate(first)),
        ("first_processor_us", processor_us_each(first)),
        ("last_processor_us", processor_us_each(last)),
        ("payload_bytes", writer.payload_bytes as f64 / all),
        ("log_bytes", each("log")),
        ("archive_bytes", each("archive")),
        ("store_bytes", each("store") + each("views")),
        ("peak_mib", peak_mib()),
    ]);
    Ok(measured)
}

/// Appends one after the other, and what they took.
#[derive(Clone)]
struct Window {
    events: u64,
    time: Duration,
    processor_us: f64,
}

/// Events a second over some windows.
fn rate(windows: &[Window]) -> f64 {
    let time: Duration = windows.iter().map(|window| window.time).sum();
    events(windows) / time.as_secs_f64().max(f64::EPSILON)
}

/// Processor time of the whole process for an event, over some windows: what other processes do
/// on the machine shows in it least.
fn processor_us_each(windows: &[Window]) -> f64 {
    windows.iter().map(|window| window.processor_us).sum::<f64>() / events(windows).max(1.0)
}

fn events(windows: &[Window]) -> f64 {
    windows.iter().map(|window| window.events).sum::<u64>() as f64
}

/// Bytes of a folder's files.
fn size_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.metadata().ok()?, entry.path())))
        .map(|(metadata, path)| if metadata.is_dir() { size_bytes(&path) } else { metadata.len() })
        .sum()
}

struct Writer {
    journal: Journal,
    head: Head,
    payloads: Vec<Payload>,
    /// Events so far; run and version follow from it.
    written: u64,
    /// Bytes of the commits so far.
    record_bytes: u64,
    /// Bytes of the payloads so far.
    payload_bytes: u64,
}

impl Writer {
    fn open(folder: &Path) -> Result<Self, String> {
        let opened = Journal::open(folder, Options::default()).map_err(|e| e.to_string())?;
        Ok(Self {
            head: opened.heads[usize::from(PARTITION.0)],
            journal: opened.journal,
            payloads: (0..PAYLOADS).map(payload).collect(),
            written: 0,
            record_bytes: 0,
            payload_bytes: 0,
        })
    }

    fn commit(&mut self, records: usize) -> Result<(), String> {
        let mut builder = self.journal.commit_builder(PARTITION, 1, &self.head);
        let (mut quiescent, mut changes) = (Vec::new(), Vec::new());
        for _ in 0..records {
            let (number, version) = (self.written / EVENTS_PER_RUN, self.written % EVENTS_PER_RUN);
            let run = ExecutionId { partition: PARTITION, digits: u128::from(number) };
            let (stream, now) = (StreamId::Execution(run), self.now());
            let event = self.event(version);
            if builder.push(&stream, version + 1, now, &event) != Fit::Fits {
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

    /// Appends so many records, and adds what each commit took.
    fn grow_by(&mut self, records: u64, took_us: &mut Vec<u32>) -> Result<Window, String> {
        let (since, used_us, before) = (Instant::now(), processor_us(), self.written);
        while self.written < before + records {
            let asked = Instant::now();
            self.commit(GROW_RECORDS)?;
            took_us.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        Ok(Window {
            events: self.written - before,
            time: since.elapsed(),
            processor_us: processor_us() - used_us,
        })
    }

    /// Appends in bursts, each once the store has what was before it. The first one comes before
    /// there is anything, and is not among them.
    fn bursts(&mut self, sizes: Sizes) -> Result<Vec<Window>, String> {
        self.grow_by(sizes.rate_records, &mut Vec::new())?;
        let one = |_| {
            self.drain()?;
            self.grow_by(sizes.rate_records, &mut Vec::new())
        };
        (0..sizes.bursts).map(one).collect()
    }

    /// Waits until the store has everything.
    fn drain(&self) -> Result<(), String> {
        let until = Instant::now() + DRAIN_LIMIT;
        while Instant::now() < until {
            let info = self.journal.info();
            if info.pending_bytes == 0 && info.pending_rows == 0 {
                return Ok(());
            }
            std::thread::sleep(DRAIN_LOOK_EVERY);
        }
        Err(format!("the store has not come to the log's end within {DRAIN_LIMIT:?}"))
    }

    /// A clock that counts events: the journal's own times are not what is measured.
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(self.written).unwrap_or(i64::MAX))
    }

    fn event(&mut self, version: u64) -> Event {
        let payload = self.payloads[self.written as usize % self.payloads.len()].clone();
        self.payload_bytes += payload.text().len() as u64;
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
        parent: None,
        chunk: false,
        variant: None,
        trace: None,
        version: EVENTS_PER_RUN,
    }
}

/// An order as services answer it, of such a length that a record has about 200 bytes.
fn payload(number: u64) -> Payload {
    let hash = Digest::of(&number.to_le_bytes()).to_string();
    let status = ["reserved", "charged", "booked"][number as usize % 3];
    Payload::of(&json!({
        "order_id": format!("ord-{}", &hash[..12]),
        "customer": &hash[12..24],
        "amount": number % 100_000,
        "currency": "EUR",
        "status": status,
        "reference": &hash[24..48],
    }))
}
