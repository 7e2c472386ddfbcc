//! Runs in this process, without HTTP: what the engine and its journal cost.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backstitch_core::ids::{DEFAULT_NAMESPACE, ExecutionId};
use backstitch_core::summary::RunSummary;
use backstitch_executors::Registry;
use backstitch_journal::{Cursor, Options, Page, RunFilter};
use backstitch_saga::engine::Recovered;
use backstitch_saga::handle::Request;
use backstitch_saga::{Config, Engine, Handle};
use backstitch_tests::process;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::figures::Measured;
use crate::load::{Client, Pace, closed_loop};
use crate::workflow;

/// An open engine on a runtime of its own.
pub struct InProcess {
    runtime: Runtime,
    handle: Handle,
    recovered: Recovered,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), String>>,
}

impl InProcess {
    /// Opens an engine on an empty folder and defines the workflows.
    ///
    /// # Errors
    /// Of the engine.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let registry = Registry::builtin(Default::default()).map_err(|e| e.to_string())?;
        Self::open_with(folder, registry)
    }

    /// The same with other executors.
    ///
    /// # Errors
    /// Of the engine.
    pub fn open_with(folder: &Path, registry: Registry) -> Result<Self, String> {
        let wrong = |error: backstitch_saga::Error| error.to_string();
        let runtime =
            Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
        let config = Config {
            data_dir: folder.to_owned(),
            journal: Options::default(),
            registry: Arc::new(registry),
            signer: Default::default(),
            secrets: Default::default(),
            attempts_max: backstitch_saga::driver::ATTEMPTS_MAX,
            slots: backstitch_saga::slots::Settings::default(),
            breakers: backstitch_saga::breakers::Settings::default(),
            fault_injection: false,
            hold: backstitch_saga::hold::Hold::default(),
            cache_bytes_max: backstitch_saga::cache::CACHE_BYTES_DEFAULT,
            drain: Duration::from_secs(10),
            shutdown: backstitch_saga::Shutdown::Drain,
            policies: backstitch_saga::policies::Settings::default(),
            retention: backstitch_saga::retention::Settings::default(),
        };
        let engine = {
            let _on = runtime.enter();
            Engine::open(config).map_err(wrong)?
        };
        let (handle, recovered) = (engine.handle(), engine.recovered().clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = runtime.spawn(engine.run(async move { drop(stopped.await) }));
        let definitions = workflow::STEPS.map(workflow::definition);
        let definitions = definitions.into_iter().chain(workflow::waiting_definitions());
        for definition in definitions.chain([workflow::looping_definition()]) {
            let namespace = DEFAULT_NAMESPACE.into();
            let defined = handle.define(&namespace, &definition, "bench");
            runtime.block_on(defined).map_err(wrong)?;
        }
        Ok(Self { runtime, handle, recovered, stop, running })
    }

    /// Submits so many runs of a workflow that owe nothing once they are answered.
    ///
    /// # Errors
    /// Of a submission.
    pub fn flood(&self, request: &Request, runs: usize, clients: usize) -> Result<(), String> {
        let (left, mut tasks) = (Arc::new(AtomicUsize::new(runs)), JoinSet::new());
        let waits = ![workflow::SLEEPING, workflow::RESTING].contains(&request.workflow.as_str());
        let _on = self.runtime.enter();
        for _ in 0..clients {
            let (left, mut client) = (left.clone(), self.client(request.clone()));
            tasks.spawn(async move {
                let one_less = |left: usize| left.checked_sub(1);
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
                    if waits {
                        client.once().await?;
                    } else {
                        let begun = client.handle.submit(client.request.clone()).await;
                        begun.map_err(|error| error.to_string())?;
                    }
                }
                Ok::<_, String>(())
            });
        }
        self.runtime.block_on(async {
            while let Some(ended) = tasks.join_next().await {
                ended.map_err(|error| error.to_string())??;
            }
            Ok(())
        })
    }

    fn client(&self, request: Request) -> Submits {
        Submits { handle: self.handle.clone(), request }
    }

    /// The engine's handle.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits for something on the engine's runtime.
    pub fn block_on<T>(&self, awaited: impl Future<Output = T>) -> T {
        self.runtime.block_on(awaited)
    }

    /// What the engine found when it was opened.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// A page of a list.
    ///
    /// # Errors
    /// Of the read.
    pub fn runs(
        &self,
        filter: &RunFilter,
        after: Option<Cursor>,
        rows: usize,
    ) -> Result<Page<RunSummary>, String> {
        let page = self.handle.runs(filter.clone(), after, rows);
        self.runtime.block_on(page).map_err(|error| error.to_string())
    }

    /// One run.
    ///
    /// # Errors
    /// Of the read.
    pub fn execution(&self, run: ExecutionId) -> Result<Arc<Value>, String> {
        self.runtime.block_on(self.handle.execution(run)).map_err(|error| error.to_string())
    }

    /// The closed loop of runs.
    ///
    /// # Errors
    /// Of a run.
    pub fn measure(&self, steps: usize, clients: usize, pace: Pace) -> Result<Measured, String> {
        let client = || self.client(workflow::submission(steps));
        let own = std::process::id();
        let before = (self.handle.journal().info().log, process::usage(own).cpu);
        let clients = (0..clients).map(|_| client()).collect();
        let mut measured = self.runtime.block_on(closed_loop(clients, pace))?;
        let after = (self.handle.journal().info().log, process::usage(own).cpu);
        let syncs = after.0.group_syncs - before.0.group_syncs;
        measured.each("syncs_per_run", syncs as f64);
        measured.each("cpu_us_per_run", (after.1 - before.1).as_micros() as f64);
        let written = after.0.written_bytes - before.0.written_bytes;
        measured.each("log_bytes_per_run", written as f64);
        Ok(measured)
    }

    /// Shuts the engine down as a server would.
    ///
    /// # Errors
    /// It ended badly.
    pub fn close(self) -> Result<(), String> {
        self.stop.send(()).map_err(|()| "the engine had ended already".to_owned())?;
        self.runtime.block_on(self.running).map_err(|error| error.to_string())?
    }
}

struct Submits {
    handle: Handle,
    request: Request,
}

impl Client for Submits {
    async fn once(&mut self) -> Result<(), String> {
        let limit = Duration::from_secs(workflow::WAIT_SECONDS);
        let asked = self.handle.submit_and_wait(self.request.clone(), limit).await;
        let (accepted, ended) = asked.map_err(|error| error.to_string())?;
        match ended {
            Some(shown) if shown["status"] == "completed" => Ok(()),
            Some(shown) => Err(format!("{} ended {}", accepted.execution, shown["status"])),
            None => Err(format!("{} did not end in {limit:?}", accepted.execution)),
        }
    }
}
