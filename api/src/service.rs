//! The server as a whole: an address, an engine, and the order in which they start and stop.
//!
//! `Settings` -> [`Service::bind`] -> [`Service::run`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backstitch_executors::{Callers, HostList, HttpConfig, PrivateHosts, Registry};
use backstitch_saga::hold::Hold;
use backstitch_saga::secrets::SecretStore;
use backstitch_saga::webhooks::{Secrets, Signer};
use backstitch_saga::{Config, Engine, Handle};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::archive_watch::ArchiveWatch;
use crate::error::Error;
use crate::http::{self, About, App, Gate, telemetry};
use crate::log::Logs;
use crate::otlp::{self, Exporter};
use crate::reload::{self, Reader, Reloading};
use crate::renewed::Keeper;
use crate::settings::{Problems, Settings};
use crate::{outgoing, secret_store, server, tls, webhook_secrets};

/// How long answers under way may take to be read once the engine has stopped.
const ANSWERS_GRACE: Duration = Duration::from_secs(2);
/// How often the recorder's histograms are emptied into their buckets.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// A server that has its address and is not open yet.
#[derive(Debug)]
pub struct Service {
    settings: Settings,
    registry: Arc<Registry>,
    listener: TcpListener,
    address: SocketAddr,
    hold: Hold,
    gate: Gate,
    tls: Option<(tls::Acceptor, Keeper<Arc<ServerConfig>>)>,
    secrets: Option<(Signer, Keeper<Secrets>)>,
    store: SecretStore,
    outgoing: Option<Keeper<Callers>>,
    logs: Logs,
    reader: Reader,
}

