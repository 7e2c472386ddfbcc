//! The JSON Schema of a workflow's input: checked when defined, applied when submitted.
//!
//! Draft 2020-12 unless the schema names another. References reach only inside the schema:
//! nothing is fetched. Patterns are matched in linear time.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::definition::problem::{Problem, Problems, codes};

/// The longest schema, as text.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// The most characters of a mismatch that a message shows.
const MISMATCH_CHARS_MAX: usize = 300;

/// A schema ready to check inputs.
#[derive(Debug)]
pub struct InputSchema {
    validator: Validator,
}

impl InputSchema {
    /// Compiles a schema, noting what is wrong with it.
    pub(crate) fn compile(schema: &Value, problems: &mut Problems) -> Option<Self> {
        if !schema.is_object() && !schema.is_boolean() {
            problems.add("input_schema", codes::BAD_SCHEMA, "a JSON Schema is an object");
            return None;
        }
        if schema.to_string().len() > SCHEMA_BYTES_MAX {
            problems.add("input_schema", codes::BAD_SCHEMA, "the schema is longer than 64 KiB");
            return None;
        }
        if let Some(reference) = outside_reference(schema) {
            let shown: String = reference.chars().take(200).collect();
            let message = format!("`{shown}` reaches outside the schema; only `#...` is followed");
            problems.add("input_schema", codes::BAD_SCHEMA, message);
            return None;
        }
        let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
        match options.build(schema) {
            Ok(validator) => Some(Self { validator }),
            Err(error) => {
                let path = format!("input_schema{}", dotted(&error.instance_path().to_string()));
                problems.add(path, codes::BAD_SCHEMA, shortened(&error.to_string()));
                None
            }
        }
    }

    /// Checks an input.
    ///
    /// # Errors
    /// Every mismatch, at its path below `input`.
    pub fn check(&self, input: &Value) -> Result<(), Vec<Problem>> {
        let mut problems = Problems::default();
        for error in self.validator.iter_errors(input) {
            let path = format!("input{}", dotted(&error.instance_path().to_string()));
            problems.add(path, codes::INPUT_MISMATCH, shortened(&error.to_string()));
            if problems.is_full() {
                break;
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.into_list()) }
    }
}

/// A reference that is not to a place in the schema itself.
fn outside_reference(schema: &Value) -> Option<&str> {
    match schema {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| match (&**name, value) {
            ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(reference))
                if !reference.starts_with('#') =>
            {
                Some(reference.as_str())
            }
            ("const" | "enum" | "default" | "examples", _) => None,
            _ => outside_reference(value),
        }),
        Value::Array(items) => items.iter().find_map(outside_reference),
        _ => None,
    }
}

/// `/items/0/price` as `.items[0].price`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty() {
            path.push_str(&format!("[{part}]"));
        } else {
            path.push('.');
            path.push_str(&part);
        }
    }
    path
}

fn shortened(message: &str) -> String {
    let mut short: String = message.chars().take(MISMATCH_CHARS_MAX).collect();
    if short.len() < message.len() {
        short.push_str("...");
    }
    short
}
