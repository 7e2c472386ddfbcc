//! The names that documents 000 and 003 have for what happens, beside the engine's own.
//!
//! Labels that authors choose (workflows, tasks) are bounded: what comes after the first so many
//! is counted together.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backstitch_core::event::Outcome;

use crate::partition::Told;

/// Runs that ended, by `workflow` and `status` (`success`, `failure`, `cancelled`).
pub const RUNS: &str = "swarm_workflow_runs_total";
/// Seconds of runs that ended, by `workflow`.
pub const RUN_SECONDS: &str = "swarm_workflow_duration_seconds";
/// Milliseconds of tasks that ended, by `task` and `type`.
pub const TASK_MS: &str = "swarm_workflow_task_duration_ms";
/// Tasks that were tried again, by `task`.
pub const TASK_RETRIES: &str = "swarm_workflow_task_retries_total";
/// Tasks that failed for good, by `task`.
pub const TASK_FAILURES: &str = "swarm_workflow_task_failures_total";
/// Tasks under way.
pub const PARALLELISM: &str = "swarm_workflow_parallelism";
/// Runs that were stopped, by `workflow` and `reason`.
pub const CANCELLATIONS: &str = "swarm_workflow_cancellations_total";
/// Milliseconds of reads, by `operation`.
pub const READ_MS: &str = "swarm_workflow_db_read_ms";
/// Milliseconds of durable writes, by `operation`.
pub const WRITE_MS: &str = "swarm_workflow_db_write_ms";
/// What was asked for and in memory, by `type` (`workflow`, `execution`, `result`).
pub const CACHE_HITS: &str = "swarm_workflow_cache_hits_total";
/// What was not.
pub const CACHE_MISSES: &str = "swarm_workflow_cache_misses_total";

/// Seconds of runs that ended.
pub const ALL_RUN_SECONDS: &str = "xorb_orchestrator_workflow_duration_seconds";
/// Tasks that ended.
pub const ALL_TASKS: &str = "xorb_orchestrator_tasks_executed_total";
/// Seconds of tasks that ended.
pub const ALL_TASK_SECONDS: &str = "xorb_orchestrator_task_duration_seconds";
/// Tasks that were tried again.
pub const ALL_TASK_RETRIES: &str = "xorb_orchestrator_task_retry_count";

/// What the names of the documents begin with.
pub const PREFIXES: [&str; 2] = ["swarm_workflow_", "xorb_orchestrator_"];
/// Values of a label that are told apart.
const VALUES_MAX: usize = 500;
/// All others.
const OTHER: &str = "other";

/// Values of a label that are told apart, so far.
#[derive(Debug)]
struct Values(Mutex<BTreeSet<Arc<str>>>);

static WORKFLOWS: Values = Values(Mutex::new(BTreeSet::new()));
static TASKS: Values = Values(Mutex::new(BTreeSet::new()));

impl Values {
    fn of(&self, value: &Arc<str>) -> Arc<str> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(value) || known.len() < VALUES_MAX {
            known.insert(value.clone());
            return value.clone();
        }
        OTHER.into()
    }
}

/// Tells the recorder what each name means.
pub fn describe() {
    metrics::describe_counter!(RUNS, "runs that ended");
    metrics::describe_histogram!(RUN_SECONDS, "seconds of runs that ended");
    metrics::describe_histogram!(TASK_MS, "milliseconds of tasks that ended");
    metrics::describe_counter!(TASK_RETRIES, "tasks that were tried again");
    metrics::describe_counter!(TASK_FAILURES, "tasks that failed for good");
    metrics::describe_gauge!(PARALLELISM, "tasks under way");
    metrics::describe_counter!(CANCELLATIONS, "runs that were stopped");
    metrics::describe_histogram!(READ_MS, "milliseconds of reads");
    metrics::describe_histogram!(WRITE_MS, "milliseconds of durable writes");
    metrics::describe_counter!(CACHE_HITS, "what was asked for and in memory");
    metrics::describe_counter!(CACHE_MISSES, "what was asked for and not in memory");
    metrics::describe_histogram!(ALL_RUN_SECONDS, "seconds of runs that ended");
    metrics::describe_counter!(ALL_TASKS, "tasks that ended");
    metrics::describe_histogram!(ALL_TASK_SECONDS, "seconds of tasks that ended");
    metrics::describe_counter!(ALL_TASK_RETRIES, "tasks that were tried again");
    // Rates need a start: a counter that appears with its first count has lost it.
    for kind in ["workflow", "execution", "result"] {
        metrics::counter!(CACHE_HITS, "type" => kind).increment(0);
        metrics::counter!(CACHE_MISSES, "type" => kind).increment(0);
    }
    metrics::counter!(ALL_TASKS).increment(0);
    metrics::counter!(ALL_TASK_RETRIES).increment(0);
}

/// Counts what became durable.
pub(crate) fn told(told: &[Told]) {
    told.iter().for_each(count);
}

fn count(told: &Told) {
    match told {
        Told::TaskRetried { task } => {
            metrics::counter!(TASK_RETRIES, "task" => TASKS.of(task)).increment(1);
            metrics::counter!(ALL_TASK_RETRIES).increment(1);
        }
        Told::TaskEnded { task, task_type, failed, took_ms } => {
            let (task, took) = (TASKS.of(task), Duration::from_millis(*took_ms));
            let labels = [("task", task.clone()), ("type", task_type.clone())];
            metrics::histogram!(TASK_MS, &labels).record(took.as_secs_f64() * 1_000.0);
            metrics::histogram!(ALL_TASK_SECONDS).record(took.as_secs_f64());
            metrics::counter!(ALL_TASKS).increment(1);
            metrics::counter!(TASK_FAILURES, "task" => task).increment(u64::from(*failed));
        }
        Told::RunBegan(_) => {}
        Told::RunEnded { about, outcome, stopped, took_ms, .. } => {
            let (workflow, took) = (WORKFLOWS.of(&about.workflow), Duration::from_millis(*took_ms));
            let labels = [("workflow", workflow.clone()), ("status", status(*outcome).into())];
            metrics::counter!(RUNS, &labels).increment(1);
            metrics::histogram!(RUN_SECONDS, "workflow" => workflow.clone())
                .record(took.as_secs_f64());
            metrics::histogram!(ALL_RUN_SECONDS).record(took.as_secs_f64());
            if let Some(reason) = stopped {
                let labels = [("workflow", workflow), ("reason", Arc::from(*reason))];
                metrics::counter!(CANCELLATIONS, &labels).increment(1);
            }
        }
    }
}

fn status(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "success",
        Outcome::Cancelled => "cancelled",
        Outcome::Failed | Outcome::Compensated | Outcome::CompensationFailed => "failure",
    }
}

/// A stage became durable.
pub(crate) fn written(took: Duration) {
    metrics::histogram!(WRITE_MS, "operation" => "put_execution").record(ms(took));
}

/// Something was read.
pub(crate) fn read(operation: &'static str, took: Duration) {
    metrics::histogram!(READ_MS, "operation" => operation).record(ms(took));
}

/// Something was asked for, and was in memory or not.
pub(crate) fn asked(kind: &'static str, hit: bool) {
    let name = if hit { CACHE_HITS } else { CACHE_MISSES };
    metrics::counter!(name, "type" => kind).increment(1);
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_first_are_counted_together() {
        let values = Values(Mutex::default());
        for number in 0..VALUES_MAX {
            let value: Arc<str> = number.to_string().into();
            assert_eq!(values.of(&value), value);
        }
        assert_eq!(&*values.of(&"late".into()), OTHER);
        assert_eq!(&*values.of(&"7".into()), "7");
    }
}
