//! Reading policies and environments, with every problem and its place.

use serde_json::{Map, Value};

use super::{AppliesTo, Environment, Policy};
use crate::definition::problem::{Problem, Problems, codes};
use crate::definition::read_fields::{Fields, type_of};
use crate::definition::read_policies::duration;
use crate::definition::{
    CALLBACKS_MAX, DESCRIPTION_CHARS_MAX, Definition, LABEL_CHARS_MAX, STEP_TIMEOUT_MS_MAX,
    Secrets, WORKFLOW_ID_CHARS_MAX, read_defaults, read_egress, read_retry_policies, read_targets,
};
use crate::plan::OWN_TYPES;
use crate::retry_policy::ATTEMPTS_MAX;
use crate::template::has_template;

/// The most tags, workflows or task types that one policy names.
pub const LIST_MAX: usize = 64;
const POLICY_FIELDS: [&str; 6] =
    ["description", "applies_to", "retry_policies", "defaults", "callbacks", "egress"];
const APPLIES_TO_FIELDS: [&str; 3] = ["tags", "workflows", "types"];
/// The policy that means one attempt, wherever it is named.
const RETRY_NONE: &str = "none";
const RISKS: [&str; 4] = ["low", "medium", "high", "critical"];
/// The words of an environment: ours, and as document 001 writes them.
const ENVIRONMENT_FIELDS: [(&str, &str); 3] = [
    ("retry_attempts", "retry-attempts"),
    ("timeout", "timeout"),
    ("man_mode_threshold", "man-mode-threshold"),
];

/// Checks what a policy says; answers it as it is kept.
///
/// # Errors
/// Every problem, at its path.
pub fn check_policy(value: &Value) -> Result<Value, Vec<Problem>> {
    policy(value).map(|_| value.clone())
}

/// Checks what an environment says; answers it in our own words.
///
/// # Errors
/// Every problem, at its path.
pub fn check_environment(value: &Value) -> Result<Value, Vec<Problem>> {
    environment(value)?;
    let none = Map::new();
    let fields = value.as_object().unwrap_or(&none);
    let kept = ENVIRONMENT_FIELDS.iter().filter_map(|(own, printed)| {
        Some(((*own).to_owned(), fields.get(*own).or_else(|| fields.get(*printed))?.clone()))
    });
    let description = fields.get("description").map(|own| ("description".to_owned(), own.clone()));
    Ok(Value::Object(kept.chain(description).collect()))
}

/// Reads a policy.
pub(super) fn policy(value: &Value) -> Result<Policy, Vec<Problem>> {
    let mut problems = Problems::default();
    let Some(fields) = Fields::of(value, "", &POLICY_FIELDS, &mut problems) else {
        return Err(problems.into_list());
    };
    drop(fields.text("description", DESCRIPTION_CHARS_MAX, &mut problems));
    let callbacks = fields.list("callbacks", CALLBACKS_MAX, &mut problems);
    let read = Policy {
        applies_to: applies_to(&fields, &mut problems),
        retry_policies: read_retry_policies(&fields, &mut problems),
        defaults: read_defaults(&fields, &mut problems),
        callbacks: read_targets(callbacks, Secrets::Taken, &mut problems),
        egress: read_egress(&fields, &mut problems),
    };
    check_names(&read, &mut problems);
    for name in ["retry_policies", "defaults"] {
        if let Some(own) = fields.get(name) {
            refuse_templates(own, name, &mut problems);
        }
    }
    if !read.applies_to.types.is_empty() {
        for name in ["retry_policies", "callbacks", "egress"] {
            if fields.get(name).is_some() {
                let message = format!(
                    "`{name}` is for whole workflows; a policy with `applies_to.types` has only \
                     `defaults`"
                );
                problems.add(name, codes::BAD_VALUE, message);
            }
        }
    }
    if problems.is_empty() { Ok(read) } else { Err(problems.into_list()) }
}

/// A policy names only retry policies that it brings along, or that everybody has.
fn check_names(policy: &Policy, problems: &mut Problems) {
    let alone = Definition {
        retry_policies: policy.retry_policies.clone(),
        defaults: policy.defaults.clone(),
        ..Definition::default()
    };
    alone.check_retries(&|_| false, problems);
    if policy.retry_policies.contains_key(RETRY_NONE) {
        let message = "`none` is one attempt everywhere; choose another name";
        problems.add(format!("retry_policies.{RETRY_NONE}"), codes::BAD_VALUE, message);
    }
}

