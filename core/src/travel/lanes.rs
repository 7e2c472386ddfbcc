//! What a run did, told so that two runs can be laid side by side: a lane for the run as a
//! whole, one for each step, its undo and each callback, and in each what happened in order.
//!
//! Left out is what differs between any two runs: versions, ids, instants, delays and who
//! acted. Payloads keep their data; a text in them that is an instant (RFC 3339, or the form
//! of HTTP's `Date`) reads as `<instant>`, the run's own id as `<execution>`.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::DateTime;
use serde_json::Value;

use crate::event::{Event, LetterSubject, LinkEvent, Message, RunEvent, ServiceEvent, UnwindEvent};
use crate::ids::{ExecutionId, StepIndex};
use crate::plan::Plan;
use crate::report::event_json;

/// One thread of what a run did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// The run as a whole.
    Run,
    /// A step's way forward.
    Step(Arc<str>),
    /// A step's undo.
    Undo(Arc<str>),
    /// A callback, by its number.
    Callback(u32),
}

impl Lane {
    pub(super) fn step(&self) -> Option<&Arc<str>> {
        match self {
            Self::Step(step) | Self::Undo(step) => Some(step),
            Self::Run | Self::Callback(_) => None,
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Deed {
    pub version: u64,
    pub kind: &'static str,
    pub data: Value,
}

/// What an event's data has beside what happened.
const CIRCUMSTANCES: [&str; 9] = [
    "actor",
    "correlation_id",
    "deadline_at",
    "delivery",
    "due_at",
    "execution_id",
    "idempotency_key",
    "letter",
    "retry_at",
];
/// More of them, of a submission only.
const OF_SUBMISSIONS: [&str; 3] = ["digest", "retry_of", "revision"];
/// More of them, of messages between runs only.
const OF_MESSAGES: [&str; 3] = ["from", "message", "to"];

/// Sorts a run's events into lanes.
pub(super) fn lanes<'a>(
    run: ExecutionId,
    plan: &Plan,
    events: impl Iterator<Item = &'a Event>,
) -> BTreeMap<Lane, Vec<Deed>> {
    let mut lanes: BTreeMap<Lane, Vec<Deed>> = BTreeMap::new();
    let mut letters = Vec::new();
    let own = run.to_string();
    for (event, version) in events.zip(1..) {
        let Event::Run(what) = event else { continue };
        // How often a message had to be sent says nothing of the run, nor does who watched.
        let idle = |own: &LinkEvent| {
            matches!(own, LinkEvent::MessageAcknowledged { .. } | LinkEvent::Traced(_))
        };
        if matches!(what, RunEvent::Link(own) if idle(own)) {
            continue;
        }
        let (kind, mut data) = event_json(event, Some(plan));
        if let RunEvent::LetterOpened { subject, .. } = what {
            letters.push(*subject);
        }
        if let Value::Object(fields) = &mut data {
            let submission = matches!(what, RunEvent::Submitted(_));
            let idle: &[&str] = match what {
                RunEvent::Submitted(_) => &OF_SUBMISSIONS,
                RunEvent::Link(_) => &OF_MESSAGES,
                _ => &[],
            };
            CIRCUMSTANCES.iter().chain(idle).for_each(|name| drop(fields.remove(*name)));
            // What the submission says of instants is data: it makes the run what it is.
            settle(&mut data, &own, !submission);
        }
        if let RunEvent::StepsPruned { steps } = what {
            for step in steps {
                let lane = Lane::Step(name(plan, *step));
                let deed = Deed { version, kind: "StepPruned", data: Value::Null };
                lanes.entry(lane).or_default().push(deed);
            }
            continue;
        }
        let deed = Deed { version, kind, data };
        lanes.entry(lane_of(what, plan, &letters)).or_default().push(deed);
    }
    lanes
}

fn lane_of(event: &RunEvent, plan: &Plan, letters: &[LetterSubject]) -> Lane {
    let of_subject = |subject: Option<&LetterSubject>| match subject {
        Some(LetterSubject::Step(step)) => Lane::Step(name(plan, *step)),
        Some(LetterSubject::Undo(step)) => Lane::Undo(name(plan, *step)),
        Some(LetterSubject::Callback(delivery)) => Lane::Callback(*delivery),
        None => Lane::Run,
    };
    let of_step = |step: Option<StepIndex>| match step {
        Some(step) => Lane::Step(name(plan, step)),
        None => Lane::Run,
    };
    match event {
        // To and from children; what is said to a parent concerns the run as a whole.
        RunEvent::Link(LinkEvent::MessagePosted { body, .. }) => match **body {
            Message::Start { step, .. }
            | Message::Cancel { step, .. }
            | Message::Force { step, .. }
            | Message::Signal { step, .. } => of_step(Some(step)),
            Message::RollBack { step, .. } => Lane::Undo(name(plan, step)),
            _ => Lane::Run,
        },
        RunEvent::Link(LinkEvent::MessageReceived { body, .. }) => match **body {
            Message::Ended { step, .. } => of_step(Some(step)),
            Message::RolledBack { step, .. } => Lane::Undo(name(plan, step)),
            _ => Lane::Run,
        },
        RunEvent::StepReady { step, .. }
        | RunEvent::StepWaiting { step, .. }
        | RunEvent::StepStarted { step, .. }
        | RunEvent::StepSucceeded { step, .. }
        | RunEvent::StepAttemptFailed { step, .. }
        | RunEvent::StepTimedOut { step, .. }
        | RunEvent::StepAttemptLost { step, .. }
        | RunEvent::StepRetryScheduled { step, .. }
        | RunEvent::StepFailed { step, .. }
        | RunEvent::StepSkipped { step }
        | RunEvent::StepCancelled { step } => Lane::Step(name(plan, *step)),
        RunEvent::UndoReady { step, .. }
        | RunEvent::UndoStarted { step, .. }
        | RunEvent::UndoSucceeded { step, .. }
        | RunEvent::UndoAttemptFailed { step, .. }
        | RunEvent::UndoRetryScheduled { step, .. }
        | RunEvent::UndoFailed { step, .. }
        | RunEvent::Unwind(UnwindEvent::UndoAwaited { step }) => Lane::Undo(name(plan, *step)),
        RunEvent::Unwind(event) if let Some(step) = event.checked() => Lane::Undo(name(plan, step)),
        RunEvent::LetterOpened { subject, .. } => of_subject(Some(subject)),
        RunEvent::LetterRetried { letter, .. } | RunEvent::LetterDiscarded { letter, .. } => {
            of_subject(letters.get(*letter as usize))
        }
        RunEvent::CallbackScheduled { delivery, .. }
        | RunEvent::CallbackDelivered { delivery, .. }
        | RunEvent::CallbackAttemptFailed { delivery, .. }
        | RunEvent::CallbackFailed { delivery, .. } => Lane::Callback(*delivery),
        RunEvent::Control(event) => of_step(event.step()),
        RunEvent::Graph(event) => of_step(event.step()),
        RunEvent::Fork(event) => of_step(event.step()),
        RunEvent::Service(ServiceEvent::CallHeld { step, undo: true, .. }) => {
            Lane::Undo(name(plan, *step))
        }
        RunEvent::Service(ServiceEvent::CallbackHeld { delivery, .. }) => Lane::Callback(*delivery),
        RunEvent::Delivery(event) => event.delivery().map_or(Lane::Run, Lane::Callback),
        RunEvent::Service(event) => of_step(event.step()),
        // Whatever else happens, happens to the run as a whole.
        _ => Lane::Run,
    }
}

fn name(plan: &Plan, step: StepIndex) -> Arc<str> {
    let known = plan.steps.get(step.at()).map(|step| step.id.clone());
    known.unwrap_or_else(|| step.0.to_string().into())
}

/// Makes what differs between any two runs read the same.
pub(super) fn settle(value: &mut Value, own_id: &str, instants: bool) {
    match value {
        Value::String(text) => {
            if instants && is_instant(text) {
                *text = "<instant>".to_owned();
            } else if text.contains(own_id) {
                *text = text.replace(own_id, "<execution>");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| settle(item, own_id, instants)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| settle(field, own_id, instants));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_instant(text: &str) -> bool {
    let may_be = (20..=40).contains(&text.len()) && text.bytes().any(|byte| byte == b':');
    may_be
        && (DateTime::parse_from_rfc3339(text).is_ok()
            || DateTime::parse_from_rfc2822(text).is_ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_and_instants_read_the_same() {
        let own = "exec_1";
        let mut value = json!({
            "key": "exec_1/a/1", "at": "2026-01-02T03:04:05.678901Z",
            "date": ["Sun, 06 Nov 1994 08:49:37 GMT"], "day": "2026-01-02", "n": 7,
        });
        settle(&mut value, own, true);
        assert_eq!(
            value,
            json!({
                "key": "<execution>/a/1", "at": "<instant>", "date": ["<instant>"],
                "day": "2026-01-02", "n": 7,
            })
        );
    }
}
