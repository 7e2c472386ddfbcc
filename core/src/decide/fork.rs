//! Deciding what forks need of the run they come from, and of themselves.

use crate::event::{ForkEvent, RunEvent};
use crate::ids::{ExecutionId, StepIndex};
use crate::state::State;

/// All that a fork keeps is told.
pub(super) fn start(state: &State) -> Vec<RunEvent> {
    let unstarted = state.is_unstarted_fork();
    unstarted.then_some(RunEvent::Fork(ForkEvent::Started)).into_iter().collect()
}

/// A fork was made, and may take over the undos of some steps; told twice, once is enough.
pub(super) fn note_fork(
    state: &State,
    to: ExecutionId,
    undoes: Vec<StepIndex>,
    actor: String,
) -> Vec<RunEvent> {
    let known = state.forks.as_ref().is_some_and(|forks| forks.made.contains_key(&to));
    let made = RunEvent::Fork(ForkEvent::Forked { to, undoes, actor });
    (!known).then_some(made).into_iter().collect()
}

/// A fork was removed before it started.
pub(super) fn drop_fork(state: &State, fork: ExecutionId) -> Vec<RunEvent> {
    let known = state.forks.as_ref().is_some_and(|forks| forks.made.contains_key(&fork));
    let dropped = RunEvent::Fork(ForkEvent::ForkDropped { fork });
    known.then_some(dropped).into_iter().collect()
}