/// What holds for many workflows can't read the data of one.
fn refuse_templates(value: &Value, path: &str, problems: &mut Problems) {
    match value {
        Value::String(text) if has_template(text) => {
            let message = "a policy holds constants: it is for many workflows";
            problems.add(path, codes::BAD_VALUE, message);
        }
        Value::Object(fields) => {
            for (name, own) in fields {
                refuse_templates(own, &format!("{path}.{name}"), problems);
            }
        }
        _ => {}
    }
}

fn applies_to(fields: &Fields<'_>, problems: &mut Problems) -> AppliesTo {
    let Some(value) = fields.get("applies_to") else { return AppliesTo::default() };
    let path = fields.at("applies_to");
    let Some(own) = Fields::of(value, &path, &APPLIES_TO_FIELDS, problems) else {
        return AppliesTo::default();
    };
    let read = AppliesTo {
        tags: words(&own, "tags", crate::command::TAG_BYTES_MAX, problems),
        workflows: words(&own, "workflows", WORKFLOW_ID_CHARS_MAX, problems),
        types: words(&own, "types", LABEL_CHARS_MAX, problems),
    };
    for (at, own) in read.types.iter().enumerate() {
        if OWN_TYPES.contains(&own.as_str()) {
            let message = format!("a `{own}` step calls nothing, so no policy is for it");
            problems.add(format!("{path}.types[{at}]"), codes::BAD_VALUE, message);
        }
    }
    read
}

/// A list that is there has at least one word: an empty one might be meant as none, or as all.
fn words(
    fields: &Fields<'_>,
    name: &str,
    bytes_max: usize,
    problems: &mut Problems,
) -> Vec<String> {
    let given = fields.list(name, LIST_MAX, problems);
    if given.is_empty() && fields.get(name).is_some_and(Value::is_array) {
        let message = format!("`{name}` is empty; leave it out for all");
        problems.add(fields.at(name), codes::BAD_VALUE, message);
    }
    let mut read = Vec::with_capacity(given.len());
    for (at, own) in given.iter().enumerate() {
        let path = fields.at(&format!("{name}[{at}]"));
        match own {
            Value::String(text) if (1..=bytes_max).contains(&text.len()) => read.push(text.clone()),
            Value::String(_) => {
                problems.add(path, codes::OUT_OF_RANGE, format!("has 1 to {bytes_max} bytes"));
            }
            other => {
                let message = format!("a text is expected, not {}", type_of(other));
                problems.add(path, codes::WRONG_TYPE, message);
            }
        }
    }
    read
}

/// Reads an environment, in our own words or those of document 001.
pub(super) fn environment(value: &Value) -> Result<Environment, Vec<Problem>> {
    let mut problems = Problems::default();
    let known: Vec<&str> = (ENVIRONMENT_FIELDS.iter().flat_map(|(own, printed)| [*own, *printed]))
        .chain(["description"])
        .collect();
    let Some(fields) = Fields::of(value, "", &known, &mut problems) else {
        return Err(problems.into_list());
    };
    drop(fields.text("description", DESCRIPTION_CHARS_MAX, &mut problems));
    for (own, printed) in ENVIRONMENT_FIELDS.iter().filter(|(own, printed)| own != printed) {
        if fields.get(own).is_some() && fields.get(printed).is_some() {
            let message = format!("either `{own}` or `{printed}` is given, not both");
            problems.add(*printed, codes::BAD_VALUE, message);
        }
    }
    let [attempts, _, threshold] = ENVIRONMENT_FIELDS
        .map(|(own, printed)| if fields.get(printed).is_some() { printed } else { own });
    let words = RISKS.map(|word| (word, word));
    let read = Environment {
        retry_attempts: self::attempts(&fields, attempts, &mut problems),
        timeout: duration(&fields, "timeout", (1, STEP_TIMEOUT_MS_MAX), &mut problems),
        man_mode_threshold: fields.word(threshold, &words, &mut problems).map(Into::into),
    };
    if problems.is_empty() { Ok(read) } else { Err(problems.into_list()) }
}

fn attempts(fields: &Fields<'_>, name: &str, problems: &mut Problems) -> Option<u16> {
    let value = fields.get(name)?;
    if !value.is_number() {
        fields.wrong_type(name, "a whole number", value, problems);
        return None;
    }
    let read = value.as_u64().and_then(|own| u16::try_from(own).ok());
    let read = read.filter(|own| (1..=ATTEMPTS_MAX).contains(own));
    if read.is_none() {
        let message = format!("`{name}` is a whole number from 1 to {ATTEMPTS_MAX}, not {value}");
        problems.add(fields.at(name), codes::OUT_OF_RANGE, message);
    }
    read
}
