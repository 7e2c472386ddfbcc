//! The HTTP API: one module for each resource, over the engine's handle.
//!
//! Translates: bodies and paths to the engine's requests, its answers to JSON, its errors to
//! the envelope. Decides nothing about runs, and opens no sockets: that is `server`.

mod admin;
pub mod alarms;
mod answer;
mod api_keys;
mod audit;
mod availability;
mod backups;
mod breakers;
mod cache;
mod callbacks;
mod caller;
pub mod codes;
mod compression;
mod control;
mod cut;
mod database;
mod document;
mod documents;
mod executions;
mod fields;
mod forks;
mod gate;
mod history;
mod hosts;
mod items;
mod jwt;
mod letter_groups;
mod letters;
mod limits;
mod live;
mod log_levels;
mod logs;
mod migrations;
mod objects;
mod path;
mod payloads;
mod pieces;
mod preconditions;
mod query;
mod rates;
mod redrives;
mod reference;
mod refusal;
mod rehearsals;
mod reload;
mod replays;
mod request_id;
mod retention;
mod rollouts;
mod room;
mod routes;
mod run_names;
mod shield;
mod spool;
mod statistics;
mod status;
mod surface;
pub mod telemetry;
mod templates;
mod transfer;
mod travel;
mod undos;
mod window;
mod workflow_list;
mod workflow_revisions;
mod workflow_updates;
mod workflows;

use std::sync::{Arc, OnceLock};

use axum::Router;
use backstitch_core::ids::DEFAULT_NAMESPACE;
use backstitch_journal::ArchiveInfo;
use backstitch_saga::Handle;
use backstitch_saga::engine::Recovered;

use crate::log::Logs;
use crate::machine::Meter;
use crate::reload::{InForce, Reloading};
use backups::Backups;
use live::Streams;
use room::Room;

pub use document::BODY_BYTES_MAX;
pub use gate::Gate;
pub use hosts::Hosts;
pub use query::{LIMIT_DEFAULT, LIMIT_MAX};
pub use rates::{Peer, Rates};
pub use reference::openapi;
pub use refusal::Refusal;
pub use routes::{Access, Further, Route};
pub use status::About;

/// What every route works with. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

struct Parts {
    engine: OnceLock<Opened>,
    about: About,
    reloading: Arc<Reloading>,
    gate: Gate,
    logs: Logs,
    room: Room,
    backups: Backups,
    machine: Meter,
    streams: Streams,
}

struct Opened {
    handle: Handle,
    recovered: Recovered,
}

impl App {
    /// An application whose engine is still being opened: it is alive and not ready.
    pub(crate) fn new(about: About, reloading: Arc<Reloading>, gate: Gate, logs: Logs) -> Self {
        let (room, backups) = (Room::new(), Backups::below(about.backup_directory.clone()));
        let engine = OnceLock::new();
        let machine = Meter::default();
        let streams = Streams::new();
        Self(Arc::new(Parts {
            engine,
            about,
            reloading,
            gate,
            logs,
            room,
            backups,
            machine,
            streams,
        }))
    }

    /// The engine is open: from now on there is work to take.
    pub fn opened(&self, handle: Handle, recovered: Recovered) {
        if !self.gate().is_required() && !handle.api_keys(DEFAULT_NAMESPACE).is_empty() {
            tracing::warn!("there are API keys, but nobody needs one: authentication is off");
        }
        if self.0.engine.set(Opened { handle, recovered }).is_err() {
            tracing::warn!("the engine was opened twice; the first one is used");
        }
    }

    /// Completes when every stream of events is over.
    pub async fn streams_over(&self) {
        self.streams().over().await;
    }

    fn streams(&self) -> &Streams {
        &self.0.streams
    }

    fn engine(&self) -> Result<&Handle, Refusal> {
        Ok(&self.opened_engine()?.handle)
    }

    fn opened_engine(&self) -> Result<&Opened, Refusal> {
        let starting = || Refusal::unavailable("the server is starting: it reads its journal");
        self.0.engine.get().ok_or_else(starting)
    }

    /// The engine, once it is open.
    pub(crate) fn handle(&self) -> Option<&Handle> {
        Some(&self.0.engine.get()?.handle)
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

    /// The settings, which may be read again.
    fn reloading(&self) -> &Arc<Reloading> {
        &self.0.reloading
    }

    /// Settings that may change, as they are in force now.
    fn in_force(&self) -> Arc<InForce> {
        self.0.reloading.in_force()
    }

    fn gate(&self) -> &Gate {
        &self.0.gate
    }

    fn logs(&self) -> &Logs {
        &self.0.logs
    }

    fn room(&self) -> &Room {
        &self.0.room
    }

    fn machine(&self) -> &Meter {
        &self.0.machine
    }

    fn backups(&self) -> &Backups {
        &self.0.backups
    }
}

/// Every route with its permission, as it is declared.
#[must_use]
pub fn routes() -> Vec<Route> {
    surface::routes().table()
}

/// Every path of the API.
pub fn router(app: App) -> Router {
    let routes = surface::routes().into_router(&app);
    shield::around(routes.fallback(shield::unknown_path).with_state(app.clone()), app)
}
