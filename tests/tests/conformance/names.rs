//! Metrics by the names of documents 000 and 003, after everything else was asked.

use std::collections::BTreeSet;

use serde_json::json;

use super::report::Report;
use super::{Scene, lint};

/// Names by row.
const NAMES: [(&str, &[&str]); 11] = [
    (
        "000-92",
        &[
            "xorb_orchestrator_workflows_total",
            "xorb_orchestrator_workflows_active",
            "xorb_orchestrator_workflow_duration_seconds_bucket",
            "xorb_orchestrator_workflow_success_rate",
        ],
    ),
    (
        "000-93",
        &[
            "xorb_orchestrator_tasks_executed_total",
            "xorb_orchestrator_task_duration_seconds_bucket",
            "xorb_orchestrator_task_retry_count",
        ],
    ),
    (
        "000-94",
        &[
            "xorb_orchestrator_cpu_usage_percent",
            "xorb_orchestrator_memory_usage_percent",
            "xorb_orchestrator_queue_size",
        ],
    ),
    ("003-65", &["swarm_workflow_runs_total"]),
    ("003-66", &["swarm_workflow_duration_seconds_sum", "swarm_workflow_duration_seconds_count"]),
    ("003-67", &["swarm_workflow_task_duration_ms_bucket"]),
    ("003-68", &["swarm_workflow_task_retries_total", "swarm_workflow_task_failures_total"]),
    ("003-69", &["swarm_workflow_parallelism"]),
    ("003-71", &["swarm_workflow_cancellations_total"]),
    ("003-72", &["swarm_workflow_db_read_ms_bucket", "swarm_workflow_db_write_ms_bucket"]),
    ("003-73", &["swarm_workflow_cache_hits_total", "swarm_workflow_cache_misses_total"]),
];

pub async fn ask(scene: &Scene, report: &mut Report) {
    counted(scene, report).await;
    let (_, told) = scene.get("/metrics").await;
    let text = told.as_str().unwrap_or_default();
    let names: BTreeSet<_> =
        text.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    for (row, wanted) in NAMES {
        let missing = wanted.iter().filter(|name| !names.contains(*name));
        report.row(row, missing.map(|name| format!("{name} is missing")).collect());
    }
    let series = [
        ("003-65", "swarm_workflow_runs_total{workflow=\"counted\",status=\"success\"} 1"),
        ("003-65", "swarm_workflow_runs_total{workflow=\"uncounted\",status=\"failure\"} 1"),
        ("003-66", "swarm_workflow_duration_seconds_count{workflow=\"counted\"} 1"),
        ("003-67", "swarm_workflow_task_duration_ms_count{task=\"flaky\",type=\"noop\"} 1"),
        ("003-68", "swarm_workflow_task_retries_total{task=\"flaky\"} 2"),
        ("003-68", "swarm_workflow_task_failures_total{task=\"flaky\"} 0"),
        ("003-68", "swarm_workflow_task_failures_total{task=\"broken\"} 1"),
        ("003-71", "swarm_workflow_cancellations_total{workflow=\"slow\",reason=\"user\"} 1"),
        ("003-72", "swarm_workflow_db_read_ms_count{operation=\"get_workflow\"}"),
        ("003-72", "swarm_workflow_db_write_ms_count{operation=\"put_execution\"}"),
        ("003-73", "swarm_workflow_cache_hits_total{type=\"workflow\"}"),
        ("003-73", "swarm_workflow_cache_misses_total{type=\"execution\"}"),
        ("000-94", "xorb_orchestrator_queue_size 0"),
    ];
    for (row, line) in series {
        let found = text.lines().any(|own| own.starts_with(line));
        report.row(row, if found { Vec::new() } else { vec![format!("`{line}` is missing")] });
    }
    let (_, own) = scene.get("/metrics?names=own").await;
    let own = own.as_str().unwrap_or_default();
    let foreign = own.lines().find(|line| line.contains("swarm_") || line.contains("xorb_"));
    let ours = own.contains("backstitch_events_total");
    report.row("003-65", lint::problems(own));
    let (status, _) = scene.get("/metrics?names=theirs").await;
    report.holds(
        "003-65",
        [(foreign.is_none() && ours && status == 400, &foreign.unwrap_or("ours"))],
    );
}

/// A run whose task is tried three times, and one whose task fails for good.
async fn counted(scene: &Scene, report: &mut Report) {
    let retry = json!({ "max_attempts": 3, "initial": "1ms" });
    let flaky = json!({ "id": "flaky", "type": "noop", "retry": retry, "with": { "fail": { "attempts": 2 } } });
    let broken =
        json!({ "id": "broken", "type": "noop", "with": { "fail": { "permanent": true } } });
    for (id, step) in [("counted", flaky), ("uncounted", broken)] {
        let (status, made) =
            scene.post("/v1/workflows", &json!({ "id": id, "steps": [step] })).await;
        report.holds("003-65", [(status == 201, &made)]);
        scene.post("/v1/run", &json!({ "workflow": id })).await;
    }
}
