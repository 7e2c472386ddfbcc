//! The data of events of control, of the graph and of links, as the API prints them.

use serde_json::{Value, json};

use super::failure_json;
use crate::event::{
    ControlEvent, GraphEvent, Items, LinkEvent, Message, Origin, Priority, RunEvent, SlotKey,
    UnwindEvent,
};
use crate::ids::StepIndex;

pub(super) fn data(event: &RunEvent, id: &dyn Fn(&StepIndex) -> Value) -> Value {
    match event {
        RunEvent::Control(event) => control(event, id),
        RunEvent::Graph(event) => graph(event, id),
        RunEvent::Link(event) => link(event, id),
        RunEvent::Fork(event) => super::forks::data(event, id),
        RunEvent::Service(event) => super::services::data(event, id),
        RunEvent::Letter(event) => super::letters::event_data(event),
        RunEvent::Unwind(event) => unwind(event, id),
        RunEvent::Delivery(event) => super::callbacks::data_of(event, id),
        _ => Value::Null,
    }
}

fn control(event: &ControlEvent, id: &dyn Fn(&StepIndex) -> Value) -> Value {
    match event {
        ControlEvent::Paused { reason, actor }
        | ControlEvent::Resumed { reason, actor }
        | ControlEvent::CancelForced { reason, actor } => {
            json!({ "reason": reason, "actor": actor })
        }
        ControlEvent::StepOverridden { step, output, reason, actor } => json!({
            "step": id(step),
            "status": if output.is_some() { "succeeded" } else { "skipped" },
            "output": output.as_ref().map(crate::payload::Payload::value),
            "reason": reason,
            "actor": actor,
        }),
        ControlEvent::RollbackRequested { to, reason, actor } => {
            json!({ "to": to.as_ref().map(id), "reason": reason, "actor": actor })
        }
        ControlEvent::SignalReceived { name, payload, id, actor } => {
            json!({ "name": name, "payload": payload.value(), "id": id, "actor": actor })
        }
    }
}

fn unwind(event: &UnwindEvent, id: &dyn Fn(&StepIndex) -> Value) -> Value {
    match event {
        UnwindEvent::UndoAwaited { step } => json!({ "step": id(step) }),
        UnwindEvent::UndosSettled { steps, settlement, note, actor } => json!({
            "steps": steps.iter().map(id).collect::<Vec<_>>(),
            "settlement": settlement.word(),
            "note": note,
            "actor": actor,
        }),
        UnwindEvent::CompensationTimedOut { limit_ms } => json!({ "limit_ms": limit_ms }),
        UnwindEvent::PartialUnwindingStarted { steps }
        | UnwindEvent::PartialUnwindingEnded { steps } => {
            json!({ "steps": steps.iter().map(id).collect::<Vec<_>>() })
        }
        UnwindEvent::CheckReady { step, input } => {
            json!({ "step": id(step), "input": input.value() })
        }
        UnwindEvent::CheckAnswered { step, attempt, output } => {
            json!({ "step": id(step), "attempt": attempt, "output": output.value() })
        }
        UnwindEvent::CheckConcluded { step, took_effect, output } => json!({
            "step": id(step),
            "took_effect": took_effect,
            "output": output.as_ref().map(crate::payload::Payload::value),
        }),
    }
}

fn graph(event: &GraphEvent, id: &dyn Fn(&StepIndex) -> Value) -> Value {
    match event {
        GraphEvent::RouteChosen { step, route, output } => {
            json!({ "step": id(step), "route": route, "output": output.value() })
        }
        GraphEvent::StepAwaitsSignal { step, name, due_at } => {
            let due_at = due_at.map(|at| at.to_string());
            json!({ "step": id(step), "signal": name, "due_at": due_at })
        }
        GraphEvent::StepSignalled { step, signal, output } => {
            json!({ "step": id(step), "signal": signal, "output": output.value() })
        }
        GraphEvent::StepCacheHit { step, attempt, source, source_step, output } => json!({
            "step": id(step),
            "attempt": attempt,
            "source_execution_id": source.to_string(),
            "source_step": source_step,
            "output": output.value(),
        }),
        GraphEvent::StepLimitPassed { step, limit_ms } => {
            json!({ "step": id(step), "limit_ms": limit_ms })
        }
        GraphEvent::NumbersSet { step, numbers } => {
            let numbers =
                numbers.iter().map(|(own, value)| (own.word().to_owned(), (*value).into()));
            let numbers: serde_json::Map<_, Value> = numbers.collect();
            json!({ "step": step.as_ref().map(id), "numbers": numbers })
        }
        GraphEvent::SlaBreached { step, limit_ms } => {
            json!({ "step": step.as_ref().map(id), "limit_ms": limit_ms })
        }
        GraphEvent::StepKeyed { step, keys } => {
            let keys = keys.iter().map(|own| json!({ "key": &*own.key, "max": own.max }));
            json!({ "step": id(step), "keys": keys.collect::<Vec<_>>() })
        }
    }
}

