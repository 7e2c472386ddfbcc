//! What applying a retention policy would do, as the API prints it.

use serde_json::{Value, json};

use crate::retention::{Plan, Policy};
use crate::time::Timestamp;

/// A plan under its policy, as of an instant.
#[must_use]
pub fn retention_plan_json(plan: &Plan, policy: &Policy, at: Timestamp) -> Value {
    let name = |place: usize| policy.rules.get(place).map(|rule| rule.name.as_str());
    let runs: Vec<_> = (plan.runs.iter())
        .map(|planned| {
            json!({
                "execution_id": planned.candidate.execution.to_string(),
                "workflow_id": planned.workflow,
                "status": planned.status.word(),
                "closed_at": planned.closed_at.to_string(),
                "bytes": planned.bytes,
                "rule": name(planned.rule),
            })
        })
        .collect();
    let rules: Vec<_> = (plan.rules.iter().enumerate())
        .map(|(place, share)| {
            json!({ "rule": name(place), "executions": share.runs, "bytes": share.bytes })
        })
        .collect();
    let held: Vec<_> = (plan.held.iter())
        .map(|(run, place, why)| {
            json!({
                "execution_id": run.to_string(),
                "rule": name(*place),
                "reason": why.word(),
                "message": why.to_string(),
            })
        })
        .collect();
    json!({
        "policy": policy.to_json(),
        "at": at.to_string(),
        "examined": plan.examined,
        "executions": runs,
        "by_rule": rules,
        "held": held,
        "held_count": plan.held_count,
        "next_cursor": plan.next.as_ref().map(ToString::to_string),
    })
}
