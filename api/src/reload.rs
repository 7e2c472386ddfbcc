//! Settings that are read again while the server runs, by SIGHUP and by the API.
//!
//! Flags and variables are those of the start, the configuration file is read anew. Whoever reads a setting
//! that may change asks for what is in force each time. Which settings those are, `settings::reloaded` says.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use backstitch_core::event::SettingChanged;
use backstitch_core::time::Timestamp;
use backstitch_saga::clock;
use backstitch_saga::handle::Reloaded;
use backstitch_saga::secrets::SecretStore;
use backstitch_saga::{Error as EngineError, Handle};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;

use crate::http::{App, Hosts, Rates};
use crate::log::Logs;
use crate::settings::{Change, Problems, Settings};

/// Whom the audit names where a signal had settings read again.
const SIGNAL: &str = "SIGHUP";
/// The longest text of a setting in the journal.
const TEXT_CHARS_MAX: usize = 256;

/// Reads settings anew. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reader(Arc<dyn Fn() -> Result<Settings, Problems> + Send + Sync>);

impl Reader {
    pub(crate) fn of(
        read: impl Fn() -> Result<Settings, Problems> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(read))
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// Settings that may be others while the server runs, as what they are used for.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) settings: Settings,
    pub(crate) hosts: Hosts,
    pub(crate) rates: Arc<Rates>,
    /// When those took force that were read again.
    since: BTreeMap<&'static str, Timestamp>,
    /// Those that were read and do with the next start.
    needs_restart: Vec<Change>,
}

/// The settings of a running server.
pub(crate) struct Reloading {
    reader: Reader,
    address: SocketAddr,
    store: SecretStore,
    logs: Logs,
    begun: Timestamp,
    in_force: RwLock<Arc<InForce>>,
    one_at_a_time: Mutex<()>,
}

/// Why settings were not read again.
#[derive(Debug)]
pub(crate) enum Refused {
    /// They can't be used.
    Wrong(Problems),
    /// What changed could not be recorded.
    Engine(EngineError),
}

impl Reloading {
    pub(crate) fn new(
        settings: Settings,
        reader: Reader,
        address: SocketAddr,
        (store, logs): (SecretStore, Logs),
    ) -> Arc<Self> {
        let in_force = InForce {
            hosts: Hosts::of(address, &settings.allowed_hosts),
            rates: Arc::new(Rates::of(settings.rate_limit_address, settings.rate_limit_caller)),
            settings,
            since: BTreeMap::new(),
            needs_restart: Vec::new(),
        };
        let (begun, in_force) = (clock::now(), RwLock::new(Arc::new(in_force)));
        let one_at_a_time = Mutex::new(());
        Arc::new(Self { reader, address, store, logs, begun, in_force, one_at_a_time })
    }

    /// What is in force now.
    pub(crate) fn in_force(&self) -> Arc<InForce> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every setting that is in force, since when, and what the next start would change.
    pub(crate) fn shown(&self) -> Value {
        let own = self.in_force();
        let mut shown = own.settings.effective.clone();
        for (key, setting) in shown["settings"].as_object_mut().into_iter().flatten() {
            let since = own.since.get(key.as_str()).unwrap_or(&self.begun);
            setting["since"] = since.to_string().into();
        }
        shown["needs_restart"] = own.needs_restart.iter().map(Change::json).collect();
        shown
    }

    /// Reads the settings again, and has those take force that can; all of them or none.
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed then.
    pub(crate) async fn reload(
        self: &Arc<Self>,
        engine: &Handle,
        actor: String,
    ) -> Result<Value, Refused> {
        let _turn = self.one_at_a_time.lock().await;
        let reader = self.reader.clone();
        let read = tokio::task::spawn_blocking(move || reader.0()).await;
        let read = read.unwrap_or_else(|_| Err(vec![(None, "reading met a bug".to_owned())]));
        let read = read.and_then(usable).map_err(Refused::Wrong)?;
        let before = self.in_force();
        let reload = before.settings.reloaded(&read);
        let told = json!({
            "changed": reload.changed.iter().map(Change::json).collect::<Vec<_>>(),
            "needs_restart": reload.needs_restart.iter().map(Change::json).collect::<Vec<_>>(),
        });
        let now = clock::now();
        let mut since = before.since.clone();
        since.extend(reload.changed.iter().map(|own| (own.setting, now)));
        let rates = match is_changed(&reload.changed, &["rate_limit_address", "rate_limit_caller"])
        {
            true => Arc::new(Rates::of(
                reload.settings.rate_limit_address,
                reload.settings.rate_limit_caller,
            )),
            false => before.rates.clone(),
        };
        let next = InForce {
            hosts: Hosts::of(self.address, &reload.settings.allowed_hosts),
            rates,
            settings: reload.settings,
            since,
            needs_restart: reload.needs_restart,
        };
        if reload.changed.is_empty() {
            self.put(next);
            return Ok(told);
        }
        let recorded = Reloaded {
            node: next.settings.node.clone(),
            changed: reload.changed.iter().map(recorded).collect(),
            policy: next.settings.retention.policy.clone(),
        };
        let own = self.clone();
        let taken = engine.reload_settings(recorded, actor, move || own.put(next)).await;
        taken.map_err(Refused::Engine)?;
        Ok(told)
    }

    fn put(&self, next: InForce) {
        self.logs.levels().settings_are(&next.settings.log_level);
        self.store.move_to(next.settings.secrets_dir.clone());
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }
}

/// What no start would take either, but only finds when it uses it.
fn usable(settings: Settings) -> Result<Settings, Problems> {
    match settings.secrets_dir.as_ref().filter(|own| !own.is_dir()) {
        Some(folder) => {
            let why = format!("secrets_dir: `{}` is no folder", folder.display());
            Err(vec![(Some("secrets_dir"), why)])
        }
        None => Ok(settings),
    }
}

fn is_changed(changed: &[Change], keys: &[&str]) -> bool {
    changed.iter().any(|own| keys.contains(&own.setting))
}

fn recorded(change: &Change) -> SettingChanged {
    let text = |own: &Value| Some(own.as_str()?.chars().take(TEXT_CHARS_MAX).collect());
    SettingChanged {
        name: change.setting.to_owned(),
        from: text(&change.from),
        to: text(&change.to),
    }
}

/// Reads settings again at each SIGHUP, for as long as the server runs.
pub(crate) async fn at_hangups(app: App, reloading: Arc<Reloading>) {
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => {
            tracing::error!(%error, "settings stay as they are: SIGHUP can't be caught");
            return;
        }
    };
    while hangups.recv().await.is_some() {
        let Some(engine) = app.handle() else {
            tracing::warn!("settings are not read again while the server starts");
            continue;
        };
        match reloading.reload(engine, SIGNAL.to_owned()).await {
            Ok(told) => tracing::info!(
                changed = %names(&told["changed"]),
                needs_restart = %names(&told["needs_restart"]),
                "settings were read again"
            ),
            Err(Refused::Wrong(problems)) => {
                for (_, why) in problems {
                    tracing::warn!(error = why, "settings stay as they are");
                }
            }
            Err(Refused::Engine(error)) => tracing::warn!(%error, "settings stay as they are"),
        }
    }
}

fn names(changes: &Value) -> String {
    let names = changes.as_array().into_iter().flatten();
    names.filter_map(|own| own["setting"].as_str()).collect::<Vec<_>>().join(", ")
}

impl fmt::Debug for Reloading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading").field("in_force", &self.in_force()).finish_non_exhaustive()
    }
}
