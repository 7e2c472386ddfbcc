//! Migrations: whether a run under way can go on with another revision of its workflow.
//!
//! What a run has done stays as it is; the revision must not say otherwise of any step that
//! has begun. Everything else is the new revision's. What the event does to a state is
//! `evolve`'s.

use std::sync::Arc;

use crate::arrows::{Phase, StepStatus};
use crate::command::Rejection;
use crate::event::{ForkEvent, RunEvent};
use crate::ids::StepIndex;
use crate::lineage::MIGRATIONS_MAX;
use crate::plan::{NumberTemplate, Plan, TaskKind};
use crate::state::{State, StepState};

/// Reasons that one refusal names; more are counted.
const REASONS_MAX: usize = 50;

/// The facts of a migration; none if the run is pinned to that content already. `plan` is the
/// one of the run's lineage with the content behind it.
pub(crate) fn migrate(
    state: &State,
    plan: &Arc<Plan>,
    revision: u32,
    reason: String,
    actor: String,
) -> Result<Vec<RunEvent>, Rejection> {
    if state.plan.digest == plan.digest {
        return Ok(Vec::new());
    }
    let reasons = misfits(state, plan);
    if !reasons.is_empty() {
        return Err(Rejection::MigrationRefused { reasons });
    }
    let event = ForkEvent::Migrated { revision, digest: plan.digest, reason, actor };
    Ok(vec![RunEvent::Fork(event)])
}

/// Every reason why a run can't go on with a plan; none if it can.
#[must_use]
pub fn misfits(state: &State, plan: &Plan) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(why) = stands_wrong(state) {
        return vec![why];
    }
    of_the_run(state, plan, &mut reasons);
    for (index, own) in (0..).map(StepIndex).zip(&state.steps) {
        let (old, new) = (state.plan.step(index), plan.step(index));
        if new.gone && !old.gone && has_begun(own) {
            let (id, word) = (&old.id, own.word());
            reasons.push(format!("step `{id}` is {word}, and the revision has no such step"));
        } else if old.gone && !new.gone {
            reasons.push(format!(
                "step `{}` was taken out by an earlier migration; give the new one another id",
                old.id
            ));
        } else if !new.gone && (own.status != StepStatus::Pending || was_tried(own)) {
            of_step(state, plan, index, &mut reasons);
        }
    }
    let more = reasons.len().saturating_sub(REASONS_MAX);
    if more > 0 {
        reasons.truncate(REASONS_MAX);
        reasons.push(format!("and {more} more"));
    }
    reasons
}

/// Why nothing is to be migrated where the run stands.
fn stands_wrong(state: &State) -> Option<String> {
    let word = state.status().word();
    match state.phase {
        Phase::Ended => return Some(format!("the run has ended: {word}")),
        Phase::Unwinding | Phase::Failing => {
            return Some(format!("the run is {word}: it is undone by the revision it did it with"));
        }
        Phase::Forward | Phase::Suspended if state.is_unstarted_fork() => {
            return Some("the run is a fork that has not started".to_owned());
        }
        Phase::Forward | Phase::Suspended if state.partial().is_some() => {
            return Some("an undo of the run has failed; settle it first".to_owned());
        }
        Phase::Forward | Phase::Suspended => {}
    }
    if state.is_chunk() {
        return Some("the run is a part of a loop, not a run for itself".to_owned());
    }
    let called = state.flow.as_ref().and_then(|flow| flow.called.keys().next());
    if let Some(step) = called {
        let id = &state.plan.step(*step).id;
        return Some(format!("the handlers of step `{id}` are at work; ask again after them"));
    }
    let torn = state.phase == Phase::Forward
        && (!state.sets.failed.is_empty() || state.doomed().next().is_some());
    (torn || !state.sets.unlettered.is_empty())
        .then(|| "the run is in the middle of a decision; ask again".to_owned())
}

