//! Leaving parts of payloads out of an export.

use serde_json::Value;

use crate::event::Event;
use crate::payload::Payload;

/// What stands in place of what was left out.
pub const REDACTED: &str = "[redacted]";
/// The most places that one export leaves out.
pub const REDACTIONS_MAX: usize = 256;

/// Places in payloads: JSON pointers (RFC 6901), which begin with `/` and are followed from
/// the root of each payload, and names of fields, which are found at any depth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redaction {
    places: Vec<String>,
}

impl Redaction {
    /// Reads places, separated by commas.
    ///
    /// # Errors
    /// A sentence, for an empty place or too many.
    pub fn read(text: &str) -> Result<Self, String> {
        let places: Vec<String> = text.split(',').map(|place| place.trim().to_owned()).collect();
        if places.iter().any(|place| place.is_empty() || place == "/") {
            return Err("a place is empty; write names of fields or JSON pointers".to_owned());
        }
        if places.len() > REDACTIONS_MAX {
            return Err(format!("at most {REDACTIONS_MAX} places can be left out"));
        }
        Ok(Self { places })
    }

    /// The places, as the header lists them.
    #[must_use]
    pub fn places(&self) -> &[String] {
        &self.places
    }

    /// Replaces what is found in the event's payloads; answers whether anything was.
    pub fn apply(&self, event: &mut Event) -> bool {
        let mut found = false;
        if self.places.is_empty() {
            return found;
        }
        event.for_each_payload_mut(&mut |payload| {
            let mut value = payload.value();
            let mut here = false;
            for place in &self.places {
                here |= if place.starts_with('/') {
                    value.pointer_mut(place).map(cover).is_some()
                } else {
                    cover_named(&mut value, place)
                };
            }
            if here {
                *payload = Payload::of(&value);
            }
            found |= here;
        });
        found
    }
}

fn cover(value: &mut Value) {
    *value = Value::from(REDACTED);
}

/// Covers every field of a name, at any depth.
fn cover_named(value: &mut Value, name: &str) -> bool {
    let mut found = false;
    match value {
        Value::Object(fields) => {
            for (own, field) in fields {
                if own == name {
                    cover(field);
                    found = true;
                } else {
                    found |= cover_named(field, name);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                found |= cover_named(item, name);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found
}
