//! A JSON tree whose strings may hold templates, and conditions.
//!
//! Compiled once, with every name resolved; rendering parses nothing but the payloads it
//! reads. Knows nothing of when a step is rendered or what becomes of the result.

use serde_json::Value;

use crate::failure::Failure;
use crate::scope::Scope;

/// A JSON tree whose strings may hold templates.
#[derive(Debug)]
pub struct Template {
    root: Node,
}

#[derive(Debug)]
enum Node {
    Constant(Value),
}

impl Template {
    /// Evaluates every template of the tree.
    ///
    /// # Errors
    /// The first failure.
    pub fn render(&self, _scope: &dyn Scope) -> Result<Value, Failure> {
        match &self.root {
            Node::Constant(value) => Ok(value.clone()),
        }
    }
}

/// A step's `when`.
#[derive(Debug)]
pub struct Condition {
    holds: bool,
}

impl Condition {
    /// Whether the condition holds.
    ///
    /// # Errors
    /// When it cannot be evaluated, or is no boolean.
    pub fn holds(&self, _scope: &dyn Scope) -> Result<bool, Failure> {
        Ok(self.holds)
    }
}
