//! `/orchestrator/metrics` and `/orchestrator/health` of document 000: numbers of the engine, the
//! requests of the last minute, and the machine.

use std::path::Path;
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use backstitch_core::ids::DEFAULT_NAMESPACE;
use backstitch_core::statistics::RunStatistics;
use backstitch_core::summary::{RunStatus, RunSummary};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Range, RunFilter};
use backstitch_saga::{Handle, clock};
use serde_json::{Number, Value, json};

use super::runs::{listed, shown};
use super::tasks::{Run, minutes};
use super::words::Word;
use crate::http::caller::Caller;
use crate::http::refusal::Refusal;
use crate::http::window::Window;
use crate::http::{App, alarms, answer, telemetry};
use crate::machine::{Share, Used};

/// Completed runs, the newest, that the mean duration of a task is of.
const TASKS_OF_RUNS_MAX: usize = 20;
const DAY_US: i64 = 86_400_000_000;
const GIGABYTE: f64 = 1_073_741_824.0;
const MEGABIT: f64 = 1_000_000.0;

/// `GET /orchestrator/metrics`.
pub(super) async fn metrics(caller: Caller) -> Result<Response, Refusal> {
    let (engine, namespace) = (caller.engine()?, caller.namespace());
    let now = clock::now();
    let used = caller.machine().look(Path::new(&caller.about().data_dir));
    let [high, medium, low] = engine.limits().waiting;
    let catalog = engine.catalog().all(namespace);
    let minute = telemetry::traffic().minute();
    let answers = f64::from(minute.answers);
    Ok(answer::ok(&json!({
        "timestamp": now.to_string(),
        "orchestrator_status": condition(&caller),
        "system_metrics": {
            "total_services": null,
            "running_services": null,
            "failed_services": null,
            "maintenance_services": null,
            "total_workflows": catalog.len(),
            "active_workflows": active(engine, namespace),
            "completed_workflows_today": ended_today(engine, namespace, Word::Completed, now).await?,
            "failed_workflows_today": ended_today(engine, namespace, Word::Failed, now).await?,
            "average_task_duration_minutes": mean_task_ms(engine, namespace).await?.map(minutes),
            "system_load_percent": percent(used.cores),
            "memory_usage_percent": percent(used.memory),
            "disk_usage_percent": percent(used.disk),
        },
        "performance_metrics": {
            "requests_per_minute": minute.answers,
            "average_response_time_ms": ratio(minute.took.as_secs_f64() * 1_000.0, answers),
            "error_rate_percent": ratio(f64::from(minute.failures) * 100.0, answers),
            "queue_sizes": {
                "high_priority": high, "medium_priority": medium, "low_priority": low,
            },
        },
        "resource_utilization": resources(&used),
    })))
}

fn resources(used: &Used) -> Value {
    let part = |share: Option<Share>, of: fn(Share) -> f64, unit: f64| {
        share.map(|share| rounded(of(share) / unit))
    };
    let (now, all) = (|own: Share| own.used, |own: Share| own.total);
    json!({
        "cpu_cores_used": part(used.cores, now, 1.0),
        "cpu_cores_total": part(used.cores, all, 1.0),
        "memory_gb_used": part(used.memory, now, GIGABYTE),
        "memory_gb_total": part(used.memory, all, GIGABYTE),
        "disk_gb_used": part(used.disk, now, GIGABYTE),
        "disk_gb_total": part(used.disk, all, GIGABYTE),
        "network_mbps_in": used.network.map(|(bits, _)| rounded(bits / MEGABIT)),
        "network_mbps_out": used.network.map(|(_, bits)| rounded(bits / MEGABIT)),
    })
}

/// `GET /orchestrator/health`: 200 while the process is alive; whoever has to prove who they are is
/// told the rest with the permission, by `/health/system`.
pub(super) async fn alive(app: State<App>) -> Response {
    if !app.gate().is_required() {
        return health(app).await;
    }
    let ready = app.engine().is_ok_and(Handle::is_ready);
    answer::ok(&json!({ "status": word(ready), "timestamp": clock::now().to_string() }))
}

/// `GET /health/system`: 200 while the process is alive; the words tell the rest.
pub(super) async fn health(State(app): State<App>) -> Response {
    let used = app.machine().look(Path::new(&app.about().data_dir));
    let engine = app.engine().ok();
    let running = engine.map(|engine| active(engine, DEFAULT_NAMESPACE));
    answer::ok(&json!({
        "status": condition(&app),
        "timestamp": clock::now().to_string(),
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": telemetry::traffic().uptime().as_secs(),
        "checks": {
            "database": journal_check(&app).await,
            "redis": cache_check(engine),
            "temporal": engine_check(engine),
            "service_mesh": {
                "status": "unknown",
                "healthy_services": null,
                "unhealthy_services": null,
                "message": "this server has no services yet",
                "component": "registry",
            },
        },
        "metrics": {
            "active_workflows": running,
            "running_services": null,
            "system_load": percent(used.cores),
            "memory_usage": percent(used.memory),
        },
    }))
}

