//! The unwind plan: what rolling a run back would undo now, in which order, and what it would
//! leave behind.
//!
//! A function of the state alone. It says what would be done if the run were rolled back as it
//! stands; what is in flight may still take effect and be undone as well.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::advance::RENDER_WORK_PER_DECISION_MAX;
use crate::arrows::{Phase, StepStatus};
use crate::event::Compensation;
use crate::ids::StepIndex;
use crate::items::ItemScope;
use crate::payload::Payload;
use crate::plan::{PlanCheck, PlanUndo, TaskKind};
use crate::report::instant;
use crate::scope::Scope;
use crate::state::State;
use crate::template::Work;

/// Steps that one answer names in each of its lists; more are counted.
pub const UNWIND_STEPS_MAX: usize = 1_000;

/// The answer of `GET /api/v1/executions/{id}/rollback`: of the whole run, or of what builds on a
/// step that it would be rolled back to.
#[must_use]
pub fn unwind_plan_json(state: &State, to: Option<StepIndex>) -> Value {
    let mut work = Work::default();
    let part = to.map(|step| state.behind(step));
    let waves = waves(state, part.as_ref());
    let mut undone: Vec<_> = waves.into_iter().collect();
    undone.sort_by_key(|(step, wave)| (*wave, *step));
    let waves = undone.last().map_or(0, |(_, wave)| *wave);
    let undos = undone.iter().take(UNWIND_STEPS_MAX);
    let undos: Vec<_> = undos.map(|own| undo_json(state, *own, &mut work)).collect();
    let steps = || (0..).map(StepIndex).take(state.steps.len());
    let of_part = |step: &StepIndex| part.as_ref().is_none_or(|part| part.contains(step));
    let left: Vec<_> = steps().filter(of_part).filter_map(|step| left_json(state, step)).collect();
    let again = part.iter().flatten().map(|step| &state.plan.step(*step).id);
    let again: Vec<_> = again.take(UNWIND_STEPS_MAX).collect();
    let more_again = part.as_ref().map_or(0, |part| part.len() - again.len());
    let flying: Vec<_> = steps().filter(|step| is_in_flight(state, *step)).collect();
    let in_flight: Vec<_> = flying.iter().map(|step| &state.plan.step(*step).id).collect();
    let mut plan = json!({
        "execution_id": state.id.to_string(),
        "status": state.status().word(),
        "rollback_until": instant(state.rollback_until()),
        "waves": waves,
        "undos": undos,
        "more_undos": undone.len().saturating_sub(UNWIND_STEPS_MAX),
        "left": left[..left.len().min(UNWIND_STEPS_MAX)],
        "more_left": left.len().saturating_sub(UNWIND_STEPS_MAX),
        "in_flight": in_flight[..in_flight.len().min(UNWIND_STEPS_MAX)],
        "more_in_flight": in_flight.len().saturating_sub(UNWIND_STEPS_MAX),
    });
    if let Some(step) = to {
        plan["to"] = json!(state.plan.step(step).id);
        plan["again"] = json!(again);
        plan["more_again"] = more_again.into();
    }
    plan
}

/// The steps whose undo is called for, each with its wave: those of one wave do not wait for one
/// another, and every wave waits for the ones before it. One pass over the edges.
fn waves(state: &State, part: Option<&BTreeSet<StepIndex>>) -> BTreeMap<StepIndex, u32> {
    let plan = &state.plan;
    // What was undone while the run went on is not undone again with it.
    let unwound = match &state.ending {
        Some(ending) => ending.compensation != Compensation::None,
        None => state.phase == Phase::Unwinding,
    };
    let mut open: Vec<usize> = plan.steps.iter().map(|own| own.dependants.len()).collect();
    let mut after = vec![0_u32; plan.steps.len()];
    let steps = (0..).map(StepIndex).zip(&plan.steps);
    let mut free: Vec<_> =
        steps.filter(|(_, own)| own.dependants.is_empty()).map(|(step, _)| step).collect();
    let mut found = BTreeMap::new();
    while let Some(step) = free.pop() {
        let called = if unwound { state.needs_undo(step) } else { state.stands(step) };
        let needed = called && part.is_none_or(|part| part.contains(&step));
        let wave = after[step.at()] + u32::from(needed);
        if needed {
            found.insert(step, wave);
        }
        for need in &plan.steps[step.at()].needs {
            after[need.at()] = after[need.at()].max(wave);
            open[need.at()] -= 1;
            if open[need.at()] == 0 {
                free.push(*need);
            }
        }
    }
    found
}

