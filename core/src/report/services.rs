//! What stands between a run and the services it calls, as the API prints it.

use serde_json::{Value, json};

use super::instant;
use crate::event::{Fault, FaultKind, Hold, ServiceEvent};
use crate::faults::Struck;
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
        ServiceEvent::FaultsPlanned { faults } => {
            let faults: Vec<_> = faults.iter().map(|own| fault(own, id)).collect();
            return json!({ "faults": faults });
        }
    };
    let Hold { key, why, until } = hold;
    data["breaker"] = (&**key).into();
    data["because"] = why.word().into();
    data["until"] = instant(*until);
    data
}

fn fault(own: &Fault, id: &dyn Fn(&StepIndex) -> Value) -> Value {
    let strikes = own.strikes();
    let mut shown = json!({
        "step": id(&own.step),
        "undo": strikes == Struck::Undo,
        "check": strikes == Struck::Check,
        "attempt": own.attempt,
        "kind": own.kind.word(),
    });
    let (name, value) = bounds(&own.kind);
    if let Some(value) = value {
        shown[name] = value;
    }
    shown
}

/// What a kind says beside its word.
fn bounds(kind: &FaultKind) -> (&'static str, Option<Value>) {
    match kind {
        FaultKind::Fail { permanent } => ("permanent", Some((*permanent).into())),
        FaultKind::Delay { ms } => ("delay_ms", Some((*ms).into())),
        FaultKind::CrashBeforeAck | FaultKind::Duplicate => ("", None),
        FaultKind::AtCheck(kind) => bounds(kind),
    }
}

/// What the run's attempts meet on purpose.
pub(super) fn faults_json(state: &State) -> Value {
    let id = |step: &StepIndex| state.plan.step(*step).id.to_string().into();
    state.faults().iter().map(|own| fault(own, &id)).collect()
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
