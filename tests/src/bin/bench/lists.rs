//! Reading among many runs: lists by each index, and single runs from memory and from disk.

use std::time::{Duration, Instant};

use backstitch_core::ids::DEFAULT_NAMESPACE;
use backstitch_core::summary::RunStatus;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Order, Range, RunFilter};

use crate::engine::InProcess;
use crate::figures::Measured;
use crate::scale::Found;
use crate::workflow;

/// Rows of a page.
const ROWS: usize = 50;
/// Pages and runs read for each figure.
const READS: usize = 400;

/// Every index, and single runs.
///
/// # Errors
/// Of a read.
pub fn measure(engine: &InProcess) -> Result<Vec<Found>, String> {
    let all = RunFilter { namespace: DEFAULT_NAMESPACE.to_owned(), ..RunFilter::default() };
    let completed = Some(RunStatus::Completed);
    let workflow = Some(workflow::id(1));
    let newest = engine.runs(&all, None, 1)?.rows.pop().ok_or("there is no run")?.submitted_at;
    let before_last_second = Range { after: None, before: Some(Timestamp(newest.0 - 1_000_000)) };
    let filters = [
        ("all", all.clone()),
        ("oldest first", RunFilter { order: Order::OldestFirst, ..all.clone() }),
        ("by status", RunFilter { status: completed, ..all.clone() }),
        ("by workflow", RunFilter { workflow: workflow.clone(), ..all.clone() }),
        ("by both", RunFilter { status: completed, workflow, ..all.clone() }),
        ("by time", RunFilter { submitted: before_last_second, ..all.clone() }),
        ("by tag", RunFilter { tag: Some(workflow::RARE.to_owned()), ..all.clone() }),
        ("by correlation", RunFilter { correlation_id: Some(workflow::RARE.to_owned()), ..all }),
    ];
    let mut found = Vec::new();
    for (name, filter) in filters {
        found.push((format!("list {name}"), "pages", pages(engine, &filter)?));
    }
    found.push(("one run, from disk".to_owned(), "runs", single(engine)?));
    Ok(found)
}

/// Runs that left memory, spread over the store.
fn single(engine: &InProcess) -> Result<Measured, String> {
    let all = RunFilter { namespace: DEFAULT_NAMESPACE.to_owned(), ..RunFilter::default() };
    let (mut runs, mut after) = (Vec::new(), None);
    while runs.len() < READS {
        let page = engine.runs(&all, after, ROWS)?;
        runs.extend(page.rows.into_iter().map(|row| row.execution));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut took_us = Vec::with_capacity(runs.len());
    let begun = Instant::now();
    for &run in &runs {
        let asked = Instant::now();
        engine.execution(run)?;
        took_us.push(micros(asked.elapsed()));
    }
    Ok(Measured::of(took_us, runs.len() as u64, begun.elapsed()))
}

/// Pages one after the other, from the newest on.
fn pages(engine: &InProcess, filter: &RunFilter) -> Result<Measured, String> {
    let (mut took_us, mut after) = (Vec::with_capacity(READS), None);
    let begun = Instant::now();
    for _ in 0..READS {
        let asked = Instant::now();
        let page = engine.runs(filter, after, ROWS)?;
        took_us.push(micros(asked.elapsed()));
        after = page.next;
    }
    Ok(Measured::of(took_us, READS as u64, begun.elapsed()))
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
