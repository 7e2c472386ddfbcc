//! What the server says about itself: alive, ready, and how it is set up.

use axum::extract::State;
use axum::response::Response;
use backstitch_core::plan::OWN_TYPES;
use backstitch_journal::{COMMIT_FORMAT, Head, Info};
use serde::Serialize;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{App, alarms, answer, codes};
use crate::settings::MetricNames;

/// How the server is set up, as `GET /info` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    /// The name of this node.
    pub node: String,
    /// Where the journal is.
    pub data_dir: String,
    /// Where it listens.
    pub listen: String,
    /// The fsync policy, as configured.
    pub fsync: String,
    /// Where backups may go; none if they are off.
    pub backup_directory: Option<std::path::PathBuf>,
    /// Whether there are metrics.
    pub metrics: bool,
    /// Under which names metrics are printed.
    pub metric_names: MetricNames,
    /// Whether runs may be submitted with faults.
    pub fault_injection: bool,
}

/// `GET /health`: the process is alive, and what somebody should look at; where callers have to
/// prove who they are, that is told with the permission, by `/info`.
pub(super) async fn health(State(app): State<App>) -> Response {
    if app.gate().is_required() {
        return answer::ok(&json!({ "status": "healthy" }));
    }
    answer::ok(&json!({ "status": "healthy", "warnings": alarms::warnings(&app) }))
}

/// `GET /ready`: work is taken. 503 with the reason otherwise.
pub(super) async fn ready(State(app): State<App>) -> Result<Response, Refusal> {
    let engine = app.engine()?;
    if engine.is_ready() {
        return Ok(answer::ok(&json!({ "status": "ready" })));
    }
    let stopping = || "the server is shutting down".to_owned();
    let told = app.journal_failure().filter(|_| !app.gate().is_required());
    Err(Refusal::unavailable(told.unwrap_or_else(stopping)))
}

/// `GET /info`.
pub(super) async fn info(State(app): State<App>) -> Result<Response, Refusal> {
    let opened = app.opened_engine()?;
    let (engine, about, recovered) = (&opened.handle, app.about(), &opened.recovered);
    let journal = engine.journal().clone();
    let reading = tokio::task::spawn_blocking(move || journal.info());
    let journal = reading.await.map_err(|_| Refusal::new(codes::INTERNAL, "not read"))?;
    Ok(answer::ok(&json!({
        "name": "backstitch",
        "version": env!("CARGO_PKG_VERSION"),
        "node": about.node,
        "listen": about.listen,
        "data_dir": about.data_dir,
        "fsync": about.fsync,
        "backup_directory": about.backup_directory,
        "authentication": if app.gate().is_required() { "required" } else { "none" },
        "features": ["local"],
        "task_types": task_types(engine.registry().task_types()),
        "journal": journal_json(&journal),
        "views": engine.views(),
        "letter_alarm": app.in_force().settings.letter_alarm,
        "fault_injection": about.fault_injection,
        "warnings": alarms::warnings(&app),
        "recovered": { "live": recovered.live, "quarantined": recovered.quarantined, "checkpoints": recovered.checkpoints },
    })))
}

/// `GET /api/v1/config/effective`: every setting, where it comes from and since when, what was said to
/// no effect, and what the next start would change.
pub(super) async fn config(State(app): State<App>) -> Response {
    answer::ok(&app.reloading().shown())
}

fn journal_json(journal: &Info) -> Value {
    let total = |of: fn(&Head) -> u64| journal.heads.iter().map(of).sum::<u64>();
    let scrub: Vec<Value> = journal
        .scrub
        .iter()
        .map(|(part, state)| json!({ "part": part.name(), "scrub": state }))
        .collect();
    json!({
        "format": COMMIT_FORMAT,
        "store_id": journal.store_id,
        "generation": journal.generation,
        "partitions": journal.partitions,
        "commits": total(|head| head.sequence),
        "records": total(|head| head.position),
        "log_bytes": journal.log_bytes,
        "archive": journal.archive,
        "store_bytes": journal.store_bytes,
        "views_bytes": journal.views_bytes,
        "blobs": journal.blobs,
        "blobs_bytes": journal.blobs_bytes,
        "pending_bytes": journal.pending_bytes,
        "syncs": journal.log.group_syncs,
        "groups": journal.log.groups,
        "scrub": scrub,
        "poisoned": journal.poisoned,
    })
}

/// What executors do, and what the engine does itself.
pub(super) fn task_types(effectful: &[&'static str]) -> Vec<&'static str> {
    let mut words = [effectful, &OWN_TYPES].concat();
    words.sort_unstable();
    words
}