fn link(event: &LinkEvent, id: &dyn Fn(&StepIndex) -> Value) -> Value {
    match event {
        LinkEvent::Origin(own) => origin(own),
        LinkEvent::MessagePosted { message, to, body } => {
            json!({ "message": message, "to": to.to_string(), "body": message_json(body) })
        }
        LinkEvent::MessageAcknowledged { message, refused } => {
            json!({ "message": message, "error": refused.as_ref().map(failure_json) })
        }
        LinkEvent::MessageReceived { from, message, body } => {
            json!({ "from": from.to_string(), "message": message, "body": message_json(body) })
        }
        LinkEvent::LoopBegun { step, attempt, items, chunk_items } => json!({
            "step": id(step), "attempt": attempt, "items": items, "chunk_items": chunk_items,
        }),
        LinkEvent::ChunkEnded { step, attempt, run, counts, results, failure, .. } => json!({
            "step": id(step),
            "attempt": attempt,
            "execution_id": run.to_string(),
            "succeeded": counts.succeeded,
            "failed": counts.failed,
            "skipped": counts.skipped,
            "results": results.as_ref().map(crate::payload::Payload::value),
            "error": failure.as_ref().map(failure_json),
        }),
        LinkEvent::ChunkUndone { step, attempt, run, failure } => json!({
            "step": id(step),
            "attempt": attempt,
            "execution_id": run.to_string(),
            "error": failure.as_ref().map(failure_json),
        }),
        LinkEvent::Keyed { keys } => {
            json!({ "keys": keys.iter().map(run_key).collect::<Vec<_>>() })
        }
        LinkEvent::Traced(own) => json!({
            "trace_id": own.trace.to_string(),
            "parent_span_id": own.parent.map(|span| span.to_string()),
            "sampled": own.sampled,
            "tracestate": &*own.state,
        }),
    }
}

/// A limit of runs with the same key.
pub(super) fn run_key(own: &SlotKey) -> Value {
    json!({ "key": &*own.key, "max_runs": own.max_runs, "on_limit": own.on_limit.word() })
}

fn origin(own: &Origin) -> Value {
    let parent = own.parent.as_ref().map(|parent| {
        json!({
            "execution_id": parent.run.to_string(),
            "step": parent.step.0,
            "attempt": parent.attempt,
            "depth": parent.depth,
            "items": parent.items.map(items_json),
        })
    });
    json!({ "parent": parent, "priority": priority_word(own.priority), "variant": own.variant })
}

/// The word of a priority.
fn priority_word(priority: Priority) -> &'static str {
    match priority {
        Priority::High => "high",
        Priority::Medium => "medium",
        Priority::Low => "low",
    }
}

pub(super) fn items_json(own: Items) -> Value {
    json!({ "first": own.first, "count": own.count })
}

/// A message between runs as JSON.
pub(super) fn message_json(message: &Message) -> Value {
    let mut json = match message {
        Message::Signal { step, attempt, name } => {
            json!({ "step": step.0, "attempt": attempt, "name": name })
        }
        Message::Start { step, attempt, items } => {
            json!({ "step": step.0, "attempt": attempt, "items": items.map(items_json) })
        }
        Message::RollBack { step, attempt } => json!({ "step": step.0, "attempt": attempt }),
        Message::Cancel { step, reason, compensate }
        | Message::Force { step, reason, compensate } => {
            json!({ "step": step.0, "reason": reason, "compensate": compensate })
        }
        Message::Ended { step, attempt, outcome, failure } => json!({
            "step": step.0,
            "attempt": attempt,
            "status": super::events::outcome_word(*outcome),
            "error": failure.as_ref().map(failure_json),
        }),
        Message::RolledBack { step, attempt, failure } => json!({
            "step": step.0,
            "attempt": attempt,
            "error": failure.as_ref().map(failure_json),
        }),
    };
    json["kind"] = message.word().into();
    json
}
