//! Events as the API prints them: a type word and its data, with steps by their ids.

use serde_json::{Map, Value, json};

use crate::event::{
    Event, LetterSubject, Outcome, PartitionEvent, Recourse, ReplayEvent, RunEvent, SuspendReason,
    WorkflowEvent,
};
use crate::ids::{ExecutionId, StepIndex};
use crate::plan::Plan;

use super::effective::applied_json;
use super::types::{availability_type, redrive_type, rollout_type, run_type};
use super::{api_keys, compensation_word, failure_json, graph_events, objects};

/// An event's type word and data. Without its plan, steps are shown by number.
#[must_use]
pub fn event_json(event: &Event, plan: Option<&Plan>) -> (&'static str, Value) {
    match event {
        Event::Run(event) => run_event(event, plan),
        Event::Workflow(WorkflowEvent::DefinitionPart { text }) => {
            ("DefinitionPart", json!({ "bytes": text.len() }))
        }
        Event::Workflow(WorkflowEvent::Defined { revision, digest, text, actor }) => {
            let digest = digest.to_string();
            let data = json!({
                "revision": revision, "digest": digest, "bytes": text.len(), "actor": actor,
            });
            ("WorkflowDefined", data)
        }
        Event::Workflow(WorkflowEvent::Kept { digest, text, actor }) => {
            let digest = digest.to_string();
            ("DefinitionKept", json!({ "digest": digest, "bytes": text.len(), "actor": actor }))
        }
        Event::Workflow(WorkflowEvent::SourceKept {
            digest,
            form,
            format,
            source,
            text,
            actor,
        }) => {
            let (digest, source) = (digest.to_string(), source.to_string());
            let data = json!({
                "digest": digest, "form": form, "format": format, "source": source,
                "bytes": text.len(), "actor": actor,
            });
            ("DefinitionSourceKept", data)
        }
        Event::Workflow(WorkflowEvent::Adapted { revision, digest, text, applied }) => {
            let digest = digest.to_string();
            let data = json!({
                "revision": revision, "digest": digest, "bytes": text.len(),
                "applied": applied_json(applied),
            });
            ("DefinitionAdapted", data)
        }
        Event::Workflow(WorkflowEvent::Rollout(event)) => {
            (rollout_type(event), super::rollouts::event_data(event))
        }
        Event::Workflow(WorkflowEvent::Availability(event)) => {
            (availability_type(event), super::availability::event_data(event))
        }
        Event::Partition(event) => partition_event(event),
        Event::Replay(event) => replay_event(event),
        Event::Redrive(event) => (redrive_type(event), super::redrives::event_data(event)),
    }
}

