//! `/orchestrator/task-executors`: what steps can do on this server.

use axum::response::Response;
use serde_json::{Value, json};

use crate::http::answer;
use crate::http::caller::Caller;
use crate::http::refusal::Refusal;
use crate::http::status::task_types;

/// `GET /orchestrator/task-executors`: all of them are built in.
pub(super) async fn list(caller: Caller) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let (ready, workers_max) = (engine.is_ready(), engine.turns().size);
    let registry = engine.registry().task_types();
    let shown = |own: &'static str| executor(own, registry.contains(&own), ready, workers_max);
    let all: Vec<_> = task_types(registry).into_iter().map(shown).collect();
    Ok(answer::ok(&json!({ "task_executors": all })))
}

fn executor(task_type: &str, calls: bool, ready: bool, workers_max: usize) -> Value {
    json!({
        "task_type": task_type,
        "executor_class": if calls { "executor" } else { "engine" },
        "health_status": if ready { "healthy" } else { "unhealthy" },
        "capabilities": {
            // What the engine does itself takes no worker.
            "max_concurrent_tasks": calls.then_some(workers_max),
            "supported_formats": ["json"],
            "average_execution_time_minutes": null,
        },
        "metrics": {
            "total_executions": null,
            "successful_executions": null,
            "failed_executions": null,
            "success_rate_percent": null,
            "average_duration_seconds": null,
        },
        "last_execution": null,
        "component": "built in",
    })
}
