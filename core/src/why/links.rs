//! What a run waits for at other runs.

use super::{Blocker, id};
use crate::ids::StepIndex;
use crate::state::State;

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
