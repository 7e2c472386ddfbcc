//! The engine's metrics: every name, unit and label in one place.

use backstitch_core::command::AttemptResult;
use backstitch_core::effect::Effect;
use backstitch_core::ids::PartitionId;

use crate::partition::Order;

/// Runs accepted.
pub const RUNS_SUBMITTED: &str = "backstitch_executions_submitted_total";
/// Runs in the memory of this node, by `partition`.
pub const RUNS_RESIDENT: &str = "backstitch_executions_resident";
/// Attempts that ended, by `kind` (`step`, `undo`, `callback`), and `result`.
pub const ATTEMPTS: &str = "backstitch_attempts_total";
/// Stages made durable.
pub const STAGES: &str = "backstitch_commits_total";
/// Events made durable.
pub const EVENTS: &str = "backstitch_events_total";
/// Attempts of replays to deliver an event, by `result`.
pub const REPLAY_DELIVERIES: &str = "backstitch_replay_deliveries_total";
/// Seconds from staging to durable.
pub const COMMIT_SECONDS: &str = "backstitch_commit_duration_seconds";

/// Runs removed by retention.
pub const RUNS_REMOVED: &str = "backstitch_executions_removed_total";
/// Bytes of the histories of removed runs.
pub const BYTES_REMOVED: &str = "backstitch_retention_removed_bytes_total";
/// Seconds that applying a retention policy took.
pub const RETENTION_SECONDS: &str = "backstitch_retention_duration_seconds";

/// Tells the recorder what each name means.
pub fn describe() {
    metrics::describe_counter!(RUNS_SUBMITTED, "runs accepted");
    metrics::describe_gauge!(RUNS_RESIDENT, "runs in the memory of this node");
    metrics::describe_counter!(ATTEMPTS, "attempts of steps, undos and callbacks that ended");
    metrics::describe_counter!(STAGES, "stages made durable");
    metrics::describe_counter!(EVENTS, "events made durable");
    metrics::describe_counter!(REPLAY_DELIVERIES, "attempts of replays to deliver an event");
    metrics::describe_counter!(RUNS_REMOVED, "runs removed by retention");
    metrics::describe_counter!(BYTES_REMOVED, "bytes of the histories of removed runs");
    metrics::describe_histogram!(RETENTION_SECONDS, "seconds that applying a policy took");
    metrics::describe_histogram!(COMMIT_SECONDS, "seconds from staging to durable");
}

/// One partition's share of [`RUNS_RESIDENT`].
pub(crate) struct Resident(metrics::Gauge);

impl Resident {
    pub(crate) fn of(partition: PartitionId) -> Self {
        Self(metrics::gauge!(RUNS_RESIDENT, "partition" => partition.to_string()))
    }

    pub(crate) fn set(&self, runs: usize) {
        self.0.set(u32::try_from(runs).map_or(f64::MAX, f64::from));
    }
}

pub(crate) fn committed(took: std::time::Duration, events: usize) {
    metrics::counter!(STAGES).increment(1);
    metrics::counter!(EVENTS).increment(events as u64);
    metrics::histogram!(COMMIT_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn replay_delivered(taken: bool) {
    let word = if taken { "succeeded" } else { "failed" };
    metrics::counter!(REPLAY_DELIVERIES, "result" => word).increment(1);
}

pub(crate) fn runs_removed(runs: usize, bytes: u64) {
    metrics::counter!(RUNS_REMOVED).increment(runs as u64);
    metrics::counter!(BYTES_REMOVED).increment(bytes);
}

pub(crate) fn retention_ended(took: std::time::Duration) {
    metrics::histogram!(RETENTION_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn attempt_ended(order: &Order, result: &AttemptResult) {
    let kind = match order.effect {
        Effect::RunStep { .. } => "step",
        Effect::UndoStep { .. } => "undo",
        Effect::DeliverCallback { .. } => "callback",
    };
    let word = match result {
        AttemptResult::Answered(Ok(_)) => "succeeded",
        AttemptResult::Answered(Err(_)) => "failed",
        AttemptResult::TimedOut => "timed_out",
        AttemptResult::Lost => "lost",
    };
    metrics::counter!(ATTEMPTS, "kind" => kind, "result" => word).increment(1);
}
