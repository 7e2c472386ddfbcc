//! Reading who goes first, and how many may go at a time.

use serde_json::Value;

use super::problem::{Problems, codes};
use super::read_fields::Fields;
use crate::event::{OnLimit, Priority};
use crate::template::{TEMPLATE_BYTES_MAX, has_template};

/// The words of `priority`.
pub(super) const PRIORITIES: [(&str, Priority); 3] =
    [("high", Priority::High), ("medium", Priority::Medium), ("low", Priority::Low)];
/// Who goes first when not all can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PriorityText {
    /// The same for all runs.
    Word(Priority),
    /// A template that comes to the word when a run is submitted.
    Template(String),
}

/// `high`, `medium`, `low`, or a template.
pub(super) fn priority(fields: &Fields<'_>, problems: &mut Problems) -> Option<PriorityText> {
    match fields.get("priority") {
        Some(Value::String(text)) if has_template(text) => {
            fields.text("priority", TEMPLATE_BYTES_MAX, problems).map(PriorityText::Template)
        }
        _ => fields.word("priority", &PRIORITIES, problems).map(PriorityText::Word),
    }
}

/// The words of `on_limit`.
pub(super) const ON_LIMIT: [(&str, OnLimit); 3] = [
    ("queue", OnLimit::Queue),
    ("reject", OnLimit::Reject),
    ("cancel_running", OnLimit::CancelRunning),
];
/// The highest number of runs at a time that a workflow may ask for.
pub const RUNS_AT_A_TIME_MAX: u32 = 1_000_000;
/// Limits of runs at a time that one workflow may have.
pub const RUN_LIMITS_MAX: usize = 8;

/// How many runs of a workflow there may be at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concurrency {
    /// A template: only runs with the same key count. All of the workflow's if absent.
    pub key: Option<String>,
    /// How many.
    pub max_runs: u32,
    /// What becomes of one more; it queues if absent.
    pub on_limit: Option<OnLimit>,
}

/// Keyed limits of one step.
pub const KEYED_LIMITS_MAX: usize = 8;
/// The highest number of attempts at a time that a keyed limit may have.
pub const KEYED_MAX: u32 = 10_000;

/// How many attempts with the same key there may be at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyedLimit {
    /// A template.
    pub key: String,
    /// How many.
    pub max: u32,
}

/// A list of `{key, max}`.
pub(super) fn keyed(fields: &Fields<'_>, problems: &mut Problems) -> Vec<KeyedLimit> {
    let list = fields.list("limits", KEYED_LIMITS_MAX, problems);
    let path = |at| fields.at(&format!("limits[{at}]"));
    list.iter().enumerate().filter_map(|(at, own)| keyed_limit(own, &path(at), problems)).collect()
}

fn keyed_limit(value: &Value, path: &str, problems: &mut Problems) -> Option<KeyedLimit> {
    let own = Fields::of(value, path, &["key", "max"], problems)?;
    own.required("key", problems);
    let key = own.text("key", TEMPLATE_BYTES_MAX, problems);
    let max = whole(&own, "max", KEYED_MAX, problems);
    Some(KeyedLimit { key: key?, max: max? })
}

/// A required whole number from 1.
fn whole(own: &Fields<'_>, name: &str, max: u32, problems: &mut Problems) -> Option<u32> {
    let given = own.required(name, problems)?;
    let Some(number) = given.as_u64().and_then(|own| u32::try_from(own).ok()) else {
        own.wrong_type(name, "a whole number", given, problems);
        return None;
    };
    if !(1..=max).contains(&number) {
        let message = format!("`{name}` is between 1 and {max}");
        problems.add(own.at(name), codes::OUT_OF_RANGE, message);
        return None;
    }
    Some(number)
}

/// `{key?, max_runs, on_limit?}`, or a list of them, at most one of them without a key.
pub(super) fn concurrency(fields: &Fields<'_>, problems: &mut Problems) -> Vec<Concurrency> {
    let Some(value) = fields.get("concurrency") else { return Vec::new() };
    if !value.is_array() {
        return run_limit(value, "concurrency", problems).into_iter().collect();
    }
    let list = fields.list("concurrency", RUN_LIMITS_MAX, problems);
    let path = |at| format!("concurrency[{at}]");
    let limits = list.iter().enumerate();
    let limits = limits.filter_map(|(at, own)| run_limit(own, &path(at), problems));
    let limits: Vec<_> = limits.collect();
    if limits.iter().filter(|own| own.key.is_none()).count() > 1 {
        let message = "at most one limit is for all runs of the workflow: give the others a `key`";
        problems.add("concurrency", codes::BAD_VALUE, message);
    }
    limits
}

fn run_limit(value: &Value, path: &str, problems: &mut Problems) -> Option<Concurrency> {
    let own = Fields::of(value, path, &["key", "max_runs", "on_limit"], problems)?;
    let key = own.text("key", TEMPLATE_BYTES_MAX, problems);
    let on_limit = own.word("on_limit", &ON_LIMIT, problems);
    let max_runs = whole(&own, "max_runs", RUNS_AT_A_TIME_MAX, problems)?;
    Some(Concurrency { key, max_runs, on_limit })
}

impl OnLimit {
    /// The word that is written and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        ON_LIMIT.iter().find(|(_, own)| *own == self).map_or("queue", |(word, _)| word)
    }
}

impl Priority {
    /// The word that is written and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        PRIORITIES.iter().find(|(_, own)| *own == self).map_or("medium", |(word, _)| word)
    }

    /// The priority of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        PRIORITIES.iter().find(|(own, _)| *own == word).map(|(_, own)| *own)
    }
}
