//! The form of document 000: `tasks` with `task_type`.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::definition::problem::codes;
use crate::retry_policy::{ATTEMPTS_MAX, RETRY_INITIAL_MS_MAX};

use super::draft::Draft;
use super::names::Naming;
use super::parts::{
    attempts_or_template, below, duration_or_template, list, object, put_condition, put_needs,
    put_tree, text, texts,
};
use super::table::{Shape, Table, To, rule};
use super::unified_tasks;

pub(super) static DOCUMENT: Table = Table {
    about: "A workflow of document 000",
    open: false,
    required: &["id", "tasks"],
    fields: &[
        rule("id", Shape::Text, To::Field("id")),
        rule("name", Shape::Text, To::Field("name")),
        rule("description", Shape::Text, To::Field("description")),
        rule("version", Shape::Text, To::Field("version")),
        rule("enabled", Shape::Boolean, To::Field("enabled")),
        rule("type", Shape::Text, To::Later("lists cannot be filtered by it")),
        rule("tasks", Shape::List(&TASK), To::Own),
        rule("triggers", Shape::List(&TRIGGER), To::Own),
        rule("variables", Shape::Object, To::Field("variables")),
        rule("notifications", Shape::One(&NOTIFICATIONS), To::Own),
        rule("sla_minutes", Shape::Number(0.0, 5_256_000.0), To::Own),
        rule("tags", Shape::Texts, To::Field("tags")),
        rule("retry_policy", Shape::One(&RETRY_POLICY), To::Own),
        rule("outputs", Shape::Object, To::Own),
        rule("callbacks", Shape::Any, To::Own),
    ],
};

static TASK: Table = Table {
    about: "A task of document 000",
    open: false,
    required: &["id", "task_type"],
    fields: &[
        rule("id", Shape::Text, To::Field("id")),
        rule("name", Shape::Text, To::Field("name")),
        rule("task_type", Shape::Text, To::Field("type")),
        rule("description", Shape::Text, To::Field("description")),
        rule("parameters", Shape::Object, To::Own),
        rule("dependencies", Shape::Texts, To::Own),
        rule("timeout_minutes", Shape::Number(0.0, 1_440.0), To::Own),
        rule("retry_count", Shape::Whole(0, ATTEMPTS_MAX as u64 - 1), To::Own),
        rule("retry_delay_seconds", Shape::Number(0.0, DELAY_SECONDS_MAX), To::Own),
        rule("condition", Shape::Text, To::Own),
        rule("on_success", Shape::Texts, To::Own),
        rule("on_failure", Shape::Texts, To::Own),
        rule("parallel_execution", Shape::Boolean, To::Own),
    ],
};

static TRIGGER: Table = Table {
    about: "What starts runs",
    open: false,
    required: &["type"],
    fields: &[
        rule("type", Shape::Words(&TRIGGERS), To::Own),
        rule("schedule", Shape::Text, To::Own),
        rule("webhook_url", Shape::Text, To::Own),
        rule("url", Shape::Text, To::Own),
        rule("event_filters", Shape::Object, To::Own),
        rule("description", Shape::Text, To::Own),
    ],
};

static NOTIFICATIONS: Table = Table {
    about: "Who is told how a run ended",
    open: false,
    required: &[],
    fields: &[
        rule("email", Shape::Texts, To::Later("no mail is sent")),
        rule("slack", Shape::Texts, To::Own),
        rule("webhook", Shape::Texts, To::Own),
    ],
};

static RETRY_POLICY: Table = Table {
    about: "How tasks are retried that do not say",
    open: false,
    required: &[],
    fields: &[
        rule("max_retries", Shape::Whole(0, ATTEMPTS_MAX as u64 - 1), To::Own),
        rule("backoff_strategy", Shape::Words(&["exponential", "linear", "fixed"]), To::Own),
        rule("retry_conditions", Shape::Texts, To::Own),
    ],
};

/// Units of numbers, in milliseconds and as durations write them.
const MINUTES: (f64, &str) = (60_000.0, "m");
const SECONDS: (f64, &str) = (1_000.0, "s");
const TRIGGERS: [&str; 5] = ["manual", "scheduled", "event_driven", "api_trigger", "webhook"];
/// Triggers that are requests to the API.
const REQUESTED: [&str; 2] = ["manual", "api_trigger"];
const DELAY_SECONDS_MAX: f64 = (RETRY_INITIAL_MS_MAX / 1_000) as f64;
/// What a webhook is told of.
const NOTIFIED: [&str; 4] =
    ["workflow.completed", "workflow.failed", "workflow.cancelled", "workflow.sla_breached"];

