//! A loop over many items: how fast they go through the engine, and the most memory that takes.
//!
//! In a process of its own, which has run a small loop before, so that what it holds more is the
//! loop's. Each item is one attempt of `noop`. Measured once.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use backstitch_tests::process;
use serde_json::{Value, json};

use crate::engine::InProcess;
use crate::figures::Measured;
use crate::scale::{Found, output_of};
use crate::workflow;

/// The word that makes this program run such a loop and tell what it took.
pub const LOOP_WORD: &str = "loop-and-tell";

/// Items of the loop that warms up.
const WARM_UP_ITEMS: usize = 1_000;
/// How long a loop may take.
const LIMIT: Duration = Duration::from_secs(600);
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The figures of a loop over so many items.
///
/// # Errors
/// Of the engine.
pub fn measure(folder: &Path, items: usize) -> Result<Found, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    let told = output_of(command.arg(LOOP_WORD).arg(folder).arg(items.to_string()))?;
    let number = |name: &str| told[name].as_f64().unwrap_or_default();
    let us = number("took_us") / items.max(1) as f64;
    let mut measured = Measured {
        per_second: 1e6 / us.max(0.001),
        p50_us: us,
        p99_us: us,
        counted: items as u64,
        total: items as u64,
        extra: Default::default(),
    };
    for (name, told) in [("peak_mib", "peak_bytes"), ("more_mib", "more_bytes")] {
        measured.extra.insert(name, number(told) / f64::from(1 << 20));
    }
    Ok((format!("a loop over {items} items"), "items", measured))
}

/// Runs a loop over so many items and tells the most this process held meanwhile, in all and more
/// than before.
///
/// # Errors
/// Of the engine.
pub fn loop_and_tell(folder: &str, items: &str) -> Result<(), String> {
    let items: usize = items.parse().map_err(|_| format!("`{items}` is no number of items"))?;
    let engine = InProcess::open(Path::new(folder))?;
    run(&engine, items.min(WARM_UP_ITEMS))?;
    let resident = || process::usage(std::process::id()).resident_bytes;
    let before = resident();
    let (peak, over) = (Arc::new(AtomicU64::new(before)), Arc::new(AtomicBool::new(false)));
    let looking = std::thread::spawn({
        let (peak, over) = (peak.clone(), over.clone());
        move || {
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(LOOK_EVERY);
            }
        }
    });
    let begun = Instant::now();
    let looped = run(&engine, items);
    let took_us = begun.elapsed().as_micros();
    over.store(true, Ordering::Relaxed);
    looking.join().map_err(|_| "the thread that looks at memory panicked".to_owned())?;
    looped?;
    let peak = peak.load(Ordering::Relaxed);
    let told = json!({
        "peak_bytes": peak,
        "more_bytes": peak.saturating_sub(before),
        "took_us": u64::try_from(took_us).unwrap_or(u64::MAX),
    });
    writeln!(std::io::stdout(), "{told}").map_err(|error| error.to_string())?;
    engine.close()
}

fn run(engine: &InProcess, items: usize) -> Result<(), String> {
    let request = workflow::looping(items);
    let ended = engine.block_on(engine.handle().submit_and_wait(request, LIMIT));
    let (accepted, ended) = ended.map_err(|error| error.to_string())?;
    let ended = ended.ok_or_else(|| format!("{} took over {LIMIT:?}", accepted.execution))?;
    match &ended["output"]["each"]["succeeded"] {
        Value::Number(succeeded) if succeeded.as_u64() == Some(items as u64) => Ok(()),
        _ => Err(format!("{} ended {}", accepted.execution, ended["status"])),
    }
}
