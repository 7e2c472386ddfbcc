//! Callbacks: where they stand, and what their receivers are sent.

use serde_json::{Value, json};

use super::messages::{self, Message};
use super::{compensation_word, failure_json, instant, run_error, steps};
use crate::arrows::DeliveryStatus;
use crate::event::{AboutStep, Alert, AlertOf, CallbackEvent, DeliveryEvent, Severity, Target};
use crate::failure::Failure;
use crate::ids::{LetterId, StepIndex};
use crate::payload::Payload;
use crate::state::{Delivery, State, Subject};
use crate::time::Timestamp;

/// The run that examples are about.
const RUN_OF_SAMPLES: &str = "exec_example";

/// A callback that is owed from now on.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    /// Its delivery.
    pub number: u32,
    /// The step it is about, and why that failed, if it did.
    pub step: Option<(&'a AboutStep, Option<&'a Failure>)>,
    /// The alert it is about.
    pub alert: Option<&'a AlertOf>,
    /// Since when.
    pub at: Timestamp,
}

/// What a callback's receiver is sent, in the form that it wants.
#[must_use]
pub fn callback_body(state: &State, target: &Target, notice: &Notice<'_>) -> Value {
    let mut data = data(state, notice);
    if notice.alert.is_some() {
        data["alert"]["resolved"] = messages::resolves(target.event, notice.alert).into();
    }
    let message = Message {
        id: state.idempotency_key(Subject::Delivery(notice.number)),
        event: target.event,
        at: notice.at,
        tags: state.tags.iter().map(ToString::to_string).collect(),
        alert: notice.alert.cloned(),
        data,
    };
    message.written(&target.form.body())
}

/// Where it is sent: services close what they were told of elsewhere than they are told.
#[must_use]
pub fn callback_url(state: &State, target: &Target, alert: Option<&AlertOf>) -> String {
    messages::url(target, &state.id.to_string(), alert)
}

/// Where a receiver would be told of a run that there is not, and what, to try it out.
#[must_use]
pub fn callback_sample(target: &Target, id: String, at: Timestamp) -> (String, Value) {
    let of_step =
        matches!(target.event, CallbackEvent::StepFailed | CallbackEvent::StepDeadLettered);
    let step = json!({
        "step_id": "example", "item": null, "undo": false, "attempts": 1, "letter_id": null,
        "error": failure_json(&Failure::permanent("EXAMPLE", "nothing failed: this is a test")),
    });
    let mut data = json!({
        "execution_id": RUN_OF_SAMPLES, "workflow_id": "example", "revision": 1,
        "correlation_id": "", "status": "running", "compensation": null, "output": null,
        "error": null, "handled_failures": [], "sla": null,
        "submitted_at": at.to_string(), "completed_at": null, "test": true,
    });
    if of_step {
        data["step"] = step;
    }
    let (tags, alert) = (Vec::new(), None);
    let message = Message { id, event: target.event, at, tags, alert, data };
    (messages::url(target, RUN_OF_SAMPLES, None), message.written(&target.form.body()))
}

/// The run as it stands; `workflow.failed` carries both words: the outcome, and what became of
/// the undos.
fn data(state: &State, notice: &Notice<'_>) -> Value {
    let ending = state.ending.as_ref();
    let mut data = json!({
        "execution_id": state.id.to_string(),
        "workflow_id": state.submitted.workflow,
        "revision": state.submitted.revision,
        "correlation_id": state.submitted.correlation_id,
        "status": state.status().word(),
        "compensation": ending.map(|ending| compensation_word(ending.compensation)),
        "output": ending.and_then(|ending| ending.output.as_ref()).map(Payload::value),
        "error": run_error(state),
        "handled_failures": steps::handled_failures_json(state),
        "sla": steps::sla_json(state),
        "submitted_at": state.submitted_at.to_string(),
        "completed_at": instant(ending.map(|ending| ending.at)),
    });
    if let Some((about, failure)) = notice.step {
        data["step"] = step_json(state, about, failure);
    }
    if let Some(alert) = notice.alert {
        data["alert"] = alert_json(alert);
    }
    data
}

fn step_json(state: &State, about: &AboutStep, failure: Option<&Failure>) -> Value {
    let letter = |number| LetterId { execution: state.id, number }.to_string();
    json!({
        "step_id": state.plan.steps[about.step.at()].id,
        "undo": about.undo,
        "item": about.item,
        "attempts": about.attempts,
        "error": failure.map(failure_json),
        "letter_id": about.letter.map(letter),
    })
}

/// Who is told of what, and how. An integration's key is not shown.
#[must_use]
pub fn target_json(target: &Target) -> Value {
    json!({
        "event": target.event.word(), "url": target.url, "format": target.form.word(),
    })
}

fn alert_json(own: &AlertOf) -> Value {
    json!({
        "rule": own.rule, "channel": own.channel, "severity": own.severity.map(Severity::word),
    })
}

/// The status of the last answer that did not count as received, if there was one.
fn refused_with(own: &Delivery) -> Value {
    let details = own.failure.as_ref().and_then(|failure| failure.details.as_ref());
    details.map_or(Value::Null, |details| details.value()["status"].clone())
}

pub(super) fn delivery_json(state: &State, own: &Delivery) -> Value {
    let step = own.about.as_ref().map(|about| state.plan.steps[about.step.at()].id.clone());
    json!({
        "event": own.event.word(),
        "url": own.url,
        "format": own.form.word(),
        "step": step,
        "alert": own.alert.as_deref().map(alert_json),
        "status": match own.status {
            DeliveryStatus::Owed => "pending",
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Faulted | DeliveryStatus::Failed => "failed",
        },
        "attempts": own.attempt,
        "due_at": instant(own.due_at),
        "response_status": own.answered.map_or_else(|| refused_with(own), Value::from),
        "error": own.failure.as_deref().map(failure_json),
    })
}

fn scheduled(
    delivery: u32,
    target: &Target,
    about: Option<&AboutStep>,
    id: &dyn Fn(&StepIndex) -> Value,
) -> Value {
    let mut data = target_json(target);
    data["delivery"] = delivery.into();
    if let Some(about) = about {
        data["step"] = id(&about.step);
        data["undo"] = about.undo.into();
        data["item"] = about.item.into();
        data["letter"] = about.letter.into();
    }
    data
}

/// The data of an event, as the API prints it.
pub(super) fn data_of(event: &DeliveryEvent, id: &dyn Fn(&StepIndex) -> Value) -> Value {
    match event {
        DeliveryEvent::Targeted { targets } => {
            json!({ "callbacks": targets.iter().map(target_json).collect::<Vec<_>>() })
        }
        DeliveryEvent::Scheduled { delivery, target, about } => {
            scheduled(*delivery, target, about.as_ref(), id)
        }
        DeliveryEvent::AlertsPinned { alerts } => {
            let pinned = |own: &Alert| {
                let mut data = alert_json(&own.of);
                let events = own.events.iter().map(|event| event.word());
                data["events"] = events.collect::<Vec<_>>().into();
                data["url"] = own.url.as_str().into();
                data["format"] = own.form.word().into();
                data
            };
            json!({ "alerts": alerts.iter().map(pinned).collect::<Vec<_>>() })
        }
        DeliveryEvent::AlertScheduled { delivery, target, about, of } => {
            let mut data = scheduled(*delivery, target, about.as_ref(), id);
            data["alert"] = alert_json(of);
            data
        }
        DeliveryEvent::SentAgain { delivery, actor } => {
            json!({ "delivery": delivery, "actor": actor })
        }
    }
}