pub(super) fn translate(fields: &Map<String, Value>, draft: &mut Draft) -> Map<String, Value> {
    let mut made = Map::new();
    DOCUMENT.copy(fields, ("", ""), &mut made, draft);
    let policy = object(fields.get("retry_policy"));
    if policy.is_some() {
        draft.lies_at("defaults.retry", "retry_policy");
        draft.lies_at("defaults.retry.max_attempts", "retry_policy.max_retries");
        draft.lies_at("defaults.retry.backoff", "retry_policy.backoff_strategy");
        draft.lies_at("defaults.retry.on", "retry_policy.retry_conditions");
    }
    let naming = Naming { input_words: &["trigger_data", "event"], ..Naming::default() };
    let policy = policy.map(|policy| defaults(policy, &naming, draft));
    if let Some(policy) = &policy {
        made.insert("defaults".to_owned(), json!({ "retry": policy }));
    }
    let (sla, places) = (fields.get("sla_minutes"), ("sla_minutes", "sla"));
    if let Some(sla) = duration_or_template(sla, MINUTES, places, &naming, draft) {
        draft.lies_at("sla", "sla_minutes");
        made.insert("sla".to_owned(), sla);
    }
    callbacks(fields, &mut made, draft);
    warn_of_triggers(fields, draft);
    draft.lies_at("steps", "tasks");
    let each = |(at, value): (usize, &Value)| match object(Some(value)) {
        Some(fields) => Value::Object(task(at, fields, policy.as_ref(), &naming, draft)),
        None => value.clone(),
    };
    let tasks = list(fields, "tasks");
    let mut steps: Vec<Value> = tasks.iter().enumerate().map(each).collect();
    follow(tasks, &mut steps, draft);
    made.insert("steps".to_owned(), steps.into());
    put_tree((fields, "", "outputs"), (&mut made, "", "outputs"), &naming, draft);
    made
}

fn task(
    at: usize,
    fields: &Map<String, Value>,
    policy: Option<&Map<String, Value>>,
    naming: &Naming,
    draft: &mut Draft,
) -> Map<String, Value> {
    let (source, canonical) = (format!("tasks[{at}]"), format!("steps[{at}]"));
    let mut made = Map::new();
    TASK.copy(fields, (&source, &canonical), &mut made, draft);
    if let (Some(task_type), Some(parameters)) =
        (text(fields, "task_type"), fields.get("parameters"))
        && let Some(table) = unified_tasks::parameters(task_type)
        && parameters.is_object()
    {
        table.check(parameters, &below(&source, "parameters"), draft);
    }
    put_tree((fields, &source, "parameters"), (&mut made, &canonical, "with"), naming, draft);
    put_needs((fields, &source, "dependencies"), (&mut made, &canonical), draft);
    put_condition((fields, &source), (&mut made, &canonical), naming, draft);
    let (from, to) = (below(&source, "timeout_minutes"), below(&canonical, "timeout"));
    let timeout = fields.get("timeout_minutes");
    if let Some(timeout) = duration_or_template(timeout, MINUTES, (&from, &to), naming, draft) {
        draft.lies_at(to, from);
        made.insert("timeout".to_owned(), timeout);
    }
    if fields.get("parallel_execution") == Some(&Value::Bool(false)) {
        draft.lies_at(below(&canonical, "exclusive"), below(&source, "parallel_execution"));
        made.insert("exclusive".to_owned(), true.into());
    }
    let retry_path = below(&canonical, "retry");
    if let Some(retry) = retry(fields, policy, (&source, &retry_path), naming, draft) {
        draft.lies_at(below(&retry_path, "initial"), below(&source, "retry_delay_seconds"));
        draft.lies_at(below(&retry_path, "on"), "retry_policy.retry_conditions");
        draft.lies_at(retry_path, below(&source, "retry_count"));
        made.insert("retry".to_owned(), retry);
    }
    made
}

fn defaults(policy: &Map<String, Value>, naming: &Naming, draft: &mut Draft) -> Map<String, Value> {
    let mut retry = Map::new();
    let places = ("retry_policy.max_retries", "defaults.retry.max_attempts");
    let attempts = attempts_or_template(policy.get("max_retries"), places, naming, draft);
    retry.extend(attempts.map(|attempts| ("max_attempts".to_owned(), attempts)));
    if let Some(strategy) = text(policy, "backoff_strategy") {
        retry.insert("backoff".to_owned(), strategy.into());
    }
    let conditions = list(policy, "retry_conditions");
    if !conditions.is_empty() {
        retry.insert("on".to_owned(), conditions.into());
    }
    retry
}

