//! What a step that could start waits for: others of its run, or its turn.

use super::{Blocker, id};
use crate::advance::alone::Gate;
use crate::arrows::{Phase, StepStatus, UndoStatus};
use crate::ids::StepIndex;
use crate::room::Attempt;
use crate::state::{State, Subject};
use crate::time::Timestamp;

/// Steps that one sentence names as those that are waited for.
const HOLDERS_NAMED_MAX: usize = 8;

/// A step that is ready, in the words of whatever holds it up.
pub(super) fn ready(state: &State, step: StepIndex) -> Blocker {
    let (name, since) = (id(state, step), state.step(step).due_at);
    let at = since.map(|at| format!(" since {at}")).unwrap_or_default();
    let alone = (!Gate::of(state, state.updated_at).lets(state, step)).then(|| alone(state, step));
    let (kind, sentence) = match alone {
        Some(alone) => ("alone", format!("step `{name}` is ready{at}{alone}")),
        None => ("ready", format!("step `{name}` is ready{at} and has not started")),
    };
    Blocker::of(kind, name, sentence).since(since)
}

/// Why it waits because it runs alone, or another does.
fn alone(state: &State, step: StepIndex) -> String {
    let running = &state.sets.running;
    let held = held_by(state, running.iter().copied(), running.len());
    match (state.plan.step(step).exclusive, held) {
        (true, Some(held)) => format!(", runs alone and waits until these ended: {held}"),
        (true, None) => ", runs alone and waits for another that does".to_owned(),
        (false, Some(held)) => format!(" and waits until these ended: {held}"),
        (false, None) => " and waits for one that runs alone".to_owned(),
    }
}

/// Items of a chunk that wait because as many as may be are under way.
pub(super) fn beyond_window(state: &State) -> Option<Blocker> {
    let part = state.plan.part.as_ref()?;
    let waiting = &state.sets.open;
    if state.phase != Phase::Forward || !state.has_begun() || state.window() > 0 {
        return None;
    }
    let first = *waiting.first()?;
    let under_way = |step: &StepIndex| {
        let own = state.step(*step);
        own.completed_at.is_none() && own.status != StepStatus::Pending
    };
    let steps = (0..).map(StepIndex).take(state.steps.len()).filter(under_way);
    let count = state.sets.unsettled.saturating_sub(waiting.len());
    let held = held_by(state, steps, count).unwrap_or_default();
    let (name, most) = (id(state, first), part.max_parallel);
    let more = match waiting.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let sentence = format!(
        "`{name}`{more} wait until one of the {most} item(s) ended that may be under way at a \
         time: {held}"
    );
    Some(Blocker::of("parallel", name, sentence))
}

/// The first of some steps, since when each is under way, and how many more there are.
fn held_by(state: &State, steps: impl Iterator<Item = StepIndex>, count: usize) -> Option<String> {
    let named = steps.take(HOLDERS_NAMED_MAX).map(|step| {
        let own = state.step(step);
        let since = own.started_at.or(own.due_at);
        let since = since.map(|at| format!(" since {at}")).unwrap_or_default();
        format!("`{}`{since}", id(state, step))
    });
    let named: Vec<_> = named.collect();
    match count.saturating_sub(named.len()) {
        _ if named.is_empty() => None,
        0 => Some(named.join(", ")),
        more => Some(format!("{} and {more} more", named.join(", "))),
    }
}

/// The step whose attempt, or whose undo's, could have started first but for a turn, and since
/// when it could. Looks at every step; for people only.
#[must_use]
pub fn first_without_turn(
    state: &State,
    attempt: Attempt,
    now: Timestamp,
) -> Option<(StepIndex, Timestamp)> {
    let due = |step: StepIndex| {
        let own = state.step(step);
        let (since, could, subject) = match (attempt, &own.undo) {
            (Attempt::Step, _) => {
                let ready = own.status == StepStatus::Ready && state.takes_turns(step);
                let could = ready || own.status == StepStatus::Retrying;
                (own.due_at, could, Subject::Step(step))
            }
            (Attempt::Undo, Some(undo)) => {
                let could = matches!(undo.status, UndoStatus::Ready | UndoStatus::Retrying);
                (undo.due_at, could, Subject::Undo(step))
            }
            (Attempt::Undo, None) => return None,
        };
        let since = since.filter(|at| could && *at <= now)?;
        state.held_call(subject).is_none().then_some((since, step))
    };
    let first = (0..).map(StepIndex).take(state.steps.len()).filter_map(due).min();
    first.map(|(since, step)| (step, since))
}
