//! What stands between a run and the services it calls, as the API prints it.

use serde_json::{Value, json};

use super::instant;
use crate::event::{Hold, ServiceEvent};
use crate::ids::StepIndex;
use crate::state::{HeldCall, State, Subject};

pub(super) fn data(event: &ServiceEvent, id: &dyn Fn(&StepIndex) -> Value) -> Value {
    let (mut data, hold) = match event {
        ServiceEvent::CallHeld { step, undo, hold } => {
            (json!({ "step": id(step), "undo": undo }), hold)
        }
        ServiceEvent::CallRefused { step, hold } => (json!({ "step": id(step) }), hold),
        ServiceEvent::CallbackHeld { delivery, hold, due_at } => {
            (json!({ "delivery": delivery, "due_at": due_at.to_string() }), hold)
        }
    };
    let Hold { key, why, until } = hold;
    data["breaker"] = (&**key).into();
    data["because"] = why.word().into();
    data["until"] = instant(*until);
    data
}

/// What a call waits for, if it waits for its service.
pub(super) fn held_json(state: &State, subject: Subject) -> Value {
    let shown = |own: &HeldCall| {
        json!({
            "breaker": own.hold.key,
            "because": own.hold.why.word(),
            "since": own.since.to_string(),
            "until": instant(own.hold.until),
        })
    };
    state.held_call(subject).map_or(Value::Null, shown)
}
