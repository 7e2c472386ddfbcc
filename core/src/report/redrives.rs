//! A redrive as the API prints it, and its events.

use serde_json::{Map, Value, json};

use super::kind_word;
use crate::event::{RedriveEvent, RedriveOutcome};
use crate::ids::RedriveId;
use crate::letters::InputEdit;
use crate::redrives::{LetterChoice, RedriveState, RedriveStatus, Terms};

/// A redrive: which letters it retries, how far it is, and why it stopped if it did.
#[must_use]
pub fn redrive_json(id: RedriveId, state: &RedriveState) -> Value {
    let (request, counts) = (&state.request, &state.counts);
    let stopped = match &state.status {
        RedriveStatus::Halted { reason, actor } => json!({ "reason": reason, "actor": actor }),
        RedriveStatus::Cancelled { reason, actor } => json!({ "reason": reason, "actor": actor }),
        RedriveStatus::Running | RedriveStatus::Completed => Value::Null,
    };
    let mut shown = json!({
        "redrive_id": id.to_string(),
        "status": state.status.word(),
        "stopped": stopped,
        "rate_per_second": request.rate_per_second,
        "letters": {
            "claimed": counts.claimed,
            "pending": state.pending.len(),
            "succeeded": counts.succeeded,
            "failed": counts.failed,
            "refused": counts.refused,
            "unknown": counts.unknown,
        },
        "canaries": state.groups.iter().map(|(fingerprint, own)| json!({
            "fingerprint": fingerprint.to_string(),
            "claimed": own.claimed,
            "succeeded": own.succeeded,
            "failed": own.failed,
        })).collect::<Vec<_>>(),
        "reason": request.reason,
        "requested_by": request.actor,
        "requested_at": state.requested_at.to_string(),
        "updated_at": state.updated_at.to_string(),
    });
    if let (Some(fields), Some(terms)) = (shown.as_object_mut(), state.terms()) {
        fields.extend(terms_json(&terms));
    }
    shown
}

fn terms_json(terms: &Terms) -> Map<String, Value> {
    let rules = &terms.stop_when;
    let canary = terms.canary.map(|own| json!({ "count": own.count, "wait_ms": own.wait_ms }));
    let stop_when = json!({
        "failures": rules.failures,
        "failure_ratio": rules.failure_ratio,
        "after_outcomes": rules.after_outcomes,
    });
    let (input, input_patch) = match &terms.edit {
        None => (Value::Null, Value::Null),
        Some(InputEdit::Replace(whole)) => (whole.clone(), Value::Null),
        Some(InputEdit::Merge(patch)) => (Value::Null, patch.clone().into()),
    };
    let all = [
        ("filter", filter_json(&terms.filter)),
        ("canary", canary.unwrap_or(Value::Null)),
        ("stop_when", stop_when),
        ("input", input),
        ("input_patch", input_patch),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn filter_json(filter: &LetterChoice) -> Value {
    json!({
        "workflow_id": filter.workflow,
        "step": filter.step,
        "kind": filter.kind.map(kind_word),
        "code": filter.code,
        "fingerprint": filter.fingerprint.map(|own| own.to_string()),
        "tag": filter.tag,
        "assignee": filter.assignee,
        "execution_id": filter.execution,
        "opened_after": filter.opened_after.map(|at| at.to_string()),
        "opened_before": filter.opened_before.map(|at| at.to_string()),
    })
}

/// The data of a redrive's event.
pub(super) fn event_data(event: &RedriveEvent) -> Value {
    match event {
        RedriveEvent::Requested(request) => json!({
            "namespace": &*request.namespace,
            "until": request.until.to_string(),
            "terms": request.terms.value(),
            "rate_per_second": request.rate_per_second,
            "reason": request.reason,
            "actor": request.actor,
        }),
        RedriveEvent::Claimed { letters, canary } => json!({
            "letters": letters.iter().map(|own| own.letter.to_string()).collect::<Vec<_>>(),
            "canary": canary,
        }),
        RedriveEvent::Observed { outcomes } => json!({
            "outcomes": outcomes.iter().map(|(letter, outcome)| json!({
                "letter_id": letter.to_string(), "outcome": outcome_word(*outcome),
            })).collect::<Vec<_>>(),
        }),
        RedriveEvent::Halted { reason, actor } => json!({ "reason": reason, "actor": actor }),
        RedriveEvent::Resumed { reason, actor } | RedriveEvent::Cancelled { reason, actor } => {
            json!({ "reason": reason, "actor": actor })
        }
        RedriveEvent::Completed => json!({}),
    }
}

fn outcome_word(outcome: RedriveOutcome) -> &'static str {
    match outcome {
        RedriveOutcome::Succeeded => "succeeded",
        RedriveOutcome::Failed => "failed",
        RedriveOutcome::Refused => "refused",
        RedriveOutcome::Unknown => "unknown",
    }
}
