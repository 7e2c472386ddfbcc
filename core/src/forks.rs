//! Forks: a new run that keeps what some steps of an ended run did, and runs the others again.
//!
//! A fork tells everything it keeps in its own stream, so that it needs its parent no more.
//! Until all is told it does not start; a start that finds such a part removes it. The undo of
//! a kept step is its parent's to make, unless the fork takes it over: the parent records that
//! before the fork starts, so that never both have it.

use std::collections::{BTreeSet, VecDeque};

use serde_json::Value;

use crate::arrows::{Phase, StepStatus};
use crate::command::{Rejection, Submission};
use crate::event::{Compensation, ForkEvent, ForkOrigin, KeptStatus, KeptStep, RunEvent};
use crate::ids::StepIndex;
use crate::machine::{Decision, Refusal, begin, keep_beside};
use crate::payload::Payload;
use crate::plan::{Plan, ReplaySafety, TaskKind};
use crate::state::State;
use crate::time::Moment;

/// Reasons that one refusal names; more are counted.
pub const REASONS_MAX: usize = 50;

/// A wish for a fork, complete with everything the shell drew for it.
#[derive(Debug, Clone)]
pub struct ForkOrder {
    /// The new run; its plan is the parent's, or a newer revision's.
    pub submission: Submission,
    /// The step from which on all runs again; unsaid, what was settled is kept.
    pub from: Option<String>,
    /// Whether the fork undoes what it keeps.
    pub take_over: bool,
    /// Whether steps may run again that say that this does harm.
    pub accept_unsafe: bool,
    /// In their words.
    pub reason: String,
    /// Who.
    pub actor: String,
}

/// A fork that was begun and not started.
#[derive(Debug)]
pub struct Begun {
    /// The new run.
    pub state: State,
    /// Its events up to the last kept step.
    pub decision: Decision,
    /// Steps of the parent that the fork undoes: to be recorded there before it starts.
    pub undoes: Vec<StepIndex>,
    /// Steps that took effect in the parent and do so again, under a new key.
    pub repeated: Vec<String>,
}

/// Begins a fork of `parent`, keeping steps as they stood at `point`: the parent itself, or the
/// same run at an earlier version.
///
/// # Errors
/// [`Rejection::ForkRefused`] with every reason, [`Rejection::ForkUnsafe`],
/// [`Rejection::UnknownStep`]; [`Refusal::Illegal`] if the engine is wrong.
pub fn fork(
    parent: &State,
    point: &State,
    order: ForkOrder,
    moment: Moment,
) -> Result<Begun, Refusal> {
    let plan = order.submission.plan.clone();
    refuse_unended(parent)?;
    let from = match &order.from {
        Some(id) => {
            let unknown = || Rejection::UnknownStep { step: id.clone() };
            Some(plan.index_of(id).ok_or_else(unknown)?)
        }
        None => None,
    };
    let kept = kept(point, order.from.as_deref());
    let mut reasons = Vec::new();
    let mut steps = Vec::new();
    for &step in &kept {
        match keep(parent, point, step, &plan, order.take_over) {
            Ok(own) => steps.push(own),
            Err(why) => reasons.push(why),
        }
    }
    let known: BTreeSet<StepIndex> = steps.iter().map(|own| own.step).collect();
    reasons.extend(steps.iter().filter_map(|own| unmet(&plan, own.step, &known)));
    if reasons.is_empty() && known.len() == plan.steps.len() {
        reasons.push("no step would run again".to_owned());
    }
    if !reasons.is_empty() {
        return Err(Rejection::ForkRefused { reasons: clipped(reasons) }.into());
    }
    let repeated = repeated(parent, &plan, &known, order.accept_unsafe)?;
    let undoes =
        kept.iter().copied().filter(|&step| order.take_over && parent.stands(step)).collect();
    let origin = ForkOrigin {
        run: parent.id,
        version: point.version,
        from,
        kept: u32::try_from(steps.len()).expect("a plan has at most 10,000 steps"),
        takes_over: order.take_over,
        reason: order.reason,
        actor: order.actor,
    };
    let (mut state, mut decision) = begin(order.submission, moment)?;
    let told = steps.into_iter().map(|own| ForkEvent::StepKept(Box::new(own)));
    let mut events: Vec<_> = std::iter::once(ForkEvent::Begun(Box::new(origin)))
        .chain(told)
        .map(RunEvent::Fork)
        .collect();
    keep_beside(&plan, &mut events);
    for event in &events {
        crate::evolve::evolve(&mut state, event, moment.stamp)?;
    }
    decision.events.extend(events);
    Ok(Begun { state, decision, undoes, repeated })
}

/// Only what has ended, and was not undone, is forked.
fn refuse_unended(parent: &State) -> Result<(), Rejection> {
    if let Some(above) = parent.parent().filter(|above| above.items.is_some()) {
        return Err(Rejection::PartOfRun { run: above.run });
    }
    let status = parent.status().word();
    let why = match (parent.phase, &parent.ending) {
        (Phase::Ended, Some(ending)) if ending.compensation == Compensation::None => {
            return Ok(());
        }
        (Phase::Ended, _) => {
            format!("the run is {status}: what it did is undone; submit it anew instead")
        }
        _ => format!("the run is {status}: only a run that has ended is forked; cancel it first"),
    };
    Err(Rejection::ForkRefused { reasons: vec![why] })
}

