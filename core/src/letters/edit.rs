//! Another input for the step of a dead letter: the whole of it, or what is to differ.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::payload::Payload;

/// What becomes of a step's input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputEdit {
    /// This takes its place.
    Replace(Value),
    /// This is merged into it, as RFC 7396 (JSON merge patch) says: a field takes the place of
    /// the input's, an object is merged into the input's, and `null` removes a field.
    Merge(Map<String, Value>),
}

impl InputEdit {
    /// The input that comes of it.
    ///
    /// # Errors
    /// Why there is nothing to merge into.
    pub fn of(&self, input: Option<&Payload>) -> Result<Payload, &'static str> {
        match (self, input) {
            (Self::Replace(whole), _) => Ok(Payload::of(whole)),
            (Self::Merge(_), None) => {
                Err("the step failed before it had an input: there is nothing to merge into")
            }
            (Self::Merge(_), Some(input)) if input.absent().is_some() => {
                Err("the input that it had is not kept any more: give a whole one")
            }
            (Self::Merge(patch), Some(input)) => Ok(Payload::of(&merged(input.value(), patch))),
        }
    }
}

fn merged(input: Value, patch: &Map<String, Value>) -> Value {
    let mut own = match input {
        Value::Object(own) => own,
        _ => Map::new(),
    };
    for (name, value) in patch {
        let before = own.remove(name).unwrap_or_default();
        let after = match value {
            Value::Null => continue,
            Value::Object(patch) => merged(before, patch),
            value => value.clone(),
        };
        own.insert(name.clone(), after);
    }
    Value::Object(own)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merge(patch: Value, input: Value) -> Value {
        let patch = patch.as_object().expect("an object").clone();
        InputEdit::Merge(patch).of(Some(&Payload::of(&input))).expect("there is an input").value()
    }

    /// The examples of appendix A of RFC 7396 whose patch is an object.
    #[test]
    fn a_patch_is_merged_as_the_standard_says() {
        for (input, patch, expected) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let found = merge(patch.clone(), input.clone());
            assert_eq!(found, expected, "{patch} into {input}");
            assert_eq!(merge(patch, found.clone()), found, "twice is once");
        }
    }

    #[test]
    fn nothing_is_merged_into_what_is_not_there() {
        let merge = InputEdit::Merge(Map::new());
        merge.of(None).expect_err("there is no input");
        let whole = InputEdit::Replace(json!(7));
        assert_eq!(whole.of(None).map(|own| own.value()), Ok(json!(7)));
    }
}
