//! The items of a loop, a page at a time, from the chunks that have them.

use std::sync::Arc;

use backstitch_core::command::Rejection;
use backstitch_core::ids::{ExecutionId, StepIndex};
use backstitch_core::items::item_row;
use backstitch_core::state::{Loop, State};
use serde_json::Value;

use super::{Handle, blocking, unexpected};
use crate::error::Error;
use crate::partition::{Answer, Input};

/// A page of a loop's items.
#[derive(Debug, Clone)]
pub struct ItemsPage {
    /// By their number: those that a chunk has begun with.
    pub rows: Vec<Value>,
    /// How many the list has; nothing before the loop has looked.
    pub count: Option<u64>,
    /// The first item of the next page, if there is one.
    pub next: Option<u64>,
}

impl Handle {
    /// The items of a `foreach` from a number on, at most `rows_max`, as its last attempt has
    /// them.
    ///
    /// # Errors
    /// As [`Handle::execution`], also of a chunk; [`Error::Rejected`] for a step that there is
    /// not, or that has no items.
    pub async fn items(
        &self,
        run: ExecutionId,
        step: &str,
        from: u64,
        rows_max: usize,
    ) -> Result<ItemsPage, Error> {
        let state = self.state(run).await?;
        let index = state.plan.index_of(step);
        let index = index
            .ok_or_else(|| Error::Rejected(Rejection::UnknownStep { step: step.to_owned() }))?;
        if state.plan.step(index).each().is_none() {
            return Err(Error::Rejected(Rejection::NoItems { step: step.to_owned() }));
        }
        let count = count(&state, index);
        let mut page = ItemsPage { rows: Vec::new(), count, next: None };
        for chunk in chunks(&state, index, from) {
            if page.rows.len() >= rows_max {
                page.next = Some(from + page.rows.len() as u64);
                break;
            }
            // One whose beginning was refused, or is not durable yet, has nothing to show.
            let state = match self.state(chunk).await {
                Ok(state) => state,
                Err(Error::ExecutionNotFound(_)) => break,
                Err(error) => return Err(error),
            };
            let (first, room) = (from + page.rows.len() as u64, rows_max - page.rows.len());
            let (rows, more) = blocking(move || rows(&state, first, room)).await?;
            page.rows.extend(rows);
            if more {
                page.next = Some(from + page.rows.len() as u64);
                break;
            }
        }
        Ok(page)
    }

    /// The run as it stands, from memory or from its history.
    async fn state(&self, run: ExecutionId) -> Result<Arc<State>, Error> {
        match self.ask(run.partition, |ticket| Input::Show(run, ticket)).await? {
            Answer::Shown(state) => Ok(state),
            Answer::NotResident => self.read_state(run).await,
            answer => Err(unexpected(answer, Some(run))),
        }
    }
}

/// How many items the list has.
fn count(state: &State, step: StepIndex) -> Option<u64> {
    let loops = state.links.as_ref().map(|links| &links.loops);
    let known = loops.and_then(|loops| loops.get(&step)).map(|Loop { items, .. }| *items);
    let output = || state.step(step).output.as_ref()?.value()["count"].as_u64();
    known.or_else(output)
}

/// The chunks of the last attempt that have items from a number on, in order.
fn chunks(state: &State, step: StepIndex, from: u64) -> Vec<ExecutionId> {
    let attempt = state.step(step).attempt;
    let chunks = state.links.iter().flat_map(|links| links.chunks(step, attempt));
    let behind = chunks.filter(|chunk| {
        chunk.items.is_some_and(|items| items.first + u64::from(items.count) > from)
    });
    behind.map(|chunk| chunk.run).collect()
}

/// Items of one chunk from a number on, and whether it has more.
fn rows(state: &State, from: u64, rows_max: usize) -> (Vec<Value>, bool) {
    let first = state.plan.part.as_ref().map_or(0, |part| part.items.first);
    let skipped = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
    let steps = (0..).map(StepIndex).take(state.steps.len()).skip(skipped);
    let more = state.steps.len().saturating_sub(skipped) > rows_max;
    (steps.take(rows_max).map(|step| item_row(state, step)).collect(), more)
}
