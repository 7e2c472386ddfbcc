//! The HTTP API: one module for each resource, over the engine's handle.
//!
//! Translates: bodies and paths to the engine's requests, its answers to JSON, its errors to
//! the envelope. Decides nothing about runs, and opens no sockets: that is `server`.

mod admin;
pub mod alarms;
mod answer;
mod audit;
mod backups;
mod breakers;
mod cache;
pub mod codes;
mod control;
mod cut;
mod database;
mod document;
mod executions;
mod fields;
mod forks;
mod history;
mod hosts;
mod items;
mod letter_groups;
mod letters;
mod limits;
mod migrations;
mod path;
mod payloads;
mod query;
mod redrives;
mod refusal;
mod rehearsals;
mod replays;
mod retention;
mod rollouts;
mod room;
mod shield;
mod spool;
mod statistics;
mod status;
pub mod telemetry;
mod transfer;
mod travel;
mod undos;
mod workflows;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use backstitch_core::ids::DEFAULT_NAMESPACE;
use backstitch_journal::ArchiveInfo;
use backstitch_saga::Handle;
use backstitch_saga::engine::Recovered;

use backups::Backups;
use room::Room;

pub use document::BODY_BYTES_MAX;
pub use hosts::Hosts;
pub use query::{LIMIT_DEFAULT, LIMIT_MAX};
pub use refusal::Refusal;
pub use status::About;

/// Who acts while there is no authentication.
const ACTOR: &str = "anonymous";

/// What every route works with. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

struct Parts {
    engine: OnceLock<Opened>,
    about: About,
    hosts: Hosts,
    namespace: Arc<str>,
    room: Room,
    backups: Backups,
}

struct Opened {
    handle: Handle,
    recovered: Recovered,
}

impl App {
    /// An application whose engine is still being opened: it is alive and not ready.
    #[must_use]
    pub fn new(about: About, hosts: Hosts) -> Self {
        let namespace = DEFAULT_NAMESPACE.into();
        let (room, backups) = (Room::new(), Backups::below(about.backup_directory.clone()));
        let engine = OnceLock::new();
        Self(Arc::new(Parts { engine, about, hosts, namespace, room, backups }))
    }

    /// The engine is open: from now on there is work to take.
    pub fn opened(&self, handle: Handle, recovered: Recovered) {
        if self.0.engine.set(Opened { handle, recovered }).is_err() {
            tracing::warn!("the engine was opened twice; the first one is used");
        }
    }

    fn engine(&self) -> Result<&Handle, Refusal> {
        Ok(&self.opened_engine()?.handle)
    }

    fn opened_engine(&self) -> Result<&Opened, Refusal> {
        let starting = || Refusal::unavailable("the server is starting: it reads its journal");
        self.0.engine.get().ok_or_else(starting)
    }

    /// How archiving the journal stands, once it is open.
    #[must_use]
    pub fn archive(&self) -> Option<ArchiveInfo> {
        self.0.engine.get()?.handle.journal().archive()
    }

    /// Why the journal can't be written any more, if that is so.
    fn journal_failure(&self) -> Option<String> {
        let why = self.0.engine.get()?.handle.journal().poisoned()?;
        Some(format!("the journal can't be written: {why}"))
    }

    fn about(&self) -> &About {
        &self.0.about
    }

    fn hosts(&self) -> &Hosts {
        &self.0.hosts
    }

    fn room(&self) -> &Room {
        &self.0.room
    }

    fn backups(&self) -> &Backups {
        &self.0.backups
    }

    fn namespace(&self) -> &Arc<str> {
        &self.0.namespace
    }
}

/// What is done to a run under way.
fn control_routes() -> Router<App> {
    Router::new()
        .route("/api/v1/executions/{execution_id}/pause", post(control::pause))
        .route("/api/v1/executions/{execution_id}/resume", post(control::resume))
        .route("/api/v1/executions/{execution_id}/undos/done", post(undos::done))
        .route("/api/v1/executions/{execution_id}/undos/accept", post(undos::accept))
        .route("/api/v1/executions/{execution_id}/undos/set-aside", post(undos::set_aside))
        .route("/api/v1/executions/{execution_id}/steps/{step_id}/skip", post(control::skip_step))
        .route(
            "/api/v1/executions/{execution_id}/steps/{step_id}/set-output",
            post(control::set_output),
        )
        .route("/api/v1/executions/{execution_id}/signals/{name}", post(control::signal))
        .route("/api/v1/executions/{execution_id}/why", get(control::why))
        .route("/api/v1/executions/{execution_id}/fork", post(forks::fork))
}

/// Dead letters, one by one and by a filter.
fn letter_routes() -> Router<App> {
    Router::new()
        .route("/api/v1/dlq/stats", get(letter_groups::statistics))
        .route("/api/v1/dlq/retries", get(redrives::list).post(redrives::begin))
        .route("/api/v1/dlq/retries/{redrive_id}", get(redrives::show))
        .route("/api/v1/dlq/retries/{redrive_id}/pause", post(redrives::pause))
        .route("/api/v1/dlq/retries/{redrive_id}/resume", post(redrives::resume))
        .route("/api/v1/dlq/retries/{redrive_id}/cancel", post(redrives::cancel))
        .route("/api/v1/dlq/{letter_id}", get(letters::show))
        .route("/api/v1/dlq/{letter_id}/retry", post(letters::retry))
        .route("/api/v1/dlq/{letter_id}/discard", post(letters::discard))
        .route("/api/v1/dlq/{letter_id}/assign", post(letters::assign))
        .route("/api/v1/dlq/{letter_id}/notes", post(letters::note))
}

