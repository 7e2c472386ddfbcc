//! Loops: a step whose items run in chunks, each of them a run of its own, one after another.
//!
//! One chunk at a time is under way, so that no more items than are allowed ever are, a failure
//! stops what has not begun, and chunks are undone in the order opposite to that in which they
//! began.

use serde_json::json;

use super::{Post, Start, child};
use crate::arrows::Phase;
use crate::event::{Items, LinkEvent, Message, Parent, Recourse, RunEvent};
use crate::failure::{EffectKnown, Failure, FailureClass, codes};
use crate::ids::{Digest, ExecutionId, StepIndex};
use crate::items;
use crate::payload::Payload;
use crate::plan::TaskKind;
use crate::state::{ChunkUndo, Links, Loop, State};
use crate::time::Moment;

/// What a chunk begins with.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The revision that the parent was submitted with.
    pub revision: u32,
    /// Its content.
    pub digest: Digest,
    /// The items.
    pub items: Payload,
    /// What they read of the parent's run.
    pub values: Payload,
}

/// Whether the loop may begin.
///
/// # Errors
/// `ITEMS_INVALID`, `PAYLOAD_TOO_LARGE`, `CHILD_TOO_DEEP`, or that something it reads is kept
/// no more.
pub(crate) fn startable(state: &State, step: StepIndex, input: &Payload) -> Result<usize, Failure> {
    let count = items::list(input)?.len();
    let Some(each) = state.plan.step(step).each() else {
        return Err(Failure::permanent(codes::INTERNAL, "the step has no `each`"));
    };
    items::values(state, each)?;
    child::not_too_deep(state)?;
    Ok(count)
}

/// Whether nothing follows for a loop with no chunk under way: the run starts nothing now.
pub(super) fn rests(state: &State, links: &Links, step: StepIndex) -> bool {
    let forward = state.phase == Phase::Forward && state.paused().is_none();
    let goes_on = forward || stops(state, step);
    let own = links.loops.get(&step).filter(|own| own.attempt == state.step(step).attempt);
    is_loop(state, step)
        && !goes_on
        && own.is_none_or(|own| own.failure.is_none() && own.stretch().is_some())
}

pub(super) fn is_loop(state: &State, step: StepIndex) -> bool {
    state.plan.steps[step.at()].task == TaskKind::Foreach
}

/// Whether the run gives up what of the loop has not begun.
fn stops(state: &State, step: StepIndex) -> bool {
    let part = state.partial().filter(|_| state.phase == Phase::Failing);
    if part.is_some_and(|part| part.steps.contains(&step)) {
        return true;
    }
    let why = state.failing.as_ref().filter(|_| state.phase == Phase::Failing);
    why.is_some_and(|why| why.recourse != Recourse::Suspend)
}

/// What follows for a loop with no chunk under way.
pub(super) fn go_on(
    state: &State,
    links: &Links,
    step: StepIndex,
    moment: Moment,
    post: &mut Post<'_>,
) {
    let attempt = state.step(step).attempt;
    let known = links.loops.get(&step).filter(|own| own.attempt == attempt);
    if stops(state, step) && known.is_none_or(was_cancelled) {
        let message = "no more of its items begin: the run is being stopped";
        let failure = Failure::permanent(codes::LOOP_STOPPED, message);
        return post.events.push(failed(step, attempt, failure, known));
    }
    let Some(own) = known else {
        return post.events.push(begun(state, step, attempt));
    };
    if let Some(failure) = &own.failure {
        return post.events.push(failed(step, attempt, failure.clone(), known));
    }
    let Some(stretch) = own.stretch() else {
        let output = items::finished(state, step);
        return post.events.push(RunEvent::StepSucceeded { step, attempt, output });
    };
    let input = state.step(step).input.as_ref();
    if let Some(absent) = input.and_then(Payload::absent) {
        return post.events.push(failed(step, attempt, absent.failure("the input"), known));
    }
    let to = id(state, step, attempt, stretch, moment.partitions);
    post.message(to, Message::Start { step, attempt, items: Some(stretch) });
}

/// Whether the loop has no failure of its own.
fn was_cancelled(own: &Loop) -> bool {
    own.failure.as_ref().is_none_or(|failure| failure.code == codes::CHILD_FAILED)
}