/// The steps that stand, ascending: settled, without one that runs again before them.
fn kept(point: &State, from: Option<&str>) -> Vec<StepIndex> {
    let plan = &point.plan;
    let all = || (0..).map(StepIndex).take(plan.steps.len());
    let chosen = from.and_then(|id| plan.index_of(id));
    let mut again = BTreeSet::new();
    let begins = |step: &StepIndex| Some(*step) == chosen || standing(point, *step).is_none();
    let mut queue: VecDeque<StepIndex> = all().filter(begins).collect();
    while let Some(step) = queue.pop_front() {
        if again.insert(step) {
            queue.extend(&plan.step(step).dependants);
        }
    }
    all().filter(|step| !again.contains(step) && !plan.step(*step).gone).collect()
}

/// What a settled step is kept as.
fn standing(point: &State, step: StepIndex) -> Option<KeptStatus> {
    match point.step(step).status {
        StepStatus::Succeeded => Some(KeptStatus::Succeeded),
        StepStatus::Skipped => Some(KeptStatus::Skipped),
        StepStatus::Pruned => Some(KeptStatus::Pruned),
        StepStatus::Failed if point.plan.step(step).allow_failure => Some(KeptStatus::Failed),
        _ => None,
    }
}

/// What the fork keeps of a step, or why it can't.
fn keep(
    parent: &State,
    point: &State,
    step: StepIndex,
    plan: &Plan,
    take_over: bool,
) -> Result<KeptStep, String> {
    let (old, own) = (point.plan.step(step), point.step(step));
    let id = &old.id;
    let Some(index) = plan.index_of(id) else {
        return Err(format!("step `{id}` is kept, and the revision has no such step"));
    };
    let new = plan.step(index);
    if new.task != old.task {
        return Err(format!("step `{id}` is kept, and the revision has it do something else"));
    }
    let status = standing(point, step).expect("only settled steps are kept");
    if status == KeptStatus::Failed && !new.allow_failure {
        return Err(format!("step `{id}` failed, which the revision does not allow"));
    }
    for payload in own.input.iter().chain(&own.output) {
        if payload.absent().is_some() {
            return Err(format!("what step `{id}` was given or answered is not kept any more"));
        }
    }
    let effect = matches!(old.task, TaskKind::Effect(_) | TaskKind::Workflow | TaskKind::Foreach);
    let acted = effect && (own.status == StepStatus::Succeeded || own.unsure);
    let now = parent.step(step);
    if acted && now.round != own.round {
        return Err(format!("what step `{id}` did was undone since, and it was done anew"));
    }
    let rolls_back = old.undo.as_ref().is_some_and(|undo| undo.rolls_back());
    if take_over && rolls_back && parent.stands(step) {
        return Err(format!(
            "step `{id}` is a run of its own, which only its parent can undo: leave `take_over` \
             out"
        ));
    }
    let undone_here = take_over && !parent.is_undone_elsewhere(step);
    // What was undone since is as good as never done.
    let unsure = own.unsure && now.undo.is_none();
    if undone_here && unsure && parent.kept_from(step).is_some() {
        return Err(format!(
            "step `{id}` may have taken effect before the run was forked itself, and only it knows \
             by which key: leave `take_over` out"
        ));
    }
    let (input, output) = (own.input.clone(), own.output.clone());
    Ok(KeptStep {
        step: index,
        status,
        round: own.round,
        attempt: own.attempt,
        input,
        output,
        failure: own.failure.as_deref().cloned(),
        unsure,
        undone_here,
        led_to: led_to(plan, index, own.output.as_ref()),
    })
}

/// Where a router led that has chosen; one that was set by hand need not say.
fn led_to(plan: &Plan, step: StepIndex, output: Option<&Payload>) -> Option<Vec<StepIndex>> {
    plan.step(step).router()?;
    let output = output?.value();
    let taken = output["to"].as_array()?.iter().filter_map(Value::as_str);
    let taken: BTreeSet<_> = taken.filter_map(|id| plan.index_of(id)).collect();
    Some(taken.into_iter().collect())
}

/// Why a kept step can't stand where the plan has it.
fn unmet(plan: &Plan, step: StepIndex, kept: &BTreeSet<StepIndex>) -> Option<String> {
    let own = plan.step(step);
    let need = own.needs.iter().find(|need| !kept.contains(need))?;
    let need = &plan.step(*need).id;
    Some(format!("step `{}` is kept, and `{need}`, which it needs, would run after it", own.id))
}

/// The steps that took effect in the parent and do so again, but for those that are safe.
fn repeated(
    parent: &State,
    plan: &Plan,
    kept: &BTreeSet<StepIndex>,
    accept_unsafe: bool,
) -> Result<Vec<String>, Rejection> {
    let (mut repeated, mut harmful) = (Vec::new(), Vec::new());
    for (index, own) in (0..).map(StepIndex).zip(&plan.steps) {
        let before = parent.plan.index_of(&own.id).filter(|_| !kept.contains(&index));
        let took_effect = before.is_some_and(|step| {
            let old = parent.step(step);
            let effect = matches!(
                parent.plan.step(step).task,
                TaskKind::Effect(_) | TaskKind::Workflow | TaskKind::Foreach
            );
            effect && (old.status == StepStatus::Succeeded || old.unsure)
        });
        match own.replay {
            _ if !took_effect => {}
            ReplaySafety::Safe => {}
            ReplaySafety::Idempotent => repeated.push(own.id.to_string()),
            ReplaySafety::Unsafe => {
                repeated.push(own.id.to_string());
                harmful.push(own.id.to_string());
            }
        }
    }
    if accept_unsafe || harmful.is_empty() {
        return Ok(repeated);
    }
    Err(Rejection::ForkUnsafe { steps: clipped(harmful) })
}

fn clipped(mut reasons: Vec<String>) -> Vec<String> {
    let more = reasons.len().saturating_sub(REASONS_MAX);
    if more > 0 {
        reasons.truncate(REASONS_MAX);
        reasons.push(format!("and {more} more"));
    }
    reasons
}
