//! Many runs at once: what one that waits takes of memory, and how soon a ready step starts.
//!
//! A step's start is the moment its executor is called: the decision, the wait for a turn and the
//! sync of the commit that says so are all before it. Each figure is measured once.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backstitch_core::event::{Event, RunEvent};
use backstitch_core::ids::ExecutionId;
use backstitch_core::payload::Payload;
use backstitch_core::time::Timestamp;
use backstitch_executors::{Attempt, Executor, InputProblem, Registry, Task};
use backstitch_saga::clock;
use backstitch_tests::process;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::engine::InProcess;
use crate::figures::Measured;
use crate::herd;
use crate::items;
use crate::scale::{CLIENTS, Found, output_of};
use crate::workflow;

/// The word that makes this program fill itself with waiting runs and tell what they take.
pub const REST_WORD: &str = "rest-and-tell";

/// How many runs there are.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Runs that wait for a timer.
    pub waiting_runs: usize,
    /// Runs that go on at the same time, each with a pause between any two of its steps.
    pub progressing_runs: usize,
    /// How long a pause is.
    pub pause: Duration,
    /// Runs one after the other, with nothing beside them.
    pub lone_runs: usize,
    /// Runs that are due at the same instant.
    pub herd_runs: usize,
    /// How long before that instant they begin to begin.
    pub herd_lead: Duration,
    /// Items of one run's loop.
    pub loop_items: usize,
}

/// The numbers that are promised.
pub const FULL: Sizes = Sizes {
    waiting_runs: 100_000,
    progressing_runs: 10_000,
    pause: Duration::from_secs(10),
    lone_runs: 500,
    herd_runs: 10_000,
    herd_lead: Duration::from_secs(30),
    loop_items: 100_000,
};
/// A smoke run's.
pub const QUICK: Sizes = Sizes {
    waiting_runs: 200,
    progressing_runs: 50,
    pause: Duration::from_millis(50),
    lone_runs: 10,
    herd_runs: 50,
    herd_lead: Duration::from_secs(2),
    loop_items: 300,
};

/// When the executor of each step was called.
#[derive(Default)]
pub struct Starts(Mutex<HashMap<(ExecutionId, Arc<str>), Timestamp>>);

impl Starts {
    /// How long after an instant each start was.
    pub fn late_us(&self, due: Timestamp) -> Vec<u32> {
        let starts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let late = starts.values().map(|at| at.0.saturating_sub(due.0).max(0));
        late.map(|us| u32::try_from(us).unwrap_or(u32::MAX)).collect()
    }
}

impl Executor for Starts {
    fn run(&self, task: Task) -> Attempt {
        let at = clock::now();
        if let Some(run) = task.execution {
            let mut starts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            starts.insert((run, task.step.clone()), at);
        }
        Box::pin(std::future::ready(Ok(Payload::of(&json!({})))))
    }

    fn check(&self, _: &Value) -> Vec<InputProblem> {
        Vec::new()
    }
}

/// All figures.
///
/// # Errors
/// Of the engine.
pub fn measure(folder: &Path, sizes: Sizes) -> Result<Vec<Found>, String> {
    let mut found = vec![waiting(&folder.join("waiting"), sizes.waiting_runs)?];
    let runs = sizes.lone_runs;
    let load = Load { runs, at_once: 1, pause: Duration::ZERO, begin_within: Duration::ZERO };
    found.push((format!("{runs} runs in turn"), "steps", starts(&folder.join("lone"), load)?));
    let (runs, pause) = (sizes.progressing_runs, sizes.pause);
    let load = Load { runs, at_once: runs, pause, begin_within: pause };
    found.push((format!("{runs} runs under way"), "steps", starts(&folder.join("spread"), load)?));
    let load = Load { begin_within: Duration::ZERO, ..load };
    found.push((format!("{runs} runs at once"), "steps", starts(&folder.join("burst"), load)?));
    let herd = herd::measure(&folder.join("herd"), sizes.herd_runs, sizes.herd_lead)?;
    found.push((format!("{} runs due together", sizes.herd_runs), "steps", herd));
    found.push(items::measure(&folder.join("loop"), sizes.loop_items)?);
    Ok(found)
}

fn waiting(folder: &Path, runs: usize) -> Result<Found, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    let told = output_of(command.arg(REST_WORD).arg(folder).arg(runs.to_string()))?;
    let number = |name: &str| told[name].as_f64().unwrap_or_default();
    let us = number("flood_us") / runs as f64;
    let mut measured = Measured {
        per_second: 1e6 / us.max(0.001),
        p50_us: us,
        p99_us: us,
        counted: runs as u64,
        total: runs as u64,
        extra: Default::default(),
    };
    measured.extra.insert("resident_bytes_per_run", number("resident_bytes") / runs as f64);
    measured.extra.insert("warm_up_mib", number("warm_up_bytes") / f64::from(1 << 20));
    Ok((format!("{runs} runs wait"), "runs", measured))
}