fn undo_json(state: &State, (step, wave): (StepIndex, u32), work: &mut Work) -> Value {
    let (plan, own) = (state.plan.step(step), state.step(step));
    let mut made = Map::new();
    made.insert("step".to_owned(), json!(plan.id));
    made.insert("wave".to_owned(), wave.into());
    made.insert("type".to_owned(), json!(plan.undo.as_ref().map(|undo| &undo.task_type)));
    let known = own.status == StepStatus::Succeeded && !own.unsure;
    made.insert("outcome".to_owned(), if known { "succeeded" } else { "unknown" }.into());
    made.insert("status".to_owned(), json!(own.undo.as_deref().map(|undo| undo.word())));
    let child = state.links.as_ref().and_then(|links| links.child(step));
    made.insert("child".to_owned(), json!(child.map(|child| child.run.to_string())));
    let Some(undo) = &plan.undo else {
        let problem = "it has no undo: unwinding waits until a person says what becomes of it";
        made.insert("problem".to_owned(), problem.into());
        return made.into();
    };
    let asked = own.check().and_then(|check| check.verdict.as_ref());
    if asked.is_none()
        && let Some(check) = state.to_ask(step)
    {
        let check =
            json!({ "type": check.task_type, "input": asked_with(state, step, check, work) });
        made.insert("asked_first".to_owned(), check);
        return made.into();
    }
    let told = match own.undo.as_ref().and_then(|undo| undo.input.as_ref()) {
        Some(input) => ("input", input.value()),
        None => input_of(state, step, undo, work),
    };
    made.insert(told.0.to_owned(), told.1);
    made.into()
}

/// What the service would be asked; nothing if that is not to be had.
fn asked_with(state: &State, step: StepIndex, check: &PlanCheck, work: &mut Work) -> Value {
    if work.units >= RENDER_WORK_PER_DECISION_MAX {
        return Value::Null;
    }
    let item = ItemScope::of(state, step);
    let scope: &dyn Scope = item.as_ref().map_or(state, |item| item);
    check.render_input(scope, work).map_or(Value::Null, |input| input.value())
}

/// What the undo would be given, or the problem it would fail of.
fn input_of(
    state: &State,
    step: StepIndex,
    undo: &PlanUndo,
    work: &mut Work,
) -> (&'static str, Value) {
    if state.step(step).output_to_undo().is_none() && undo.reads_own_output {
        return ("problem", "it reads an output that nobody has: undo it by hand".into());
    }
    if work.units >= RENDER_WORK_PER_DECISION_MAX {
        return ("input_omitted", true.into());
    }
    let item = ItemScope::of(state, step);
    let scope: &dyn Scope = item.as_ref().map_or(state, |item| item);
    match undo.render_input(scope, work) {
        Ok(input) => ("input", Payload::value(&input)),
        Err(failure) => ("problem", failure.message.into()),
    }
}

/// A step with an effect that rolling back would not undo, and why.
fn left_json(state: &State, step: StepIndex) -> Option<Value> {
    let (plan, own) = (state.plan.step(step), state.step(step));
    let effective = own.status == StepStatus::Succeeded || own.unsure;
    let acts = matches!(plan.task, TaskKind::Effect(_) | TaskKind::Signal);
    let why = if !effective {
        return None;
    } else if state.is_undone_elsewhere(step) {
        "another run of its lineage undoes it"
    } else if plan.undo.is_none() && acts && !plan.holds_unwinding {
        "it has no undo"
    } else {
        return None;
    };
    Some(json!({ "step": plan.id, "why": why }))
}

/// Whether the step may still take effect before anything is undone.
fn is_in_flight(state: &State, step: StepIndex) -> bool {
    let status = state.step(step).status;
    state.phase != Phase::Unwinding && matches!(status, StepStatus::Running | StepStatus::Faulted)
}
