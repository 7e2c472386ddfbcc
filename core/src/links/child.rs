//! A step that is a run of another workflow: what it begins with, and what it tells its parent.

use serde_json::{Value, json};

use super::{Begins, SignalWish, Start, chunks};
use crate::effect::Effect;
use crate::event::{Compensation, Items, Outcome, Parent};
use crate::failure::{EffectKnown, Failure, FailureClass, codes};
use crate::ids::{ExecutionId, StepIndex};
use crate::payload::Payload;
use crate::plan::TaskKind;
use crate::state::State;

/// Runs that may be above another one.
pub const DEPTH_MAX: u8 = 16;

/// Which workflow a child runs, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The workflow's id.
    pub workflow: String,
    /// Its revision; the newest if unsaid.
    pub revision: Option<u32>,
    /// The child's input.
    pub input: Payload,
}

impl Wish {
    /// Reads a rendered `with`: `{workflow, input?, revision?}`.
    ///
    /// # Errors
    /// A sentence.
    pub fn read(with: &Value) -> Result<Self, String> {
        let Some(Value::String(workflow)) = with.get("workflow") else {
            return Err("`workflow` names a workflow by its id, a text".to_owned());
        };
        let revision = match with.get("revision") {
            None | Some(Value::Null) => None,
            Some(given) => {
                let number = given.as_u64().or_else(|| given.as_str()?.parse().ok());
                let number = number.and_then(|own| u32::try_from(own).ok()).filter(|own| *own > 0);
                Some(number.ok_or("`revision` is a number from 1")?)
            }
        };
        let input = with.get("input").cloned().unwrap_or_else(|| json!({}));
        Ok(Self { workflow: workflow.clone(), revision, input: Payload::of(&input) })
    }
}

/// Whether the step may be handed to a child, or send its signal.
///
/// # Errors
/// `EXPRESSION_FAILED` for an input that names no workflow or no run, `CHILD_TOO_DEEP`.
pub(crate) fn startable(state: &State, step: StepIndex, input: &Payload) -> Result<(), Failure> {
    let task = &state.plan.step(step).task;
    let wrong = |why| Failure::permanent(codes::EXPRESSION_FAILED, why);
    if *task == TaskKind::Signal {
        return SignalWish::read(&input.value()).map(|_| ()).map_err(wrong);
    }
    Wish::read(&input.value()).map_err(wrong)?;
    not_too_deep(state)
}

/// Whether a run may have children.
///
/// # Errors
/// `CHILD_TOO_DEEP`.
pub(super) fn not_too_deep(state: &State) -> Result<(), Failure> {
    if depth(state) > DEPTH_MAX {
        let message = format!("{DEPTH_MAX} runs are above this one, and more are not allowed");
        return Err(Failure::permanent(codes::CHILD_TOO_DEEP, message));
    }
    Ok(())
}

/// How many runs are above a child of this one.
fn depth(state: &State) -> u8 {
    state.parent().map_or(1, |parent| parent.depth.saturating_add(1))
}

/// Which of the runs it is that had its id: one that was removed may be submitted again, and the
/// children of the first are kept longer.
pub(super) fn life(state: &State) -> String {
    state.submitted_at.0.to_string()
}

/// The child of an attempt: the same attempt has the same child.
pub(super) fn id(state: &State, step: StepIndex, attempt: u16, partitions: u16) -> ExecutionId {
    let step = &state.plan.steps[step.at()].id;
    let words = ["child", &state.id.to_string(), &life(state), step, &attempt.to_string()];
    ExecutionId::derived(&words, usize::from(partitions.max(1)))
}

/// What the child of a step's attempt begins with; nothing once the attempt is over.
pub(super) fn start(
    state: &State,
    (step, attempt, items): (StepIndex, u16, Option<Items>),
) -> Option<Start> {
    let input = state.steps.get(step.at())?.input.as_ref()?;
    let parent = Parent { run: state.id, step, attempt, depth: depth(state), items };
    match items {
        Some(items) => chunks::start(state, parent, items),
        None => {
            let wish = Wish::read(&input.value()).ok()?;
            Some(beginning(state, parent, Begins::Workflow(wish)))
        }
    }
}

/// What a child has of its parent, whatever it is a run of.
pub(super) fn beginning(state: &State, parent: Parent, begins: Begins) -> Start {
    let origin = state.links.as_ref().and_then(|links| links.origin.as_ref());
    let attempt = Effect::RunStep { step: parent.step, attempt: parent.attempt };
    let trace = Box::new(state.trace_below(attempt));
    Start {
        parent,
        namespace: state.submitted.namespace.clone(),
        begins,
        correlation_id: state.submitted.correlation_id.clone(),
        priority: origin.map(|origin| origin.priority).unwrap_or_default(),
        actor: state.submitted.actor.clone(),
        trace,
    }
}

/// Why an ended run did not complete, as its parent sees it. What was undone whole, or never
/// began, may be tried again; what stands as it was may have taken effect.
pub(super) fn failure(state: &State) -> Option<Failure> {
    let ending = state.ending.as_ref().filter(|end| end.outcome != Outcome::Completed)?;
    let cause = state.failing.as_ref().map(|why| &why.failure);
    let said = cause.map_or("no reason is known", |cause| cause.message.as_str());
    let (id, workflow, status) = (state.id, &state.submitted.workflow, state.status().word());
    let message = format!("{id} of `{workflow}` ended {status}: {said}");
    let left = ending.compensation == Compensation::Failed
        || (ending.compensation == Compensation::None && state.anything_stands());
    if state.plan.part.is_some() && cause.is_some_and(|cause| cause.code != codes::CANCELLED) {
        let own = chunks::item_failure(state, left);
        if own.is_some() {
            return own;
        }
    }
    // What a child of the child will not do better is not tried again at any level: a workflow
    // that calls itself would begin three children for each run above it.
    let hopeless = cause.is_some_and(|cause| {
        cause.class == FailureClass::Permanent
            && [codes::CHILD_TOO_DEEP, codes::CHILD_FAILED].contains(&cause.code.as_str())
    });
    let again = !left && !hopeless && ending.outcome != Outcome::Cancelled;
    let details = json!({
        "execution_id": id.to_string(),
        "workflow_id": workflow,
        "status": status,
        "error_code": cause.map(|cause| cause.code.clone()),
        "error": said,
    });
    let failure = Failure {
        class: if again { FailureClass::Retryable } else { FailureClass::Permanent },
        effect: if left { EffectKnown::Unknown } else { EffectKnown::None },
        ..Failure::permanent(codes::CHILD_FAILED, message)
    };
    Some(failure.with_details(Payload::of(&details)).clipped())
}

/// Why a run that was to be undone is not, as its parent sees it.
pub(super) fn not_undone(state: &State) -> Option<Failure> {
    let ending = state.ending.as_ref()?;
    // What a person accepted as it is stands, and is settled for those above, too.
    if ending.compensation != Compensation::Failed && state.left_undone().is_empty() {
        return None;
    }
    let message = format!(
        "{} could not be undone whole and ended {:?}: see its dead letters, then retry this one",
        state.id, ending.outcome
    );
    let details = Payload::of(&json!({ "execution_id": state.id.to_string() }));
    Some(Failure::permanent(codes::CHILD_NOT_UNDONE, message).with_details(details))
}