impl Service {
    /// Takes the address. Nothing else is touched, so that a second server on the same
    /// address ends before it looks at any data.
    ///
    /// # Errors
    /// [`Error::NotLoopback`], [`Error::Listen`], [`Error::Executors`]; [`Error::Setting`] for keys of
    /// an issuer, files of TLS or secrets of callbacks that can't be read.
    pub async fn bind(settings: Settings) -> Result<Self, Error> {
        if !settings.listen.ip().is_loopback()
            && !settings.allow_unauthenticated
            && !settings.authentication.required
        {
            return Err(Error::NotLoopback(settings.listen));
        }
        let gate = Gate::of(&settings.authentication)?;
        let tls = settings.tls.clone().map(tls::open).transpose()?;
        let secrets = settings.webhook_secrets.clone().map(webhook_secrets::open).transpose()?;
        let store = secret_store::open(&settings)?;
        let http = HttpConfig { private_hosts: private_hosts(&settings), ..HttpConfig::default() };
        let mut registry = Registry::builtin(http.clone())?;
        let outgoing = settings.outgoing.clone();
        let outgoing =
            outgoing.map(|files| outgoing::open(&mut registry, &http, files)).transpose()?;
        let registry = Arc::new(registry);
        let listener = server::listen(settings.listen).await?;
        let address = listener.local_addr().map_err(Error::io("reading the own address"))?;
        let logs = Logs::of(&settings);
        let start = settings.clone();
        let reader = Reader::of(move || Ok(start.clone()));
        Ok(Self {
            settings,
            registry,
            listener,
            address,
            hold: Hold::default(),
            gate,
            tls,
            secrets,
            store,
            outgoing,
            logs,
            reader,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same with other executors.
    #[must_use]
    pub fn with_executors(self, registry: Registry) -> Self {
        Self { registry: Arc::new(registry), ..self }
    }

    /// The same with the log that the program writes to; without it nobody does.
    #[must_use]
    pub fn with_logs(self, logs: Logs) -> Self {
        Self { logs, ..self }
    }

    /// The same with settings that can be read again; without it they stay as they are.
    #[must_use]
    pub fn with_reader(
        self,
        reader: impl Fn() -> Result<Settings, Problems> + Send + Sync + 'static,
    ) -> Self {
        Self { reader: Reader::of(reader), ..self }
    }

    /// Where the engine is held up, for whoever tests it.
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.hold.clone()
    }

    /// Opens the engine and serves until `shutdown` completes: then no new work is taken,
    /// attempts under way are drained, the journal is closed, and the last answers are sent.
    /// While the engine is being opened, `/health` answers and everything else is 503.
    ///
    /// # Errors
    /// [`Error::DataDirectory`], [`Error::DataPath`] and [`Error::Open`] when the data directory
    /// can't be used, [`Error::Journal`] when the
    /// journal fails later.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let Self { settings, registry, listener, address, hold, gate, .. } = self;
        let Self { tls, secrets, store, outgoing, logs, reader, .. } = self;
        telemetry::recorded();
        let reloading =
            Reloading::new(settings.clone(), reader, address, (store.clone(), logs.clone()));
        let app = App::new(about(&settings, address), reloading.clone(), gate, logs.clone());
        let (stop, stopping) = watch::channel(false);
        let router = http::router(app.clone());
        let mut keepers = JoinSet::new();
        let levels = logs.clone();
        keepers.spawn(async move { levels.levels().keep().await });
        if let Some(keeper) = outgoing {
            keepers.spawn(keeper.keep());
        }
        keepers.spawn(reload::at_hangups(app.clone(), reloading));
        let acceptor = tls.map(|(acceptor, keeper)| {
            keepers.spawn(keeper.keep());
            acceptor
        });
        let signer = secrets.map_or_else(Signer::default, |(signer, keeper)| {
            keepers.spawn(keeper.keep());
            signer
        });
        let served = server::serve(listener, router, acceptor, stopped(stopping), ANSWERS_GRACE);
        let connections = tokio::spawn(served);
        let upkeep = tokio::spawn(keep_metrics(app.clone()));
        let ended =
            serve(&settings, (registry, signer, store, hold), address, &app, shutdown).await;
        stop.send_replace(true);
        logs.lines().end();
        upkeep.abort();
        drop(keepers);
        if let Err(error) = connections.await {
            tracing::error!(%error, "serving connections met a bug");
        }
        if tokio::time::timeout(ANSWERS_GRACE, app.streams_over()).await.is_err() {
            tracing::warn!("some streams were cut off");
        }
        ended
    }
}

/// Where nobody is asked who they are, everybody may define workflows, and name any host in them.
fn private_hosts(settings: &Settings) -> PrivateHosts {
    settings.private_hosts.clone().unwrap_or_else(|| match settings.authentication.required {
        true => PrivateHosts::DeniedBut(HostList::default()),
        false => PrivateHosts::Allowed,
    })
}

async fn serve(
    settings: &Settings,
    (registry, signer, secrets, hold): (Arc<Registry>, Signer, SecretStore, Hold),
    address: SocketAddr,
    app: &App,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let mut shutdown = std::pin::pin!(shutdown);
    let config = Config {
        data_dir: settings.data_dir.clone(),
        journal: settings.journal.clone(),
        registry,
        signer,
        secrets,
        attempts_max: settings.workers_max.min(server::connections_max() / 2),
        slots: settings.slots,
        breakers: settings.breakers,
        fault_injection: settings.fault_injection,
        hold,
        cache_bytes_max: settings.cache_bytes_max,
        drain: settings.drain,
        shutdown: settings.shutdown,
        retention: settings.retention.clone(),
        policies: settings.policies.clone(),
    };
    let opening = tokio::task::spawn_blocking(|| Engine::open(config));
    let opened = tokio::select! {
        () = &mut shutdown => return Ok(()),
        opened = opening => opened,
    };
    let engine = opened
        .map_err(|error| Error::Failed(format!("opening the journal met a bug: {error}")))?
        .map_err(|error| Error::opening(&settings.data_dir, error))?;
    let recovered = engine.recovered().clone();
    app.opened(engine.handle(), recovered.clone());
    tracing::info!(
        address = %address,
        data_dir = %settings.data_dir.display(),
        fsync = settings.fsync_word(),
        recovered = recovered.live,
        quarantined = recovered.quarantined,
        workflows = workflows(&engine.handle()),
        "backstitch {} is ready", env!("CARGO_PKG_VERSION"),
    );
    let exporter = match &settings.otlp {
        Some(otlp) => {
            let exporter = Exporter::new(otlp, &settings.node, &settings.data_dir)?;
            Some(tokio::spawn(exporter.run(engine.handle(), engine.opened_at().clone())))
        }
        None => {
            otlp::forget(&settings.data_dir);
            None
        }
    };
    let asked = async {
        shutdown.await;
        tracing::info!("shutting down: no new work, waiting for attempts under way");
    };
    let ended = engine.run(asked).await.map_err(Error::Journal);
    // It ends by itself: whom it follows is gone.
    if let Some(Err(error)) = async { Some(exporter?.await) }.await {
        tracing::error!(%error, "exporting spans met a bug");
    }
    ended?;
    tracing::info!("stopped; everything acknowledged is in the journal");
    Ok(())
}

fn workflows(handle: &Handle) -> usize {
    handle.catalog().all(backstitch_core::ids::DEFAULT_NAMESPACE).len()
}

fn about(settings: &Settings, address: SocketAddr) -> About {
    About {
        node: settings.node.clone(),
        data_dir: settings.data_dir.display().to_string(),
        listen: address.to_string(),
        fsync: settings.fsync_word(),
        backup_directory: settings.backup_directory.clone(),
        metrics: settings.metrics,
        metric_names: settings.metric_names,
        fault_injection: settings.fault_injection,
    }
}

/// Completes when the server is told to stop, or whoever could tell it is gone.
async fn stopped(mut stopping: watch::Receiver<bool>) {
    if stopping.wait_for(|stop| *stop).await.is_err() {
        tracing::debug!("nobody is left to stop the server");
    }
}

async fn keep_metrics(app: App) {
    let mut ticks = tokio::time::interval(METRICS_UPKEEP);
    let mut archive = ArchiveWatch::default();
    loop {
        ticks.tick().await;
        app.archive().iter().for_each(|info| archive.look(info));
        telemetry::recorded().run_upkeep();
    }
}
