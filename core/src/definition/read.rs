//! Reading the canonical form. What is wrong is noted and left at its default, so that the
//! rest is read too.

use serde_json::{Map, Value};

use super::breakers::breaker;
use super::problem::{Problems, codes};
use super::read_callbacks::callbacks;
use super::read_check::check;
use super::read_each::{each, max_parallel, on_item_failure};
use super::read_egress::egress;
use super::read_fields::{Fields, joined, type_of};
use super::read_graph::{ids, routes, sla, total_timeout};
use super::read_limits::{concurrency, keyed, priority};
use super::read_policies::{
    attempt_timeout, cache, compensation_timeout, rollback_window, run_timeout,
};
use super::read_receiver::Secrets;
use super::read_undo::{NO_UNDO, undo};
use super::retries::{retry, retry_policies};
use super::{
    CALLBACKS_MAX, DESCRIPTION_CHARS_MAX, Defaults, Definition, LABEL_CHARS_MAX, NAME_CHARS_MAX,
    RESERVED_WORKFLOW_IDS, STEP_ID_CHARS_MAX, STEPS_MAX, Step, TAG_READ_BYTES_MAX, TAGS_READ_MAX,
    WORKFLOW_ID_CHARS_MAX,
};
use crate::command::TAG_BYTES_MAX;
use crate::event::Recourse;
use crate::plan::ReplaySafety;
use crate::template::{RESERVED_ROOTS, TEMPLATE_BYTES_MAX, has_template};

pub(crate) const DEFINITION_FIELDS: [&str; 23] = [
    "id",
    "name",
    "description",
    "version",
    "tags",
    "enabled",
    "input_schema",
    "variables",
    "retry_policies",
    "defaults",
    "on_failure",
    "on_no_undo",
    "timeout",
    "compensation_timeout",
    "sla",
    "rollback_window",
    "erasable",
    "priority",
    "concurrency",
    "steps",
    "outputs",
    "callbacks",
    "egress",
];
pub(crate) const STEP_FIELDS: [&str; 27] = [
    "id",
    "name",
    "description",
    "needs",
    "when",
    "type",
    "with",
    "retry",
    "timeout",
    "allow_failure",
    "undo",
    "check",
    "on_no_undo",
    "replay",
    "total_timeout",
    "sla",
    "limits",
    "routes",
    "default",
    "on_success",
    "on_failure",
    "cache",
    "exclusive",
    "breaker",
    "each",
    "max_parallel",
    "on_item_failure",
];
/// The words of `on_failure`.
pub(super) const RECOURSES: [(&str, Recourse); 3] = [
    ("compensate", Recourse::Compensate),
    ("halt", Recourse::Halt),
    ("suspend", Recourse::Suspend),
];
/// Reads a whole definition.
pub(super) fn definition(value: &Value, problems: &mut Problems) -> Definition {
    let Some(fields) = Fields::of(value, "", &DEFINITION_FIELDS, problems) else {
        return Definition::default();
    };
    Definition {
        id: workflow_id(&fields, problems),
        name: fields.text("name", NAME_CHARS_MAX, problems),
        description: fields.text("description", DESCRIPTION_CHARS_MAX, problems),
        version: fields.text("version", LABEL_CHARS_MAX, problems),
        tags: tags(&fields, problems),
        disabled: fields.boolean("enabled", problems) == Some(false),
        input_schema: fields.get("input_schema").cloned(),
        variables: variables(&fields, problems),
        retry_policies: retry_policies(&fields, problems),
        defaults: defaults(&fields, problems),
        on_failure: fields.word("on_failure", &RECOURSES, problems),
        on_no_undo: fields.word("on_no_undo", &NO_UNDO, problems),
        timeout: run_timeout(&fields, problems),
        compensation_timeout: compensation_timeout(&fields, problems),
        sla: sla(&fields, problems),
        rollback_window: rollback_window(&fields, problems),
        erasable: fields.boolean("erasable", problems).unwrap_or(false),
        priority: priority(&fields, problems),
        concurrency: concurrency(&fields, problems),
        steps: steps(&fields, problems),
        outputs: fields.object("outputs", problems).cloned(),
        callbacks: callbacks(
            fields.list("callbacks", CALLBACKS_MAX, problems),
            Secrets::Taken,
            problems,
        ),
        egress: egress(&fields, problems),
    }
}