fn begun(state: &State, step: StepIndex, attempt: u16) -> RunEvent {
    let input = state.step(step).input.clone().unwrap_or_else(Payload::null);
    match (items::list(&input), state.plan.step(step).each()) {
        (Ok(list), Some(each)) => {
            let (items, chunk_items) = (list.len() as u64, each.chunk_items);
            RunEvent::Link(LinkEvent::LoopBegun { step, attempt, items, chunk_items })
        }
        (Err(failure), _) => failed(step, attempt, failure, None),
        (Ok(_), None) => {
            failed(step, attempt, Failure::permanent(codes::INTERNAL, "no `each`"), None)
        }
    }
}

/// The loop is over: what its ended chunks did may stand.
fn failed(step: StepIndex, attempt: u16, failure: Failure, known: Option<&Loop>) -> RunEvent {
    let stands = known.is_some_and(|own| own.effect);
    let failure = if stands { failure.of_unknown_effect() } else { failure };
    let retry_delay_ms = known.map_or(0, |own| own.retry_delay_ms);
    RunEvent::StepAttemptFailed { step, attempt, failure, retry_delay_ms }
}

/// What follows for the undo of a loop with no chunk being undone: the newest chunk first.
pub(super) fn undo(state: &State, links: &Links, step: StepIndex, post: &mut Post<'_>) {
    let attempt = state.step(step).undo.as_ref().map_or(0, |undo| undo.attempt);
    if let Some(chunk) = links.to_undo(step, attempt) {
        return post.message(chunk.run, Message::RollBack { step, attempt });
    }
    let children = links.children.get(&step).into_iter().flatten();
    let left = children.filter(|child| child.undo == ChunkUndo::Failed(attempt));
    let left: Vec<String> = left.map(|child| child.run.to_string()).collect();
    post.events.push(if left.is_empty() {
        RunEvent::UndoSucceeded { step, attempt, output: Payload::null() }
    } else {
        let named = left.iter().take(RUNS_NAMED_MAX).map(String::as_str).collect::<Vec<_>>();
        let message = format!(
            "{} chunk(s) could not be undone whole: {}: see their dead letters, then retry this one",
            left.len(),
            named.join(", ")
        );
        let failure = Failure::permanent(codes::CHILD_NOT_UNDONE, message);
        let details = Payload::of(&json!({ "execution_ids": named }));
        let failure = failure.with_details(details);
        RunEvent::UndoAttemptFailed { step, attempt, failure, retry_delay_ms: 0 }
    });
}

/// The most runs that a message names.
const RUNS_NAMED_MAX: usize = 8;

/// The run of a stretch: the same stretch of the same attempt has the same run.
fn id(state: &State, step: StepIndex, attempt: u16, items: Items, partitions: u16) -> ExecutionId {
    let step = &state.plan.steps[step.at()].id;
    let (attempt, first) = (attempt.to_string(), items.first.to_string());
    let words = ["chunk", &state.id.to_string(), &child::life(state), step, &attempt, &first];
    ExecutionId::derived(&words, usize::from(partitions.max(1)))
}

/// What a chunk begins with; nothing once its loop is over.
pub(super) fn start(state: &State, parent: Parent, stretch: Items) -> Option<Start> {
    let step = state.plan.steps.get(parent.step.at())?;
    let list = items::list(state.step(parent.step).input.as_ref()?).ok()?;
    let first = usize::try_from(stretch.first).ok()?;
    let count = usize::try_from(stretch.count).ok()?;
    let items = list.get(first..first.checked_add(count)?)?;
    // In a migrated run's own plan steps have places that no content gives them.
    let (revision, digest) = *state.pins().first()?;
    let chunk = Chunk {
        revision,
        digest,
        items: Payload::of(&json!({ "items": items })),
        values: items::values(state, step.each()?).ok()?,
    };
    Some(child::beginning(state, parent, super::Begins::Chunk(Box::new(chunk))))
}

/// Why a chunk did not complete: the failure of its item.
pub(super) fn item_failure(state: &State, stands: bool) -> Option<Failure> {
    let part = state.plan.part.as_ref()?;
    let why = state.failing.as_ref()?;
    let (index, own) = (part.index(why.step?), &why.failure);
    let details = json!({
        "index": index,
        "execution_id": state.id.to_string(),
        "details": own.details.as_ref().map(Payload::value),
    });
    let failure = Failure {
        code: own.code.clone(),
        message: format!("item {index}: {}", own.message),
        class: own.class,
        effect: if stands { EffectKnown::Unknown } else { EffectKnown::None },
        details: Some(Payload::of(&details)),
    };
    let cancelled = state.cancel.as_ref().is_some_and(|cancel| cancel.in_force);
    let class = if cancelled { FailureClass::Permanent } else { failure.class };
    Some(Failure { class, ..failure }.clipped())
}