fn partition_event(event: &PartitionEvent) -> (&'static str, Value) {
    let ids = |runs: &[ExecutionId]| runs.iter().map(ToString::to_string).collect::<Vec<_>>();
    match event {
        PartitionEvent::RunsRemoved { runs, rule, actor } => {
            ("RunsRemoved", json!({ "executions": ids(runs), "rule": rule, "actor": actor }))
        }
        PartitionEvent::PayloadErased { digest, reason, actor } => {
            let digest = digest.to_string();
            ("PayloadErased", json!({ "digest": digest, "reason": reason, "actor": actor }))
        }
        PartitionEvent::LogCut { sequence, hash, actor } => {
            let hash = hash.to_string();
            ("LogCut", json!({ "sequence": sequence, "hash": hash, "actor": actor }))
        }
        PartitionEvent::Restored { generation, sequence, reason, actor } => {
            let data = json!({
                "generation": generation, "sequence": sequence, "reason": reason, "actor": actor,
            });
            ("Restored", data)
        }
        PartitionEvent::RunsImported { runs, source, actor } => {
            ("RunsImported", json!({ "executions": ids(runs), "source": source, "actor": actor }))
        }
        PartitionEvent::RetentionPolicySet { policy, actor } => {
            let policy = serde_json::from_str::<Value>(policy).unwrap_or_else(|_| json!(policy));
            ("RetentionPolicySet", json!({ "policy": policy, "actor": actor }))
        }
        PartitionEvent::CacheEmptied { reason, actor } => {
            ("CacheEmptied", json!({ "reason": reason, "actor": actor }))
        }
        PartitionEvent::BreakerSet { namespace, key, order, reason, actor } => {
            let data = json!({
                "namespace": &**namespace, "breaker": &**key, "order": order.word(),
                "reason": reason, "actor": actor,
            });
            ("BreakerSet", data)
        }
        PartitionEvent::RedrivesRemoved { redrives, rule, actor } => {
            let redrives: Vec<_> = redrives.iter().map(ToString::to_string).collect();
            ("RedrivesRemoved", json!({ "redrives": redrives, "rule": rule, "actor": actor }))
        }
        PartitionEvent::ApiKey(event) => api_keys::event(event),
        PartitionEvent::Object(event) => objects::event(event),
        PartitionEvent::CallbackTried { namespace, receiver, event, actor } => {
            let data = json!({
                "namespace": &**namespace, "receiver": receiver, "event": event.word(),
                "actor": actor,
            });
            ("CallbackTried", data)
        }
        PartitionEvent::LogLevelsSet { node, levels, for_ms, actor } => {
            let levels: Map<_, _> =
                levels.iter().map(|(name, level)| (name.clone(), json!(level))).collect();
            let data = json!({ "node": node, "levels": levels, "for_ms": for_ms, "actor": actor });
            ("LogLevelsSet", data)
        }
        PartitionEvent::SettingsReloaded { node, changed, actor } => {
            let changed = changed.iter();
            let changed: Vec<_> = changed
                .map(|own| json!({ "setting": own.name, "from": own.from, "to": own.to }))
                .collect();
            ("SettingsReloaded", json!({ "node": node, "changed": changed, "actor": actor }))
        }
    }
}

fn replay_event(event: &ReplayEvent) -> (&'static str, Value) {
    match event {
        ReplayEvent::Requested(request) => {
            let data = json!({
                "namespace": &*request.namespace, "url": request.url, "after": request.after,
                "until": request.until, "filter": request.filter.value(),
                "rate_per_second": request.rate_per_second,
                "actor": request.actor,
            });
            ("ReplayRequested", data)
        }
        ReplayEvent::Advanced { positions, delivered } => {
            ("ReplayAdvanced", json!({ "positions": positions, "delivered": delivered }))
        }
        ReplayEvent::Stopped { reason, actor } => {
            ("ReplayStopped", json!({ "reason": reason, "actor": actor }))
        }
        ReplayEvent::Resumed { actor } => ("ReplayResumed", json!({ "actor": actor })),
        ReplayEvent::Completed { delivered } => {
            ("ReplayCompleted", json!({ "delivered": delivered }))
        }
    }
}

