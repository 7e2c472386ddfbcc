//! What the translations of several forms have in common.

use serde_json::{Map, Value};

use crate::definition::problem::codes;
use crate::definition::read_policies::written;
use crate::template::has_template;

use super::draft::Draft;
use super::names::Naming;

/// The items of a list, or none.
pub(super) fn list<'v>(fields: &'v Map<String, Value>, name: &str) -> &'v [Value] {
    fields.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// An object's fields, or none.
pub(super) fn object(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

/// A text, or none.
pub(super) fn text<'v>(fields: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    fields.get(name).and_then(Value::as_str)
}

/// The texts of a list, or a single one; each with its place.
pub(super) fn texts<'v>(fields: &'v Map<String, Value>, name: &str) -> Vec<&'v str> {
    match fields.get(name) {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A number of units as a duration.
pub(super) fn duration(value: Option<&Value>, unit_ms: f64) -> Option<Value> {
    let number = value.and_then(Value::as_f64)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let duration_ms = (number * unit_ms).round().max(0.0) as u64;
    Some(written(duration_ms).into())
}

/// A number of units as a duration, or the template of one.
pub(super) fn duration_or_template(
    value: Option<&Value>,
    (unit_ms, unit): (f64, &str),
    places: (&str, &str),
    naming: &Naming,
    draft: &mut Draft,
) -> Option<Value> {
    match value {
        Some(Value::String(text)) if has_template(text) => {
            let made = naming.tree(&Value::from(text.as_str()), places, draft);
            Some(format!("{}{unit}", made.as_str().unwrap_or_default()).into())
        }
        other => duration(other, unit_ms),
    }
}

/// A number of repeats as one of attempts, or the template of one; a template stands alone.
pub(super) fn attempts_or_template(
    value: Option<&Value>,
    places: (&str, &str),
    naming: &Naming,
    draft: &mut Draft,
) -> Option<Value> {
    match value? {
        Value::String(text) if has_template(text) => {
            let made = naming.tree(&Value::from(text.as_str()), places, draft);
            let made = made.as_str().unwrap_or_default().trim();
            let lone = made.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
            let lone = lone.filter(|inner| !has_template(inner));
            if lone.is_none() {
                let message = "a template of a number stands alone: `{{ ... }}`";
                draft.problems.add(places.0, codes::BAD_VALUE, message);
            }
            lone.map(|inner| format!("{{{{ ({}) + 1 }}}}", inner.trim()).into())
        }
        number => number.as_u64().map(|repeats| repeats.saturating_add(1).into()),
    }
}

/// Puts a rewritten tree, if the field is there.
pub(super) fn put_tree(
    from: (&Map<String, Value>, &str, &str),
    into: (&mut Map<String, Value>, &str, &str),
    naming: &Naming,
    draft: &mut Draft,
) {
    let (fields, source, name) = from;
    let (made, canonical, field) = into;
    let Some(value) = fields.get(name).filter(|value| !value.is_null()) else { return };
    let (source, canonical) = (below(source, name), below(canonical, field));
    let tree = naming.tree(value, (&source, &canonical), draft);
    draft.lies_at(canonical, source);
    made.insert(field.to_owned(), tree);
}

/// Puts a rewritten condition as `when`, if the field is there.
pub(super) fn put_condition(
    from: (&Map<String, Value>, &str),
    into: (&mut Map<String, Value>, &str),
    naming: &Naming,
    draft: &mut Draft,
) {
    let (fields, source) = from;
    let (made, canonical) = into;
    let Some(condition) = text(fields, "condition") else { return };
    let (source, canonical) = (below(source, "condition"), below(canonical, "when"));
    let when = naming.condition(condition, (&source, &canonical), draft);
    draft.lies_at(canonical, source);
    made.insert("when".to_owned(), when.into());
}

/// Puts `needs`, if the field names any.
pub(super) fn put_needs(
    from: (&Map<String, Value>, &str, &str),
    into: (&mut Map<String, Value>, &str),
    draft: &mut Draft,
) {
    let (fields, source, name) = from;
    let (made, canonical) = into;
    let needs = texts(fields, name);
    if fields.contains_key(name) {
        draft.lies_at(below(canonical, "needs"), below(source, name));
        made.insert("needs".to_owned(), needs.into());
    }
}

/// `steps[2]` and `retry` make `steps[2].retry`.
pub(super) fn below(path: &str, name: &str) -> String {
    crate::definition::read_fields::joined(path, name)
}
