//! What grows with a store: starting with many runs, reading among many, appending after many.
//!
//! Each figure is measured once: a store of that size takes its time to make. Starts are
//! measured in a process of their own, so that the memory they take is theirs.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::engine::InProcess;
use crate::figures::Measured;
use crate::journal;
use crate::machine::peak_mib;
use crate::{lists, workflow};

/// The word that makes this program a start that tells how long it took.
pub const OPEN_WORD: &str = "open-and-tell";
/// Who floods a store at the same time.
pub const CLIENTS: usize = 256;

/// One in so many runs has a tag and a correlation id to be found by.
const RARE_RUNS: usize = 100;

/// How large the stores are.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Runs that sleep, of 21 events each.
    pub live_runs: usize,
    /// Runs that have ended.
    pub ended_runs: usize,
    /// Records appended.
    pub records: u64,
    /// Records over which a rate of appending is taken.
    pub rate_records: u64,
    /// Bursts of so many that are averaged: one takes a seventh of a second, and what it meets of
    /// the store's ticks is chance.
    pub bursts: usize,
}

/// The sizes that are promised.
pub const FULL: Sizes = Sizes {
    live_runs: 100_000,
    ended_runs: 1_000_000,
    records: 10_000_000,
    rate_records: 100_000,
    bursts: 10,
};
/// A smoke run's.
pub const QUICK: Sizes =
    Sizes { live_runs: 200, ended_runs: 200, records: 8_192, rate_records: 1_024, bursts: 1 };

/// A figure's case and what was measured.
pub type Found = (String, &'static str, Measured);

/// Starting with many live runs: from checkpoints, from events alone, from the log alone.
///
/// # Errors
/// Of the engine.
pub fn live(folder: &Path, runs: usize) -> Result<Vec<Found>, String> {
    let engine = InProcess::open(folder)?;
    engine.flood(&workflow::sleeping(), runs, CLIENTS)?;
    engine.close()?;
    let mut found = vec![start(folder, "with checkpoints", runs, true)?];
    remove(folder, "checkpoints")?;
    found.push(start(folder, "without", runs, false)?);
    remove(folder, "checkpoints")?;
    remove(folder, "store")?;
    found.push(start(folder, "without a store", runs, true)?);
    Ok(found)
}

/// Starting with many ended runs, after a clean stop and after a kill, and reading among them.
///
/// # Errors
/// Of the engine.
pub fn ended(folder: &Path, runs: usize) -> Result<Vec<Found>, String> {
    let engine = InProcess::open(folder)?;
    let rare = runs / RARE_RUNS;
    engine.flood(&workflow::submission(1), runs - rare, CLIENTS)?;
    engine.flood(&workflow::rare(), rare, CLIENTS)?;
    engine.close()?;
    let mut found = vec![start(folder, "ended, clean", runs, false)?];
    found.push(start(folder, "ended, killed", runs, true)?);
    let engine = InProcess::open(folder)?;
    found.extend(lists::measure(&engine)?);
    engine.close()?;
    Ok(found)
}

/// Appending to a log that has grown, and what it takes on disk.
///
/// # Errors
/// Of the journal.
pub fn append(folder: &Path, sizes: Sizes) -> Result<Vec<Found>, String> {
    let grown = journal::grow(folder, sizes)?;
    Ok(vec![(format!("append, {} records", sizes.records), "events", grown)])
}

/// Starts in a process of its own. It stops cleanly or, left as if killed, for the next one.
fn start(folder: &Path, case: &str, runs: usize, clean: bool) -> Result<Found, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let how = if clean { "clean" } else { "kill" };
    let mut command = Command::new(program);
    let output = output_of(command.arg(OPEN_WORD).arg(folder).arg(how))?;
    let ms = output["open_ms"].as_f64().unwrap_or_default();
    let mut measured = Measured {
        per_second: runs as f64 * 1_000.0 / ms.max(0.001),
        p50_us: ms * 1_000.0,
        p99_us: ms * 1_000.0,
        counted: runs as u64,
        total: runs as u64,
        extra: Default::default(),
    };
    for name in ["peak_mib", "live", "checkpoints"] {
        measured.extra.insert(name, output[name].as_f64().unwrap_or_default());
    }
    Ok((format!("start {runs}, {case}"), "runs", measured))
}

/// What a start of this program told, as JSON.
///
/// # Errors
/// What it said when it failed.
pub fn output_of(command: &mut Command) -> Result<Value, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("a start failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// The start itself, in its own process.
///
/// # Errors
/// Of the engine.
pub fn open_and_tell(folder: &str, how: &str) -> Result<(), String> {
    let begun = Instant::now();
    let engine = InProcess::open(Path::new(folder))?;
    let open_ms = begun.elapsed().as_secs_f64() * 1_000.0;
    let recovered = engine.recovered();
    let told = json!({
        "open_ms": open_ms,
        "live": recovered.live,
        "checkpoints": recovered.checkpoints,
        "peak_mib": peak_mib(),
    });
    writeln!(std::io::stdout(), "{told}").map_err(|error| error.to_string())?;
    match how {
        "clean" => engine.close(),
        _ => std::process::exit(0),
    }
}

/// Removes one of a data directory's caches.
fn remove(folder: &Path, name: &str) -> Result<(), String> {
    let path = folder.join(name);
    match std::fs::remove_dir_all(&path) {
        Err(error) if path.exists() => Err(error.to_string()),
        _ => Ok(()),
    }
}
