//! Folding a roll-back to a step: what builds on it is undone, and then pending again.
//!
//! What the part was comes to nothing: its steps begin a new round, and what the others wait for,
//! and what is to be pruned, is counted anew over the graph, as for another revision.

use std::collections::BTreeSet;

use crate::arrows::{Phase, PhaseMove, StepStatus};
use crate::event::LetterSubject;
use crate::ids::StepIndex;
use crate::state::{
    BackTo, ChunkUndo, FlowState, LetterSettled, Partial, Said, Sets, State, StepState, Subject,
};
use crate::time::Timestamp;

use super::{flow, letters, migrate, move_run, resolve_letters, step_mut};

/// Nothing starts any more; what is in flight ends. The timeout is lifted, as for any step that
/// a person has tried again, and so is what was agreed for a run that had ended.
pub(super) fn requested(state: &mut State, step: StepIndex, said: Said) -> Result<(), String> {
    step_mut(state, step)?;
    let reopened = state.phase == Phase::Ended;
    move_run(state, PhaseMove::RollBack)?;
    let lifted =
        |subject: Subject| subject == Subject::Deadline || (reopened && subject == Subject::Sla);
    state.sets.due.retain(|(_, subject)| !lifted(*subject));
    state.sets.overdue = false;
    (state.ending, state.failing, state.cancel) = (None, None, None);
    let steps = state.behind(step);
    let controls = state.controls_mut();
    controls.suspended_at = None;
    let back_to = Some(BackTo { step, said });
    controls.partial = Some(Box::new(Partial { steps, back_to }));
    Ok(())
}

/// The part is undone: it is pending again, and the run goes forward.
pub(crate) fn ended(state: &mut State, steps: &[StepIndex], at: Timestamp) -> Result<(), String> {
    let part: BTreeSet<_> = steps.iter().copied().collect();
    let Some(own) = state.partial().filter(|own| own.steps == part).cloned() else {
        return Err("a part is over that was not being undone".to_owned());
    };
    let Some(BackTo { said, .. }) = own.back_to else {
        return Err("a part is over that nobody had undone".to_owned());
    };
    move_run(state, PhaseMove::ReopenForward)?;
    state.end_partial();
    state.controls_mut().forced = false;
    let settled = LetterSettled { actor: said.actor, reason: Some(said.reason), linked: None, at };
    for &step in &part {
        resolve_letters(state, LetterSubject::Step(step), &settled);
        resolve_letters(state, LetterSubject::Undo(step), &settled);
        forget(state, step)?;
    }
    recount(state, &part);
    Ok(())
}

/// Nothing is left of what became of the step, but for how often it was tried.
fn forget(state: &mut State, step: StepIndex) -> Result<(), String> {
    let (round, attempt) = (state.step(step).round, state.step(step).attempt);
    letters::note_round(state, step, round);
    let fresh = StepState::begin(&state.plan.steps[step.at()]);
    *step_mut(state, step)? = StepState { round: round.saturating_add(1), attempt, ..fresh };
    if let Some(keyed) = &mut state.keyed {
        keyed.forget(step);
    }
    if let Some(calls) = &mut state.calls {
        calls.release(Subject::Step(step));
        calls.release(Subject::Undo(step));
    }
    if let Some(controls) = &mut state.controls {
        controls.signals.leave(step);
    }
    if let Some(forks) = &mut state.forks {
        forks.kept.remove(&step);
    }
    if let Some(links) = &mut state.links {
        links.loops.remove(&step);
        // A person settled what could not be undone; the next round has children of its own.
        let children = links.children.get_mut(&step).into_iter().flatten();
        let chunks = children.filter(|child| child.items.is_some());
        chunks.for_each(|child| child.undo = ChunkUndo::Done);
    }
    state.sets.touched.extend([Subject::Step(step), Subject::Undo(step)]);
    Ok(())
}

/// Counts anew what every step waits for, and who is to be pruned.
fn recount(state: &mut State, part: &BTreeSet<StepIndex>) {
    let plan = state.plan.clone();
    let fresh = State::begin(state.id, plan.clone(), state.submitted.clone(), state.submitted_at);
    let mut old = std::mem::replace(&mut state.sets, fresh.sets);
    for (own, fresh) in state.steps.iter_mut().zip(&fresh.steps) {
        (own.open_needs, own.done_needs) = (fresh.open_needs, fresh.done_needs);
    }
    let had = std::mem::replace(&mut state.flow, fresh.flow).map(|own| *own);
    if let Some(had) = had {
        keep_flow(state.flow.get_or_insert_default(), had, part);
    }
    flow::forget_handled(state);
    let of_part = |subject: &Subject| match subject {
        Subject::Step(step)
        | Subject::Undo(step)
        | Subject::StepLimit(step)
        | Subject::StepSla(step) => part.contains(step),
        Subject::Compensation => true,
        _ => false,
    };
    old.due.retain(|(_, subject)| !of_part(subject));
    old.failed.retain(|step| !part.contains(step));
    old.given_up = old.given_up.filter(|step| !part.contains(step));
    let (open, unsettled) = (std::mem::take(&mut state.sets.open), state.sets.unsettled);
    let failed = std::mem::take(&mut old.failed);
    let touched = std::mem::take(&mut old.touched);
    state.sets = Sets { open, unsettled, due: old.due, touched, ..Sets::default() };
    let sets = &mut state.sets;
    (sets.owed_deliveries, sets.faulted_deliveries) = (old.owed_deliveries, old.faulted_deliveries);
    (sets.given_up, sets.unlettered) = (old.given_up, old.unlettered);
    let steps = (0..).map(StepIndex).take(state.steps.len());
    let begun: Vec<_> =
        steps.filter(|step| state.step(*step).status != StepStatus::Pending).collect();
    state.sets.open.retain(|step| begun.binary_search(step).is_err());
    // Which handlers are left for a failure is known once all that have ended are in place.
    let (calls, others): (Vec<_>, Vec<_>) = begun.into_iter().partition(|step| {
        let stands = failed.contains(step) || plan.step(*step).allow_failure;
        state.step(*step).status == StepStatus::Failed && !stands
    });
    others.into_iter().for_each(|step| migrate::place(state, step));
    for step in calls {
        let completed_at = state.step(step).completed_at;
        flow::settle_failed(state, step, completed_at.unwrap_or_default());
        state.steps[step.at()].completed_at = completed_at;
    }
    lead_again(state);
    flow::let_go_of_handlers(state);
}

/// What routers, handlers, limits of time and the cache brought about stays, but for the part.
fn keep_flow(flow: &mut FlowState, had: FlowState, part: &BTreeSet<StepIndex>) {
    let stays = |step: &StepIndex| !part.contains(step);
    flow.handled = had.handled.into_iter().filter(stays).collect();
    flow.limits = had.limits.into_iter().filter(|(step, _)| stays(step)).collect();
    flow.numbers = had.numbers.into_iter().filter(|(step, _)| stays(step)).collect();
    flow.cached = had.cached.into_iter().filter(|(step, _)| stays(step)).collect();
    flow.led = had.led.into_iter().filter(|(step, _)| stays(step)).collect();
    (flow.breached, flow.own_numbers) = (had.breached, had.own_numbers);
}

/// Routers that have chosen lead where they led; one that was set by hand leads everywhere.
fn lead_again(state: &mut State) {
    let led = state.flow.as_ref().map(|flow| flow.led.clone()).unwrap_or_default();
    led.iter().for_each(|(router, taken)| flow::doom_others(state, *router, taken));
}
