//! The engine's metrics: every name, unit and label in one place.

use std::time::Duration;

use backstitch_core::command::AttemptResult;
use backstitch_core::effect::Effect;
use backstitch_core::ids::PartitionId;
use backstitch_journal::{Part, ScrubState, Statistics};

use backstitch_core::event::RedriveOutcome;

use crate::document_metrics;
use crate::partition::Order;

/// Runs accepted.
pub const RUNS_SUBMITTED: &str = "backstitch_executions_submitted_total";
/// Runs in the memory of this node, by `partition`.
pub const RUNS_RESIDENT: &str = "backstitch_executions_resident";
/// Live runs that are at rest and not in the memory of this node, by `partition`.
pub const RUNS_AT_REST: &str = "backstitch_executions_at_rest";
/// Attempts that ended, by `kind` (`step`, `undo`, `callback`), and `result`.
pub const ATTEMPTS: &str = "backstitch_attempts_total";
/// Stages made durable.
pub const STAGES: &str = "backstitch_commits_total";
/// Events made durable.
pub const EVENTS: &str = "backstitch_events_total";
/// Attempts of replays to deliver an event, by `result`.
pub const REPLAY_DELIVERIES: &str = "backstitch_replay_deliveries_total";
/// Letters of redrives whose outcome is known, by `outcome`.
pub const REDRIVE_OUTCOMES: &str = "backstitch_redrive_outcomes_total";
/// Who waits, by `queue` (`turns`, `slots`: runs; `keys`: steps) and `priority`; `undo` for turns.
pub const WAITING: &str = "backstitch_waiting";
/// Runs and steps that took longer than was agreed.
pub const SLA_BREACHES: &str = "backstitch_sla_breaches_total";
/// Contents kept beside the records.
pub const BLOBS: &str = "backstitch_blobs";
/// Their bytes.
pub const BLOBS_BYTES: &str = "backstitch_blobs_bytes";
/// Seconds from staging to durable.
pub const COMMIT_SECONDS: &str = "backstitch_commit_duration_seconds";

/// Bytes of the journal's files, by `part`.
pub const JOURNAL_FILE_BYTES: &str = "backstitch_journal_file_bytes";
/// Bytes of keys and values, by `part`.
pub const JOURNAL_LIVE_BYTES: &str = "backstitch_journal_live_bytes";
/// Entries, by `part`; records of the log.
pub const JOURNAL_ENTRIES: &str = "backstitch_journal_entries";
/// Seconds of the last tick, by `part`.
pub const JOURNAL_TICK_SECONDS: &str = "backstitch_journal_tick_seconds";
/// How the reading behind a quick open stands, by `part`: 0 none was needed, 1 under way, 2
/// proven, 3 damaged.
pub const JOURNAL_SCRUB: &str = "backstitch_journal_scrub_state";
/// Bytes read so far by the reading behind a quick open, by `part`.
pub const JOURNAL_SCRUB_BYTES: &str = "backstitch_journal_scrub_bytes";
/// Seconds of the syncs of the log since the start, by `percentile`; 100 is the longest.
pub const JOURNAL_SYNC_SECONDS: &str = "backstitch_journal_sync_seconds";
/// Runs removed by retention.
pub const RUNS_REMOVED: &str = "backstitch_executions_removed_total";
/// Bytes of the histories of removed runs.
pub const BYTES_REMOVED: &str = "backstitch_retention_removed_bytes_total";
/// Segments of the log that were cut.
pub const SEGMENTS_CUT: &str = "backstitch_log_segments_cut_total";
/// Bytes of files that cutting removed.
pub const BYTES_CUT: &str = "backstitch_log_cut_bytes_total";
/// Seconds that applying a retention policy took.
pub const RETENTION_SECONDS: &str = "backstitch_retention_duration_seconds";

