//! Opaque JSON: inputs, outputs and details as the text they were written in.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most bytes one payload may have. Larger ones are refused where they enter.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// A JSON text, shared and never changed. Events carry it without looking inside.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload(Arc<str>);

impl Payload {
    /// The text of a value, with the keys of objects in order.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        Self(value.to_string().into())
    }

    /// `null`.
    #[must_use]
    pub fn null() -> Self {
        Self("null".into())
    }

    /// The JSON text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The value. A text that is not JSON (only a damaged record has one) reads as a string.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_else(|_| Value::String(self.0.to_string()))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
