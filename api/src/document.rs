//! Texts that people write: JSON and YAML to values, with the place of what is wrong.

use std::fmt;

use serde_json::Value;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 8259.
    Json,
    /// YAML 1.2; JSON too.
    Yaml,
}

/// A text that can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong, continuing "the body is".
    pub message: String,
    /// From 1, where known.
    pub line: Option<usize>,
    /// From 1, where known.
    pub column: Option<usize>,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The deepest nesting of lists and objects.
pub const DEPTH_MAX: usize = 128;

/// Reads a text.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse(text: &[u8], format: Format) -> Result<Value, Malformed> {
    PLACEHOLDER
}
