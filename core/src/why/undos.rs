//! What a run that is being undone waits for beside the attempts of its undos.

use std::collections::BTreeSet;

use super::{Blocker, NEEDS_NAMED_MAX, id};
use crate::ids::StepIndex;
use crate::state::{BackTo, State, Subject};
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

/// What a run waits for that completes once steps which failed are undone.
pub(super) fn partial(state: &State) -> Option<Blocker> {
    let part = state.partial()?;
    if let Some(back_to) = &part.back_to {
        let sentence = format!(
            "{}: what builds on it is undone, and then done anew",
            rolled_back(state, back_to)
        );
        let blocker = Blocker::of("rolling_back", id(state, back_to.step), sentence);
        return Some(blocker.since(Some(back_to.said.at)));
    }
    let mut steps = part.steps.iter();
    let named = steps.by_ref().take(NEEDS_NAMED_MAX).map(|step| format!("`{}`", id(state, *step)));
    let named = named.collect::<Vec<_>>().join(", ");
    let more = steps.count();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let sentence = format!(
        "every step is settled; {named}{more} failed and may have taken effect all the same: that \
         is undone before the run completes"
    );
    Some(Blocker::of("settling", None, sentence))
}

/// What goes on before the run is rolled back to a step.
pub(super) fn stopping(state: &State, back_to: &BackTo) -> Blocker {
    let sentence = format!(
        "{}; what is under way ends first, and nothing new begins",
        rolled_back(state, back_to)
    );
    let blocker = Blocker::of("rolling_back", id(state, back_to.step), sentence);
    blocker.since(Some(back_to.said.at))
}

fn rolled_back(state: &State, back_to: &BackTo) -> String {
    let because = match back_to.said.reason.as_str() {
        "" => String::new(),
        reason => format!(" because: {reason}"),
    };
    let (step, said) = (id(state, back_to.step), &back_to.said);
    format!("rolled back to step `{step}` by {} since {}{because}", said.actor, said.at)
}

/// A run of which a part was to be undone, and an undo failed.
pub(super) fn unsettled(state: &State, since: Timestamp) -> Blocker {
    let step = state.unsettled_undo().map(|step| id(state, step));
    let which = step.as_ref().map(|step| format!(" of step `{step}`")).unwrap_or_default();
    let sentence = format!(
        "suspended since {since} because the undo{which} failed: retry its dead letter, or say that \
         it was done by hand (`done`) or is left as it is (`accept`)"
    );
    Blocker::of("suspended", step, sentence).since(Some(since))
}

/// Why an undo has not begun: those that go before it, or nothing but its turn.
pub(super) fn in_line(state: &State, step: StepIndex) -> String {
    let (name, mut seen, mut before) = (id(state, step), BTreeSet::new(), Vec::new());
    let mut looked_at = state.plan.step(step).dependants.clone();
    while let Some(dependant) = looked_at.pop() {
        if !seen.insert(dependant) {
            continue;
        }
        match &state.step(dependant).undo {
            Some(undo) if undo.completed_at.is_none() => before.push(dependant),
            _ => looked_at.extend(&state.plan.step(dependant).dependants),
        }
    }
    before.sort_unstable();
    let named = before.iter().take(NEEDS_NAMED_MAX).map(|step| format!("`{}`", id(state, *step)));
    let named: Vec<_> = named.collect();
    match before.len().saturating_sub(named.len()) {
        _ if named.is_empty() => {
            let since = state.step(step).undo.as_ref().and_then(|undo| undo.due_at);
            let since = since.map(|at| format!(" since {at}")).unwrap_or_default();
            format!("the undo of step `{name}` waits for its turn{since}")
        }
        0 => format!("the undo of step `{name}` waits for the undo of {}", named.join(", ")),
        more => {
            let named = named.join(", ");
            format!("the undo of step `{name}` waits for the undo of {named} and {more} more")
        }
    }
}
