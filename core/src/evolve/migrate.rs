//! Going on with another revision: what the run did is carried over to the new plan.
//!
//! Places are the same in both plans, so whatever names a step stays as it is. What a step
//! waits for, and what is outstanding of the run, is counted anew over the new graph.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::arrows::StepStatus;
use crate::event::{ForkEvent, Number};
use crate::ids::StepIndex;
use crate::plan::Plan;
use crate::state::{
    FlowState, Migration, Migrations, Sets, State, StepState, Subject, find_number,
};
use crate::time::Timestamp;

use super::flow;

pub(super) fn migrate(
    state: &mut State,
    event: &ForkEvent,
    plan: &Arc<Plan>,
    at: Timestamp,
) -> Result<(), String> {
    let ForkEvent::Migrated { revision, digest, reason, actor } = event else {
        return Err("it pins the run to nothing".to_owned());
    };
    if plan.digest != *digest {
        return Err(format!("{digest} is another content than {}", plan.digest));
    }
    let places = state.plan.steps.iter().zip(&plan.steps);
    if plan.steps.len() < state.plan.steps.len() || places.clone().any(|(a, b)| a.id != b.id) {
        return Err("the plan does not keep the places of the one before".to_owned());
    }
    let submitted = &mut state.submitted;
    let migrations = state.migrations.get_or_insert_with(|| {
        let (first_revision, first) = (submitted.revision, submitted.digest);
        Box::new(Migrations { first_revision, first, made: Vec::new() })
    });
    let (revision, digest) = (*revision, *digest);
    let (reason, actor) = (reason.clone(), actor.clone());
    migrations.made.push(Migration { revision, digest, reason, actor, at });
    (submitted.revision, submitted.digest) = (revision, digest);
    if !state.deadline_passed && !is_lifted(state) {
        let timeout_ms = plan.timeout_ms;
        state.submitted.deadline_at = timeout_ms.map(|ms| state.submitted_at.plus_ms(ms));
    }
    carry(state, plan, at);
    Ok(())
}

/// Whether somebody lifted the run's timeout.
fn is_lifted(state: &State) -> bool {
    let waits = state.sets.due.iter().any(|(_, subject)| *subject == Subject::Deadline);
    state.deadline_at().is_some() && !waits
}

fn carry(state: &mut State, plan: &Arc<Plan>, at: Timestamp) {
    let lifted = state.deadline_passed || is_lifted(state);
    let fresh = State::begin(state.id, plan.clone(), state.submitted.clone(), state.submitted_at);
    let old = std::mem::replace(&mut state.sets, fresh.sets);
    let agreed = state.run_sla_ms().is_some();
    state.plan = plan.clone();
    let own = std::mem::replace(&mut state.steps, fresh.steps);
    for (step, own) in state.steps.iter_mut().zip(own) {
        let (open_needs, done_needs) = (step.open_needs, step.done_needs);
        *step = StepState { open_needs, done_needs, ..own };
    }
    let had = std::mem::replace(&mut state.flow, fresh.flow);
    for (step, new) in state.steps.iter_mut().zip(&plan.steps) {
        if new.gone && step.status == StepStatus::Pending {
            (step.status, step.completed_at) = (StepStatus::Pruned, Some(at));
        }
    }
    keep_flow(state, had.map(|own| *own).unwrap_or_default());
    carry_due(state, agreed, &old, lifted);
    let Sets { open, ready, queued, running, faulted, failed, unsettled, due, .. } =
        std::mem::take(&mut state.sets);
    state.sets = Sets { open, ready, queued, running, faulted, failed, unsettled, due, ..old };
    let steps: Vec<_> = (0..).map(StepIndex).take(state.steps.len()).collect();
    let begun = |step: &StepIndex| state.step(*step).status != StepStatus::Pending;
    let begun: BTreeSet<_> = steps.iter().copied().filter(begun).collect();
    state.sets.open.retain(|step| !begun.contains(step));
    // What has not begun is told its keys anew.
    let fresh = steps.iter().filter(|step| !begun.contains(step));
    if let Some(keyed) = &mut state.keyed {
        fresh.for_each(|step| keyed.forget(*step));
    }
    begun.into_iter().for_each(|step| place(state, step));
    flow::let_go_of_handlers(state);
}

