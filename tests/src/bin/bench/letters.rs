//! Dead letters: how soon groups are told, and whether a redrive holds its rate.

use std::path::Path;
use std::time::{Duration, Instant};

use backstitch_core::ids::DEFAULT_NAMESPACE;
use backstitch_core::redrives::{LetterChoice, RedriveStatus, StopWhen, Terms};
use backstitch_core::summary::LetterStatus;
use backstitch_journal::{AuditFilter, LetterFilter, Order};
use backstitch_saga::handle::{RedriveWish, Request};
use serde_json::json;
use tokio::task::JoinSet;

use crate::engine::InProcess;
use crate::figures::Measured;
use crate::scale::{CLIENTS, Found};
use crate::workflow;

/// How many letters there are, of how many causes, and how fast they are retried.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Letters.
    pub letters: usize,
    /// Causes that they are spread over.
    pub causes: usize,
    /// Retries per second.
    pub rate_per_second: u32,
}

/// The numbers that are promised.
pub const FULL: Sizes = Sizes { letters: 10_000, causes: 40, rate_per_second: 500 };
/// A smoke run's.
pub const QUICK: Sizes = Sizes { letters: 100, causes: 4, rate_per_second: 500 };

/// The workflow whose first attempt fails for the cause it is told.
const FAILING: &str = "failing";
/// Times that all groups are asked for.
const READS: usize = 200;
/// Rows of a page of the audit.
const ROWS: usize = 1_000;
/// Pause between two questions how far it is.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// All figures.
///
/// # Errors
/// Of the engine.
pub fn measure(folder: &Path, sizes: Sizes) -> Result<Vec<Found>, String> {
    let engine = InProcess::open(folder)?;
    engine.block_on(fail(&engine, sizes))?;
    let groups = groups(&engine, sizes)?;
    let redrive = engine.block_on(redrive(&engine, sizes))?;
    engine.close()?;
    let Sizes { letters, causes, rate_per_second } = sizes;
    Ok(vec![
        (format!("groups of {letters} letters, {causes} causes"), "reads", groups),
        (format!("redrive of {letters} at {rate_per_second}/s"), "retries", redrive),
    ])
}

/// A cause by a word without digits, which are no part of one.
fn cause(number: usize) -> String {
    let letter = |digit: usize| char::from(b'a' + u8::try_from(digit % 26).unwrap_or(0));
    format!("{}{}", letter(number / 26), letter(number))
}

async fn fail(engine: &InProcess, sizes: Sizes) -> Result<(), String> {
    let fail = json!({ "message": "{{ input.cause }} is down", "permanent": true, "attempts": 1 });
    let step = json!({ "id": "a", "type": "noop", "with": { "fail": fail } });
    let definition = json!({ "id": FAILING, "on_failure": "suspend", "steps": [step] });
    let (handle, namespace) = (engine.handle(), DEFAULT_NAMESPACE.into());
    handle.define(&namespace, &definition, "bench").await.map_err(|error| error.to_string())?;
    let mut tasks = JoinSet::new();
    for number in 0..sizes.letters {
        let input = json!({ "cause": cause(number % sizes.causes) });
        let request = Request { workflow: FAILING.to_owned(), input, ..workflow::submission(1) };
        let handle = handle.clone();
        tasks.spawn(async move { handle.submit(request).await.map(drop) });
        if tasks.len() >= CLIENTS
            && let Some(ended) = tasks.join_next().await
        {
            ended.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        }
    }
    tasks.join_all().await;
    while open(engine) < sizes.letters as u64 {
        tokio::time::sleep(POLL_EVERY).await;
    }
    Ok(())
}

fn open(engine: &InProcess) -> u64 {
    let counts = engine.handle().journal().letter_counts(DEFAULT_NAMESPACE);
    counts.iter().map(|(_, own)| own.of_status(LetterStatus::Open)).sum()
}

fn groups(engine: &InProcess, sizes: Sizes) -> Result<Measured, String> {
    let namespace = DEFAULT_NAMESPACE.to_owned();
    let status = Some(LetterStatus::Open);
    let filter = LetterFilter { namespace, status, ..LetterFilter::default() };
    let mut took_us = Vec::with_capacity(READS);
    let begun = Instant::now();
    for _ in 0..READS {
        let asked = Instant::now();
        let read = engine.handle().letter_groups(filter.clone(), 0, usize::MAX);
        let found = engine.block_on(read).map_err(|error| error.to_string())?;
        took_us.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
        if found.groups.len() != sizes.causes {
            return Err(format!("{} groups of {} causes", found.groups.len(), sizes.causes));
        }
    }
    Ok(Measured::of(took_us, READS as u64, begun.elapsed()))
}

/// The rate by what is recorded: each retry is an event with its instant.
async fn redrive(engine: &InProcess, sizes: Sizes) -> Result<Measured, String> {
    let handle = engine.handle();
    let filter = LetterChoice { workflow: Some(FAILING.to_owned()), ..LetterChoice::default() };
    let wish = RedriveWish {
        namespace: DEFAULT_NAMESPACE.into(),
        terms: Terms { filter, canary: None, stop_when: StopWhen::default(), edit: None },
        rate_per_second: sizes.rate_per_second,
        reason: String::new(),
        actor: "bench".to_owned(),
    };
    let begun = handle.request_redrive(wish).await.map_err(|error| error.to_string())?;
    let id = begun.0;
    let state = loop {
        let state = handle.redrive(id).await.map_err(|error| error.to_string())?;
        if state.status != RedriveStatus::Running {
            break state;
        }
        tokio::time::sleep(POLL_EVERY).await;
    };
    if state.counts.succeeded != sizes.letters as u64 {
        return Err(format!("the redrive came to {state:?}"));
    }
    let (mut at, mut after) = (Vec::with_capacity(sizes.letters), None);
    loop {
        let filter = AuditFilter {
            namespace: DEFAULT_NAMESPACE.to_owned(),
            actor: Some(id.to_string()),
            order: Order::OldestFirst,
            ..AuditFilter::default()
        };
        let page = handle.audit(filter, after.take(), ROWS).await;
        let page = page.map_err(|error| error.to_string())?;
        at.extend(page.rows.iter().map(|row| row.at.0));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    at.sort_unstable();
    let gap = |pair: &[i64]| u32::try_from(pair[1] - pair[0]).unwrap_or(u32::MAX);
    let gaps_us: Vec<_> = at.windows(2).map(gap).collect();
    let window_us = at.last().unwrap_or(&0) - at.first().unwrap_or(&0);
    let window = Duration::from_micros(u64::try_from(window_us).unwrap_or(1).max(1));
    let mut measured = Measured::of(gaps_us, sizes.letters as u64, window);
    let wanted = f64::from(sizes.rate_per_second);
    let off_percent = (measured.per_second - wanted).abs() * 100.0 / wanted;
    measured.extra.insert("off_percent", off_percent);
    measured.extra.insert("worst_second_off_percent", worst_second(&at, wanted));
    Ok(measured)
}

/// How far the worst whole second was off.
fn worst_second(at: &[i64], wanted: f64) -> f64 {
    const SECOND_US: i64 = 1_000_000;
    let (Some(first), Some(last)) = (at.first(), at.last()) else { return 0.0 };
    let seconds = (last - first) / SECOND_US;
    let count = |second: i64| {
        let from = first + second * SECOND_US;
        at.iter().filter(|own| (from..from + SECOND_US).contains(*own)).count() as f64
    };
    (0..seconds).map(|s| (count(s) - wanted).abs() * 100.0 / wanted).fold(0.0, f64::max)
}
