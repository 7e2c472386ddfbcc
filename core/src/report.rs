//! A run as the outside sees it: the API's JSON, list rows, and what templates may read.
//!
//! Only reads a state; every word here is the API's contract.

mod api_keys;
mod availability;
mod callbacks;
mod controls;
mod deeds;
mod effective;
mod events;
mod forks;
mod graph_events;
mod letters;
mod links;
mod messages;
mod migrations;
mod objects;
mod redrives;
mod replays;
mod retention;
mod rollouts;
mod services;
mod spans;
mod steps;
mod types;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::event::Compensation;
use crate::failure::{EffectKnown, Failure, FailureClass, codes};
use crate::ids::StepIndex;
use crate::payload::Payload;
use crate::scope::{Scope, StepView, merge_variables};
use crate::state::{State, Subject};
use crate::summary::{LetterStatus, RunSummary};
use crate::time::Timestamp;
use crate::trace::TraceId;

pub use api_keys::api_key_json;
pub use availability::{AVAILABILITY_WORDS, availability_word, closed_json};
pub use callbacks::{Notice, callback_body, callback_sample, callback_url, target_json};
pub use deeds::{
    Sides, audit_row_json, definition_changes, partition_sides, redrive_sides, replay_sides,
    run_sides, workflow_sides,
};
pub use effective::{Written, applied_json, effective_json};
pub use events::{event_json, outcome_word, suspend_word};
pub use letters::{
    kind_word, letter_counts_json, letter_group_json, letter_json, letter_row_json,
    letter_summaries, letter_summary, letter_word,
};
pub use objects::object_json;
pub use redrives::redrive_json;
pub use replays::replay_json;
pub use retention::retention_plan_json;
pub use rollouts::rollout_json;
pub use spans::span_json;
pub use types::{EVENT_TYPES, RUN_EVENT_TYPES, event_type};

impl Scope for State {
    fn input(&self) -> Payload {
        self.submitted.input.clone()
    }

    fn variables(&self) -> Payload {
        merge_variables(&self.plan.variables, &self.submitted.variables)
    }

    fn workflow(&self) -> Value {
        json!({
            "id": self.plan.workflow,
            "name": self.plan.name,
            "version": self.plan.label,
            "revision": self.submitted.revision,
            "execution_id": self.id.to_string(),
            "correlation_id": self.submitted.correlation_id,
            "submitted_at": self.submitted_at.to_string(),
        })
    }

    fn step(&self, step: StepIndex) -> StepView {
        let own = State::step(self, step);
        StepView {
            status: own.word(),
            attempts: own.attempt,
            output: own.output_to_undo().cloned(),
            error: own.failure.as_deref().map(failure_json),
            check: own.check().and_then(|check| check.answer.clone()),
            idempotency_key: self.idempotency_key(Subject::Step(step)),
        }
    }
}

/// The row that lists show of the run.
#[must_use]
pub fn run_summary(state: &State) -> RunSummary {
    RunSummary {
        execution: state.id,
        namespace: state.submitted.namespace.clone(),
        workflow: state.submitted.workflow.clone(),
        revision: state.submitted.revision,
        status: state.status(),
        correlation_id: state.submitted.correlation_id.clone(),
        tags: state.tags.clone(),
        parent: state.parent().map(|parent| parent.run),
        chunk: state.is_chunk(),
        variant: state.variant().map(Arc::from),
        trace: Some(state.trace().trace).filter(|own| *own != TraceId::of_run(state.id)),
        submitted_at: state.submitted_at,
        ended_at: state.ending.as_ref().map(|ending| ending.at),
        version: state.version,
    }
}