/// Circuits, by `state` (`closed`, `open`, `half_open`).
pub const CIRCUITS: &str = "backstitch_circuits";
/// Circuits that turned, by what they are since, `to` (`open`, `closed`).
pub const CIRCUITS_TURNED: &str = "backstitch_circuits_turned_total";
/// Calls that wait until their services may be called.
pub const CALLS_WAITING: &str = "backstitch_calls_waiting";
/// Calls that were not made when their time came, by what became of them, `result` (`held`, `refused`).
pub const CALLS_STOPPED: &str = "backstitch_calls_stopped_total";

/// Attempts that met a fault on purpose, by its `kind`.
pub const FAULTS_MET: &str = "backstitch_faults_injected_total";

/// Steps whose answer was in the result cache.
pub const CACHE_HITS: &str = "backstitch_result_cache_hits_total";
/// Steps whose answer was not.
pub const CACHE_MISSES: &str = "backstitch_result_cache_misses_total";
/// Answers in the result cache.
pub const CACHE_ENTRIES: &str = "backstitch_result_cache_entries";
/// Their bytes.
pub const CACHE_BYTES: &str = "backstitch_result_cache_bytes";

/// Tells the recorder what each name means.
pub fn describe() {
    metrics::describe_counter!(RUNS_SUBMITTED, "runs accepted");
    metrics::describe_gauge!(RUNS_RESIDENT, "runs in the memory of this node");
    metrics::describe_gauge!(RUNS_AT_REST, "live runs that are not in memory: they only wait");
    metrics::describe_counter!(ATTEMPTS, "attempts of steps, undos and callbacks that ended");
    metrics::describe_counter!(STAGES, "stages made durable");
    metrics::describe_counter!(EVENTS, "events made durable");
    metrics::describe_counter!(REDRIVE_OUTCOMES, "letters of redrives whose outcome is known");
    metrics::describe_counter!(REPLAY_DELIVERIES, "attempts of replays to deliver an event");
    metrics::describe_gauge!(WAITING, "runs that wait for turns and slots, steps for keys");
    metrics::describe_counter!(SLA_BREACHES, "runs and steps that took longer than was agreed");
    metrics::describe_gauge!(BLOBS, "contents kept beside the records");
    metrics::describe_gauge!(BLOBS_BYTES, "bytes of contents kept beside the records");
    metrics::describe_counter!(RUNS_REMOVED, "runs removed by retention");
    metrics::describe_counter!(BYTES_REMOVED, "bytes of the histories of removed runs");
    metrics::describe_counter!(SEGMENTS_CUT, "segments of the log that were cut");
    metrics::describe_counter!(BYTES_CUT, "bytes of files that cutting removed");
    metrics::describe_histogram!(RETENTION_SECONDS, "seconds that applying a policy took");
    metrics::describe_histogram!(COMMIT_SECONDS, "seconds from staging to durable");
    metrics::describe_gauge!(JOURNAL_FILE_BYTES, "bytes of the journal's files");
    metrics::describe_gauge!(JOURNAL_LIVE_BYTES, "bytes of keys and values");
    metrics::describe_gauge!(JOURNAL_ENTRIES, "entries of a part, records of the log");
    metrics::describe_gauge!(JOURNAL_TICK_SECONDS, "seconds of the last tick");
    metrics::describe_gauge!(JOURNAL_SCRUB, "0 not needed, 1 under way, 2 proven, 3 damaged");
    metrics::describe_gauge!(JOURNAL_SCRUB_BYTES, "bytes read behind a quick open");
    metrics::describe_gauge!(JOURNAL_SYNC_SECONDS, "seconds of the log's syncs");
    metrics::describe_gauge!(CIRCUITS, "circuits of services, by how they stand");
    metrics::describe_counter!(CIRCUITS_TURNED, "circuits that opened or closed");
    metrics::describe_gauge!(CALLS_WAITING, "calls that wait for their services");
    metrics::describe_counter!(CALLS_STOPPED, "calls that were not made when their time came");
    metrics::describe_counter!(FAULTS_MET, "attempts that met a fault on purpose");
    metrics::describe_counter!(CACHE_HITS, "steps whose answer was in the result cache");
    metrics::describe_counter!(CACHE_MISSES, "steps whose answer was not");
    metrics::describe_gauge!(CACHE_ENTRIES, "answers in the result cache");
    metrics::describe_gauge!(CACHE_BYTES, "bytes of answers in the result cache");
    // Rates need a start: a counter that appears with its first count has lost it.
    metrics::counter!(CACHE_HITS).increment(0);
    ["open", "closed"]
        .iter()
        .for_each(|to| metrics::counter!(CIRCUITS_TURNED, "to" => *to).increment(0));
    metrics::counter!(CACHE_MISSES).increment(0);
}