fn run_event(event: &RunEvent, plan: Option<&Plan>) -> (&'static str, Value) {
    let id = |step: &StepIndex| match plan.and_then(|plan| plan.steps.get(step.at())) {
        Some(step) => Value::from(&*step.id),
        None => Value::from(step.0),
    };
    match event {
        RunEvent::Submitted(own) => ("ExecutionSubmitted", submitted(own)),
        RunEvent::Tagged { tags } => ("ExecutionTagged", json!({ "tags": tags })),
        RunEvent::StepReady { step, round, input } => {
            ("StepReady", json!({ "step": id(step), "round": round, "input": input.value() }))
        }
        RunEvent::StepWaiting { step, due_at } => {
            ("StepWaiting", json!({ "step": id(step), "due_at": due_at.to_string() }))
        }
        RunEvent::StepStarted { step, attempt } => {
            ("StepStarted", json!({ "step": id(step), "attempt": attempt }))
        }
        RunEvent::StepSucceeded { step, attempt, output } => (
            "StepSucceeded",
            json!({ "step": id(step), "attempt": attempt, "output": output.value() }),
        ),
        RunEvent::StepAttemptFailed { step, attempt, failure, retry_delay_ms: _ } => (
            "StepAttemptFailed",
            json!({ "step": id(step), "attempt": attempt, "error": failure_json(failure) }),
        ),
        RunEvent::StepTimedOut { step, attempt, timeout_ms, retry_delay_ms: _ } => (
            "StepTimedOut",
            json!({ "step": id(step), "attempt": attempt, "timeout_ms": timeout_ms }),
        ),
        RunEvent::StepAttemptLost { step, attempt } => {
            ("StepAttemptLost", json!({ "step": id(step), "attempt": attempt }))
        }
        RunEvent::StepRetryScheduled { step, due_at } => {
            ("StepRetryScheduled", json!({ "step": id(step), "due_at": due_at.to_string() }))
        }
        RunEvent::StepFailed { step, failure } => {
            ("StepFailed", json!({ "step": id(step), "error": failure_json(failure) }))
        }
        RunEvent::StepSkipped { step } => ("StepSkipped", json!({ "step": id(step) })),
        RunEvent::StepsPruned { steps } => {
            ("StepsPruned", json!({ "steps": steps.iter().map(id).collect::<Vec<_>>() }))
        }
        RunEvent::StepCancelled { step } => ("StepCancelled", json!({ "step": id(step) })),
        RunEvent::CancelRequested { reason, actor, compensate } => (
            "CancelRequested",
            json!({ "reason": reason, "actor": actor, "compensate": compensate }),
        ),
        RunEvent::DeadlinePassed => ("DeadlinePassed", json!({})),
        RunEvent::RunFailing { failure, step, recourse } => (
            "ExecutionFailing",
            json!({
                "error": failure_json(failure),
                "step": step.as_ref().map(id),
                "recourse": recourse_word(*recourse),
            }),
        ),
        RunEvent::RunSuspended { reason } => {
            ("ExecutionSuspended", json!({ "reason": suspend_word(*reason) }))
        }
        RunEvent::RunEnded { outcome, compensation, output } => (
            "ExecutionEnded",
            json!({
                "status": outcome_word(*outcome),
                "compensation": compensation_word(*compensation),
                "output": output.as_ref().map(crate::payload::Payload::value),
            }),
        ),
        RunEvent::UnwindingStarted => ("UnwindingStarted", json!({})),
        RunEvent::UndoReady { step, input } => {
            ("UndoReady", json!({ "step": id(step), "input": input.value() }))
        }
        RunEvent::UndoStarted { step, attempt } => {
            ("UndoStarted", json!({ "step": id(step), "attempt": attempt }))
        }
        RunEvent::UndoSucceeded { step, attempt, output } => (
            "UndoSucceeded",
            json!({ "step": id(step), "attempt": attempt, "output": output.value() }),
        ),
        RunEvent::UndoAttemptFailed { step, attempt, failure, retry_delay_ms: _ } => (
            "UndoAttemptFailed",
            json!({ "step": id(step), "attempt": attempt, "error": failure_json(failure) }),
        ),
        RunEvent::UndoRetryScheduled { step, due_at } => {
            ("UndoRetryScheduled", json!({ "step": id(step), "due_at": due_at.to_string() }))
        }
        RunEvent::UndoFailed { step, failure } => {
            ("UndoFailed", json!({ "step": id(step), "error": failure_json(failure) }))
        }
        RunEvent::Control(_)
        | RunEvent::Graph(_)
        | RunEvent::Link(_)
        | RunEvent::Fork(_)
        | RunEvent::Service(_)
        | RunEvent::Letter(_)
        | RunEvent::Unwind(_)
        | RunEvent::Delivery(_) => (run_type(event), graph_events::data(event, &id)),
        RunEvent::LetterOpened { .. }
        | RunEvent::LetterRetried { .. }
        | RunEvent::LetterDiscarded { .. }
        | RunEvent::CallbackScheduled { .. }
        | RunEvent::CallbackDelivered { .. }
        | RunEvent::CallbackAttemptFailed { .. }
        | RunEvent::CallbackFailed { .. } => around(event, id),
    }
}

