//! What follows while a run, or a part of it, unwinds: its undos, in graph order, until all have
//! a result.

use std::collections::BTreeSet;

use crate::arrows::UndoStatus;
use crate::event::{Compensation, LetterSubject, Outcome, Recourse, RunEvent, UnwindEvent};
use crate::failure::{Failure, codes};
use crate::ids::StepIndex;
use crate::items::ItemScope;
use crate::plan::PlanUndo;
use crate::room::{Attempt, Room, Turns};
use crate::scope::Scope;
use crate::state::{State, Subject};
use crate::template::Work;
use crate::time::Timestamp;

use super::{
    RENDER_WORK_PER_DECISION_MAX, STARTS_PER_LAYER_MAX, calls, checks, ended, failure_of, partial,
};

pub(super) fn unwinding(
    state: &State,
    now: Timestamp,
    room: &mut dyn Room,
    work: &mut Work,
    events: &mut Vec<RunEvent>,
) {
    if state.is_forced() && state.sets.undo_unfinished > 0 {
        events.extend(given_up(state));
        return;
    }
    if let Some(limit_ms) = timed_out(state, now) {
        events.push(RunEvent::Unwind(UnwindEvent::CompensationTimedOut { limit_ms }));
        return;
    }
    for &step in &state.sets.undo_faulted {
        let Some(own) = &state.step(step).undo else { continue };
        let failure = failure_of(state, LetterSubject::Undo(step));
        let retries = state.undo_retries(step);
        events.push(if retries.allow_undo(&failure, own.tries, own.lost) {
            RunEvent::UndoRetryScheduled { step, due_at: now.plus_ms(own.retry_delay_ms) }
        } else {
            let failure = checks::last_failure(state, step, failure);
            RunEvent::UndoFailed { step, failure }
        });
    }
    for &step in state.sets.undo_answered.iter().take(STARTS_PER_LAYER_MAX) {
        if work.units >= RENDER_WORK_PER_DECISION_MAX && !events.is_empty() {
            break;
        }
        events.push(checks::concluded(state, step, work));
    }
    let mut turns = Turns::of(room, Attempt::Undo);
    let due = state.due_by(now).filter_map(|subject| match subject {
        Subject::Undo(step) => Some(step),
        _ => None,
    });
    let due = due.filter_map(|step| undo_begun(state, step, &mut turns));
    events.extend(due.take(STARTS_PER_LAYER_MAX));
    let ready = newest_first(state, &state.sets.undo_ready).take(STARTS_PER_LAYER_MAX);
    events.extend(ready.filter_map(|step| undo_begun(state, step, &mut turns)));
    let waited = calls::undos(state, &mut turns).into_iter();
    events.extend(waited.map(|step| undo_started(state, step)));
    let open = newest_first(state, &state.sets.undo_open);
    for step in open.take(STARTS_PER_LAYER_MAX.min(state.undo_window())) {
        if work.units >= RENDER_WORK_PER_DECISION_MAX && !events.is_empty() {
            break;
        }
        events.push(undo_opened(state, step, work));
    }
    if state.sets.undo_unfinished == 0 && events.is_empty() {
        events.push(match state.partial() {
            Some(_) => partial::undone(state, work),
            None => unwound(state),
        });
    }
}

/// Every undo has its result. A run that was stopped as it is has only what a letter was retried
/// of undone: as long as anything of it stands, that is still its word.
fn unwound(state: &State) -> RunEvent {
    let stopped = state.failing.as_ref().is_some_and(|why| why.recourse == Recourse::Halt);
    let mut steps = (0..).map(StepIndex).take(state.steps.len());
    if stopped && steps.any(|step| state.stands(step)) {
        return ended(state, Outcome::Failed, Compensation::None);
    }
    let mut undos = state.steps.iter().filter_map(|step| step.undo.as_ref());
    if undos.any(|own| own.status == UndoStatus::Failed && !own.stands) {
        ended(state, Outcome::CompensationFailed, Compensation::Failed)
    } else {
        ended(state, Outcome::Compensated, Compensation::Done)
    }
}