/// An attempt met a fault on purpose.
pub(crate) fn fault_met(kind: &'static str) {
    metrics::counter!(FAULTS_MET, "kind" => kind).increment(1);
}

/// A circuit turned.
pub(crate) fn circuit_turned(to: &'static str) {
    metrics::counter!(CIRCUITS_TURNED, "to" => to).increment(1);
}

/// How the circuits stand, and how many calls wait.
pub(crate) fn circuits([closed, open, half_open]: [usize; 3], waiting: usize) {
    for (state, count) in [("closed", closed), ("open", open), ("half_open", half_open)] {
        metrics::gauge!(CIRCUITS, "state" => state).set(float(count as u64));
    }
    metrics::gauge!(CALLS_WAITING).set(float(waiting as u64));
}

/// A step asked the result cache.
pub(crate) fn cache_asked(hit: bool) {
    document_metrics::asked("result", hit);
    metrics::counter!(if hit { CACHE_HITS } else { CACHE_MISSES }).increment(1);
}

/// What the result cache amounts to.
pub(crate) fn cache_holds(entries: usize, bytes: usize) {
    metrics::gauge!(CACHE_ENTRIES).set(float(entries as u64));
    metrics::gauge!(CACHE_BYTES).set(float(bytes as u64));
}

/// What the journal amounts to.
pub(crate) fn journal(statistics: &Statistics) {
    let parts = [
        (Part::Store, &statistics.store),
        (Part::Views, &statistics.views),
        (Part::Checkpoints, &statistics.checkpoints),
    ];
    for (part, sizes) in parts {
        let part = part.name();
        metrics::gauge!(JOURNAL_FILE_BYTES, "part" => part).set(float(sizes.file_bytes));
        metrics::gauge!(JOURNAL_LIVE_BYTES, "part" => part).set(float(sizes.live_bytes));
        metrics::gauge!(JOURNAL_ENTRIES, "part" => part).set(float(sizes.entries));
        for tree in &sizes.trees {
            let name = tree.name.clone();
            let (state, bytes) = match tree.scrub {
                ScrubState::Idle => (0, 0),
                ScrubState::Running { done_bytes, .. } => (1, done_bytes),
                ScrubState::Proven { bytes, .. } => (2, bytes),
                ScrubState::Damaged => (3, 0),
            };
            metrics::gauge!(JOURNAL_TICK_SECONDS, "part" => name.clone())
                .set(seconds(tree.tick_us));
            metrics::gauge!(JOURNAL_SCRUB, "part" => name.clone()).set(float(state));
            metrics::gauge!(JOURNAL_SCRUB_BYTES, "part" => name).set(float(bytes));
        }
    }
    for (part, files) in [("archive", &statistics.archive), ("blobs", &statistics.blobs)] {
        metrics::gauge!(JOURNAL_FILE_BYTES, "part" => part).set(float(files.file_bytes));
    }
    let log = &statistics.log;
    metrics::gauge!(JOURNAL_FILE_BYTES, "part" => "log").set(float(log.file_bytes));
    metrics::gauge!(JOURNAL_ENTRIES, "part" => "log").set(float(log.records));
    let sync = &log.sync;
    for (percentile, us) in
        [("50", sync.p50_us), ("95", sync.p95_us), ("99", sync.p99_us), ("100", sync.max_us)]
    {
        metrics::gauge!(JOURNAL_SYNC_SECONDS, "percentile" => percentile).set(seconds(us));
    }
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

/// A count as a gauge wants it; right to 53 bits.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn float(count: u64) -> f64 {
    count as f64
}