/// What routers, handlers and clocks brought about stays, as far as the plan knows of it; of
/// numbers what templates came to for what has begun.
fn keep_flow(state: &mut State, mut had: FlowState) {
    let plan = state.plan.clone();
    keep_numbers(state, &mut had);
    let limits = had.limits.into_iter().filter_map(|(step, mut own)| {
        let numbers = had.numbers.get(&step);
        let has = |fixed: Option<u64>, number| {
            fixed.is_some() || numbers.is_some_and(|own| find_number(own, number).is_some())
        };
        let plan = plan.step(step);
        let limited = has(plan.total_timeout_ms, Number::TotalTimeout);
        own.limit_at = own.limit_at.filter(|_| limited);
        own.sla_at = own.sla_at.filter(|_| has(plan.sla_ms, Number::Sla));
        (own.limit_at.is_some() || own.sla_at.is_some()).then_some((step, own))
    });
    let limits = limits.collect();
    let kept = FlowState {
        limits,
        doomed: had.doomed.into_iter().filter(|step| !plan.step(*step).gone).collect(),
        handled: had.handled,
        breached: had.breached,
        cached: had.cached,
        led: had.led,
        numbers: had.numbers,
        own_numbers: had.own_numbers,
        ..FlowState::default()
    };
    if let Some(flow) = &mut state.flow {
        **flow = FlowState { awaiting: std::mem::take(&mut flow.awaiting), ..kept };
    } else if kept != FlowState::default() {
        state.flow = Some(Box::new(kept));
    }
}

/// Numbers stay that the new plan has templates for too; those of steps that have not begun are
/// rendered anew.
fn keep_numbers(state: &State, had: &mut FlowState) {
    let plan = &state.plan;
    had.numbers.retain(|step, own| {
        let templates = &plan.step(*step).numbers;
        own.retain(|(number, _)| templates.iter().any(|own| own.number == *number));
        state.step(*step).status != StepStatus::Pending && !own.is_empty()
    });
    let meant = |number| plan.numbers.iter().any(|own| own.number == number);
    had.own_numbers.retain(|(number, _)| meant(*number));
}

/// What waits for an instant: that of the run by the new plan, that of steps as it was. `agreed`
/// says whether anything was agreed for the run before.
fn carry_due(state: &mut State, agreed: bool, old: &Sets, lifted: bool) {
    let from = state.submitted_at;
    let due = |ms: Option<u64>, subject| ms.map(|ms| (from.plus_ms(ms), subject));
    let own = [
        due(state.own_number(Number::Timeout), Subject::Deadline),
        due(state.own_number(Number::Sla), Subject::Sla),
    ];
    state.sets.due.extend(own.into_iter().flatten());
    if lifted {
        state.sets.due.retain(|(_, subject)| *subject != Subject::Deadline);
    }
    let breached = state.breaches().iter().any(|breach| breach.step.is_none());
    if agreed && breached {
        state.sets.due.retain(|(_, subject)| *subject != Subject::Sla);
    }
    let stays = |subject: Subject| match subject {
        Subject::Deadline | Subject::Sla => false,
        Subject::StepLimit(step) => state.total_timeout_ms(step).is_some(),
        Subject::StepSla(step) => state.sla_ms(step).is_some(),
        Subject::Step(_)
        | Subject::Undo(_)
        | Subject::Delivery(_)
        | Subject::Message(_)
        | Subject::Compensation => true,
    };
    let kept: Vec<_> = old.due.iter().copied().filter(|(_, own)| stays(*own)).collect();
    state.sets.due.extend(kept);
}

/// Puts a step that is not pending where it belongs, and tells those that need it.
pub(super) fn place(state: &mut State, step: StepIndex) {
    let own = state.step(step);
    let (status, completed_at) = (own.status, own.completed_at);
    let allowed = state.plan.step(step).allow_failure;
    let (takes_turns, handled) = (state.takes_turns(step), state.is_handled(step));
    // It has kept its place among those that wait for keyed limits or for services.
    let keeps = state.wanted(step).is_some() || state.is_held(step);
    let sets = &mut state.sets;
    match status {
        StepStatus::Ready if keeps => {}
        StepStatus::Pending
        | StepStatus::Waiting
        | StepStatus::Retrying
        | StepStatus::Cancelled => {}
        StepStatus::Ready if takes_turns => drop(sets.queued.insert(step)),
        StepStatus::Ready => drop(sets.ready.insert(step)),
        StepStatus::Running => drop(sets.running.insert(step)),
        StepStatus::Faulted => drop(sets.faulted.insert(step)),
        StepStatus::Succeeded | StepStatus::Skipped => {
            flow::settle(state, step, true, completed_at.unwrap_or_default());
        }
        StepStatus::Pruned => {
            flow::settle(state, step, false, completed_at.unwrap_or_default());
        }
        StepStatus::Failed if allowed => {
            flow::settle(state, step, true, completed_at.unwrap_or_default());
        }
        StepStatus::Failed if handled => {
            flow::settle_handled(state, step, completed_at.unwrap_or_default());
        }
        StepStatus::Failed => drop(sets.failed.insert(step)),
    }
    state.steps[step.at()].completed_at = completed_at;
}