/// The whole run, as `GET /api/v1/executions/{id}` answers it.
#[must_use]
pub fn execution_json(state: &State) -> Value {
    let steps: Map<_, _> = (0..)
        .map(StepIndex)
        .zip(&state.plan.steps)
        .map(|(step, plan)| (plan.id.to_string(), steps::step_json(state, step)))
        .collect();
    let ending = state.ending.as_ref();
    let started_at = state.steps.iter().filter_map(|step| step.started_at).min();
    json!({
        "execution_id": state.id.to_string(),
        "namespace": state.submitted.namespace,
        "workflow_id": state.submitted.workflow,
        "revision": state.submitted.revision,
        "variant": state.variant(),
        "digest": state.submitted.digest.to_string(),
        "status": state.status().word(),
        "compensation": ending.map(|ending| compensation_word(ending.compensation)),
        "correlation_id": state.submitted.correlation_id,
        "trace_id": state.trace().trace.to_string(),
        "tags": state.tags,
        "idempotency_key": state.submitted.idempotency_key,
        "retry_of": state.submitted.retry_of.map(|run| run.to_string()),
        "fork": forks::fork_json(state),
        "migrations": migrations::migrations_json(state),
        "parent": links::parent_json(state),
        "children": links::children_json(state),
        "messages": links::messages_json(state),
        "concurrency_keys": links::keys_json(state),
        "submitted_by": state.submitted.actor,
        "input": state.submitted.input.value(),
        "variables": state.submitted.variables.value(),
        "output": ending.and_then(|ending| ending.output.as_ref()).map(Payload::value),
        "error": run_error(state),
        "handled_failures": steps::handled_failures_json(state),
        "faults": services::faults_json(state),
        "sla": steps::sla_json(state),
        "cancel": state.cancel.as_ref().map(|cancel| json!({
            "reason": cancel.reason,
            "actor": cancel.actor,
            "compensate": cancel.compensate,
            "force": state.controls.as_ref().is_some_and(|own| own.forced || own.undos_forced),
            "in_force": cancel.in_force,
            "requested_at": cancel.at.to_string(),
        })),
        "suspended": controls::suspended_json(state),
        "rollback": controls::rollback_json(state),
        "signals": controls::signals_json(state),
        "steps": steps,
        "callbacks": state.deliveries.iter().map(|own| callbacks::delivery_json(state, own)).collect::<Vec<_>>(),
        "dead_letters": (0..).zip(&state.letters)
            .map(|(number, letter)| letter_json(state, number, letter)).collect::<Vec<_>>(),
        "submitted_at": state.submitted_at.to_string(),
        "started_at": instant(started_at),
        "completed_at": instant(ending.map(|ending| ending.at)),
        "updated_at": state.updated_at.to_string(),
        "deadline_at": instant(state.deadline_at()),
        "version": state.version,
    })
}

pub(crate) fn instant(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| at.to_string().into())
}

fn compensation_word(compensation: Compensation) -> &'static str {
    match compensation {
        Compensation::None => "none",
        Compensation::Done => "done",
        Compensation::Failed => "failed",
    }
}

/// Why the run failed: the error of the API's envelope, with the failed step's own below it.
fn run_error(state: &State) -> Value {
    let Some(why) = &state.failing else { return Value::Null };
    let id = |step: StepIndex| state.plan.steps[step.at()].id.clone();
    let code = match why.failure.code.as_str() {
        code @ (codes::WORKFLOW_TIMEOUT | codes::CANCELLED) => code,
        _ => codes::WORKFLOW_EXECUTION_FAILED,
    };
    let message = match why.step {
        Some(step) => format!("step `{}` failed: {}", id(step), why.failure.message),
        None => why.failure.message.clone(),
    };
    json!({
        "error_code": code,
        "message": message,
        "details": {
            "execution_id": state.id.to_string(),
            "failed_task": why.step.map(id),
            "failure_reason": why.failure.message,
            "retry_available": state.letters.iter().any(|l| l.status == LetterStatus::Open),
            "cause": failure_json(&why.failure),
        },
    })
}

/// A failure as JSON.
#[must_use]
pub fn failure_json(failure: &Failure) -> Value {
    json!({
        "error_code": failure.code,
        "message": failure.message,
        "retryable": failure.class == FailureClass::Retryable,
        "effect": match failure.effect {
            EffectKnown::None => "none",
            EffectKnown::Unknown => "unknown",
        },
        "details": failure.details.as_ref().map(Payload::value),
    })
}

/// A row of the list of runs.
#[must_use]
pub fn run_row_json(row: &RunSummary) -> Value {
    json!({
        "execution_id": row.execution.to_string(),
        "workflow_id": row.workflow,
        "revision": row.revision,
        "variant": row.variant,
        "status": row.status.word(),
        "correlation_id": row.correlation_id,
        "trace_id": row.trace.unwrap_or_else(|| TraceId::of_run(row.execution)).to_string(),
        "tags": row.tags,
        "parent_execution_id": row.parent.map(|run| run.to_string()),
        "chunk": row.chunk,
        "submitted_at": row.submitted_at.to_string(),
        "completed_at": instant(row.ended_at),
        "version": row.version,
    })
}
