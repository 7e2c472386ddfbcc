//! What callbacks say, written as each receiver reads it.

use serde_json::{Map, Value, json};

use crate::event::{AlertOf, BodyForm, CallbackEvent, Severity, Target};
use crate::time::Timestamp;

/// The longest sentence in what services for people are sent, in characters.
const SENTENCE_CHARS_MAX: usize = 1_000;
/// The longest summary that PagerDuty takes.
const SUMMARY_CHARS_MAX: usize = 1_024;
/// The longest message that Opsgenie takes.
const MESSAGE_CHARS_MAX: usize = 130;
/// The most tags that Opsgenie takes, and the longest.
const TAGS_MAX: (usize, usize) = (20, 50);
/// Who tells services.
const SOURCE: &str = "Backstitch";
/// What of a run Opsgenie is told in fields of its own, which hold texts.
const DETAILS: [&str; 5] =
    ["execution_id", "workflow_id", "correlation_id", "status", "compensation"];

/// What is told, before it is written.
pub(super) struct Message {
    pub id: String,
    pub event: CallbackEvent,
    pub at: Timestamp,
    /// Those of the run.
    pub tags: Vec<String>,
    /// Which alert it is about.
    pub alert: Option<AlertOf>,
    pub data: Value,
}

/// Where an event of a run goes. Alerts of Opsgenie are closed below where they are made.
pub(super) fn url(target: &Target, run: &str, alert: Option<&AlertOf>) -> String {
    match target.form.body() {
        BodyForm::Opsgenie { .. } if resolves(target.event, alert) => {
            let (alerts, alias) = (target.url.trim_end_matches('/'), alias(run, alert));
            format!("{alerts}/{alias}/close?identifierType=alias")
        }
        _ => target.url.clone(),
    }
}

/// By what services know an alert: a run has one of each rule, and one of its own callbacks.
fn alias(run: &str, alert: Option<&AlertOf>) -> String {
    alert.map_or_else(|| run.to_owned(), |own| format!("{run}:{}", own.rule))
}

/// Whether the event ends what others of the run have begun.
pub(super) fn resolves(event: CallbackEvent, alert: Option<&AlertOf>) -> bool {
    match alert {
        Some(_) => CallbackEvent::ENDS_ALERTS.contains(&event),
        None => event == CallbackEvent::Completed,
    }
}

fn severity(event: CallbackEvent) -> Severity {
    match event {
        CallbackEvent::Started | CallbackEvent::Completed => Severity::Info,
        CallbackEvent::Cancelled
        | CallbackEvent::Compensating
        | CallbackEvent::SlaBreached
        | CallbackEvent::StepWaiting => Severity::Warning,
        CallbackEvent::StepFailed => Severity::Error,
        CallbackEvent::Failed
        | CallbackEvent::CompensationFailed
        | CallbackEvent::StepDeadLettered => Severity::Critical,
    }
}

/// The priority of Opsgenie.
fn priority(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "P5",
        Severity::Warning => "P3",
        Severity::Error => "P2",
        Severity::Critical => "P1",
    }
}

impl Message {
    pub(super) fn written(self, body: &BodyForm) -> Value {
        match body {
            BodyForm::Backstitch => json!({
                "event": self.event.word(), "timestamp": self.at.to_string(), "data": self.data,
            }),
            BodyForm::CloudEvents => json!({
                "specversion": "1.0",
                "id": self.id,
                "source": format!("/api/v1/executions/{}", self.text("execution_id")),
                "type": format!("io.backstitch.{}", self.event.word()),
                "subject": self.data["workflow_id"],
                "time": self.at.to_string(),
                "datacontenttype": "application/json",
                "data": self.data,
            }),
            BodyForm::Slack => self.slack(),
            BodyForm::PagerDuty { routing_key } => self.pagerduty(routing_key),
            // The key goes with the request.
            BodyForm::Opsgenie { .. } => self.opsgenie(),
        }
    }

    fn resolves(&self) -> bool {
        resolves(self.event, self.alert.as_ref())
    }

    fn alias(&self) -> String {
        alias(self.text("execution_id"), self.alert.as_ref())
    }

    fn severity(&self) -> Severity {
        let wanted = self.alert.as_ref().and_then(|own| own.severity);
        wanted.filter(|_| !self.resolves()).unwrap_or_else(|| severity(self.event))
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
            CallbackEvent::CompensationFailed => {
                format!("workflow {workflow} failed and could not be undone")
            }
            CallbackEvent::StepWaiting => format!("step {step} of workflow {workflow} waits"),
        }
    }

    /// The same, with the alert that it raises or ends.
    fn headline(&self) -> String {
        let sentence = self.sentence();
        match &self.alert {
            Some(own) if self.resolves() => format!("{} is over: {sentence}", own.rule),
            Some(own) => format!("{}: {sentence}", own.rule),
            None => sentence,
        }
    }

    /// What happened, and why, no longer than a service takes.
    fn summary(&self, chars_max: usize) -> String {
        let why = self.why().map(|why| format!(": {why}")).unwrap_or_default();
        format!("{}{why}", self.headline()).chars().take(chars_max).collect()
    }

    fn slack(&self) -> Value {
        let escaped =
            |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let sentence = escaped(&self.headline());
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

    /// One alert for each run and rule, which the end of it resolves.
    fn pagerduty(&self, routing_key: &str) -> Value {
        // They take 512 KiB; an output may have more.
        let mut details = self.data.clone();
        if let Some(details) = details.as_object_mut() {
            details.retain(|name, _| name != "output" && name != "handled_failures");
        }
        json!({
            "routing_key": routing_key,
            "event_action": if self.resolves() { "resolve" } else { "trigger" },
            "dedup_key": self.alias(),
            "client": SOURCE,
            "payload": {
                "summary": self.summary(SUMMARY_CHARS_MAX),
                "source": self.data["execution_id"],
                "severity": self.severity().word(),
                "timestamp": self.at.to_string(),
                "component": self.data["workflow_id"],
                "class": self.event.word(),
                "custom_details": details,
            },
        })
    }

    /// One alert for each run and rule, which the end of it closes.
    fn opsgenie(&self) -> Value {
        if self.resolves() {
            return json!({ "source": SOURCE, "note": self.headline() });
        }
        let of_run = DETAILS.iter().filter_map(|name| Some((*name, self.data[*name].as_str()?)));
        let step = self.data["step"]["step_id"].as_str().map(|step| ("step_id", step));
        let code = self.data["step"]["error"]["error_code"].as_str();
        let code = code.or_else(|| self.data["error"]["error_code"].as_str());
        let code = code.map(|code| ("error_code", code));
        let event = Some(("event", self.event.word()));
        let details = of_run.chain(step).chain(code).chain(event);
        let details: Map<_, _> =
            details.map(|(name, text)| (name.to_owned(), text.into())).collect();
        let (tags_max, chars_max) = TAGS_MAX;
        let tags = self.tags.iter().take(tags_max);
        let tags: Vec<String> = tags.map(|tag| tag.chars().take(chars_max).collect()).collect();
        json!({
            "message": self.summary(MESSAGE_CHARS_MAX),
            "alias": self.alias(),
            "description": self.summary(SENTENCE_CHARS_MAX),
            "tags": tags,
            "details": details,
            "entity": self.data["workflow_id"],
            "source": SOURCE,
            "priority": priority(self.severity()),
        })
    }
}
