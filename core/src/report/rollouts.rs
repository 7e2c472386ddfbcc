//! Roll-outs as the API prints them.

use serde_json::{Value, json};

use crate::event::{Beta, Rollout, RolloutEvent};
use crate::rollout::{InForce, STABLE, percent};

/// What is in force for a workflow's new runs; `statistics` says what is known of the runs of an
/// arm, by its name and revision.
#[must_use]
pub fn rollout_json(own: &InForce, statistics: &dyn Fn(&str, u32) -> Value) -> Value {
    let rollout = &own.rollout;
    let mut arms = vec![arm(STABLE, rollout.stable, rollout.stable_size(), statistics)];
    let others = rollout.arms.iter();
    arms.extend(others.map(|own| arm(&own.name, own.revision, own.size(), statistics)));
    if let Some(beta) = &rollout.beta {
        let mut shown = beta_json(beta);
        shown["statistics"] = statistics(crate::rollout::BETA, beta.revision);
        arms.push(shown);
    }
    json!({
        "stable": rollout.stable,
        "arms": arms,
        "set_at": own.at.to_string(),
        "set_by": own.actor,
        "reason": own.reason,
        "killed": own.killed.as_ref().map(|killed| json!({
            "at": killed.at.to_string(),
            "actor": killed.actor,
            "reason": killed.reason,
        })),
    })
}

fn arm(name: &str, revision: u32, size: u16, statistics: &dyn Fn(&str, u32) -> Value) -> Value {
    json!({
        "name": name,
        "revision": revision,
        "percent": percent(size),
        "statistics": statistics(name, revision),
    })
}

fn beta_json(beta: &Beta) -> Value {
    json!({
        "name": crate::rollout::BETA,
        "revision": beta.revision,
        "tags": beta.tags,
        "subjects": beta.subjects,
        "correlation_ids": beta.correlation_ids,
    })
}

pub(super) fn event_data(event: &RolloutEvent) -> Value {
    match event {
        RolloutEvent::Set { rollout, reason, actor } => {
            json!({ "rollout": spread(rollout), "reason": reason, "actor": actor })
        }
        RolloutEvent::Killed { reason, actor } | RolloutEvent::Ended { reason, actor } => {
            json!({ "reason": reason, "actor": actor })
        }
    }
}

fn spread(rollout: &Rollout) -> Value {
    let arms = rollout.arms.iter().map(|own| {
        let buckets: Vec<_> = own.buckets.iter().map(|own| json!([own.from, own.to])).collect();
        let percent = percent(own.size());
        json!({
            "name": own.name, "revision": own.revision, "percent": percent, "buckets": buckets,
        })
    });
    json!({
        "stable": rollout.stable,
        "arms": arms.collect::<Vec<_>>(),
        "beta": rollout.beta.as_ref().map(beta_json),
    })
}
