//! Steps that are runs of other workflows: what their definition must say.

use serde_json::{Map, Value};

use super::{PlanUndo, WORKFLOW_TYPE};
use crate::definition::Step;
use crate::definition::problem::{Problems, codes};
use crate::links::Wish;
use crate::retry_policy::Retries;
use crate::template::{Template, has_template};

/// What a step that is another run has in its `with`.
const FIELDS: [&str; 3] = ["workflow", "input", "revision"];

/// What a step that sends a signal has in its `with`; the first two it must have.
const SIGNAL_FIELDS: [&str; 3] = ["execution", "name", "payload"];

/// Checks such a step.
pub(super) fn check(path: &str, step: &Step, problems: &mut Problems) {
    if step.timeout.is_some() {
        let message = "a child ends by the timeout of its own workflow, not by the step's";
        problems.add(format!("{path}.timeout"), codes::BAD_VALUE, message);
    }
    let path = format!("{path}.with");
    let Some(Value::Object(fields)) = &step.with else {
        let message = "a child needs `with: { workflow: <id>, input: {...} }`";
        let code = if step.with.is_some() { codes::WRONG_TYPE } else { codes::MISSING_FIELD };
        problems.add(path, code, message);
        return;
    };
    for name in fields.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
        let shown: String = name.chars().take(64).collect();
        let message = format!("`{shown}` is not a field here; known are {}", FIELDS.join(", "));
        problems.add(format!("{path}.{shown}"), codes::UNKNOWN_FIELD, message);
    }
    if !fields.contains_key("workflow") {
        let message = "`workflow` is required: the id of a workflow, or a template that gives one";
        problems.add(format!("{path}.workflow"), codes::MISSING_FIELD, message);
        return;
    }
    let templated = |value: &Value| value.as_str().is_some_and(has_template);
    let known: Map<_, _> = fields
        .iter()
        .filter(|(name, value)| *name != "input" && !templated(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let known = match fields.get("workflow").filter(|value| templated(value)) {
        Some(_) => known.into_iter().chain([("workflow".to_owned(), "later".into())]).collect(),
        None => known,
    };
    if let Err(why) = Wish::read(&Value::Object(known)) {
        problems.add(path, codes::BAD_VALUE, why);
    }
}

/// Checks a step that sends a signal.
pub(super) fn check_signal(path: &str, step: &Step, problems: &mut Problems) {
    if step.timeout.is_some() {
        let message = "a signal is sent until it is taken in or refused, so no `timeout`";
        problems.add(format!("{path}.timeout"), codes::BAD_VALUE, message);
    }
    let path = format!("{path}.with");
    let Some(Value::Object(fields)) = &step.with else {
        let message = "a signal needs `with: { execution: <id>, name: <signal>, payload: ... }`";
        let code = if step.with.is_some() { codes::WRONG_TYPE } else { codes::MISSING_FIELD };
        problems.add(path, code, message);
        return;
    };
    for name in fields.keys().filter(|name| !SIGNAL_FIELDS.contains(&name.as_str())) {
        let shown: String = name.chars().take(64).collect();
        let known = SIGNAL_FIELDS.join(", ");
        let message = format!("`{shown}` is not a field here; known are {known}");
        problems.add(format!("{path}.{shown}"), codes::UNKNOWN_FIELD, message);
    }
    for name in SIGNAL_FIELDS.iter().take(2).filter(|name| !fields.contains_key(**name)) {
        let message = format!("`{name}` is required");
        problems.add(format!("{path}.{name}"), codes::MISSING_FIELD, message);
    }
}

/// The undo of such a step, unless its author says otherwise: the child undoes itself.
pub(super) fn undo(input: Template) -> PlanUndo {
    PlanUndo {
        task_type: WORKFLOW_TYPE.into(),
        input,
        retry: Retries::NONE,
        timeout_ms: 0,
        breaker: None,
        reads_own_output: false,
        check: None,
    }
}
