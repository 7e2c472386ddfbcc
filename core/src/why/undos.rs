//! What a run that is being undone waits for beside the attempts of its undos.

use super::Blocker;
use crate::state::{State, Subject};
use crate::time::Timestamp;

/// A step that acted and has no undo, since a person was to say what becomes of it.
pub(super) fn by_hand(step: &str, since: Option<Timestamp>) -> Blocker {
    let at = since.map(|at| at.to_string()).unwrap_or_default();
    let sentence = format!(
        "step `{step}` took effect and has no undo: unwinding waits since {at} for a person who \
         says that it was undone by hand (`done`), stays (`accept`) or is set aside (`set-aside`)"
    );
    Blocker::of("undo_by_hand", step.to_owned(), sentence).since(since)
}

/// When the undos are given up that have no result by then.
pub(super) fn timeout(state: &State) -> Option<Blocker> {
    let mut due = state.sets.due.iter();
    let (at, _) = due.find(|(_, subject)| *subject == Subject::Compensation)?;
    let sentence = format!(
        "undos without a result at {at} are given up then, as the workflow's \
         `compensation_timeout` says"
    );
    Some(Blocker::of("compensation_timeout", None, sentence).until(Some(*at)))
}
