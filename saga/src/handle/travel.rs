//! Time travel: a run as it was, what changed in it, and two runs side by side.

use std::sync::Arc;

use backstitch_core::event::Event;
use backstitch_core::ids::ExecutionId;
use backstitch_core::plan::Plan;
use backstitch_core::report::event_json;
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;
use backstitch_core::travel::{
    AsOf, Point, Told, as_of_json, compare, execution_json_at, locate, run_diff, state_at,
};
use backstitch_journal::Record;
use serde_json::{Value, json};

use super::{Handle, blocking};
use crate::catalog::Catalog;
use crate::clock;
use crate::error::Error;

/// Events that the difference of two points lists; the run's history has the rest.
pub const DIFF_EVENTS_MAX: usize = 1_000;

/// A run's whole history, read and ready to be folded up to any point.
struct Whole {
    run: ExecutionId,
    plan: Arc<Plan>,
    catalog: Arc<Catalog>,
    events: Vec<(Event, Timestamp)>,
}

impl Whole {
    fn of(
        handle: &Handle,
        run: ExecutionId,
        records: Vec<Record>,
        plan: Option<Arc<Plan>>,
    ) -> Result<Self, Error> {
        let missing = || Error::Quarantined(format!("the revision of {run} is not in the journal"));
        let plan = plan.ok_or_else(missing)?;
        let events = records.into_iter().map(|record| (record.event, record.recorded_at)).collect();
        Ok(Self { run, plan, catalog: handle.shared.catalog.clone(), events })
    }

    fn locate(&self, point: Point) -> Result<AsOf, Error> {
        let recorded: Vec<_> = self.events.iter().map(|(_, at)| *at).collect();
        // A partition's time may be ahead of the clock by what a clock set back left behind.
        let now = recorded.last().copied().unwrap_or_default().max(clock::now());
        Ok(locate(point, &recorded, now)?)
    }

    fn state(&self, as_of: AsOf) -> Result<State, Error> {
        state_at(self.run, self.catalog.as_ref(), &self.events, as_of)
            .map_err(|why| Error::Quarantined(why.to_string()))
    }

    fn last(&self) -> Point {
        Point::Version(self.events.len() as u64)
    }

    /// The events behind one place up to another, and whether there are more than are shown.
    fn between(&self, from: AsOf, to: AsOf) -> (Vec<Value>, bool) {
        let (first, last) = (from.version.min(to.version), from.version.max(to.version));
        let between = (1..).zip(&self.events).filter(|(v, _)| (first + 1..=last).contains(v));
        let shown = between.take(DIFF_EVENTS_MAX).map(|(version, (event, at))| {
            let (kind, data) = event_json(event, Some(&self.plan));
            json!({
                "version": version, "recorded_at": at.to_string(), "type": kind, "data": data,
            })
        });
        (shown.collect(), last - first > DIFF_EVENTS_MAX as u64)
    }
}

impl Handle {
    /// The run as it was at a point, with `as_of {version, at}`.
    ///
    /// # Errors
    /// [`Error::ExecutionNotFound`], [`Error::NoSuchPoint`], [`Error::Quarantined`].
    pub async fn execution_at(&self, run: ExecutionId, point: Point) -> Result<Value, Error> {
        let (records, plan) = self.history(run).await?;
        let handle = self.clone();
        blocking(move || {
            let whole = Whole::of(&handle, run, records, plan)?;
            let as_of = whole.locate(point)?;
            Ok(execution_json_at(&whole.state(as_of)?, as_of))
        })
        .await?
    }

    /// What changed in a run between two points, and the events between them. Unsaid, it
    /// begins with the submission and ends with the newest event.
    ///
    /// # Errors
    /// As [`Handle::execution_at`].
    pub async fn execution_diff(
        &self,
        run: ExecutionId,
        from: Option<Point>,
        to: Option<Point>,
    ) -> Result<Value, Error> {
        let (records, plan) = self.history(run).await?;
        let handle = self.clone();
        blocking(move || {
            let whole = Whole::of(&handle, run, records, plan)?;
            let from = whole.locate(from.unwrap_or(Point::Version(1)))?;
            let to = whole.locate(to.unwrap_or(whole.last()))?;
            let changes = run_diff(&whole.state(from)?, &whole.state(to)?);
            let (events, more_events) = whole.between(from, to);
            Ok(json!({
                "execution_id": run.to_string(),
                "from": as_of_json(from),
                "to": as_of_json(to),
                "changes": changes,
                "events": events,
                "more_events": more_events,
            }))
        })
        .await?
    }

    /// Two runs side by side: where they first went different ways, and each step in both.
    ///
    /// # Errors
    /// As [`Handle::execution_at`].
    pub async fn compare(&self, left: ExecutionId, right: ExecutionId) -> Result<Value, Error> {
        let (ours, theirs) = (self.history(left).await?, self.history(right).await?);
        let handle = self.clone();
        blocking(move || {
            let ours = Whole::of(&handle, left, ours.0, ours.1)?;
            let theirs = Whole::of(&handle, right, theirs.0, theirs.1)?;
            let (one, other) = (ours.locate(ours.last())?, theirs.locate(theirs.last())?);
            let (left_state, right_state) = (ours.state(one)?, theirs.state(other)?);
            let compared = compare(
                Told { state: &left_state, events: &ours.events },
                Told { state: &right_state, events: &theirs.events },
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
                "executions": [run(&left_state), run(&right_state)],
                "same_definition": compared.same_definition,
                "first_divergence": compared.first_divergence,
                "steps": compared.steps,
            }))
        })
        .await?
    }
}
