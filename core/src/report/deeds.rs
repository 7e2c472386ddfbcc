//! Rows of the audit as the API prints them, and what a deed changed: what it was done to, before
//! and behind it. Of data that passes through runs nothing is shown.

use serde_json::{Map, Value, json};

use super::{
    api_key_json, availability_word, closed_json, letter_json, object_json, redrive_json,
    replay_json, rollout_json,
};
use crate::audit::AuditRow;
use crate::definition::changes;
use crate::event::{
    ApiKeyEvent, ControlEvent, DeliveryEvent, ObjectEvent, PartitionEvent, RunEvent,
    SettingChanged, UnwindEvent, WorkflowEvent,
};
use crate::ids::{RedriveId, ReplayId, StepIndex};
use crate::partition::PartitionState;
use crate::redrives::RedriveState;
use crate::replays::ReplayState;
use crate::state::State;
use crate::travel::Change;
use crate::workflow::WorkflowState;

/// What something was before a deed, and what behind it; null where there was nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// Before it.
    pub before: Value,
    /// Behind it, with all that followed of it in the same moment.
    pub after: Value,
}

/// A row of the audit; `generation` is the one its commit was made under.
#[must_use]
pub fn audit_row_json(row: &AuditRow, generation: u32) -> Value {
    json!({
        "at": row.at.to_string(),
        "actor": row.actor,
        "action": row.action.word(),
        "target": row.target,
        "execution_id": row.execution().map(|run| run.to_string()),
        "detail": row.detail,
        "reason": Some(&row.reason).filter(|reason| !reason.is_empty()),
        "request_id": row.mark.as_ref().map(|mark| mark.request_id()),
        "on_behalf_of": row.mark.as_ref().and_then(|mark| mark.on_behalf_of()),
        "position": format!("{generation}:{}:{}", row.partition, row.position),
    })
}

/// What a deed changed in a run.
#[must_use]
pub fn run_sides(event: &RunEvent, before: Option<&State>, after: &State) -> Sides {
    let before = before.map_or(Value::Null, |state| run_side(event, state));
    Sides { before, after: run_side(event, after) }
}

fn run_side(event: &RunEvent, state: &State) -> Value {
    let mut shown = json!({
        "status": state.status().word(),
        "suspended": super::controls::suspended_json(state),
        "rollback": super::controls::rollback_json(state),
        "revision": state.submitted.revision,
        "version": state.version,
    });
    let about = match event {
        RunEvent::LetterRetried { letter, .. } | RunEvent::LetterDiscarded { letter, .. } => {
            ("letter", letter_side(state, *letter))
        }
        RunEvent::Letter(event) => ("letter", letter_side(state, event.letter())),
        RunEvent::Control(ControlEvent::StepOverridden { step, .. }) => {
            ("steps", steps_side(state, &[*step]))
        }
        RunEvent::Unwind(UnwindEvent::UndosSettled { steps, .. }) => {
            ("steps", steps_side(state, steps))
        }
        RunEvent::Control(ControlEvent::SignalReceived { .. }) => {
            ("signals", super::controls::signals_json(state).into())
        }
        RunEvent::Delivery(DeliveryEvent::SentAgain { delivery, .. }) => {
            let own = state.deliveries.get(*delivery as usize);
            let own = own.map(|own| super::callbacks::delivery_json(state, own));
            ("callback", fields(&own.unwrap_or_default(), &["event", "status", "attempts"]))
        }
        _ => return shown,
    };
    shown[about.0] = about.1;
    shown
}

fn letter_side(state: &State, number: u32) -> Value {
    let Some(letter) = state.letters.get(number as usize) else { return Value::Null };
    let whole = letter_json(state, number, letter);
    let mut shown = fields(&whole, &["status", "attempts", "assignee", "settled"]);
    shown["notes"] = whole["notes"].as_array().map_or(0, Vec::len).into();
    shown["edited"] = (!whole["edited_input"].is_null()).into();
    shown
}

fn steps_side(state: &State, steps: &[StepIndex]) -> Value {
    let one = |step: &StepIndex| {
        let own = state.step(*step);
        let undo = own.undo.as_ref().map(|undo| undo.word());
        json!({ "step": state.plan.step(*step).id, "status": own.word(), "undo": undo })
    };
    steps.iter().map(one).collect()
}

/// What a deed changed in a workflow.
#[must_use]
pub fn workflow_sides(
    event: &WorkflowEvent,
    before: Option<&WorkflowState>,
    after: Option<&WorkflowState>,
) -> Sides {
    let side =
        |state: Option<&WorkflowState>| state.map_or(Value::Null, |own| workflow_side(event, own));
    Sides { before: side(before), after: side(after) }
}

fn workflow_side(event: &WorkflowEvent, state: &WorkflowState) -> Value {
    match event {
        WorkflowEvent::Rollout(_) => {
            let rollout = state.rollout.as_ref();
            rollout.map_or(Value::Null, |own| rollout_json(own, &|_, _| Value::Null))
        }
        WorkflowEvent::Availability(_) => json!({
            "status": availability_word(&state.availability),
            "disabled": closed_json(state.availability.disabled.as_ref()),
            "archived": closed_json(state.availability.archived.as_ref()),
            "revisions": state.revisions.len(),
        }),
        _ => state.latest().map_or(Value::Null, |own| {
            json!({
                "revision": own.number,
                "digest": own.digest.to_string(),
                "defined_at": own.defined_at.to_string(),
                "defined_by": own.actor,
            })
        }),
    }
}