/// A task's own words on retries: they win over the policy's. A delay is waited exactly, unless
/// the policy lets it grow.
fn retry(
    fields: &Map<String, Value>,
    policy: Option<&Map<String, Value>>,
    (source, canonical): (&str, &str),
    naming: &Naming,
    draft: &mut Draft,
) -> Option<Value> {
    let (from, to) = (below(source, "retry_count"), below(canonical, "max_attempts"));
    let count = attempts_or_template(fields.get("retry_count"), (&from, &to), naming, draft);
    let (from, to) = (below(source, "retry_delay_seconds"), below(canonical, "initial"));
    let delay = fields.get("retry_delay_seconds");
    let delay = duration_or_template(delay, SECONDS, (&from, &to), naming, draft);
    if count.is_none() && delay.is_none() {
        return None;
    }
    let mut retry = policy.cloned().unwrap_or_default();
    retry.extend(count.map(|count| ("max_attempts".to_owned(), count)));
    if let Some(delay) = delay {
        let grows = retry.contains_key("backoff");
        retry.entry("backoff").or_insert_with(|| "fixed".into());
        retry.insert("initial".to_owned(), delay);
        retry.insert("jitter".to_owned(), false.into());
        if grows && retry.get("backoff") != Some(&"fixed".into()) {
            retry.insert("max".to_owned(), "1h".into());
        }
    }
    Some(retry.into())
}

/// `on_success` and `on_failure` name handlers. That a handler needs the task it handles is
/// said with that already.
fn follow(tasks: &[Value], steps: &mut [Value], draft: &mut Draft) {
    let id = |task: &Value| task.get("id").and_then(Value::as_str).map(str::to_owned);
    let places: HashMap<String, usize> =
        tasks.iter().enumerate().filter_map(|(at, task)| Some((id(task)?, at))).collect();
    for (at, task) in tasks.iter().enumerate() {
        let (Some(fields), Some(own)) = (object(Some(task)), id(task)) else { continue };
        for name in ["on_success", "on_failure"] {
            for (nth, named) in texts(fields, name).into_iter().enumerate() {
                let path = format!("tasks[{at}].{name}[{nth}]");
                let Some(&follower) = places.get(named) else {
                    let shown: String = named.chars().take(64).collect();
                    let message = format!("there is no task `{shown}`");
                    draft.problems.add(path, codes::UNKNOWN_STEP, message);
                    continue;
                };
                draft.lies_at(format!("steps[{at}].{name}[{nth}]"), path);
                if let Some(Value::Array(needs)) = steps[follower].get_mut("needs") {
                    needs.retain(|known| known.as_str() != Some(&own));
                }
                let Value::Object(step) = &mut steps[at] else { continue };
                let handlers = step.entry(name).or_insert_with(|| json!([]));
                handlers.as_array_mut().into_iter().for_each(|own| own.push(named.into()));
            }
        }
    }
}

fn warn_of_triggers(fields: &Map<String, Value>, draft: &mut Draft) {
    for (at, trigger) in list(fields, "triggers").iter().enumerate() {
        let word = trigger.get("type").and_then(Value::as_str).unwrap_or_default();
        if TRIGGERS.contains(&word) && !REQUESTED.contains(&word) {
            let message = format!(
                "`{word}` triggers are not in force yet: only requests to the API start runs"
            );
            draft.not_in_force(&format!("triggers[{at}]"), &message);
        }
    }
}

/// Callbacks as they are, and one for each end of a run and webhook, be it of Slack or not.
fn callbacks(fields: &Map<String, Value>, made: &mut Map<String, Value>, draft: &mut Draft) {
    let mut callbacks = list(fields, "callbacks").to_vec();
    let notified = object(fields.get("notifications"));
    let given = |name: &'static str| {
        let urls = notified.map_or(&[][..], |own| list(own, name));
        urls.iter().enumerate().map(move |(at, url)| (name, at, url))
    };
    let first = given("webhook").chain(given("slack")).next();
    if let (Some((name, ..)), false) = (first, fields.contains_key("callbacks")) {
        draft.lies_at("callbacks", format!("notifications.{name}"));
    }
    for (name, at, url) in given("webhook").chain(given("slack")) {
        let Some(text) = url.as_str() else { continue };
        let own = format!("notifications.{name}[{at}]");
        if name == "slack" && !text.starts_with("https://") && !text.starts_with("{{") {
            let message = format!(
                "`{text}` is not in force yet: only URLs of incoming webhooks are posted to"
            );
            draft.not_in_force(&own, &message);
            continue;
        }
        for event in NOTIFIED {
            let place = format!("callbacks[{}]", callbacks.len());
            draft.lies_at(below(&place, "url"), own.clone());
            callbacks.push(match name {
                "slack" => json!({ "event": event, "url": url, "format": "slack" }),
                _ => json!({ "event": event, "url": url }),
            });
        }
    }
    match fields.get("callbacks") {
        Some(other) if !other.is_array() => {
            made.insert("callbacks".to_owned(), other.clone());
        }
        _ if callbacks.is_empty() => {}
        _ => {
            made.insert("callbacks".to_owned(), callbacks.into());
        }
    }
}
