//! A replay as the API prints it.

use serde_json::{Value, json};

use crate::ids::ReplayId;
use crate::replays::{ReplayState, ReplayStatus, Terms};

/// A replay: what it delivers, how far it is, and why it stopped if it did.
#[must_use]
pub fn replay_json(id: ReplayId, state: &ReplayState) -> Value {
    let request = &state.request;
    let terms = Terms::of_payload(&request.filter);
    let stopped = match &state.status {
        ReplayStatus::Stopped { reason, actor } => json!({ "reason": reason, "actor": actor }),
        ReplayStatus::Running | ReplayStatus::Completed => Value::Null,
    };
    json!({
        "replay_id": id.to_string(),
        "status": state.status.word(),
        "stopped": stopped,
        "url": terms.view.is_none().then_some(&request.url),
        "view": terms.view,
        "filter": terms.filter,
        "rate_per_second": request.rate_per_second,
        "max_attempts": terms.max_attempts,
        "cut_until": terms.cut_until.map(|at| at.to_string()),
        "from_positions": request.after,
        "to_positions": request.until,
        "positions": state.positions,
        "delivered": state.delivered,
        "requested_by": request.actor,
        "requested_at": state.requested_at.to_string(),
        "updated_at": state.updated_at.to_string(),
    })
}