/// Items of a loop are undone in the order opposite to that in which they began; what the graph
/// leaves open has no order.
fn newest_first<'a>(
    state: &State,
    steps: &'a BTreeSet<StepIndex>,
) -> Box<dyn Iterator<Item = StepIndex> + 'a> {
    let steps = steps.iter().copied();
    if state.is_chunk() { Box::new(steps.rev()) } else { Box::new(steps) }
}

/// An undo that is due has its turn, unless its service is not to be called now.
fn undo_begun(state: &State, step: StepIndex, turns: &mut Turns<'_>) -> Option<RunEvent> {
    let undo = state.plan.steps[step.at()].undo.as_ref();
    if !undo.is_some_and(PlanUndo::rolls_back) {
        if !turns.take() {
            return None;
        }
        let stopped = calls::undo_stopped(state, step, turns);
        if stopped.is_some() {
            return stopped;
        }
    }
    Some(undo_started(state, step))
}

fn undo_started(state: &State, step: StepIndex) -> RunEvent {
    let attempt = state.step(step).undo.as_ref().map_or(0, |undo| undo.attempt);
    RunEvent::UndoStarted { step, attempt: attempt.saturating_add(1) }
}

/// An undo that nothing holds back: rendered, unless it needs an output that nobody has.
fn undo_opened(state: &State, step: StepIndex, work: &mut Work) -> RunEvent {
    let own = state.step(step);
    let failed = |failure| RunEvent::UndoFailed { step, failure };
    if state.plan.steps[step.at()].holds_unwinding {
        return RunEvent::Unwind(UnwindEvent::UndoAwaited { step });
    }
    let Some(plan) = &state.plan.steps[step.at()].undo else {
        return failed(Failure::permanent(codes::INTERNAL, "the step has no undo"));
    };
    if let Some(asked) = checks::asked(state, step, work) {
        return asked;
    }
    if own.output_to_undo().is_none() && plan.reads_own_output {
        let message = "the step may have taken effect, and its undo reads an output nobody has; \
                       undo it by hand, then discard this letter";
        return failed(Failure::permanent(codes::OUTCOME_UNKNOWN, message));
    }
    let item = ItemScope::of(state, step);
    let scope: &dyn Scope = item.as_ref().map_or(state, |item| item);
    match plan.render_input(scope, work) {
        Ok(input) => RunEvent::UndoReady { step, input },
        Err(failure) => failed(failure),
    }
}

/// The limit of all undos together, once they took longer and some have no result.
fn timed_out(state: &State, now: Timestamp) -> Option<u64> {
    let limit_ms = state.plan.compensation_timeout_ms?;
    let late = state.due_by(now).any(|subject| subject == Subject::Compensation);
    (late && state.sets.undo_unfinished > 0).then_some(limit_ms)
}

/// Every undo without a result, given up because somebody forced the run to its end, or because
/// they took too long. Whether one that was under way took effect is unknown.
fn given_up(state: &State) -> impl Iterator<Item = RunEvent> + '_ {
    let outstanding = |step: &StepIndex| {
        let status = state.step(*step).undo.as_ref().map(|undo| undo.status);
        status.is_some_and(|own| !own.is_settled())
    };
    let steps = (0..).map(StepIndex).take(state.steps.len()).filter(outstanding);
    let limit = state.controls.as_ref().filter(|own| !own.undos_forced);
    let limit_ms = limit.and_then(|_| state.plan.compensation_timeout_ms);
    let failure = match limit_ms {
        Some(limit_ms) => {
            let message = format!(
                "the undos of the run took longer than {limit_ms} ms and this one had no result; \
                 see to it by hand, or retry it"
            );
            Failure::permanent(codes::COMPENSATION_TIMEOUT, message)
        }
        None => {
            let message = "the undo was given up by force; see to it by hand, or retry it";
            Failure::permanent(codes::CANCELLED_BY_FORCE, message)
        }
    };
    steps.take(STARTS_PER_LAYER_MAX).map(move |step| {
        let status = state.step(step).undo.as_ref().map(|undo| undo.status);
        let failure = match (status, limit_ms) {
            (Some(UndoStatus::Running), Some(_)) => failure.clone().of_unknown_effect(),
            _ => failure.clone(),
        };
        RunEvent::UndoFailed { step, failure }
    })
}
