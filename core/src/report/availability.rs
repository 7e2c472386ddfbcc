//! How a workflow stands, as the API prints it.

use serde_json::{Value, json};

use crate::availability::{Availability, Closed, Unavailable};
use crate::event::AvailabilityEvent;

/// The words of how a workflow stands.
pub const AVAILABILITY_WORDS: [&str; 3] = [ACTIVE, DISABLED, ARCHIVED];
const ACTIVE: &str = "active";
const DISABLED: &str = "disabled";
const ARCHIVED: &str = "archived";

/// How a workflow stands, in one word.
#[must_use]
pub fn availability_word(own: &Availability) -> &'static str {
    match own.unavailable() {
        None => ACTIVE,
        Some(Unavailable::Disabled) => DISABLED,
        Some(Unavailable::Archived | Unavailable::Purged) => ARCHIVED,
    }
}

/// Since when a workflow is disabled or archived, by whom and why; null if it is not.
#[must_use]
pub fn closed_json(own: Option<&Closed>) -> Value {
    let shown = own.map(|own| {
        json!({
            "at": own.at.to_string(),
            "actor": own.actor,
            "reason": own.reason,
            "revision": own.revision,
        })
    });
    json!(shown)
}

pub(super) fn event_data(event: &AvailabilityEvent) -> Value {
    match event {
        AvailabilityEvent::Disabled { revision, reason, actor }
        | AvailabilityEvent::Enabled { revision, reason, actor } => {
            json!({ "revision": revision, "reason": reason, "actor": actor })
        }
        AvailabilityEvent::Archived { reason, actor }
        | AvailabilityEvent::Restored { reason, actor }
        | AvailabilityEvent::Purged { reason, actor } => {
            json!({ "reason": reason, "actor": actor })
        }
    }
}
