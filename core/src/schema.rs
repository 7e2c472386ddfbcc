//! The JSON Schema of a workflow's input: checked when defined, applied when submitted.
//!
//! Draft 2020-12 unless the schema names another. References reach only inside the schema:
//! nothing is fetched. Patterns are matched in linear time, and what a check can cost is bounded.

mod bounds;

use bounds::Bounds;
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
    bounds: Bounds,
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
        let bounds = match Bounds::of(schema) {
            Ok(bounds) => bounds,
            Err(why) => {
                problems.add("input_schema", codes::BAD_SCHEMA, why);
                return None;
            }
        };
        let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
        match options.build(schema) {
            Ok(validator) => Some(Self { validator, bounds }),
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
        if !self.bounds.allow(input) {
            let most = self.bounds.input_nesting_max;
            let message = format!("for this schema an input nests at most {most} levels");
            problems.add("input", codes::INPUT_MISMATCH, message);
            return Err(problems.into_list());
        }
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