/// The events around a run: its letters and callbacks.
fn around(event: &RunEvent, id: impl Fn(&StepIndex) -> Value) -> (&'static str, Value) {
    match event {
        RunEvent::LetterOpened { letter, subject, failure } => {
            let (kind, subject) = match subject {
                LetterSubject::Step(step) => ("step", id(step)),
                LetterSubject::Undo(step) => ("undo", id(step)),
                LetterSubject::Callback(delivery) => ("callback", Value::from(*delivery)),
            };
            let error = failure_json(failure);
            let data =
                json!({ "letter": letter, "kind": kind, "subject": subject, "error": error });
            ("DeadLetterOpened", data)
        }
        RunEvent::LetterRetried { letter, actor, linked } => {
            let linked = linked.map(|run| run.to_string());
            let data = json!({ "letter": letter, "actor": actor, "execution_id": linked });
            ("DeadLetterRetried", data)
        }
        RunEvent::LetterDiscarded { letter, actor, reason } => {
            let data = json!({ "letter": letter, "actor": actor, "reason": reason });
            ("DeadLetterDiscarded", data)
        }
        RunEvent::CallbackScheduled { delivery, event, url } => {
            let event = event.word();
            ("CallbackScheduled", json!({ "delivery": delivery, "event": event, "url": url }))
        }
        RunEvent::CallbackDelivered { delivery, attempt, status } => (
            "CallbackDelivered",
            json!({ "delivery": delivery, "attempt": attempt, "status": status }),
        ),
        RunEvent::CallbackAttemptFailed { delivery, attempt, failure, retry_at } => (
            "CallbackAttemptFailed",
            json!({
                "delivery": delivery,
                "attempt": attempt,
                "error": failure_json(failure),
                "retry_at": retry_at.map(|at| at.to_string()),
            }),
        ),
        RunEvent::CallbackFailed { delivery, failure } => {
            ("CallbackFailed", json!({ "delivery": delivery, "error": failure_json(failure) }))
        }
        _ => ("Unknown", Value::Null),
    }
}

fn submitted(own: &crate::event::Submitted) -> Value {
    json!({
        "namespace": own.namespace,
        "workflow_id": own.workflow,
        "revision": own.revision,
        "digest": own.digest.to_string(),
        "input": own.input.value(),
        "variables": own.variables.value(),
        "correlation_id": own.correlation_id,
        "idempotency_key": own.idempotency_key,
        "callbacks": own.callbacks.iter()
            .map(|callback| json!({ "event": callback.event.word(), "url": callback.url }))
            .collect::<Vec<_>>(),
        "deadline_at": own.deadline_at.map(|at| at.to_string()),
        "retry_of": own.retry_of.map(|run| run.to_string()),
        "actor": own.actor,
    })
}

/// The word of why a run is suspended.
#[must_use]
pub fn suspend_word(reason: SuspendReason) -> &'static str {
    match reason {
        SuspendReason::Policy => "policy",
        SuspendReason::Pause => "pause",
        SuspendReason::Undo => "undo",
    }
}

fn recourse_word(recourse: Recourse) -> &'static str {
    match recourse {
        Recourse::Compensate => "compensate",
        Recourse::Halt => "halt",
        Recourse::Suspend => "suspend",
    }
}

/// The word of how a run ended: that of its status.
#[must_use]
pub fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Failed => "failed",
        Outcome::Compensated => "compensated",
        Outcome::CompensationFailed => "compensation_failed",
        Outcome::Cancelled => "cancelled",
    }
}
