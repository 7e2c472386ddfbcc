//! Callbacks: where they stand, and what their receivers are sent.

use serde_json::{Value, json};

use super::{compensation_word, failure_json, instant, run_error, steps};
use crate::arrows::DeliveryStatus;
use crate::event::{AboutStep, CallbackEvent, CallbackForm, Target};
use crate::failure::Failure;
use crate::ids::LetterId;
use crate::payload::Payload;
use crate::state::{Delivery, State, Subject};
use crate::time::Timestamp;

/// The longest sentence in what services for people are sent, in characters.
const SENTENCE_CHARS_MAX: usize = 1_000;

/// A callback that is owed from now on.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    /// Its delivery.
    pub number: u32,
    /// The step it is about, and why that failed.
    pub step: Option<(&'a AboutStep, &'a Failure)>,
    /// Since when.
    pub at: Timestamp,
}

/// What a callback's receiver is sent, in the form that it wants.
#[must_use]
pub fn callback_body(state: &State, target: &Target, notice: &Notice<'_>) -> Value {
    let message = Message {
        id: state.idempotency_key(Subject::Delivery(notice.number)),
        event: target.event,
        at: notice.at,
        data: data(state, notice),
    };
    message.written(&target.form)
}

/// What a receiver would be sent of a run that there is not, to try it out.
#[must_use]
pub fn callback_sample(target: &Target, id: String, at: Timestamp) -> Value {
    let of_step =
        matches!(target.event, CallbackEvent::StepFailed | CallbackEvent::StepDeadLettered);
    let step = json!({
        "step_id": "example", "item": null, "undo": false, "attempts": 1, "letter_id": null,
        "error": failure_json(&Failure::permanent("EXAMPLE", "nothing failed: this is a test")),
    });
    let mut data = json!({
        "execution_id": "exec_example", "workflow_id": "example", "revision": 1,
        "correlation_id": "", "status": "running", "compensation": null, "output": null,
        "error": null, "handled_failures": [], "sla": null,
        "submitted_at": at.to_string(), "completed_at": null, "test": true,
    });
    if of_step {
        data["step"] = step;
    }
    Message { id, event: target.event, at, data }.written(&target.form)
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
    data
}

fn step_json(state: &State, about: &AboutStep, failure: &Failure) -> Value {
    let letter = |number| LetterId { execution: state.id, number }.to_string();
    json!({
        "step_id": state.plan.steps[about.step.at()].id,
        "undo": about.undo,
        "item": about.item,
        "attempts": about.attempts,
        "error": failure_json(failure),
        "letter_id": about.letter.map(letter),
    })
}

/// What is told, before it is written.
struct Message {
    id: String,
    event: CallbackEvent,
    at: Timestamp,
    data: Value,
}

impl Message {
    fn written(self, form: &CallbackForm) -> Value {
        match form {
            CallbackForm::Backstitch => json!({
                "event": self.event.word(), "timestamp": self.at.to_string(), "data": self.data,
            }),
            CallbackForm::CloudEvents => json!({
                "specversion": "1.0",
                "id": self.id,
                "source": format!("/api/v1/executions/{}", self.text("execution_id")),
                "type": format!("io.backstitch.{}", self.event.word()),
                "subject": self.data["workflow_id"],
                "time": self.at.to_string(),
                "datacontenttype": "application/json",
                "data": self.data,
            }),
            CallbackForm::Slack => self.slack(),
            CallbackForm::PagerDuty { routing_key } => self.pagerduty(routing_key),
        }
    }

    fn text(&self, field: &str) -> &str {
        self.data[field].as_str().unwrap_or_default()
    }

    /// Why, in one sentence, if anything went wrong.
    fn why(&self) -> Option<String> {
        let of_step = self.data["step"]["error"]["message"].as_str();
        let why = of_step.or_else(|| self.data["error"]["message"].as_str())?;
        Some(why.chars().take(SENTENCE_CHARS_MAX).collect())
    }

