//! The expression language of templates and conditions: the part of Jinja that reads data.
//!
//! Everything is bounded where it happens, not around it: nesting while parsing, so that no
//! text can exhaust the stack; work while evaluating, counted by the bytes and elements an
//! operation touches, so that no short text can keep a partition busy. Values are JSON, in
//! and out, and are borrowed until an operation makes a new one. A missing field is an error
//! that names it. There is no clock, randomness, function or assignment.
//!
//! Knows nothing of runs beyond the facts it is handed, nor of the fields templates sit in.

mod checks;
mod evaluate;
mod facts;
mod filter_lists;
mod filter_values;
mod filters;
mod meter;
mod names;
mod operators;
mod parser;
#[cfg(test)]
mod tests;
mod text;
mod tokens;
mod tree;

pub(crate) use evaluate::Evaluation;
pub(crate) use facts::{Facts, Reads};
pub(crate) use meter::{Fault, Meter};
pub(crate) use parser::{Names, parse_expression};
pub(crate) use text::{Piece, Text, has_template, parse_text};
pub(crate) use tree::Expression;

/// The longest text of one template, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 64 * 1024;
/// The deepest nesting of one expression, parentheses, operators and fields alike.
pub const EXPRESSION_NESTING_MAX: usize = 64;
/// The deepest nesting of `{% for %}`.
pub const FOR_NESTING_MAX: usize = 3;
/// The deepest nesting of `{% if %}` and `{% for %}` together.
pub const BLOCK_NESTING_MAX: usize = 16;
/// The work one rendering may take: a unit is one operation, one element of a list or object
/// touched, or 64 bytes of text made.
pub const FUEL_UNITS_MAX: u64 = 200_000;
/// The roots of names.
pub const ROOTS: [&str; 4] = ["input", "variables", "steps", "workflow"];
/// Roots that mean something elsewhere and can't be used as ids of steps.
pub const RESERVED_ROOTS: [&str; 7] =
    ["input", "variables", "steps", "workflow", "secrets", "trigger_data", "event"];

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// One of the codes of problems.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where, in bytes from the text's beginning.
    pub offset: usize,
}

impl SyntaxError {
    /// `line 1, column 9` of the offset.
    pub(crate) fn position(&self, source: &str) -> String {
        let mut end = self.offset.min(source.len());
        while !source.is_char_boundary(end) {
            end -= 1;
        }
        let before = &source[..end];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        format!("line {line}, column {column}")
    }
}