/// What turns a workflow's newest definition into the one behind a deed.
#[must_use]
pub fn definition_changes(
    before: Option<&WorkflowState>,
    after: Option<&WorkflowState>,
) -> Vec<Change> {
    let text = |state: Option<&WorkflowState>| {
        let latest = state.and_then(WorkflowState::latest);
        // What was recorded was JSON once.
        let read = latest.and_then(|own| serde_json::from_str(&own.text).ok());
        read.unwrap_or_else(|| json!({}))
    };
    changes(&text(before), &text(after))
}

/// What a deed changed in what a partition's own stream tells.
#[must_use]
pub fn partition_sides(
    event: &PartitionEvent,
    before: &PartitionState,
    after: &PartitionState,
) -> Sides {
    let (before, after) = match event {
        PartitionEvent::RunsRemoved { runs, .. } => gone("executions", &listed(runs)),
        PartitionEvent::RedrivesRemoved { redrives, .. } => gone("redrives", &listed(redrives)),
        PartitionEvent::RunsImported { runs, .. } => {
            let (there, none) = gone("executions", &listed(runs));
            (none, there)
        }
        PartitionEvent::PayloadErased { .. } => {
            (json!({ "erased": false }), json!({ "erased": true }))
        }
        PartitionEvent::Restored { generation, sequence, .. } => (
            json!({ "generation": generation, "last_commit": Value::Null }),
            json!({ "generation": generation.saturating_add(1), "last_commit": sequence }),
        ),
        // A node forgets it as it ends, so that nobody knows what it was before.
        PartitionEvent::LogLevelsSet { levels, for_ms, .. } => {
            let levels: Value = levels.iter().cloned().collect();
            (Value::Null, json!({ "levels": levels, "for_ms": for_ms }))
        }
        PartitionEvent::SettingsReloaded { changed, .. } => {
            let side = |text: fn(&SettingChanged) -> &Option<String>| -> Value {
                let fields = changed.iter().map(|own| (own.name.clone(), json!(text(own))));
                fields.collect::<Map<_, _>>().into()
            };
            (side(|own| &own.from), side(|own| &own.to))
        }
        PartitionEvent::LogCut { .. }
        | PartitionEvent::RetentionPolicySet { .. }
        | PartitionEvent::CacheEmptied { .. }
        | PartitionEvent::BreakerSet { .. }
        | PartitionEvent::ApiKey(_)
        | PartitionEvent::Object(_)
        | PartitionEvent::CallbackTried { .. } => (side(event, before), side(event, after)),
    };
    Sides { before, after }
}

fn side(event: &PartitionEvent, state: &PartitionState) -> Value {
    let shown = match event {
        PartitionEvent::LogCut { .. } => state.cut.as_ref().map(|own| {
            json!({
                "sequence": own.sequence, "hash": own.hash.to_string(), "at": own.at.to_string(),
            })
        }),
        PartitionEvent::RetentionPolicySet { .. } => state.policy.as_ref().map(|own| {
            let policy = serde_json::from_str::<Value>(&own.text).unwrap_or_default();
            json!({ "policy": policy, "set_by": own.actor, "set_at": own.at.to_string() })
        }),
        PartitionEvent::CacheEmptied { .. } => {
            let emptied = state.cache_emptied_at;
            emptied.map(|at| json!({ "emptied_at": at.to_string() }))
        }
        PartitionEvent::BreakerSet { namespace, key, .. } => {
            let set = state.breakers.get(&(namespace.clone(), key.clone()));
            set.map(|own| {
                json!({
                    "order": own.order.word(), "reason": own.reason, "actor": own.actor,
                    "at": own.at.to_string(),
                })
            })
        }
        PartitionEvent::ApiKey(
            ApiKeyEvent::Created { id, .. } | ApiKeyEvent::Revoked { id, .. },
        ) => {
            let key = state.api_keys.get(id);
            key.map(|own| {
                let whole = api_key_json(own, own.created_at);
                fields(&whole, &["key_id", "name", "namespace", "permissions", "expires_at"])
            })
        }
        PartitionEvent::Object(
            ObjectEvent::Set { namespace, kind, name, .. }
            | ObjectEvent::Removed { namespace, kind, name, .. },
        ) => {
            let object = state.objects.get(&(namespace.clone(), *kind, name.clone()));
            object.map(|own| {
                let whole = object_json(*kind, name, own);
                fields(&whole, &["revision", "digest", "content", "updated_at", "updated_by"])
            })
        }
        _ => None,
    };
    shown.unwrap_or_default()
}

fn listed<I: ToString>(ids: &[I]) -> Value {
    ids.iter().map(ToString::to_string).collect()
}

/// Things that were there, and are not.
fn gone(name: &str, things: &Value) -> (Value, Value) {
    (json!({ (name): things }), json!({ (name): [] }))
}

/// What a deed changed in a replay.
#[must_use]
pub fn replay_sides(
    id: ReplayId,
    before: Option<&ReplayState>,
    after: Option<&ReplayState>,
) -> Sides {
    let side = |state: Option<&ReplayState>| {
        let shown = state.map(|own| replay_json(id, own));
        shown.map_or(Value::Null, |own| fields(&own, &["status", "stopped", "delivered"]))
    };
    Sides { before: side(before), after: side(after) }
}

/// What a deed changed in a redrive.
#[must_use]
pub fn redrive_sides(
    id: RedriveId,
    before: Option<&RedriveState>,
    after: Option<&RedriveState>,
) -> Sides {
    let side = |state: Option<&RedriveState>| {
        let shown = state.map(|own| redrive_json(id, own));
        shown.map_or(Value::Null, |own| fields(&own, &["status", "stopped", "letters"]))
    };
    Sides { before: side(before), after: side(after) }
}

/// Some fields of an object, those that it has.
fn fields(whole: &Value, names: &[&str]) -> Value {
    names.iter().filter_map(|name| Some((*name, whole.get(name)?.clone()))).collect()
}
