//! What a run waits for at other runs.

use super::{Blocker, id};
use crate::ids::StepIndex;
use crate::state::{Loop, State};

/// A running step, or its undo, that is a run of another workflow.
pub(super) fn child(state: &State, step: StepIndex, undoing: bool) -> Blocker {
    let name = id(state, step);
    let child = state.links.as_ref().and_then(|links| links.child(step));
    let own = state.step(step);
    let since = match own.undo.as_ref().filter(|_| undoing) {
        Some(undo) => undo.started_at,
        None => own.started_at,
    };
    let at = since.map(|at| format!(" since {at}")).unwrap_or_default();
    let sentence = match child {
        None => format!("step `{name}` is about to ask for its child"),
        Some(child) if undoing => {
            format!("the undo of step `{name}` waits until its child {} is undone{at}", child.run)
        }
        Some(child) if !child.begun => {
            format!("step `{name}` waits until its child {} has begun{at}", child.run)
        }
        Some(child) => format!("step `{name}` waits for its child {}{at}", child.run),
    };
    Blocker::of(if undoing { "undo" } else { "child" }, Some(name), sentence).since(since)
}

/// A running loop: how far it is, and which chunk is under way.
pub(super) fn items(state: &State, step: StepIndex) -> Blocker {
    let name = id(state, step);
    let (own, links) = (state.step(step), state.links.as_deref());
    let known = links.and_then(|links| links.loops.get(&step));
    let Some(known) = known.filter(|known| known.attempt == own.attempt) else {
        let sentence = format!("step `{name}` is about to go through its items");
        return Blocker::of("items", Some(name), sentence).since(own.started_at);
    };
    let Loop { items, next, .. } = known;
    let chunk = links.and_then(|links| links.chunks(step, own.attempt).last());
    let under_way = links.is_some_and(|links| !links.to_start.contains(&step));
    let sentence = match chunk.filter(|_| under_way) {
        Some(chunk) => {
            let first = chunk.items.map_or(0, |own| own.first);
            let last = next.saturating_sub(1);
            format!(
                "step `{name}` is at items {first} to {last} of {items}: see `why` of {}",
                chunk.run
            )
        }
        None => {
            format!("step `{name}` is at item {next} of {items}, and its next chunk has not begun")
        }
    };
    Blocker::of("items", Some(name), sentence).since(own.started_at)
}

/// The undo of a loop, and which chunk is being undone.
pub(super) fn items_undo(state: &State, step: StepIndex) -> Blocker {
    let name = id(state, step);
    let undo = state.step(step).undo.as_ref();
    let (attempt, since) = undo.map_or((0, None), |undo| (undo.attempt, undo.started_at));
    let chunk = state.links.as_ref().and_then(|links| links.to_undo(step, attempt));
    let sentence = match chunk {
        Some(chunk) => {
            format!("the undo of step `{name}` waits until its chunk {} is undone", chunk.run)
        }
        None => format!("the undo of step `{name}` is about to end"),
    };
    Blocker::of("undo", Some(name), sentence).since(since)
}

/// What other runs have not acknowledged.
pub(super) fn messages(state: &State) -> impl Iterator<Item = Blocker> + '_ {
    let outbox = state.links.iter().flat_map(|links| &links.outbox);
    outbox.map(|(number, own)| {
        let (word, to, at) = (own.body.word(), own.to, own.posted_at);
        let sentence =
            format!("message {number} (`{word}`) to {to} is not acknowledged since {at}");
        Blocker::of("message", Some(to.to_string()), sentence).since(Some(at))
    })
}
