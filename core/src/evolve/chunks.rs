//! Loops and their chunks: folding what becomes of them.

use std::sync::Arc;

use crate::event::{Items, LinkEvent};
use crate::failure::{EffectKnown, Failure};
use crate::ids::{ExecutionId, StepIndex};
use crate::plan::Plan;
use crate::state::{ChunkUndo, Links, Loop, State};

/// The run is a chunk: from here on it follows the plan of its stretch.
pub(super) fn begin(state: &mut State, step: StepIndex, items: Items) -> Result<(), String> {
    let whole = state.plan.part.as_ref().map_or(&state.plan, |part| &part.whole);
    let plan = Arc::new(Plan::chunk(whole, step, items)?);
    let fresh = State::begin(state.id, plan, state.submitted.clone(), state.submitted_at);
    let (version, tags) = (state.version, std::mem::take(&mut state.tags));
    *state = State { version, tags, chunk: Some(Arc::default()), ..fresh };
    Ok(())
}

pub(super) fn begun(
    state: &mut State,
    step: StepIndex,
    attempt: u16,
    items: u64,
    chunk_items: u32,
) -> Result<(), String> {
    super::current(attempt, super::step_mut(state, step)?.attempt)?;
    let own = Loop::begin(attempt, items, chunk_items);
    state.links_mut().loops.insert(step, own);
    Ok(())
}

pub(super) fn ended(state: &mut State, event: &LinkEvent) -> Result<(), String> {
    let LinkEvent::ChunkEnded { step, attempt, run, counts, results, failure, retry_delay_ms } =
        event
    else {
        return Err("not the end of a chunk".to_owned());
    };
    super::current(*attempt, super::step_mut(state, *step)?.attempt)?;
    let links = state.links_mut();
    let own = links.loops.get_mut(step).ok_or_else(|| format!("step {} is no loop", step.0))?;
    own.counts.succeeded += counts.succeeded;
    own.counts.failed += counts.failed;
    own.counts.skipped += counts.skipped;
    own.results = own.results.take().zip(results.clone()).map(|(mut kept, results)| {
        kept.push(results);
        kept
    });
    own.effect |= counts.succeeded > 0 || counts.failed > 0;
    if let Some(failure) = failure {
        own.effect |= failure.effect == EffectKnown::Unknown;
        own.failure.get_or_insert_with(|| failure.clone());
        own.retry_delay_ms = *retry_delay_ms;
    }
    let children = links.children.entry(*step).or_default();
    children.iter_mut().filter(|child| child.run == *run).for_each(|child| child.begun = true);
    links.to_cancel.remove(step);
    links.to_start.insert(*step);
    Ok(())
}

/// A chunk never was: its loop has nobody else to ask.
pub(super) fn refused(links: &mut Links, step: StepIndex, why: &Failure) {
    if let Some(own) = links.loops.get_mut(&step) {
        own.failure.get_or_insert_with(|| why.clone());
    }
    links.to_start.insert(step);
}

pub(super) fn undone(
    state: &mut State,
    step: StepIndex,
    run: ExecutionId,
    whole: bool,
    attempt: u16,
) -> Result<(), String> {
    let links = state.links_mut();
    let children = links.children.entry(step).or_default();
    let chunk = children.iter_mut().find(|child| child.run == run);
    let chunk = chunk.ok_or_else(|| format!("{run} is no chunk of step {}", step.0))?;
    chunk.undo = if whole { ChunkUndo::Done } else { ChunkUndo::Failed(attempt) };
    links.to_roll_back.insert(step);
    Ok(())
}
