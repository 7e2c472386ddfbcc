//! What checking an input against a schema can cost at most.
//!
//! A schema may apply parts of itself again and again (`$ref` below `allOf`), so that a short
//! one takes for ever. The schema is walked as a validator would walk it, references followed,
//! with a budget; where it refers back to itself, the nesting of inputs is bounded instead.

use serde_json::Value;

/// The most parts of a schema, references followed.
const PARTS_MAX: usize = 10_000;
/// The deepest nesting of a schema, references followed.
const NESTING_MAX: usize = 128;
/// The most parts applied to one input, over all levels.
const APPLIED_MAX: f64 = 10_000_000.0;
/// The deepest nesting of an input that no schema bounds further.
const INPUT_NESTING_MAX: usize = 100;

/// Keywords whose values are data, not schemas.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// How deep inputs may nest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub input_nesting_max: usize,
}

impl Bounds {
    /// Walks a schema.
    ///
    /// # Errors
    /// A sentence, when the schema costs too much or refers outside itself.
    pub(super) fn of(schema: &Value) -> Result<Self, String> {
        let mut walk = Walk { root: schema, parts: 0, returns: 0, open: Vec::new() };
        walk.part(schema, 0, true)?;
        let (parts, returns) = (walk.parts.max(1) as f64, walk.returns as f64);
        let levels = match walk.returns {
            0 | 1 => INPUT_NESTING_MAX,
            // Each level below may cost as much for every way back that leads to it.
            _ => ((APPLIED_MAX / parts).ln() / returns.ln()).max(1.0) as usize,
        };
        Ok(Self { input_nesting_max: levels.min(INPUT_NESTING_MAX) })
    }

    /// Whether an input nests no deeper than is allowed.
    pub(super) fn allow(self, input: &Value) -> bool {
        nests_within(input, self.input_nesting_max)
    }
}

fn nests_within(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => {
            levels > 0 && items.iter().all(|item| nests_within(item, levels - 1))
        }
        Value::Object(fields) => {
            levels > 0 && fields.values().all(|field| nests_within(field, levels - 1))
        }
        _ => true,
    }
}

struct Walk<'s> {
    root: &'s Value,
    parts: usize,
    /// References to something that is being walked.
    returns: usize,
    /// The targets of the references being followed.
    open: Vec<&'s Value>,
}

impl<'s> Walk<'s> {
    fn part(&mut self, schema: &'s Value, depth: usize, is_root: bool) -> Result<(), String> {
        self.parts += 1;
        if self.parts > PARTS_MAX || depth > NESTING_MAX {
            return Err(format!(
                "with its references followed, the schema has more than {PARTS_MAX} parts or nests deeper than {NESTING_MAX}"
            ));
        }
        match schema {
            Value::Array(items) => {
                items.iter().try_for_each(|item| self.part(item, depth + 1, false))
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    match (name.as_str(), value) {
                        (name, Value::String(reference)) if REFERENCES.contains(&name) => {
                            self.follow(reference, depth)?;
                        }
                        ("$id", Value::String(_)) if !is_root => {
                            return Err("only the whole schema may have an `$id`".to_owned());
                        }
                        (name, _) if DATA.contains(&name) => {}
                        _ => self.part(value, depth + 1, false)?,
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn follow(&mut self, reference: &'s str, depth: usize) -> Result<(), String> {
        let Some(pointer) = reference.strip_prefix('#') else {
            let shown: String = reference.chars().take(200).collect();
            return Err(format!("`{shown}` reaches outside the schema; only `#...` is followed"));
        };
        // An anchor may be anywhere, so it counts as a way back.
        if !pointer.is_empty() && !pointer.starts_with('/') {
            self.returns += 1;
            return Ok(());
        }
        // One that leads nowhere is refused when the schema is compiled.
        let Some(target) = self.root.pointer(pointer) else {
            // It may be written with %XX; then it counts as a way back.
            self.returns += 1;
            return Ok(());
        };
        let is_open = std::ptr::eq(target, self.root)
            || self.open.iter().any(|open| std::ptr::eq(*open, target));
        if is_open {
            self.returns += 1;
            return Ok(());
        }
        self.open.push(target);
        let walked = self.part(target, depth + 1, false);
        self.open.pop();
        walked
    }
}
