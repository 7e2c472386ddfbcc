//! Which revisions a run was pinned to, as the API prints it.

use serde_json::{Value, json};

use crate::state::State;

/// Each migration, in order.
pub(super) fn migrations_json(state: &State) -> Value {
    let Some(own) = state.migrations.as_deref() else { return json!([]) };
    let before = std::iter::once(own.first_revision).chain(own.made.iter().map(|own| own.revision));
    let rows = own.made.iter().zip(before).map(|(own, from)| {
        json!({
            "from_revision": from,
            "revision": own.revision,
            "digest": own.digest.to_string(),
            "reason": own.reason,
            "actor": own.actor,
            "at": own.at.to_string(),
        })
    });
    rows.collect()
}
