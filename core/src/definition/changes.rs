//! What differs between two revisions of a workflow.

use serde_json::{Map, Value};

use crate::travel::{Change, diff};

/// What turns one canonical definition into another. Steps are told apart by their ids and not by
/// their places, so that one more step is one change.
#[must_use]
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    diff(&by_step(before), &by_step(after))
}

fn by_step(definition: &Value) -> Value {
    let mut own = definition.clone();
    let Some(steps) = own.get_mut("steps") else { return own };
    let list = steps.as_array_mut().map(std::mem::take).unwrap_or_default();
    let named = list.into_iter().map(|mut step| {
        let id = step.as_object_mut().and_then(|fields| fields.remove("id"));
        (id.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned(), step)
    });
    *steps = Value::Object(named.collect::<Map<_, _>>());
    own
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_step_more_is_one_change() {
        let before = json!({ "id": "w", "name": "A", "steps": [
            { "id": "a", "type": "noop" }, { "id": "b", "type": "noop", "timeout": "1s" },
        ]});
        let after = json!({ "id": "w", "name": "B", "steps": [
            { "id": "new", "type": "noop" }, { "id": "a", "type": "noop" },
            { "id": "b", "type": "noop", "timeout": "2s" },
        ]});
        let found = changes(&before, &after);
        let paths: Vec<_> = found.iter().map(|own| own.path.as_str()).collect();
        assert_eq!(paths, ["/name", "/steps/b/timeout", "/steps/new"]);
        assert_eq!((&found[1].step, &*found[1].field), (&Some("b".to_owned()), "timeout"));
        assert_eq!((&found[2].before, &found[2].after), (&None, &Some(json!({ "type": "noop" }))));
        assert!(changes(&after, &after).is_empty());
    }
}