fn workflow_id(fields: &Fields<'_>, problems: &mut Problems) -> String {
    let Some(value) = fields.required("id", problems) else { return String::new() };
    let Value::String(id) = value else {
        fields.wrong_type("id", "a text", value, problems);
        return String::new();
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if id.is_empty() || id.len() > WORKFLOW_ID_CHARS_MAX || !id.bytes().all(plain) {
        let message =
            format!("an id has 1 to {WORKFLOW_ID_CHARS_MAX} letters, digits, `.`, `_`, `-`");
        problems.add("id", codes::BAD_ID, message);
    } else if RESERVED_WORKFLOW_IDS.contains(&id.as_str()) || id.starts_with("exec_") {
        let message = format!("`{id}` means something else in URLs; choose another id");
        problems.add("id", codes::RESERVED_ID, message);
    } else if id.bytes().all(|b| b == b'.') {
        problems.add("id", codes::BAD_ID, "an id needs a letter or digit");
    }
    id.clone()
}

fn tags(fields: &Fields<'_>, problems: &mut Problems) -> Vec<String> {
    let mut tags = Vec::new();
    for (at, tag) in fields.list("tags", TAGS_READ_MAX, problems).iter().enumerate() {
        let path = format!("tags[{at}]");
        match tag {
            Value::String(tag) if (1..=TAG_READ_BYTES_MAX).contains(&tag.len()) => {
                tags.push(tag.clone());
            }
            Value::String(_) => {
                let message = format!("a tag has 1 to {TAG_BYTES_MAX} bytes");
                problems.add(path, codes::OUT_OF_RANGE, message);
            }
            other => {
                let message = format!("a tag is a text, not {}", type_of(other));
                problems.add(path, codes::WRONG_TYPE, message);
            }
        }
    }
    tags
}

fn variables(fields: &Fields<'_>, problems: &mut Problems) -> Map<String, Value> {
    let variables = fields.object("variables", problems).cloned().unwrap_or_default();
    for (name, value) in &variables {
        if holds_template(value) {
            let message = "variables are constants; templates belong into `with`";
            problems.add(joined("variables", name), codes::BAD_EXPRESSION, message);
        }
    }
    variables
}

fn holds_template(value: &Value) -> bool {
    match value {
        Value::String(text) => has_template(text),
        Value::Array(items) => items.iter().any(holds_template),
        Value::Object(fields) => fields.values().any(holds_template),
        _ => false,
    }
}

pub(crate) fn defaults(fields: &Fields<'_>, problems: &mut Problems) -> Defaults {
    let Some(value) = fields.get("defaults") else { return Defaults::default() };
    let Some(fields) = Fields::of(value, "defaults", &["retry", "timeout", "breaker"], problems)
    else {
        return Defaults::default();
    };
    Defaults {
        retry: retry(&fields, problems),
        timeout: attempt_timeout(&fields, problems),
        breaker: breaker(&fields, problems),
    }
}

fn steps(fields: &Fields<'_>, problems: &mut Problems) -> Vec<Step> {
    let Some(value) = fields.get("steps") else {
        problems.add("steps", codes::NO_STEPS, "a workflow has at least one step");
        return Vec::new();
    };
    let Value::Array(steps) = value else {
        fields.wrong_type("steps", "a list", value, problems);
        return Vec::new();
    };
    if steps.is_empty() {
        problems.add("steps", codes::NO_STEPS, "a workflow has at least one step");
    }
    if steps.len() > STEPS_MAX {
        let message = format!("a workflow has at most {STEPS_MAX} steps, not {}", steps.len());
        problems.add("steps", codes::TOO_MANY_STEPS, message);
        return Vec::new();
    }
    let read = |(at, value): (usize, &Value)| step(value, &format!("steps[{at}]"), problems);
    steps.iter().enumerate().map(read).collect()
}

fn step(value: &Value, path: &str, problems: &mut Problems) -> Step {
    let Some(fields) = Fields::of(value, path, &STEP_FIELDS, problems) else {
        return Step::default();
    };
    let (undo, no_undo) = undo(&fields, problems);
    Step {
        id: step_id(&fields, problems),
        name: fields.text("name", NAME_CHARS_MAX, problems),
        description: fields.text("description", DESCRIPTION_CHARS_MAX, problems),
        needs: ids(&fields, "needs", problems),
        when: fields.text("when", TEMPLATE_BYTES_MAX, problems),
        task_type: task_type(&fields, problems),
        with: fields.get("with").cloned(),
        retry: retry(&fields, problems),
        timeout: attempt_timeout(&fields, problems),
        allow_failure: fields.boolean("allow_failure", problems).unwrap_or(false),
        undo,
        check: check(&fields, problems),
        no_undo,
        on_no_undo: fields.word("on_no_undo", &NO_UNDO, problems),
        replay: fields.word("replay", &ReplaySafety::WORDS, problems),
        total_timeout: total_timeout(&fields, problems),
        sla: sla(&fields, problems),
        limits: keyed(&fields, problems),
        routes: routes(&fields, problems),
        default: ids(&fields, "default", problems),
        on_success: ids(&fields, "on_success", problems),
        on_failure: ids(&fields, "on_failure", problems),
        cache: cache(&fields, problems),
        exclusive: fields.boolean("exclusive", problems).unwrap_or(false),
        breaker: breaker(&fields, problems),
        each: each(&fields, problems),
        max_parallel: max_parallel(&fields, problems),
        on_item_failure: on_item_failure(&fields, problems),
    }
}

fn step_id(fields: &Fields<'_>, problems: &mut Problems) -> String {
    let Some(value) = fields.required("id", problems) else { return String::new() };
    let Value::String(id) = value else {
        fields.wrong_type("id", "a text", value, problems);
        return String::new();
    };
    let begins = id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !begins || !plain || id.len() > STEP_ID_CHARS_MAX {
        let message = format!(
            "a step's id has 1 to {STEP_ID_CHARS_MAX} letters, digits, `_`, `-` and begins with a letter or `_`"
        );
        problems.add(fields.at("id"), codes::BAD_ID, message);
        return String::new();
    }
    if RESERVED_ROOTS.contains(&id.as_str()) {
        let message = format!("`{id}` means something else in templates; choose another id");
        problems.add(fields.at("id"), codes::RESERVED_ID, message);
    }
    id.clone()
}

pub(super) fn task_type(fields: &Fields<'_>, problems: &mut Problems) -> String {
    if fields.required("type", problems).is_none() {
        return String::new();
    }
    fields.text("type", LABEL_CHARS_MAX, problems).unwrap_or_default()
}