/// How the server is as a whole.
fn condition(app: &App) -> &'static str {
    match app.engine() {
        Ok(engine) if engine.is_ready() && alarms::warnings(app).is_empty() => "healthy",
        Ok(engine) if engine.is_ready() => "warning",
        _ => "unhealthy",
    }
}

/// Reads a row of the journal's views.
async fn journal_check(app: &App) -> Value {
    let began = Instant::now();
    let read = match app.engine() {
        Ok(engine) => {
            let filter =
                RunFilter { namespace: DEFAULT_NAMESPACE.to_owned(), ..RunFilter::default() };
            engine.runs(filter, None, 1).await.is_ok()
        }
        Err(_) => false,
    };
    let healthy = read && app.journal_failure().is_none();
    json!({
        "status": word(healthy),
        "response_time_ms": rounded(began.elapsed().as_secs_f64() * 1_000.0),
        "connection_pool": "none",
        "message": app.journal_failure(),
        "component": "journal",
    })
}

fn cache_check(engine: Option<&Handle>) -> Value {
    let began = Instant::now();
    let usage = engine.map(|engine| engine.cache().usage());
    let took_ms = began.elapsed().as_secs_f64() * 1_000.0;
    let status = match usage {
        None => "unhealthy",
        Some(usage) if usage.bytes_max == 0 => "disabled",
        Some(_) => "healthy",
    };
    let share =
        usage.map(|usage| Share { used: whole(usage.bytes), total: whole(usage.bytes_max) });
    json!({
        "status": status,
        "response_time_ms": rounded(took_ms),
        "memory_usage_percent": percent(share),
        "component": "result cache",
    })
}

fn engine_check(engine: Option<&Handle>) -> Value {
    let began = Instant::now();
    let waiting = engine.map(|engine| engine.limits().waiting.iter().sum::<usize>());
    json!({
        "status": word(engine.is_some_and(Handle::is_ready)),
        "response_time_ms": rounded(began.elapsed().as_secs_f64() * 1_000.0),
        "workflow_queue_size": waiting,
        "component": "engine",
    })
}

fn word(healthy: bool) -> &'static str {
    if healthy { "healthy" } else { "unhealthy" }
}

/// Runs that have not ended.
fn active(engine: &Handle, namespace: &str) -> u64 {
    let mut total = RunStatistics::default();
    engine.journal().run_statistics(namespace).values().for_each(|own| total.merge(own));
    let live = RunStatus::ALL.into_iter().filter(|status| !status.is_ended());
    live.map(|status| total.of_status(status)).sum()
}

/// Runs that ended with a word since midnight in UTC.
async fn ended_today(
    engine: &Handle,
    namespace: &str,
    word: Word,
    now: Timestamp,
) -> Result<usize, Refusal> {
    let midnight = Timestamp(now.0 - now.0.rem_euclid(DAY_US));
    let filter = RunFilter {
        namespace: namespace.to_owned(),
        ended: Range { after: Some(midnight), before: None },
        ..RunFilter::default()
    };
    let none = Window::nothing();
    Ok(listed(engine, filter, Some(word), &none).await?.total)
}

/// The mean duration of the tasks of the newest completed runs.
async fn mean_task_ms(engine: &Handle, namespace: &str) -> Result<Option<u64>, Refusal> {
    let filter = RunFilter {
        namespace: namespace.to_owned(),
        status: Some(RunStatus::Completed),
        ..RunFilter::default()
    };
    let page = engine.runs(filter, None, TASKS_OF_RUNS_MAX).await?;
    let (mut sum_ms, mut count) = (0, 0);
    for RunSummary { execution, .. } in page.rows {
        let Some(run) = shown(engine, execution).await? else { continue };
        for took_ms in Run(&run).task_durations_ms() {
            sum_ms += took_ms;
            count += 1;
        }
    }
    Ok(u64::checked_div(sum_ms, count))
}

fn percent(share: Option<Share>) -> Option<Value> {
    share.and_then(Share::percent).map(rounded)
}

/// Nothing was answered: nothing failed, and nothing took any time.
fn ratio(part: f64, whole: f64) -> Value {
    if whole > 0.0 { rounded(part / whole) } else { 0.into() }
}

fn rounded(number: f64) -> Value {
    Number::from_f64((number * 1_000.0).round() / 1_000.0).map_or(Value::Null, Value::from)
}

#[expect(clippy::cast_precision_loss, reason = "right to 53 bits")]
fn whole(bytes: usize) -> f64 {
    bytes as f64
}
