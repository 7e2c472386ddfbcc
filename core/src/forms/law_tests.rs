//! Laws of translation: nothing makes it panic, and problems lead to places of the document.

use proptest::prelude::*;
use serde_json::Value;

use super::compile;
use super::tests::{PRINTED, Types, value};

/// Values with the words of the forms in them, so that much is reached.
fn values() -> impl Strategy<Value = Value> {
    const WORDS: [&str; 40] = [
        "id",
        "name",
        "steps",
        "tasks",
        "actions",
        "workflow",
        "router",
        "type",
        "task_type",
        "action_id",
        "action_type",
        "adapter",
        "condition",
        "destination",
        "default",
        "depends_on",
        "dependencies",
        "needs",
        "on_success",
        "on_failure",
        "timeout_minutes",
        "retry_count",
        "retry_delay_seconds",
        "retry",
        "retry_policy",
        "max_retries",
        "parameters",
        "config",
        "body",
        "url",
        "compensation",
        "man-mode",
        "notifications",
        "webhook",
        "callbacks",
        "outputs",
        "variables",
        "noop",
        "{{ a.b }}",
        "{% for x in a.y %}{{ x }}{% endfor %}",
    ];
    const KEYS: usize = 38;
    let word = || prop::sample::select(&WORDS[..]).prop_map(str::to_owned);
    let key = || prop::sample::select(&WORDS[..KEYS]).prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "\\{\\{ \\PC{0,12} \\}\\}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key(), inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A document of a form whose fields may be anything.
fn documents() -> impl Strategy<Value = Value> {
    let broken = prop::sample::select(&PRINTED[..]).prop_map(|(name, _, text)| value(name, text));
    (broken, any::<prop::sample::Index>(), values(), any::<bool>()).prop_map(
        |(mut document, at, value, removes)| {
            let mut places = Vec::new();
            pointers(&document, String::new(), &mut places);
            if let Some(place) = document.pointer_mut(at.get(&places[..]).as_str()) {
                *place = if removes { Value::Null } else { value };
            }
            document
        },
    )
}

fn pointers(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| pointers(field, format!("{at}/{name}"), into));
        }
        Value::Array(items) => {
            let each = |(nth, item)| pointers(item, format!("{at}/{nth}"), into);
            items.iter().enumerate().for_each(each);
        }
        _ => {}
    }
    into.push(at);
}

/// Whether a path leads somewhere in the document, but for its last part, which may be missing;
/// one text may stand for a list of one.
fn leads(document: &Value, path: &str) -> bool {
    let path = path.replace('[', ".").replace(']', "");
    let mut parts: Vec<&str> = path.split('.').filter(|part| !part.is_empty()).collect();
    let last = parts.pop();
    let mut at = document;
    for part in parts {
        let next = match at {
            Value::Array(items) => part.parse::<usize>().ok().and_then(|nth| items.get(nth)),
            other => other.get(part),
        };
        let Some(next) = next else { return false };
        at = next;
    }
    let lone = at.is_string() && last == Some("0");
    last.is_none() || at.is_object() || at.is_array() || lone
}

proptest! {
    #[test]
    fn no_value_makes_a_translation_panic(value in values()) {
        let _seen = compile(&value, &Types).is_ok();
    }

    #[test]
    fn problems_lead_to_places_of_a_broken_document(document in documents()) {
        let told = match compile(&document, &Types) {
            Ok(compiled) => compiled.warnings,
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                problems
            }
        };
        for one in told {
            prop_assert!(leads(&document, &one.path), "{} of {document}", one);
        }
    }
}
