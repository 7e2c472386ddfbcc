//! A step that sends a signal to another run.

use serde_json::{Value, json};

use crate::ids::ExecutionId;
use crate::payload::Payload;

/// Which run is sent which signal, and what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalWish {
    /// The run.
    pub to: ExecutionId,
    /// The signal's name.
    pub name: String,
    /// What it carries.
    pub payload: Payload,
}

impl SignalWish {
    /// Reads a rendered `with`: `{execution, name, payload?}`.
    ///
    /// # Errors
    /// A sentence.
    pub fn read(with: &Value) -> Result<Self, String> {
        let text = |field: &str| {
            let found = with.get(field).and_then(Value::as_str);
            found.ok_or_else(|| format!("`{field}` is a text"))
        };
        let to = text("execution")?.parse().map_err(|why| format!("`execution`: {why}"))?;
        let name = text("name")?.to_owned();
        let payload = Payload::of(with.get("payload").unwrap_or(&Value::Null));
        Ok(Self { to, name, payload })
    }

    /// What the step answers once the signal is taken in.
    #[must_use]
    pub fn answer(&self) -> Payload {
        Payload::of(&json!({ "execution_id": self.to.to_string(), "signal": self.name }))
    }
}
