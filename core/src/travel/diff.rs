//! The difference of two JSON values, leaf by leaf, and putting it onto a value again.
//!
//! Laws: `diff(a, a)` is empty; `apply(a, diff(a, b))` is `b`; the paths of `diff(a, b)` and
//! `diff(b, a)` are the same, in the same order.

use serde::Serialize;
use serde_json::{Map, Value};

use super::is_absent;

/// One leaf that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Where, as a JSON pointer (RFC 6901).
    pub path: String,
    /// The step it belongs to, where it belongs to one.
    pub step: Option<String>,
    /// The place below the step, or below the run, with dots.
    pub field: String,
    /// What was there; left out if nothing was.
    #[serde(skip_serializing_if = "is_absent")]
    pub before: Option<Value>,
    /// What is there; left out if nothing is.
    #[serde(skip_serializing_if = "is_absent")]
    pub after: Option<Value>,
}

/// What turns one value into another, in the order of paths.
#[must_use]
pub fn diff(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut path = Vec::new();
    walk(&mut path, Some(before), Some(after), &mut changes);
    changes
}

fn walk(
    path: &mut Vec<String>,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<Change>,
) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for name in union(old, new) {
                path.push(name.clone());
                walk(path, old.get(name), new.get(name), changes);
                path.pop();
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for at in 0..old.len().max(new.len()) {
                path.push(at.to_string());
                walk(path, old.get(at), new.get(at), changes);
                path.pop();
            }
        }
        (before, after) if before == after => {}
        (before, after) => changes.push(change(path, before, after)),
    }
}

/// The keys of both, each once, in order.
fn union<'a>(old: &'a Map<String, Value>, new: &'a Map<String, Value>) -> Vec<&'a String> {
    let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn change(path: &[String], before: Option<&Value>, after: Option<&Value>) -> Change {
    let (step, field) = match path {
        [steps, step, field @ ..] if steps == "steps" => (Some(step.clone()), field),
        field => (None, field),
    };
    let escaped =
        path.iter().map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1")));
    Change {
        path: escaped.collect(),
        step,
        field: field.join("."),
        before: before.cloned(),
        after: after.cloned(),
    }
}

/// Puts changes onto the value they begin with.
///
/// # Errors
/// A sentence, when the value is not the one they were made from.
pub fn apply(value: &mut Value, changes: &[Change]) -> Result<(), String> {
    // What is put comes first and in order, so that lists grow at their end; what is taken
    // away comes in reverse, so that they shrink from there.
    let (put, taken): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.after.is_some());
    for change in put.into_iter().chain(taken.into_iter().rev()) {
        apply_one(value, change)
            .ok_or_else(|| format!("the change at `{}` does not fit the value", change.path))?;
    }
    Ok(())
}

fn apply_one(value: &mut Value, change: &Change) -> Option<()> {
    if change.path.is_empty() {
        *value = change.after.clone()?;
        return Some(());
    }
    let (parent, name) = change.path.rsplit_once('/')?;
    let name = name.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(parent)? {
        Value::Object(fields) => match &change.after {
            Some(after) => drop(fields.insert(name, after.clone())),
            None => drop(fields.remove(&name)?),
        },
        Value::Array(items) => {
            let at: usize = name.parse().ok()?;
            match &change.after {
                Some(after) if at == items.len() => items.push(after.clone()),
                Some(after) => *items.get_mut(at)? = after.clone(),
                None if at + 1 == items.len() => drop(items.pop()),
                None => return None,
            }
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_names_its_step_and_field() {
        let before = json!({ "status": "running", "steps": { "a/b": { "output": null } } });
        let after =
            json!({ "status": "completed", "steps": { "a/b": { "output": { "n": [1] } } } });
        let changes = diff(&before, &after);
        assert_eq!(changes.len(), 2);
        assert_eq!((changes[0].path.as_str(), &changes[0].step), ("/status", &None));
        assert_eq!(changes[1].path, "/steps/a~1b/output");
        assert_eq!(changes[1].step.as_deref(), Some("a/b"));
        assert_eq!(changes[1].field, "output");
    }

    #[test]
    fn absent_and_null_are_two_things() {
        let changes = diff(&json!({ "a": null }), &json!({ "b": null }));
        let shown = serde_json::to_value(&changes).expect("plain data");
        assert_eq!(shown[0].get("before"), Some(&Value::Null));
        assert_eq!(shown[0].get("after"), None);
        assert_eq!(shown[1].get("before"), None);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let changes = diff(&json!({ "a": { "b": 1 } }), &json!({ "a": { "b": 2 } }));
        assert!(apply(&mut json!({ "a": 7 }), &changes).is_err());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..4_u8).prop_map(Value::from),
            "[a-c/~]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-c/~]{0,2}", inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_difference_leads_from_one_to_the_other(before in value(), after in value()) {
            let changes = diff(&before, &after);
            let mut moved = before.clone();
            apply(&mut moved, &changes).expect("it fits what it was made from");
            prop_assert_eq!(&moved, &after);
            prop_assert_eq!(changes.is_empty(), before == after);
            prop_assert!(diff(&before, &before).is_empty());
            let paths = |changes: &[Change]| changes.iter().map(|own| own.path.clone()).collect::<Vec<_>>();
            prop_assert_eq!(paths(&changes), paths(&diff(&after, &before)));
        }
    }
}
