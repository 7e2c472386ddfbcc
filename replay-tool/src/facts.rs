//! A run's events as the API lists them, read field by field.
//!
//! Works on JSON, so that a file and a server are read alike and an event of newer code is
//! shown rather than refused.

use backstitch_core::time::Timestamp;
use serde_json::Value;

/// One event of a run.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    /// Its place in the run's history.
    pub version: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// What kind of event.
    pub kind: &'a str,
    /// The rest.
    pub data: &'a Value,
}

/// The events in order; what is no event is left out.
pub fn facts(events: &[Value]) -> impl Iterator<Item = Fact<'_>> {
    events.iter().filter_map(|event| {
        Some(Fact {
            version: event["version"].as_u64()?,
            at: instant(&event["recorded_at"])?,
            kind: event["type"].as_str()?,
            data: &event["data"],
        })
    })
}

/// An instant in JSON.
#[must_use]
pub fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(Timestamp::parse)
}

/// Text in JSON; nothing for anything else.
#[must_use]
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A step's id, or its number where the definition is not known.
#[must_use]
pub fn step_name(step: &Value) -> String {
    match step {
        Value::String(id) => id.clone(),
        other => format!("#{other}"),
    }
}

/// What a run was submitted with: the data of its first event.
#[must_use]
pub fn submission(events: &[Value]) -> Option<&Value> {
    let first = events.first().filter(|event| event["type"] == "ExecutionSubmitted")?;
    Some(&first["data"])
}