    /// What happened, in one sentence.
    fn sentence(&self) -> String {
        let (workflow, status) = (self.text("workflow_id"), self.text("status"));
        let of = if self.data["step"]["undo"] == true { "the undo of step" } else { "step" };
        let step = self.data["step"]["step_id"].as_str().unwrap_or_default();
        match self.event {
            CallbackEvent::Started => format!("workflow {workflow} has begun"),
            CallbackEvent::Completed => format!("workflow {workflow} completed"),
            CallbackEvent::Failed => format!("workflow {workflow} failed: it is {status}"),
            CallbackEvent::Compensating => format!("workflow {workflow} fails and is being undone"),
            CallbackEvent::Cancelled => format!("workflow {workflow} was cancelled"),
            CallbackEvent::SlaBreached => format!("workflow {workflow} takes longer than agreed"),
            CallbackEvent::StepFailed => format!("step {step} of workflow {workflow} failed"),
            CallbackEvent::StepDeadLettered => {
                format!("{of} {step} of workflow {workflow} has a dead letter")
            }
        }
    }

    fn slack(&self) -> Value {
        let escaped =
            |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let sentence = escaped(&self.sentence());
        let whole = match self.why() {
            Some(why) => format!("{sentence}\n>{}", escaped(&why).replace('\n', " ")),
            None => sentence.clone(),
        };
        let context = format!("`{}` {}", self.text("execution_id"), self.at);
        json!({
            "text": sentence,
            "blocks": [
                { "type": "section", "text": { "type": "mrkdwn", "text": whole } },
                { "type": "context", "elements": [{ "type": "mrkdwn", "text": context }] },
            ],
        })
    }

    /// One alert for each run, which its completion resolves.
    fn pagerduty(&self, routing_key: &str) -> Value {
        let action = match self.event {
            CallbackEvent::Completed => "resolve",
            _ => "trigger",
        };
        let severity = match self.event {
            CallbackEvent::Started | CallbackEvent::Completed => "info",
            CallbackEvent::Cancelled | CallbackEvent::Compensating | CallbackEvent::SlaBreached => {
                "warning"
            }
            CallbackEvent::StepFailed => "error",
            CallbackEvent::Failed | CallbackEvent::StepDeadLettered => "critical",
        };
        let why = self.why().map(|why| format!(": {why}")).unwrap_or_default();
        let summary: String = format!("{}{why}", self.sentence()).chars().take(1_024).collect();
        // They take 512 KiB; an output may have more.
        let mut details = self.data.clone();
        if let Some(details) = details.as_object_mut() {
            details.retain(|name, _| name != "output" && name != "handled_failures");
        }
        json!({
            "routing_key": routing_key,
            "event_action": action,
            "dedup_key": self.data["execution_id"],
            "client": "Backstitch",
            "payload": {
                "summary": summary,
                "source": self.data["execution_id"],
                "severity": severity,
                "timestamp": self.at.to_string(),
                "component": self.data["workflow_id"],
                "class": self.event.word(),
                "custom_details": details,
            },
        })
    }
}

/// Who is told of what, and how. An integration's key is not shown.
#[must_use]
pub fn target_json(target: &Target) -> Value {
    json!({
        "event": target.event.word(), "url": target.url, "format": target.form.word(),
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

/// The data of an event, as the API prints it.
pub(super) fn data_of(
    event: &crate::event::DeliveryEvent,
    id: &dyn Fn(&crate::ids::StepIndex) -> Value,
) -> Value {
    use crate::event::DeliveryEvent;
    match event {
        DeliveryEvent::Targeted { targets } => {
            json!({ "callbacks": targets.iter().map(target_json).collect::<Vec<_>>() })
        }
        DeliveryEvent::Scheduled { delivery, target, about } => {
            let mut data = target_json(target);
            data["delivery"] = (*delivery).into();
            if let Some(about) = about {
                data["step"] = id(&about.step);
                data["undo"] = about.undo.into();
                data["item"] = about.item.into();
                data["letter"] = about.letter.into();
            }
            data
        }
        DeliveryEvent::SentAgain { delivery, actor } => {
            json!({ "delivery": delivery, "actor": actor })
        }
    }
}