/// One partition's share of [`RUNS_RESIDENT`] and [`RUNS_AT_REST`].
pub(crate) struct Resident(metrics::Gauge, metrics::Gauge);

impl Resident {
    pub(crate) fn of(partition: PartitionId) -> Self {
        let share = |name| metrics::gauge!(name, "partition" => partition.to_string());
        Self(share(RUNS_RESIDENT), share(RUNS_AT_REST))
    }

    pub(crate) fn set(&self, resident: usize, at_rest: usize) {
        self.0.set(float(resident as u64));
        self.1.set(float(at_rest as u64));
    }
}

/// What is kept beside the records.
pub fn kept_beside(contents: u64, bytes: u64) {
    metrics::gauge!(BLOBS).set(float(contents));
    metrics::gauge!(BLOBS_BYTES).set(float(bytes));
}

/// Who waits in one queue, by priority.
pub fn waiting<'a>(queue: &'static str, counts: impl Iterator<Item = (&'static str, &'a usize)>) {
    for (priority, count) in counts {
        let labels = [("queue", queue), ("priority", priority)];
        metrics::gauge!(WAITING, &labels).set(float(*count as u64));
    }
}

/// What became durable together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Committed {
    pub(crate) events: usize,
    pub(crate) breaches: usize,
    pub(crate) held: usize,
    pub(crate) refused: usize,
}

pub(crate) fn committed(took: Duration, committed: Committed) {
    metrics::counter!(STAGES).increment(1);
    metrics::counter!(EVENTS).increment(committed.events as u64);
    metrics::counter!(SLA_BREACHES).increment(committed.breaches as u64);
    for (result, calls) in [("held", committed.held), ("refused", committed.refused)] {
        metrics::counter!(CALLS_STOPPED, "result" => result).increment(calls as u64);
    }
    metrics::histogram!(COMMIT_SECONDS).record(took.as_secs_f64());
    document_metrics::written(took);
}

pub(crate) fn replay_delivered(taken: bool) {
    let word = if taken { "succeeded" } else { "failed" };
    metrics::counter!(REPLAY_DELIVERIES, "result" => word).increment(1);
}

pub(crate) fn redriven(outcome: RedriveOutcome) {
    let word = match outcome {
        RedriveOutcome::Succeeded => "succeeded",
        RedriveOutcome::Failed => "failed",
        RedriveOutcome::Refused => "refused",
        RedriveOutcome::Unknown => "unknown",
    };
    metrics::counter!(REDRIVE_OUTCOMES, "outcome" => word).increment(1);
}

pub(crate) fn runs_removed(runs: usize, bytes: u64) {
    metrics::counter!(RUNS_REMOVED).increment(runs as u64);
    metrics::counter!(BYTES_REMOVED).increment(bytes);
}

pub(crate) fn cut(segments: u64, bytes: u64) {
    metrics::counter!(SEGMENTS_CUT).increment(segments);
    metrics::counter!(BYTES_CUT).increment(bytes);
}

pub(crate) fn retention_ended(took: std::time::Duration) {
    metrics::histogram!(RETENTION_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn attempt_ended(order: &Order, result: &AttemptResult) {
    let kind = match order.effect {
        Effect::RunStep { .. } => "step",
        Effect::UndoStep { .. } => "undo",
        Effect::DeliverCallback { .. } => "callback",
        Effect::Send { .. } => "message",
    };
    let word = match result {
        AttemptResult::Answered(Ok(_)) => "succeeded",
        AttemptResult::Answered(Err(_)) => "failed",
        AttemptResult::TimedOut => "timed_out",
        AttemptResult::Lost => "lost",
    };
    metrics::counter!(ATTEMPTS, "kind" => kind, "result" => word).increment(1);
}
