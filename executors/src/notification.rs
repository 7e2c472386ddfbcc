//! `notification`: tells people that something happened. The only channel so far is `log`.

use std::future::ready;

use backstitch_core::failure::Failure;
use backstitch_core::payload::Payload;
use serde_json::{Value, json};

use crate::codes::TASK_INPUT_INVALID;
use crate::fields::{Fields, Stage, kind, sentence, unknown};
use crate::task::{Answer, Attempt, Executor, InputProblem, Task};

const FIELDS: [&str; 4] = ["channels", "message", "severity", "data"];
const CHANNELS: [&str; 1] = ["log"];
const SEVERITIES: [&str; 3] = ["info", "warning", "error"];
/// The longest message, in bytes: it is one line of a log.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// Writes one line to the log for each notification.
pub(crate) struct NotificationExecutor;

impl Executor for NotificationExecutor {
    fn run(&self, task: Task) -> Attempt {
        Box::pin(ready(answer(&task)))
    }

    fn check(&self, with: &Value) -> Vec<InputProblem> {
        match read(with, Stage::Written) {
            Ok(_) => Vec::new(),
            Err(problems) => problems,
        }
    }
}

fn answer(task: &Task) -> Answer {
    let with = task.input.value();
    let notification = read(&with, Stage::Rendered)
        .map_err(|problems| Failure::permanent(TASK_INPUT_INVALID, sentence(&problems)))?;
    log(task, &notification);
    Ok(Payload::of(&json!({ "channels": CHANNELS })))
}

/// One line; control characters are escaped by the `Debug` of the text, so that data can't
/// forge another line.
fn log(task: &Task, notification: &Notification<'_>) {
    let Notification { message, severity, data } = notification;
    let data = data.map(Value::to_string).unwrap_or_default();
    let execution_id = task.execution.map(|run| run.to_string()).unwrap_or_default();
    let step = &*task.step;
    let correlation_id = &*task.correlation_id;
    match *severity {
        "error" => tracing::error!(%execution_id, step, correlation_id, data, "{message:?}"),
        "warning" => tracing::warn!(%execution_id, step, correlation_id, data, "{message:?}"),
        _ => tracing::info!(%execution_id, step, correlation_id, data, "{message:?}"),
    }
}

struct Notification<'a> {
    message: &'a str,
    severity: &'a str,
    data: Option<&'a Value>,
}

fn read(with: &Value, stage: Stage) -> Result<Notification<'_>, Vec<InputProblem>> {
    let mut fields = Fields::of(with, "", stage, &FIELDS);
    if fields.is_open(with) {
        return Ok(Notification { message: "", severity: "info", data: None });
    }
    check_channels(&mut fields);
    if !fields.has("message") {
        fields.problem("message", "is missing");
    }
    let message = fields.short_text("message", MESSAGE_BYTES_MAX).unwrap_or_default();
    let severity = fields.text("severity").unwrap_or("info");
    if !SEVERITIES.contains(&severity) {
        fields.problem("severity", unknown("severity", severity, &SEVERITIES));
    }
    let data = fields.get("data");
    let problems = fields.into_problems();
    if problems.is_empty() { Ok(Notification { message, severity, data }) } else { Err(problems) }
}

/// Without `channels` the log is meant.
fn check_channels(fields: &mut Fields<'_>) {
    let Some(channels) = fields.typed("channels", "a list of channels", Value::as_array) else {
        return;
    };
    if channels.is_empty() {
        fields.problem("channels", format!("is empty; known are {}", CHANNELS.join(", ")));
    }
    for (index, channel) in channels.iter().enumerate() {
        let path = format!("channels[{index}]");
        match channel.as_str() {
            _ if fields.is_open(channel) => {}
            Some(name) if CHANNELS.contains(&name) => {}
            Some(name) => fields.problem(&path, unknown("channel", name, &CHANNELS)),
            None => fields.problem(&path, format!("must be a string, not {}", kind(channel))),
        }
    }
}