fn of_the_run(state: &State, plan: &Plan, reasons: &mut Vec<String>) {
    if plan.workflow != state.plan.workflow {
        reasons.push(format!("the revision is one of `{}`", plan.workflow));
    }
    of_loops(state, plan, reasons);
    if !plan.has_limits_of(&state.plan) {
        reasons.push("the revision has another `concurrency`, and the run has its slot".to_owned());
    }
    if state.has_begun() || state.has_own_numbers() {
        let number = |own: &NumberTemplate| state.own_number(own.number).is_none();
        if let Some(own) = plan.numbers.iter().find(|own| number(own)) {
            let word = own.number.word();
            reasons
                .push(format!("the revision's `{word}` is a template, rendered as a run begins"));
        }
    }
    if state.lineage().len() > MIGRATIONS_MAX {
        reasons.push(format!("the run was migrated {MIGRATIONS_MAX} times, and no more"));
    }
    let input = &state.submitted.input;
    if input.absent().is_none()
        && let Err(problems) = plan.check_input(&input.value())
    {
        reasons.extend(problems.iter().map(|own| format!("the run's input: {own}")));
    }
}

/// The chunks of a loop are pinned to the content that its run was submitted with, in which the
/// loop has the same place: it must be there, and say the same.
fn of_loops(state: &State, plan: &Plan, reasons: &mut Vec<String>) {
    for (index, new) in (0..).map(StepIndex).zip(&plan.steps) {
        let Some(each) = new.each() else { continue };
        let before = state.plan.steps.get(index.at()).and_then(|own| own.each());
        if before.is_none_or(|own| own.said != each.said) {
            reasons.push(format!(
                "step `{}` is a loop, which the revision that the run was submitted with does not \
                 have so",
                new.id
            ));
        }
    }
}

/// Whether anything came of a step that its place alone does not tell.
fn has_begun(own: &StepState) -> bool {
    let untouched = matches!(
        own.status,
        StepStatus::Pending | StepStatus::Skipped | StepStatus::Pruned | StepStatus::Cancelled
    );
    !untouched || was_tried(own)
}

/// Whether the step was tried in its present round.
fn was_tried(own: &StepState) -> bool {
    own.attempt > 0 && own.input.is_some()
}

/// What a revision says otherwise of a step that has begun.
fn of_step(state: &State, plan: &Plan, index: StepIndex, reasons: &mut Vec<String>) {
    let (old, new, own) = (state.plan.step(index), plan.step(index), state.step(index));
    let (id, word) = (&old.id, own.word());
    let done = !matches!(own.status, StepStatus::Skipped | StepStatus::Pruned);
    let mut otherwise = |what: String| {
        reasons.push(format!("step `{id}` is {word}, and the revision {what}"));
    };
    let opened = own.status != StepStatus::Pending && done;
    let unknown = |own: &&NumberTemplate| state.number(index, own.number).is_none();
    if let Some(own) = new.numbers.iter().find(unknown).filter(|_| opened) {
        let word = own.number.word();
        otherwise(format!("has a template for its `{word}`, rendered before it is ready"));
    }
    if new.task != old.task {
        otherwise("has it do something else".to_owned());
    }
    if new.needs != old.needs {
        let open = new.needs.iter().find(|need| !is_settled(state, **need));
        otherwise(match open {
            Some(need) => {
                format!("has it need `{}`, which would run after it", plan.step(*need).id)
            }
            None => "has it need other steps".to_owned(),
        });
    }
    let effect = matches!(old.task, TaskKind::Effect(_) | TaskKind::Workflow);
    if effect && (done || own.unsure) {
        match (&old.undo, &new.undo) {
            (Some(_), None) => otherwise("has no undo for it".to_owned()),
            (None, Some(_)) if state.cache_source(index).is_some() => {
                otherwise("would undo what another run did: the cache answered it".to_owned());
            }
            (Some(before), Some(after)) if before.task_type != after.task_type => {
                otherwise("has something else undo it".to_owned());
            }
            _ => {}
        }
    }
    if own.status == StepStatus::Failed {
        if new.allow_failure != old.allow_failure {
            otherwise("treats its failure otherwise".to_owned());
        }
        if new.failure_handlers() != old.failure_handlers() {
            otherwise("has other steps handle its failure".to_owned());
        }
    }
    if let (Some(before), Some(after)) = (old.router(), new.router()) {
        let ways = |router: &crate::plan::Router| {
            let routes = router.routes.iter().map(|(_, to)| to.clone());
            routes.chain([router.default.clone()]).collect::<Vec<_>>()
        };
        if ways(before) != ways(after) {
            otherwise("has other routes for it".to_owned());
        }
    }
}

fn is_settled(state: &State, step: StepIndex) -> bool {
    state.steps.get(step.at()).is_some_and(|own| own.status.is_settled())
}
