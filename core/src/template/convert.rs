//! Between JSON and the engine's values: nothing that JSON cannot hold comes back.

use std::borrow::Cow;

use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Error, ErrorKind};
use serde_json::{Map, Number, Value as Json};

use super::RENDERED_NESTING_MAX;
use crate::payload::PAYLOAD_BYTES_MAX;

/// A JSON value as the engine reads it.
pub(super) fn to_engine(json: &Json) -> Value {
    Value::from(Serde(json))
}

/// A value of the engine as JSON.
///
/// # Errors
/// What is missing, is no number of JSON, has keys that are no texts, nests too deep, or has
/// more parts than a payload has bytes.
pub(super) fn to_json(value: &Value) -> Result<Json, Error> {
    let mut parts_left = PAYLOAD_BYTES_MAX;
    converted(value, RENDERED_NESTING_MAX, &mut parts_left)
}

fn converted(value: &Value, levels: usize, parts_left: &mut usize) -> Result<Json, Error> {
    let failed = |why: String| Error::new(ErrorKind::InvalidOperation, why);
    *parts_left = parts_left
        .checked_sub(1)
        .ok_or_else(|| Error::new(ErrorKind::WriteFailure, "more parts than a payload holds"))?;
    let deeper = || {
        let why = format!("it nests deeper than {RENDERED_NESTING_MAX}");
        levels.checked_sub(1).ok_or_else(|| failed(why))
    };
    match value.kind() {
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::None => Ok(Json::Null),
        ValueKind::Bool => Ok(Json::Bool(value.is_true())),
        ValueKind::Number => number(value)
            .map(Json::Number)
            .ok_or_else(|| failed(format!("{value} is no number that JSON can hold"))),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            *parts_left = parts_left.saturating_sub(text.len());
            Ok(Json::String(text.to_owned()))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let levels = deeper()?;
            value.try_iter()?.map(|item| converted(&item, levels, parts_left)).collect()
        }
        ValueKind::Map => {
            let levels = deeper()?;
            let mut fields = Map::new();
            for key in value.try_iter()? {
                let item = value.get_item(&key)?;
                let Some(name) = key.as_str() else {
                    return Err(failed(format!("{key} is no key; keys are texts")));
                };
                fields.insert(name.to_owned(), converted(&item, levels, parts_left)?);
            }
            Ok(Json::Object(fields))
        }
        other => Err(failed(format!("{other} is no JSON value"))),
    }
}

fn number(value: &Value) -> Option<Number> {
    if value.is_integer() {
        let whole = i128::try_from(value.clone()).ok()?;
        let signed = i64::try_from(whole).map(Number::from);
        return signed.or_else(|_| u64::try_from(whole).map(Number::from)).ok();
    }
    f64::try_from(value.clone()).ok().and_then(Number::from_f64)
}

/// A value in the middle of a text: texts as they are, everything else as JSON.
pub(super) fn as_text(value: &Value) -> Result<Cow<'_, str>, Error> {
    match value.as_str() {
        Some(text) => Ok(Cow::Borrowed(text)),
        None if value.is_undefined() => Ok(Cow::Borrowed("")),
        None => Ok(Cow::Owned(to_json(value)?.to_string())),
    }
}