/// Which revision new runs of a workflow get.
fn rollout_routes() -> Router<App> {
    Router::new()
        .route(
            "/api/v1/workflows/{workflow_id}/rollout",
            get(rollouts::show).put(rollouts::set).delete(rollouts::end),
        )
        .route("/api/v1/workflows/{workflow_id}/rollout/kill", post(rollouts::kill))
}

/// Whether services are called.
fn breaker_routes() -> Router<App> {
    Router::new()
        .route("/api/v1/breakers", get(breakers::list))
        .route("/api/v1/breakers/{key}", get(breakers::show))
        .route("/api/v1/breakers/{key}/{order}", post(breakers::order))
}

/// Every path of the API.
pub fn router(app: App) -> Router {
    let without_query = Router::new()
        .route("/health", get(status::health))
        .route("/ready", get(status::ready))
        .route("/info", get(status::info))
        .route("/metrics", get(telemetry::show))
        .route("/api/v1/stats/db", get(database::show))
        .route("/v1/stats/db", get(database::show))
        .route("/api/v1/workflows", post(workflows::define))
        .route("/api/v1/workflows/validate", post(workflows::validate))
        .route("/api/v1/workflows/{workflow_id}/dry-run", post(rehearsals::dry_run))
        .route("/api/v1/schemas", get(workflows::schemas))
        .route("/api/v1/schemas/{form}", get(workflows::schema))
        .route("/api/v1/workflows/{workflow_id}/revisions", get(workflows::revisions))
        .route("/api/v1/workflows/{workflow_id}/execute", post(executions::execute))
        .route("/api/v1/executions/{execution_id}/compare/{other_id}", get(travel::compare))
        .route("/api/v1/executions/{execution_id}/cancel", post(executions::cancel))
        .merge(control_routes())
        .merge(rollout_routes())
        .merge(breaker_routes())
        .merge(letter_routes())
        .route("/api/v1/import", post(transfer::import))
        .route("/api/v1/replays", get(replays::list).post(replays::begin))
        .route("/api/v1/replays/{replay_id}", get(replays::show))
        .route("/api/v1/replays/{replay_id}/stop", post(replays::stop))
        .route("/api/v1/replays/{replay_id}/resume", post(replays::resume))
        .route("/api/v1/admin/payloads/collect", post(payloads::collect))
        .route("/api/v1/admin/payloads/{digest}", get(payloads::show))
        .route("/api/v1/admin/payloads/{digest}/erase", post(payloads::erase))
        .route("/api/v1/admin/retention/policy", get(retention::policy).put(retention::set_policy))
        .route("/api/v1/admin/cut", post(cut::cut))
        .route("/api/v1/admin/retention/plan", post(retention::plan))
        .route("/api/v1/admin/retention/apply", get(retention::progress).post(retention::apply))
        .route("/api/v1/statistics", get(statistics::all))
        .route("/api/v1/limits", get(limits::show))
        .route("/api/v1/workflows/{workflow_id}/statistics", get(statistics::of_workflow))
        .route("/api/v1/admin/views", get(admin::views))
        .route("/api/v1/admin/views/rebuild", post(admin::rebuild_view))
        .route(
            "/api/v1/admin/backups",
            get(backups::show).post(backups::begin).delete(backups::cancel),
        )
        .route_layer(from_fn(query::take_none));
    let with_query = Router::new()
        .route("/api/v1/workflows", get(workflows::list))
        .route("/api/v1/audit", get(audit::list))
        .route("/api/v1/workflows/{workflow_id}", get(workflows::show))
        .route("/api/v1/workflows/{workflow_id}/migrate", post(migrations::all))
        .route("/api/v1/executions/{execution_id}/migrate", post(migrations::one))
        .route("/api/v1/executions", get(executions::list))
        .route("/api/v1/executions/{execution_id}", get(executions::show))
        .route("/api/v1/executions/{execution_id}/events", get(executions::events))
        .route("/api/v1/executions/{execution_id}/steps/{step_id}/items", get(items::list))
        .route(
            "/api/v1/executions/{execution_id}/rollback",
            get(control::unwind_plan).post(control::roll_back),
        )
        .route("/api/v1/executions/{execution_id}/diff", get(travel::diff))
        .route("/api/v1/executions/{execution_id}/export", get(transfer::export_one))
        .route("/api/v1/export", get(transfer::export))
        .route("/api/v1/events", get(history::events))
        .route("/api/v1/cache", get(cache::show).delete(cache::empty))
        .route("/api/v1/dlq", get(letters::list))
        .route("/api/v1/dlq/groups", get(letter_groups::list));
    let routes =
        with_query.merge(without_query).fallback(shield::unknown_path).with_state(app.clone());
    shield::around(routes, app)
}
