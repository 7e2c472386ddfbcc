//! What a run keeps of another, as the API prints it.

use serde_json::{Value, json};

use super::failure_json;
use crate::event::{ForkEvent, ForkOrigin, KeptStatus};
use crate::ids::StepIndex;
use crate::payload::Payload;
use crate::state::State;

/// Where the run was forked from, what it keeps, and which forks undo steps of it.
pub(super) fn fork_json(state: &State) -> Value {
    let Some(forks) = state.forks.as_deref() else { return Value::Null };
    let id = |step: &StepIndex| Value::from(&*state.plan.steps[step.at()].id);
    let mut json = json!({
        "kept": forks.kept.iter().map(id).collect::<Vec<_>>(),
        "undone_there": forks.undone_there.iter().map(id).collect::<Vec<_>>(),
        "forks": forks.made.iter().map(|(to, steps)| json!({
            "execution_id": to.to_string(),
            "undoes": steps.iter().map(id).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    });
    json["of"] = forks.origin.as_ref().map_or(Value::Null, |own| origin(own, &id));
    json
}

fn origin(own: &ForkOrigin, id: &dyn Fn(&StepIndex) -> Value) -> Value {
    json!({
        "execution_id": own.run.to_string(),
        "version": own.version,
        "from_step": own.from.as_ref().map(id),
        "kept": own.kept,
        "take_over": own.takes_over,
        "reason": own.reason,
        "actor": own.actor,
    })
}

/// The data of an event.
pub(super) fn data(event: &ForkEvent, id: &dyn Fn(&StepIndex) -> Value) -> Value {
    match event {
        ForkEvent::Begun(own) => origin(own, id),
        ForkEvent::StepKept(own) => json!({
            "step": id(&own.step),
            "status": kept_word(own.status),
            "round": own.round,
            "attempt": own.attempt,
            "input": own.input.as_ref().map(Payload::value),
            "output": own.output.as_ref().map(Payload::value),
            "error": own.failure.as_ref().map(failure_json),
            "undone_here": own.undone_here,
        }),
        ForkEvent::Started => json!({}),
        ForkEvent::Forked { to, undoes, actor } => json!({
            "to": to.to_string(),
            "undoes": undoes.iter().map(id).collect::<Vec<_>>(),
            "actor": actor,
        }),
        ForkEvent::ForkDropped { fork } => json!({ "fork": fork.to_string() }),
        ForkEvent::Migrated { revision, digest, reason, actor } => json!({
            "revision": revision,
            "digest": digest.to_string(),
            "reason": reason,
            "actor": actor,
        }),
    }
}

fn kept_word(status: KeptStatus) -> &'static str {
    match status {
        KeptStatus::Succeeded => "succeeded",
        KeptStatus::Skipped => "skipped",
        KeptStatus::Pruned => "pruned",
        KeptStatus::Failed => "failed",
    }
}
