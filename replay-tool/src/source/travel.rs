//! A run as it was, what changed in it, and two runs side by side, from their records.
//!
//! The shapes are those of the API; the work is the core's.

use backstitch_core::event::Event;
use backstitch_core::report::event_json;
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;
use backstitch_core::travel::{
    self, AsOf, NoSuchPoint, Point, Told, as_of_json, execution_json_at, run_diff,
};
use serde_json::{Value, json};

use super::archive::History;
use crate::clock;
use crate::error::Error;

/// The run at a point, with `as_of {version, at}`.
///
/// # Errors
/// If there is no such point, or what stands before it does not fold.
pub(super) fn execution_at(history: &mut History, point: Point) -> Result<Value, Error> {
    let as_of = locate(history, point)?;
    Ok(execution_json_at(&history.state_at(as_of.version)?, as_of))
}

/// What changed between two points, and the events between them.
///
/// # Errors
/// As [`execution_at`].
pub(super) fn diff(
    history: &mut History,
    from: Option<Point>,
    to: Option<Point>,
) -> Result<Value, Error> {
    let last = Point::Version(history.records.len() as u64);
    let from = locate(history, from.unwrap_or(Point::Version(1)))?;
    let to = locate(history, to.unwrap_or(last))?;
    let changes = run_diff(&history.state_at(from.version)?, &history.state_at(to.version)?);
    let (first, last) = (from.version.min(to.version), from.version.max(to.version));
    let plan = history.plan();
    let between = history.records.iter().filter(|r| (first + 1..=last).contains(&r.version));
    let events = between.map(|record| {
        let (kind, data) = event_json(&record.event, plan.as_deref());
        json!({
            "version": record.version,
            "recorded_at": record.recorded_at.to_string(),
            "type": kind,
            "data": data,
        })
    });
    Ok(json!({
        "execution_id": history.run.to_string(),
        "from": as_of_json(from),
        "to": as_of_json(to),
        "changes": changes,
        "events": events.collect::<Vec<_>>(),
        "more_events": false,
    }))
}

/// Where two runs first went different ways, and each step in both.
///
/// # Errors
/// If one of them does not fold.
pub(super) fn compare(left: &mut History, right: &mut History) -> Result<Value, Error> {
    let states = [whole(left)?, whole(right)?];
    let [ours, theirs] = [left, right].map(|history| events(history));
    let compared = travel::compare(
        Told { state: &states[0], events: &ours },
        Told { state: &states[1], events: &theirs },
    );
    let run = |state: &State| {
        json!({
            "execution_id": state.id.to_string(),
            "workflow_id": state.submitted.workflow,
            "revision": state.submitted.revision,
            "status": state.status().word(),
            "version": state.version,
        })
    };
    Ok(json!({
        "executions": states.each_ref().map(run),
        "same_definition": compared.same_definition,
        "first_divergence": compared.first_divergence,
        "steps": compared.steps,
    }))
}

fn whole(history: &mut History) -> Result<State, Error> {
    history.state_at(history.records.len() as u64)
}

fn events(history: &History) -> Vec<(Event, Timestamp)> {
    history.records.iter().map(|record| (record.event.clone(), record.recorded_at)).collect()
}

fn locate(history: &History, point: Point) -> Result<AsOf, Error> {
    let recorded: Vec<_> = history.records.iter().map(|record| record.recorded_at).collect();
    // A partition's time may be ahead of the clock by what a clock set back left behind.
    let now = recorded.last().copied().unwrap_or_default().max(clock::now());
    let run = || history.run.to_string();
    travel::locate(point, &recorded, now).map_err(|why| match why {
        NoSuchPoint::VersionZero => {
            Error::NoVersion { run: run(), asked: 0, last: recorded.len() as u64 }
        }
        NoSuchPoint::BeyondTheEnd { asked, last } => Error::NoVersion { run: run(), asked, last },
        why => Error::NoPoint { run: run(), why },
    })
}
