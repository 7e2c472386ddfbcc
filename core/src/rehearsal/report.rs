//! A rehearsal as the API prints it.

use serde_json::{Map, Value, json};

use super::Rehearsed;
use crate::arrows::Phase;
use crate::event::{Event, RunEvent};
use crate::payload::Payload;
use crate::plan::Plan;
use crate::report::{event_json, execution_json};
use crate::time::Timestamp;
use crate::why::{BLOCKERS_MAX, blockers};

/// The largest body of a callback, and input of a child, that is shown; the length of larger
/// ones is.
pub const SHOWN_BYTES_MAX: usize = 64 * 1024;

/// What the timeline leaves out: the steps have it.
const PAYLOADS: [&str; 5] = ["input", "output", "payload", "variables", "details"];

/// What of a run's JSON concerns a rehearsal.
const OF_THE_RUN: [&str; 10] = [
    "workflow_id",
    "digest",
    "status",
    "compensation",
    "output",
    "error",
    "handled_failures",
    "sla",
    "steps",
    "dead_letters",
];

/// The answer of a dry run.
#[must_use]
pub fn rehearsal_json(rehearsed: &Rehearsed) -> Value {
    let state = &rehearsed.state;
    let began_at = state.submitted_at;
    let at_ms = |at: Timestamp| at.ms_since(began_at);
    let mut answer = Map::new();
    if let Value::Object(mut run) = execution_json(state) {
        for name in OF_THE_RUN {
            answer.extend(run.remove(name).map(|value| (name.to_owned(), value)));
        }
    }
    let revision = Some(state.submitted.revision).filter(|number| *number > 0);
    let ended = state.phase == Phase::Ended;
    let waits_for = blockers(state).into_iter().filter(|_| !ended).take(BLOCKERS_MAX);
    let waits_for: Vec<_> = waits_for.map(|own| own.sentence).collect();
    let timeline: Vec<_> = rehearsed
        .events
        .iter()
        .zip(1_u64..)
        .map(|((event, at), version)| {
            let mut entry = entry(event, *at, &rehearsed.state.plan);
            (entry["version"], entry["at_ms"]) = (version.into(), at_ms(*at).into());
            entry
        })
        .collect();
    let callbacks: Vec<_> = rehearsed
        .callbacks
        .iter()
        .map(|own| {
            json!({
                "at_ms": at_ms(own.at), "event": own.event.word(), "url": own.url,
                "body": shown(&own.body),
            })
        })
        .collect();
    let children: Vec<_> = rehearsed
        .children
        .iter()
        .map(|own| {
            json!({
                "at_ms": at_ms(own.at), "step": own.step, "workflow_id": own.workflow,
                "revision": own.revision, "input": shown(&own.input),
            })
        })
        .collect();
    let rest = json!({
        "revision": revision,
        "ended": ended,
        "stopped": rehearsed.stopped,
        "waits_for": waits_for,
        "started_at": began_at.to_string(),
        "duration_ms": at_ms(rehearsed.rests_at),
        "undo_order": undo_order(rehearsed),
        "callbacks": callbacks,
        "children": children,
        "unmocked": rehearsed.unmocked,
        "differing": rehearsed.differing,
        "unused": rehearsed.unused,
        "timeline": timeline,
    });
    if let Value::Object(rest) = rest {
        answer.extend(rest);
    }
    Value::Object(answer)
}

fn entry(event: &Event, at: Timestamp, plan: &Plan) -> Value {
    let (kind, mut data) = event_json(event, Some(plan));
    if let Value::Object(fields) = &mut data {
        fields.retain(|name, _| !PAYLOADS.contains(&name.as_str()));
    }
    json!({ "at": at.to_string(), "type": kind, "data": data })
}

/// The steps whose undo began, in that order.
fn undo_order(rehearsed: &Rehearsed) -> Vec<Value> {
    let plan = &rehearsed.state.plan;
    let began = |event: &Event| match event {
        Event::Run(RunEvent::UndoReady { step, .. }) => Some(Value::from(&*plan.step(*step).id)),
        _ => None,
    };
    rehearsed.events.iter().filter_map(|(event, _)| began(event)).collect()
}

fn shown(payload: &Payload) -> Value {
    let bytes = payload.length_bytes();
    if bytes <= SHOWN_BYTES_MAX {
        return payload.value();
    }
    json!({ "$omitted": { "bytes": bytes } })
}
