//! Reading the `with` of a step field by field, once for a static check and once for real.
//!
//! Both go through [`Fields`]: a problem carries the path of its field below `with`. In a
//! static check strings that hold a template are passed over; a rendered input holds none
//! that mean anything, so there every string is taken as it stands.

use serde_json::{Map, Value};

use crate::task::InputProblem;
use crate::text::{beginning, one_line};

/// The furthest a misspelt name may be from the one that is suggested for it.
const SUGGESTION_DISTANCE_MAX: usize = 3;

/// How many problems the message of a failure names.
const SENTENCE_PROBLEMS_MAX: usize = 10;
/// The longest message of a failure about an input, in bytes.
const SENTENCE_BYTES_MAX: usize = 1024;

/// Whether templates may still stand in the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The definition is checked: a string with a template may become anything.
    Written,
    /// The input was rendered: what stands there is meant.
    Rendered,
}

/// One object of a `with`, its place, and the problems found so far.
pub(crate) struct Fields<'a> {
    map: Option<&'a Map<String, Value>>,
    place: &'static str,
    stage: Stage,
    problems: Vec<InputProblem>,
}

impl<'a> Fields<'a> {
    /// The fields of `value`, which stands at `place` below `with` (empty for `with` itself).
    /// `null` has none; anything else but an object is a problem.
    pub fn of(value: &'a Value, place: &'static str, stage: Stage, known: &[&str]) -> Self {
        let mut fields = Self { map: value.as_object(), place, stage, problems: Vec::new() };
        match value {
            Value::Object(map) => {
                for name in map.keys().filter(|name| !known.contains(&name.as_str())) {
                    fields.problem(name, unknown("field", name, known));
                }
            }
            Value::Null => {}
            other if fields.is_open(other) => {}
            other => fields.problem("", format!("must be an object, not {}", kind(other))),
        }
        fields
    }

    /// The value of a field that is there, is not `null` and holds no template to come.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.map?.get(name).filter(|value| !value.is_null() && !self.is_open(value))
    }

    /// Whether a field is there and not `null`, rendered or not.
    pub fn has(&self, name: &str) -> bool {
        self.map.and_then(|map| map.get(name)).is_some_and(|value| !value.is_null())
    }

    /// Whether the whole object, or this value, is a string that a template will replace.
    pub fn is_open(&self, value: &Value) -> bool {
        let template = |text: &str| text.contains("{{") || text.contains("{%");
        self.stage == Stage::Written && value.as_str().is_some_and(template)
    }

    /// A string.
    pub fn text(&mut self, name: &str) -> Option<&'a str> {
        self.typed(name, "a string", Value::as_str)
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        self.typed(name, "true or false", Value::as_bool)
    }

    /// A string of a bounded length, for what ends up in a journal.
    pub fn short_text(&mut self, name: &str, bytes_max: usize) -> Option<&'a str> {
        let text = self.text(name)?;
        if text.len() <= bytes_max {
            return Some(text);
        }
        self.problem(name, format!("is longer than {bytes_max} bytes"));
        None
    }

    /// A whole number within bounds.
    pub fn number(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let number = self.typed(name, "a whole number", Value::as_u64)?;
        if (least..=most).contains(&number) {
            return Some(number);
        }
        self.problem(name, format!("must be from {least} to {most}, not {number}"));
        None
    }

    /// An object.
    pub fn map(&mut self, name: &str) -> Option<&'a Map<String, Value>> {
        self.typed(name, "an object", Value::as_object)
    }

    /// A value that `read` understands; `wanted` names it.
    pub fn typed<T>(
        &mut self,
        name: &str,
        wanted: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(name)?;
        let typed = read(value);
        if typed.is_none() {
            self.problem(name, format!("must be {wanted}, not {}", kind(value)));
        }
        typed
    }

    /// Notes a problem with a field (or, with an empty name, with the object).
    pub fn problem(&mut self, name: &str, message: impl Into<String>) {
        let path = match (self.place, name) {
            (place, "") => place.to_owned(),
            ("", name) => name.to_owned(),
            (place, name) => format!("{place}.{name}"),
        };
        self.problems.push((path, message.into()));
    }

    /// All problems found.
    pub fn into_problems(self) -> Vec<InputProblem> {
        self.problems
    }
}

/// The first problems as one sentence, for a failure.
pub(crate) fn sentence(problems: &[InputProblem]) -> String {
    let one = |(path, message): &InputProblem| match path.as_str() {
        "" => format!("with {message}"),
        path => format!("with.{path} {message}"),
    };
    let first: Vec<_> = problems.iter().take(SENTENCE_PROBLEMS_MAX).map(one).collect();
    one_line(&beginning(first.join("; ").as_bytes(), SENTENCE_BYTES_MAX))
}

/// `is an unknown field, did you mean ...?` or a list of what there is.
pub(crate) fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    let distance =
        |name: &&&str| strsim::damerau_levenshtein(&given.to_lowercase(), &name.to_lowercase());
    let nearest = known.iter().min_by_key(distance);
    match nearest.filter(|name| distance(name) <= SUGGESTION_DISTANCE_MAX) {
        Some(name) => format!("is an unknown {what}; did you mean `{name}`?"),
        None => format!("is an unknown {what}; known are {}", known.join(", ")),
    }
}

/// What kind of JSON a value is, for a message.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
