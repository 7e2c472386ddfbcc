//! Gauges that documents 000 and 003 name: read when metrics are asked for.

use std::path::Path;

use backstitch_core::ids::DEFAULT_NAMESPACE;
use backstitch_core::statistics::RunStatistics;
use backstitch_core::summary::RunStatus;
use backstitch_saga::document_metrics::{PARALLELISM, PREFIXES};

use crate::http::App;
use crate::machine::Share;

/// Workflows that are defined.
pub(in crate::http) const WORKFLOWS: &str = "xorb_orchestrator_workflows_total";
/// Runs that have not ended.
pub(in crate::http) const ACTIVE: &str = "xorb_orchestrator_workflows_active";
/// The part of the ended runs that completed, in percent.
pub(in crate::http) const SUCCESS_RATE: &str = "xorb_orchestrator_workflow_success_rate";
/// Of the cores, those that are used, in percent.
pub(in crate::http) const CPU: &str = "xorb_orchestrator_cpu_usage_percent";
/// Of the memory, what is used, in percent.
pub(in crate::http) const MEMORY: &str = "xorb_orchestrator_memory_usage_percent";
/// Runs that wait to begin.
pub(in crate::http) const QUEUE: &str = "xorb_orchestrator_queue_size";

/// Tells the recorder what each means.
pub(in crate::http) fn describe() {
    metrics::describe_gauge!(WORKFLOWS, "workflows that are defined");
    metrics::describe_gauge!(ACTIVE, "runs that have not ended");
    metrics::describe_gauge!(SUCCESS_RATE, "percent of the ended runs that completed");
    metrics::describe_gauge!(CPU, "percent of the cores that are used");
    metrics::describe_gauge!(MEMORY, "percent of the memory that is used");
    metrics::describe_gauge!(QUEUE, "runs that wait to begin");
}

/// Reads them.
pub(in crate::http) fn record(app: &App) {
    let Ok(engine) = app.engine() else { return };
    let mut total = RunStatistics::default();
    for own in engine.journal().run_statistics(DEFAULT_NAMESPACE).values() {
        total.merge(own);
    }
    let live = RunStatus::ALL.into_iter().filter(|status| !status.is_ended());
    let active: u64 = live.map(|status| total.of_status(status)).sum();
    let queue: usize = engine.limits().waiting.iter().sum();
    metrics::gauge!(WORKFLOWS).set(number(engine.catalog().all(DEFAULT_NAMESPACE).len() as u64));
    metrics::gauge!(ACTIVE).set(number(active));
    metrics::gauge!(QUEUE).set(number(queue as u64));
    metrics::gauge!(PARALLELISM).set(number(engine.turns().used as u64));
    if let Some(rate) = total.success_rate() {
        metrics::gauge!(SUCCESS_RATE).set(rate * 100.0);
    }
    let used = app.machine().look(Path::new(&app.about().data_dir));
    for (name, share) in [(CPU, used.cores), (MEMORY, used.memory)] {
        if let Some(percent) = share.and_then(Share::percent) {
            metrics::gauge!(name).set(percent);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn number(count: u64) -> f64 {
    count as f64
}

/// What is printed, without the names of the documents.
pub(in crate::http) fn without_documents(text: &str) -> String {
    let is_own = |line: &&str| {
        let comment = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        let name = comment.unwrap_or(line);
        !PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    text.split_inclusive('\n').filter(is_own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_documents_are_left_out_with_their_comments() {
        let text = "# HELP backstitch_a A\n# TYPE backstitch_a gauge\nbackstitch_a 1\n\n\
                    # TYPE swarm_workflow_b counter\nswarm_workflow_b{x=\"backstitch_\"} 1\n\
                    xorb_orchestrator_c 2\n";
        let own = "# HELP backstitch_a A\n# TYPE backstitch_a gauge\nbackstitch_a 1\n\n";
        assert_eq!(without_documents(text), own);
    }
}
