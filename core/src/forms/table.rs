//! Tables of fields: what a form's objects may hold, and where each field goes.
//!
//! One table per object of a form says everything once: the check of a document, the warnings
//! for what is not in force yet and the JSON Schema are read off it. A field that the engine
//! learns is a line changed here, from [`To::Later`] to [`To::Field`] or [`To::Own`].

use serde_json::{Map, Value};

use crate::definition::nearest::nearest;
use crate::definition::problem::codes;
use crate::definition::read_fields::{joined, type_of};
use crate::template::has_template;
use crate::time::parse_duration_ms;

use super::draft::Draft;

/// The fields of one kind of object.
pub(super) struct Table {
    /// What the object is, for the schema.
    pub about: &'static str,
    pub fields: &'static [Rule],
    /// Whether other fields are taken too, and templates in every field: input of a task.
    pub open: bool,
    /// Names of fields that must be there, for the schema; reading the canonical form says so.
    pub required: &'static [&'static str],
}

/// One field.
pub(super) struct Rule {
    pub name: &'static str,
    pub shape: Shape,
    pub to: To,
}

/// What a field takes.
pub(super) enum Shape {
    Text,
    Texts,
    /// A text or a list of texts.
    TextOrTexts,
    Boolean,
    /// A number within bounds, or a lone template.
    Number(f64, f64),
    /// A whole number within bounds, or a lone template.
    Whole(u64, u64),
    Duration,
    /// A duration, or a template of one.
    Limit,
    Object,
    Any,
    Words(&'static [&'static str]),
    /// One of some words, or a template.
    WordsOrTemplate(&'static [&'static str]),
    /// A named policy or an object of the canonical form.
    Retry,
    /// `true`, `false`, a key or an object of the canonical form.
    Breaker,
    One(&'static Table),
    /// `true`, `false` or an object.
    TruthOr(&'static Table),
    /// This word or an object.
    WordOr(&'static str, &'static Table),
    /// A text or an object.
    TextOr(&'static Table),
    List(&'static Table),
    /// An object or a list of them.
    OneOrList(&'static Table),
}

/// Where a field goes.
pub(super) enum To {
    /// To a field of the canonical form, as it is.
    Field(&'static str),
    /// To where the form's own code puts it.
    Own,
    /// Nowhere yet, and why that matters.
    Later(&'static str),
}

/// Shorthand for the tables.
pub(super) const fn rule(name: &'static str, shape: Shape, to: To) -> Rule {
    Rule { name, shape, to }
}

impl Table {
    fn find(&self, name: &str) -> Option<&Rule> {
        self.fields.iter().find(|rule| rule.name == name)
    }

    /// Checks an object and all below it, noting problems and what is not in force.
    pub fn check(&self, value: &Value, path: &str, draft: &mut Draft) {
        let Value::Object(fields) = value else {
            let message = format!("an object is expected, not {}", type_of(value));
            return draft.problems.add(path, codes::WRONG_TYPE, message);
        };
        for (name, value) in fields {
            let Some(rule) = self.find(name) else {
                if !self.open {
                    self.unknown(name, path, draft);
                }
                continue;
            };
            if self.open && value.as_str().is_some_and(has_template) {
                continue;
            }
            let path = joined(path, name);
            if rule.shape.check(name, value, &path, draft) {
                rule.to.warn(name, value, &path, draft);
            }
        }
    }

    fn unknown(&self, name: &str, path: &str, draft: &mut Draft) {
        let known = || self.fields.iter().map(|rule| rule.name);
        let shown: String = name.chars().take(64).collect();
        let near = if draft.problems.is_full() { None } else { nearest(name, known()) };
        let hint = near.map_or_else(
            || format!("known are {}", known().collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        let message = format!("`{shown}` is not a field here; {hint}");
        draft.problems.add(joined(path, &shown), codes::UNKNOWN_FIELD, message);
    }

    /// Copies the fields that the canonical form has under its own or another name.
    pub fn copy(
        &self,
        from: &Map<String, Value>,
        places: (&str, &str),
        into: &mut Map<String, Value>,
        draft: &mut Draft,
    ) {
        let (source, canonical) = places;
        for rule in self.fields {
            let To::Field(name) = rule.to else { continue };
            if name != rule.name {
                draft.lies_at(joined(canonical, name), joined(source, rule.name));
            }
            let value = from.get(rule.name).filter(|value| rule.shape.fits(value));
            into.extend(value.map(|value| (name.to_owned(), value.clone())));
        }
    }
}

impl To {
    fn warn(&self, name: &str, value: &Value, path: &str, draft: &mut Draft) {
        let why = match self {
            Self::Later(why) if !is_empty(value) => why,
            _ => return,
        };
        draft.not_in_force(path, &format!("`{name}` is not in force yet: {why}"));
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

impl Shape {
    /// Whether a value is of the right type; what is in it may still be wrong.
    pub fn fits(&self, value: &Value) -> bool {
        match self {
            Self::Text | Self::Words(_) | Self::WordsOrTemplate(_) => value.is_string(),
            Self::Duration | Self::Limit => value.is_string(),
            Self::Texts | Self::List(_) => value.is_array(),
            Self::TextOrTexts => value.is_string() || value.is_array(),
            Self::Boolean => value.is_boolean(),
            Self::Number(..) | Self::Whole(..) => value.is_number(),
            Self::Object | Self::One(_) => value.is_object(),
            Self::Retry => value.is_string() || value.is_object(),
            Self::Breaker => value.is_boolean() || value.is_string() || value.is_object(),
            Self::TruthOr(_) => value.is_boolean() || value.is_object(),
            Self::TextOr(_) => value.is_string() || value.is_object(),
            Self::WordOr(word, _) => value.is_object() || value.as_str() == Some(word),
            Self::OneOrList(_) => value.is_object() || value.is_array(),
            Self::Any => !value.is_null(),
        }
    }

    fn expected(&self) -> &'static str {
        match self {
            Self::Text | Self::Words(_) | Self::WordsOrTemplate(_) => "a text",
            Self::Duration | Self::Limit => "a duration such as `5s`, in quotes",
            Self::Texts => "a list of texts",
            Self::TextOrTexts => "a text or a list of texts",
            Self::Boolean => "true or false",
            Self::Number(..) => "a number",
            Self::Whole(..) => "a whole number",
            Self::Object | Self::One(_) => "an object",
            Self::Retry => "a policy's name or an object",
            Self::Breaker => "true, false, a key or an object",
            Self::TruthOr(_) => "true, false or an object",
            Self::TextOr(_) => "a text or an object",
            Self::WordOr(..) => "an object, or the word for none",
            Self::List(_) => "a list",
            Self::OneOrList(_) => "an object or a list of them",
            Self::Any => "a value",
        }
    }

    /// Whether the value is right as far as this table knows.
    fn check(&self, name: &str, value: &Value, path: &str, draft: &mut Draft) -> bool {
        if let (Self::Number(..) | Self::Whole(..), Value::String(text)) = (self, value)
            && has_template(text)
        {
            return true;
        }
        if !self.fits(value) {
            let message = format!("`{name}` is {}, not {}", self.expected(), type_of(value));
            draft.problems.add(path, codes::WRONG_TYPE, message);
            return false;
        }
        self.check_inside(name, value, path, draft)
    }

    /// Whether what is in a value of the right type is right, too.
    fn check_inside(&self, name: &str, value: &Value, path: &str, draft: &mut Draft) -> bool {
        let mut wrong = |code: &'static str, message: String| {
            draft.problems.add(path, code, message);
            false
        };
        match (self, value) {
            (Self::Number(least, most), Value::Number(number)) => {
                let given = number.as_f64().unwrap_or(f64::NAN);
                let message = format!("`{name}` is between {least} and {most}, not {number}");
                (*least..=*most).contains(&given) || wrong(codes::OUT_OF_RANGE, message)
            }
            (Self::Whole(least, most), Value::Number(number)) => {
                let fits = number.as_u64().is_some_and(|given| (*least..=*most).contains(&given));
                let message =
                    format!("`{name}` is a whole number from {least} to {most}, not {number}");
                fits || wrong(codes::OUT_OF_RANGE, message)
            }
            (Self::Limit | Self::WordsOrTemplate(_), Value::String(text)) if has_template(text) => {
                true
            }
            (Self::Duration | Self::Limit, Value::String(text)) => match parse_duration_ms(text) {
                Ok(_) => true,
                Err(why) => wrong(codes::BAD_DURATION, why.chars().take(200).collect()),
            },
            (Self::Words(words) | Self::WordsOrTemplate(words), Value::String(text)) => {
                let shown: String = text.chars().take(64).collect();
                let message = format!("`{name}` is one of {}, not `{shown}`", words.join(", "));
                words.contains(&text.as_str()) || wrong(codes::BAD_VALUE, message)
            }
            (Self::Texts | Self::TextOrTexts, Value::Array(items)) => {
                for (at, item) in items.iter().enumerate().filter(|(_, item)| !item.is_string()) {
                    let message = format!("a text is expected, not {}", type_of(item));
                    draft.problems.add(format!("{path}[{at}]"), codes::WRONG_TYPE, message);
                }
                true
            }
            (Self::One(table), value)
            | (
                Self::TruthOr(table)
                | Self::OneOrList(table)
                | Self::WordOr(_, table)
                | Self::TextOr(table),
                value @ Value::Object(_),
            ) => {
                table.check(value, path, draft);
                true
            }
            (Self::List(table) | Self::OneOrList(table), Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    table.check(item, &format!("{path}[{at}]"), draft);
                }
                true
            }
            _ => true,
        }
    }
}
