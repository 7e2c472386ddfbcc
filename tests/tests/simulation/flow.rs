//! Routers and handlers: random ones, and what must hold of them.

use std::collections::BTreeSet;

use backstitch_core::arrows::StepStatus;
use backstitch_core::event::{ForkEvent, GraphEvent, KeptStatus, RunEvent};
use backstitch_core::ids::StepIndex;
use backstitch_core::state::State;
use serde_json::{Value, json};

use super::random::Random;

/// Has some steps lead to later ones: as routers, and to handlers of either end.
pub fn lead(mut steps: Vec<Value>, random: &mut Random) -> Vec<Value> {
    let count = steps.len();
    if count < 3 || !random.chance(40) {
        return steps;
    }
    let (mut targets, mut handlers) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..1 + random.index(3) {
        let from = random.index(count - 1);
        let to = from + 1 + random.index(count - from - 1);
        let id = json!(format!("s{to}"));
        match random.below(3) {
            0 if !handlers.contains(&to) && steps[from].get("routes").is_none() => {
                targets.insert(to);
                let when = *random.pick(&["input.n > 5", "{{ input.n <= 5 }}", "input.gone > 1"]);
                let mut router = json!({
                    "id": steps[from]["id"], "needs": steps[from]["needs"], "type": "router",
                    "routes": [{ "when": when, "to": [id] }],
                });
                let last = count - 1;
                if from < last && !handlers.contains(&last) {
                    targets.insert(last);
                    router["default"] = json!([format!("s{last}")]);
                }
                for field in ["on_success", "on_failure"] {
                    if let Some(own) = steps[from].get(field) {
                        router[field] = own.clone();
                    }
                }
                steps[from] = router;
            }
            1 => append(&mut steps[from], "on_success", id),
            2 if !targets.contains(&to) => {
                handlers.insert(to);
                append(&mut steps[from], "on_failure", id);
                steps[to]["needs"] = json!([]);
                if let Some(with) = steps[to].get_mut("with").and_then(Value::as_object_mut) {
                    with.remove("of");
                }
            }
            _ => {}
        }
    }
    steps
}

fn append(step: &mut Value, field: &str, id: Value) {
    let mut ids = step.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    if !ids.contains(&id) {
        ids.push(id);
    }
    step[field] = Value::Array(ids);
}

/// What is wrong with the ways a run took, if anything: a plain look at its events.
pub fn wrong_way(state: &State, events: &[RunEvent]) -> Option<&'static str> {
    let plan = &state.plan;
    let (mut failed, mut succeeded) = (BTreeSet::new(), BTreeSet::new());
    for event in events {
        match event {
            RunEvent::Graph(GraphEvent::RouteChosen { step, route, .. }) => {
                succeeded.insert(*step);
                let router = plan.step(*step).router()?;
                let taken = router.targets(*route);
                let others = router.all_targets().filter(|to| !taken.contains(to));
                let mut ran = others.map(|to| state.step(to)).filter(|own| {
                    !own.by_hand
                        && !matches!(own.status, StepStatus::Pruned | StepStatus::Cancelled)
                });
                if ran.next().is_some() {
                    return Some("a step on a branch not taken ran");
                }
            }
            RunEvent::Fork(ForkEvent::StepKept(kept)) if kept.status == KeptStatus::Succeeded => {
                succeeded.insert(kept.step);
            }
            RunEvent::StepFailed { step, .. } => drop(failed.insert(*step)),
            RunEvent::StepSucceeded { step, .. }
            | RunEvent::Graph(
                GraphEvent::StepSignalled { step, .. } | GraphEvent::StepCacheHit { step, .. },
            )
            | RunEvent::Control(backstitch_core::event::ControlEvent::StepOverridden {
                step,
                ..
            }) => drop(succeeded.insert(*step)),
            RunEvent::StepReady { step, .. } => {
                let calls = |of: &StepIndex| {
                    let Some(flow) = &plan.step(*of).flow else { return false };
                    (flow.on_failure.contains(step) && failed.contains(of))
                        || (flow.on_success.contains(step) && succeeded.contains(of))
                };
                let handles = plan.step(*step).handles();
                if !handles.is_empty() && !handles.iter().any(calls) {
                    return Some("a handler began that nobody called");
                }
            }
            _ => {}
        }
    }
    let mut handled = state.handled_failures();
    if handled.any(|step| !failed.contains(&step)) {
        return Some("a failure was handled that there was not");
    }
    let completed = state
        .ending
        .as_ref()
        .is_some_and(|ending| ending.outcome == backstitch_core::event::Outcome::Completed);
    let open = |&step: &StepIndex| {
        state.step(step).status == StepStatus::Failed
            && !plan.step(step).allow_failure
            && !state.is_handled(step)
    };
    (completed && failed.iter().any(open)).then_some("a run completed over an open failure")
}
