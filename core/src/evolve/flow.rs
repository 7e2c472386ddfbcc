//! What a step's end means to those that need it: settling, calling handlers, and marking what
//! is to be pruned.
//!
//! A handler waits for one thing more than its needs: that a step which names it calls it, or
//! that none can any more. The mark to be pruned is kept in a set, so that a cut between a
//! choice and the pruning changes nothing.

use crate::arrows::{Phase, StepStatus};
use crate::event::LetterSubject;
use crate::ids::StepIndex;
use crate::plan::Plan;
use crate::state::State;
use crate::time::Timestamp;

/// The step has its place in the outcome: what needs it has one need less to wait for.
pub(super) fn settle(state: &mut State, step: StepIndex, done: bool, at: Timestamp) {
    state.steps[step.at()].completed_at = Some(at);
    let plan = state.plan.clone();
    let mut settled = vec![(step, done)];
    while let Some((step, done)) = settled.pop() {
        state.sets.unsettled -= 1;
        let own = &plan.steps[step.at()];
        for &dependant in &own.dependants {
            if own.is_handled_by(dependant) {
                named_by_settled(state, &plan, step, dependant);
            } else {
                need_settled(state, dependant, done);
            }
        }
        if let Some(router) = own.router()
            && state.step(step).status != StepStatus::Succeeded
        {
            // A router that did not choose took no branch.
            router.all_targets().for_each(|target| doom(state, target));
        }
        for &failed in own.handles() {
            settled.extend(handler_settled(state, &plan, step, failed).map(|own| (own, false)));
        }
    }
}

/// The step failed for good and may not: its handlers are called, or the failure stands.
pub(super) fn fail(state: &mut State, step: StepIndex, at: Timestamp) {
    state.steps[step.at()].completed_at = Some(at);
    let plan = state.plan.clone();
    let handlers = plan.steps[step.at()].failure_handlers();
    let partial = state.partial().is_some();
    let goes_on = matches!(state.phase, Phase::Forward | Phase::Suspended) || partial;
    if goes_on && handlers.iter().any(|&handler| has_completed(state, handler)) {
        // One handler for several steps runs once, and stands for all of them.
        make_good(state, &plan, step);
        settle(state, step, false, at);
        return;
    }
    let open = handlers.iter().filter(|&&handler| may_complete(state, handler)).count();
    let Some(flow) = state.flow.as_mut().filter(|_| goes_on && open > 0) else {
        stand(state, step);
        return;
    };
    flow.called.insert(step, u32::try_from(open).expect("bounded by the steps"));
    for &handler in handlers {
        let waited = state.flow.as_mut().and_then(|flow| flow.awaiting.remove(&handler));
        if waited.is_some() {
            need_settled(state, handler, true);
        }
    }
}

/// A failure that was made good has its place in the outcome: its handlers were called.
pub(super) fn settle_handled(state: &mut State, step: StepIndex, at: Timestamp) {
    let plan = state.plan.clone();
    for &handler in plan.steps[step.at()].failure_handlers() {
        let waited = state.flow.as_mut().and_then(|flow| flow.awaiting.remove(&handler));
        if waited.is_some() {
            need_settled(state, handler, true);
        }
    }
    settle(state, step, false, at);
}

/// A failure that was to be made good by a handler which is about to be done anew is put before
/// its handlers once more; where another has made it good, that stands.
pub(super) fn settle_failed(state: &mut State, step: StepIndex, at: Timestamp) {
    if state.is_handled(step) {
        settle_handled(state, step, at);
        let plan = state.plan.clone();
        make_good(state, &plan, step);
    } else {
        fail(state, step, at);
    }
}

/// Failures that a handler made good which has not completed any more are not made good.
pub(super) fn forget_handled(state: &mut State) {
    loop {
        let good = |step: &StepIndex| {
            let handlers = state.plan.step(*step).failure_handlers();
            handlers.iter().any(|handler| has_completed(state, *handler))
        };
        let lost: Vec<_> = state.handled_failures().filter(|step| !good(step)).collect();
        let Some(flow) = state.flow.as_mut().filter(|_| !lost.is_empty()) else { return };
        flow.handled.retain(|step| !lost.contains(step));
    }
}

/// Handlers that have begun or are ruled out wait to be called no more, though a step that names
/// them is to be tried again.
pub(super) fn let_go_of_handlers(state: &mut State) {
    let Some(flow) = &mut state.flow else { return };
    let steps = &state.steps;
    let over = |own: &StepIndex| steps[own.at()].status != StepStatus::Pending;
    let over: Vec<_> = flow.awaiting.keys().copied().filter(over).collect();
    over.into_iter().for_each(|handler| spare(state, handler));
}

/// A router has chosen: what only its other routes lead to is to be pruned.
pub(super) fn choose(state: &mut State, step: StepIndex, route: Option<u16>) -> Result<(), String> {
    let plan = state.plan.clone();
    let router = plan.steps.get(step.at()).and_then(|own| own.router());
    let router = router.ok_or_else(|| format!("step {} is no router", step.0))?;
    if route.is_some_and(|route| usize::from(route) > router.routes.len()) {
        return Err(format!("step {} has no such route", step.0));
    }
    lead(state, step, router.targets(route))
}

