//! The fields of a request's body: read one by one, with every problem noted.

use backstitch_core::command::WORDS_BYTES_MAX;
use backstitch_core::definition::problem::{Problem, codes};
use serde_json::{Map, Value};

use super::document::Document;
use super::refusal::Refusal;
use super::room::Share;
use crate::nearest::unknown;

/// A body that is an object with known fields.
#[derive(Debug)]
pub struct Fields {
    values: Map<String, Value>,
    problems: Vec<Problem>,
    /// Given back when the fields are read.
    _share: Share,
}

impl Fields {
    /// The fields of a body; none if it was empty. A field that is `null` counts as absent.
    #[must_use]
    pub(super) fn of(document: Document, known: &[&str]) -> Self {
        let mut problems = Vec::new();
        let mut values = match document.value {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(values)) => values,
            Some(other) => {
                let message = format!("must be an object, not {}", kind(&other));
                problems.push(Problem { path: String::new(), code: codes::WRONG_TYPE, message });
                Map::new()
            }
        };
        for name in values.keys().filter(|name| !known.contains(&name.as_str())) {
            let (path, message) = (name.chars().take(64).collect(), unknown("field", name, known));
            problems.push(Problem { path, code: codes::UNKNOWN_FIELD, message });
        }
        values.retain(|_, value| !value.is_null());
        Self { values, problems, _share: document.share }
    }

    /// Notes a problem.
    pub fn problem(&mut self, path: impl Into<String>, code: &'static str, message: String) {
        self.problems.push(Problem { path: path.into(), code, message });
    }

    /// Notes what was found in the values that were read. A place that has a problem already
    /// was read as something else than it says, so that what is found there is left out.
    pub fn further(&mut self, found: Vec<Problem>) {
        let known: Vec<String> = self.problems.iter().map(|own| own.path.clone()).collect();
        let touches = |outer: &str, inner: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.problems.extend(found.into_iter().filter(|own| {
            !known.iter().any(|known| touches(known, &own.path) || touches(&own.path, known))
        }));
    }

    /// A field of any type.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name)
    }

    /// A text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            other => self.wrong_type(name, "text", &other),
        }
    }

    /// A text of at most [`WORDS_BYTES_MAX`]; empty if absent.
    pub fn words(&mut self, name: &str) -> String {
        let text = self.text(name).unwrap_or_default();
        if text.len() > WORDS_BYTES_MAX || text.chars().any(char::is_control) {
            let message =
                format!("must be at most {WORDS_BYTES_MAX} bytes, without control characters");
            self.problem(name, codes::BAD_VALUE, message);
        }
        text
    }

    /// A truth value.
    pub fn truth(&mut self, name: &str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(truth) => Some(truth),
            other => self.wrong_type(name, "true or false", &other),
        }
    }

    /// A number between 0 and `max`.
    pub fn number(&mut self, name: &str, max: f64) -> Option<f64> {
        let value = self.take(name)?;
        let Some(number) = value.as_f64() else {
            return self.wrong_type(name, "a number", &value);
        };
        if !(0.0..=max).contains(&number) {
            let message = format!("must be 0 to {max}, not {number}");
            self.problem(name, codes::OUT_OF_RANGE, message);
            return None;
        }
        Some(number)
    }

    /// A list.
    pub fn list(&mut self, name: &str) -> Vec<Value> {
        match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(other) => self.wrong_type(name, "a list", &other).unwrap_or_default(),
        }
    }

    /// A whole number from 1 to `max`.
    pub fn whole(&mut self, name: &str, max: u64) -> Option<u64> {
        let value = self.take(name)?;
        self.whole_of(name, &value, max)
    }

    /// A value anywhere in the body that must be a whole number from 1 to `max`.
    pub fn whole_of(&mut self, path: &str, value: &Value, max: u64) -> Option<u64> {
        let number = value.as_u64().filter(|number| (1..=max).contains(number));
        if number.is_none() {
            let message = format!("must be a whole number from 1, not {value}");
            self.problem(path, codes::BAD_VALUE, message);
        }
        number
    }

    /// A value anywhere in the body that must be an object with known fields; a field that is
    /// `null` counts as absent.
    pub fn object(
        &mut self,
        path: &str,
        value: Value,
        known: &[&str],
    ) -> Option<Map<String, Value>> {
        let mut own = match value {
            Value::Object(own) => own,
            other => {
                let names = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
                let (names, given) = (names.join(", "), kind(&other));
                let message = format!("must be an object with {names}, not {given}");
                self.problem(path, codes::WRONG_TYPE, message);
                return None;
            }
        };
        for name in own.keys().filter(|name| !known.contains(&name.as_str())) {
            let shown: String = name.chars().take(64).collect();
            let message = unknown("field", name, known);
            self.problem(format!("{path}.{shown}"), codes::UNKNOWN_FIELD, message);
        }
        own.retain(|_, value| !value.is_null());
        Some(own)
    }

    /// The texts of a list anywhere in the body.
    pub fn texts(&mut self, path: &str, list: Vec<Value>) -> Vec<String> {
        let mut texts = Vec::new();
        for (at, value) in list.into_iter().enumerate() {
            match value {
                Value::String(text) => texts.push(text),
                other => {
                    let message = format!("must be text, not {}", kind(&other));
                    self.problem(format!("{path}[{at}]"), codes::WRONG_TYPE, message);
                }
            }
        }
        texts
    }

    fn wrong_type<T>(&mut self, name: &str, wanted: &str, given: &Value) -> Option<T> {
        let message = format!("must be {wanted}, not {}", kind(given));
        self.problem(name, codes::WRONG_TYPE, message);
        None
    }

    /// Nothing, if all was well.
    ///
    /// # Errors
    /// 422 with every problem.
    pub fn finish(self) -> Result<(), Refusal> {
        if self.problems.is_empty() { Ok(()) } else { Err(Refusal::wrong_fields(&self.problems)) }
    }
}

/// The JSON type of a value, for a person.
#[must_use]
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