/// Submits runs that wait for a month, in a process of its own, and tells what it holds more than
/// before, once they are in the store. Before, as many have gone from their beginning to their end:
/// what caches hold then is theirs, and bounded, and not of those that wait.
///
/// # Errors
/// Of the engine.
pub fn rest_and_tell(folder: &str, runs: &str) -> Result<(), String> {
    let runs = runs.parse().map_err(|_| format!("`{runs}` is no number of runs"))?;
    let engine = InProcess::open(Path::new(folder))?;
    let resident = || process::usage(std::process::id()).resident_bytes;
    let stored = || engine.handle().journal().store_now().map_err(|error| error.to_string());
    engine.flood(&workflow::resting(), CLIENTS, CLIENTS)?;
    stored()?;
    let empty = resident();
    engine.flood(&workflow::submission(1), runs, CLIENTS)?;
    stored()?;
    let (before, begun) = (resident(), Instant::now());
    engine.flood(&workflow::resting(), runs, CLIENTS)?;
    let flood_us = begun.elapsed().as_micros();
    stored()?;
    let told = json!({
        "warm_up_bytes": before.saturating_sub(empty),
        "resident_bytes": resident().saturating_sub(before),
        "flood_us": u64::try_from(flood_us).unwrap_or(u64::MAX),
    });
    writeln!(std::io::stdout(), "{told}").map_err(|error| error.to_string())?;
    engine.close()
}

/// Runs of five steps.
#[derive(Debug, Clone, Copy)]
struct Load {
    /// How many.
    runs: usize,
    /// How many go on at once.
    at_once: usize,
    /// Between any two steps.
    pause: Duration,
    /// Within which they begin, evenly.
    begin_within: Duration,
}

/// How long ready steps wait for their start.
fn starts(folder: &Path, load: Load) -> Result<Measured, String> {
    let Load { runs, at_once, pause, begin_within } = load;
    let starts = Arc::new(Starts::default());
    let mut registry = Registry::builtin(Default::default()).map_err(|e| e.to_string())?;
    registry.add("noop", starts.clone());
    let engine = InProcess::open_with(folder, registry)?;
    let begun = Instant::now();
    let handle = engine.handle();
    let ended = engine.block_on(async {
        let (mut tasks, mut ended) = (JoinSet::new(), Vec::with_capacity(runs));
        for run in 0..runs {
            let (handle, request) = (handle.clone(), workflow::pacing(pause));
            let begins_after = begin_within.mul_f64(run as f64 / runs as f64);
            tasks.spawn(async move {
                tokio::time::sleep(begins_after).await;
                let accepted = handle.submit(request).await.map_err(|e| e.to_string())?;
                let limit = Duration::from_secs(workflow::WAIT_SECONDS) + pause * 20;
                let shown = handle.wait(accepted.execution, limit).await;
                match shown.map_err(|error| error.to_string())? {
                    Some(shown) if shown["status"] == "completed" => Ok(accepted.execution),
                    _ => Err(format!("{} did not complete in time", accepted.execution)),
                }
            });
            if tasks.len() >= at_once {
                ended.extend(tasks.join_next().await);
            }
        }
        ended.extend(tasks.join_all().await.into_iter().map(Ok));
        ended
    });
    let window = begun.elapsed();
    let mut took_us = Vec::new();
    for run in ended {
        let run = run.map_err(|error| error.to_string())??;
        took_us.extend(engine.block_on(waits_us(&engine, run, &starts))?);
    }
    engine.close()?;
    took_us.sort_unstable();
    let p95_us = took_us.get(took_us.len() * 95 / 100).copied().unwrap_or_default();
    let steps = took_us.len() as u64;
    let mut measured = Measured::of(took_us, steps, window);
    measured.extra.insert("p95_us", f64::from(p95_us));
    Ok(measured)
}

/// From the record that a step is ready to the call of its executor, for each step of a run.
async fn waits_us(
    engine: &InProcess,
    run: ExecutionId,
    starts: &Starts,
) -> Result<Vec<u32>, String> {
    let history = engine.handle().history(run).await.map_err(|error| error.to_string())?;
    let (records, plan) = history;
    let plan = plan.ok_or_else(|| format!("{run} has no plan"))?;
    let starts = starts.0.lock().unwrap_or_else(PoisonError::into_inner);
    let ready = records.iter().filter_map(|record| match &record.event {
        Event::Run(RunEvent::StepReady { step, .. }) => {
            let started = starts.get(&(run, plan.steps[step.at()].id.clone()))?;
            let waited_us = started.0.saturating_sub(record.recorded_at.0).max(0);
            Some(u32::try_from(waited_us).unwrap_or(u32::MAX))
        }
        _ => None,
    });
    Ok(ready.collect())
}
