//! Reading the fields of JSON objects with every problem noted at its path.

use serde_json::{Map, Value};

use super::nearest::nearest;
use super::problem::{Problems, codes};

/// The fields of one object and where it sits.
pub(crate) struct Fields<'v> {
    fields: &'v Map<String, Value>,
    path: String,
}

/// `steps[2]` and `retry` make `steps[2].retry`.
pub(crate) fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A value's JSON type, for messages.
pub(crate) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl<'v> Fields<'v> {
    /// The fields of an object that may have `known` ones.
    pub(crate) fn of(
        value: &'v Value,
        path: &str,
        known: &[&str],
        problems: &mut Problems,
    ) -> Option<Self> {
        let Value::Object(fields) = value else {
            let message = format!("an object is expected, not {}", type_of(value));
            problems.add(path, codes::WRONG_TYPE, message);
            return None;
        };
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            let shown: String = name.chars().take(64).collect();
            let hint = nearest(name, known.iter().copied()).map_or_else(
                || format!("known are {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("`{shown}` is not a field here; {hint}");
            problems.add(joined(path, &shown), codes::UNKNOWN_FIELD, message);
        }
        Some(Self { fields, path: path.to_owned() })
    }

    /// The path of a field.
    pub(crate) fn at(&self, name: &str) -> String {
        joined(&self.path, name)
    }

    /// A field, if it is there.
    pub(crate) fn get(&self, name: &str) -> Option<&'v Value> {
        self.fields.get(name)
    }

    /// A field that must be there.
    pub(crate) fn required(&self, name: &str, problems: &mut Problems) -> Option<&'v Value> {
        let value = self.get(name);
        if value.is_none() {
            problems.add(self.at(name), codes::MISSING_FIELD, format!("`{name}` is required"));
        }
        value
    }

    /// Notes a value of another type.
    pub(crate) fn wrong_type(
        &self,
        name: &str,
        expected: &str,
        value: &Value,
        problems: &mut Problems,
    ) {
        let quotes = match value {
            Value::Number(_) | Value::Bool(_) if expected == "a text" => "; put it in quotes",
            _ => "",
        };
        let message = format!("`{name}` is {expected}, not {}{quotes}", type_of(value));
        problems.add(self.at(name), codes::WRONG_TYPE, message);
    }

    /// A text of at most so many characters.
    pub(crate) fn text(
        &self,
        name: &str,
        chars_max: usize,
        problems: &mut Problems,
    ) -> Option<String> {
        let value = self.get(name)?;
        let Value::String(text) = value else {
            self.wrong_type(name, "a text", value, problems);
            return None;
        };
        if text.chars().count() > chars_max {
            let message = format!("`{name}` has at most {chars_max} characters");
            problems.add(self.at(name), codes::OUT_OF_RANGE, message);
            return None;
        }
        Some(text.clone())
    }

    /// A boolean.
    pub(crate) fn boolean(&self, name: &str, problems: &mut Problems) -> Option<bool> {
        let value = self.get(name)?;
        if !value.is_boolean() {
            self.wrong_type(name, "true or false", value, problems);
        }
        value.as_bool()
    }

    /// An object.
    pub(crate) fn object(
        &self,
        name: &str,
        problems: &mut Problems,
    ) -> Option<&'v Map<String, Value>> {
        let value = self.get(name)?;
        if !value.is_object() {
            self.wrong_type(name, "an object", value, problems);
        }
        value.as_object()
    }

    /// A list of at most so many items.
    pub(crate) fn list(
        &self,
        name: &str,
        items_max: usize,
        problems: &mut Problems,
    ) -> &'v [Value] {
        let Some(value) = self.get(name) else { return &[] };
        let Value::Array(items) = value else {
            self.wrong_type(name, "a list", value, problems);
            return &[];
        };
        if items.len() > items_max {
            let message = format!("`{name}` has at most {items_max} items, not {}", items.len());
            problems.add(self.at(name), codes::OUT_OF_RANGE, message);
            return &[];
        }
        items
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(
        &self,
        name: &str,
        words: &[(&'static str, T)],
        problems: &mut Problems,
    ) -> Option<T> {
        let value = self.get(name)?;
        let Value::String(text) = value else {
            self.wrong_type(name, "a text", value, problems);
            return None;
        };
        let found = words.iter().find(|(word, _)| word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let shown: String = text.chars().take(64).collect();
            let message = format!("`{name}` is one of {}, not `{shown}`", known.join(", "));
            problems.add(self.at(name), codes::BAD_VALUE, message);
        }
        found
    }
}