/// A router leads to some steps, ascending: what only its other routes lead to is to be pruned.
pub(super) fn lead(state: &mut State, step: StepIndex, taken: &[StepIndex]) -> Result<(), String> {
    let is_router = state.plan.steps.get(step.at()).is_some_and(|own| own.router().is_some());
    if !is_router {
        return Err(format!("step {} is no router", step.0));
    }
    doom_others(state, step, taken);
    if let Some(flow) = &mut state.flow {
        flow.led.insert(step, taken.to_vec());
    }
    Ok(())
}

/// What only the other routes of a router lead to is to be pruned.
pub(super) fn doom_others(state: &mut State, router: StepIndex, taken: &[StepIndex]) {
    let plan = state.plan.clone();
    let targets = plan.step(router).router().into_iter().flat_map(|own| own.all_targets());
    let others = targets.filter(|target| taken.binary_search(target).is_err());
    others.for_each(|target| doom(state, target));
}

/// The step is pending no more, and will not be again; a handler that was not called waits for
/// that no more.
pub(super) fn spare(state: &mut State, step: StepIndex) {
    let Some(flow) = &mut state.flow else { return };
    flow.doomed.remove(&step);
    if flow.awaiting.remove(&step).is_some() {
        need_settled(state, step, state.step(step).status != StepStatus::Pruned);
    }
}

fn need_settled(state: &mut State, dependant: StepIndex, done: bool) {
    let own = &mut state.steps[dependant.at()];
    own.open_needs -= 1;
    own.done_needs += u32::from(done);
    if own.open_needs == 0 && own.status == StepStatus::Pending {
        state.sets.open.insert(dependant);
    }
}

/// A step that names this handler is settled. Once all are, it is ruled out unless one of them
/// succeeded and names it for that; a failure would have called it before.
fn named_by_settled(state: &mut State, plan: &Plan, step: StepIndex, handler: StepIndex) {
    let succeeded = state.step(step).status == StepStatus::Succeeded;
    let Some(flow) = &mut state.flow else { return };
    let Some(own) = flow.awaiting.get_mut(&handler) else { return };
    let names = |own: &crate::plan::Flow| own.on_success.binary_search(&handler).is_ok();
    own.open -= 1;
    own.matched |= succeeded && plan.steps[step.at()].flow.as_deref().is_some_and(names);
    if own.open > 0 {
        return;
    }
    let matched = own.matched;
    flow.awaiting.remove(&handler);
    if !matched {
        doom(state, handler);
    }
    need_settled(state, handler, matched);
}

/// A handler of a failed step is settled: answers the failed step, if that settles it too.
fn handler_settled(
    state: &mut State,
    plan: &Plan,
    handler: StepIndex,
    failed: StepIndex,
) -> Option<StepIndex> {
    let completed = has_completed(state, handler);
    if plan.steps[failed.at()].failure_handlers().binary_search(&handler).is_err() {
        return None;
    }
    let flow = state.flow.as_mut()?;
    let open = flow.called.get_mut(&failed)?;
    *open -= 1;
    if completed {
        flow.called.remove(&failed);
        make_good(state, plan, failed);
        return Some(failed);
    }
    if *open == 0 {
        flow.called.remove(&failed);
        stand(state, failed);
    }
    None
}

/// The failure is handled: what needs the failed step can't run, but for its handlers.
fn make_good(state: &mut State, plan: &Plan, failed: StepIndex) {
    let own = &plan.steps[failed.at()];
    let dependants = own.dependants.iter().filter(|&&dependant| !own.is_handled_by(dependant));
    dependants.for_each(|&dependant| doom(state, dependant));
    if let Some(flow) = &mut state.flow {
        flow.handled.insert(failed);
    }
}

/// Nobody makes the failure good: the run fails of it.
fn stand(state: &mut State, step: StepIndex) {
    state.sets.failed.insert(step);
    // The letter of a chunk's item is that of the step whose item it is.
    if !state.is_chunk() {
        state.sets.unlettered.push(LetterSubject::Step(step));
    }
}

fn doom(state: &mut State, step: StepIndex) {
    let waits = matches!(state.step(step).status, StepStatus::Pending | StepStatus::Cancelled);
    if let Some(flow) = state.flow.as_mut().filter(|_| waits) {
        flow.doomed.insert(step);
    }
}

/// Whether a handler made good what it was called for: it succeeded, or its own failure was
/// handled.
fn has_completed(state: &State, handler: StepIndex) -> bool {
    match state.step(handler).status {
        StepStatus::Succeeded => true,
        StepStatus::Failed => state.is_handled(handler),
        _ => false,
    }
}

/// Whether a handler is not settled.
fn may_complete(state: &State, handler: StepIndex) -> bool {
    match state.step(handler).status {
        StepStatus::Skipped | StepStatus::Pruned | StepStatus::Succeeded => false,
        StepStatus::Failed => !state.plan.steps[handler.at()].allow_failure,
        _ => true,
    }
}
