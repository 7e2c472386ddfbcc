//! Many runs that were at rest and are due at the same instant: how late their steps start.
//!
//! They wait for one instant, are in the store by then, and each has one step behind it. Late is
//! from the instant to the call of the executor. Measured once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backstitch_core::ids::ExecutionId;
use backstitch_core::time::Timestamp;
use backstitch_executors::Registry;
use backstitch_saga::clock;
use tokio::task::JoinSet;

use crate::engine::InProcess;
use crate::figures::Measured;
use crate::many::Starts;
use crate::scale::CLIENTS;
use crate::workflow;

/// Begins so many runs that wait until `lead` from now.
///
/// # Errors
/// Of the engine.
pub fn measure(folder: &Path, runs: usize, lead: Duration) -> Result<Measured, String> {
    let starts = Arc::new(Starts::default());
    let mut registry = Registry::builtin(Default::default()).map_err(|e| e.to_string())?;
    registry.add("noop", starts.clone());
    let engine = InProcess::open_with(folder, registry)?;
    let due = clock::now().plus_ms(u64::try_from(lead.as_millis()).unwrap_or(u64::MAX));
    let begun = engine.block_on(begin(&engine, runs, due))?;
    engine.handle().journal().store_now().map_err(|error| error.to_string())?;
    if clock::now() >= due {
        return Err(format!("{runs} runs did not begin within {lead:?}"));
    }
    let limit = lead + Duration::from_secs(workflow::WAIT_SECONDS);
    for run in &begun {
        let ended = engine.block_on(engine.handle().wait(*run, limit));
        match ended.map_err(|error| error.to_string())? {
            Some(shown) if shown["status"] == "completed" => {}
            _ => return Err(format!("{run} did not complete in time")),
        }
    }
    let late_us = starts.late_us(due);
    let last_us = late_us.iter().copied().max().unwrap_or_default();
    engine.close()?;
    let mut sorted = late_us.clone();
    sorted.sort_unstable();
    let p95_us = sorted.get(sorted.len() * 95 / 100).copied().unwrap_or_default();
    let window = Duration::from_micros(u64::from(last_us));
    let mut measured = Measured::of(late_us, runs as u64, window);
    measured.extra.insert("p95_us", f64::from(p95_us));
    Ok(measured)
}

async fn begin(
    engine: &InProcess,
    runs: usize,
    due: Timestamp,
) -> Result<Vec<ExecutionId>, String> {
    let (mut tasks, mut begun) = (JoinSet::new(), Vec::with_capacity(runs));
    for _ in 0..runs {
        let (handle, request) = (engine.handle().clone(), workflow::waking(due));
        tasks.spawn(async move { handle.submit(request).await });
        if tasks.len() >= CLIENTS {
            begun.extend(tasks.join_next().await);
        }
    }
    begun.extend(tasks.join_all().await.into_iter().map(Ok));
    let begun = begun.into_iter().map(|begun| match begun {
        Ok(Ok(accepted)) => Ok(accepted.execution),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    });
    begun.collect()
}
