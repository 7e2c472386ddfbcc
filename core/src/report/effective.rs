//! What a definition comes to: every value that was said or left out, and where it comes from.

use serde_json::{Map, Value, json};

use crate::definition::STEP_TIMEOUT_MS_DEFAULT;
use crate::plan::{Plan, PlanStep, ReplaySafety, TaskKind};
use crate::retry_policy::Retries;

/// Fields of a workflow that have a meaning when they are left out, and that meaning.
const LEFT_OUT: [(&str, Value); 4] = [
    ("timeout", Value::Null),
    ("compensation_timeout", Value::Null),
    ("sla", Value::Null),
    ("rollback_window", Value::Null),
];

/// What a workflow's revision comes to; `canonical` is its definition, `plan` what was made of it.
/// `origin` is `definition`, `step`, `undo`, `defaults`, `type` (of the step), `node` or `built_in`.
#[must_use]
pub fn effective_json(canonical: &Value, plan: &Plan) -> Value {
    let words = [
        ("on_failure", json!("compensate")),
        ("on_no_undo", json!("skip")),
        ("priority", json!("medium")),
        ("enabled", json!(true)),
        ("erasable", json!(false)),
    ];
    let workflow: Map<_, _> = (words.into_iter().chain(LEFT_OUT))
        .map(|(name, left_out)| {
            (name.to_owned(), said(&[(canonical, "definition")], name, left_out))
        })
        .collect();
    let written = canonical["steps"].as_array().map_or(&[][..], Vec::as_slice);
    let steps = plan.steps.iter().zip(written);
    let steps: Vec<_> = steps.map(|(step, written)| of_step(canonical, step, written)).collect();
    json!({ "workflow": workflow, "steps": steps })
}

fn of_step(canonical: &Value, step: &PlanStep, written: &Value) -> Value {
    let (own, defaults) = ((written, "step"), (&canonical["defaults"], "defaults"));
    let mut shown = json!({
        "step": step.id,
        "type": written["type"],
        "replay": said(&[own], "replay", Value::Null),
        "on_no_undo": said(&[own, (canonical, "definition")], "on_no_undo", json!("skip")),
    });
    if shown["replay"]["origin"] == BUILT_IN {
        let word = ReplaySafety::WORDS.iter().find(|(_, own)| *own == step.replay);
        shown["replay"] = json!({ "value": word.map(|(word, _)| word), "origin": "type" });
    }
    if !matches!(step.task, TaskKind::Transform | TaskKind::Wait | TaskKind::Router) {
        shown["retry"] = retries(&[own, defaults], "standard", &step.retry);
    }
    if matches!(step.task, TaskKind::Effect(_)) {
        shown["timeout"] = said(&[own, defaults], "timeout", standard_timeout());
        shown["breaker"] = said(&[own, defaults], "breaker", Value::Null);
        if shown["breaker"]["origin"] == BUILT_IN {
            shown["breaker"]["origin"] = "node".into();
        }
    }
    if let (Some(undo), true) = (&step.undo, written["undo"].is_object()) {
        let own = (&written["undo"], "undo");
        shown["undo"] = json!({
            "retry": retries(&[own], "critical", &undo.retry),
            "timeout": said(&[own, defaults], "timeout", standard_timeout()),
        });
    }
    shown
}

const BUILT_IN: &str = "built_in";

fn standard_timeout() -> Value {
    format!("{}s", STEP_TIMEOUT_MS_DEFAULT / 1_000).into()
}

/// The first place that says a field, or what it means where none does.
fn said(places: &[(&Value, &str)], name: &str, left_out: Value) -> Value {
    let found = places.iter().find_map(|(own, origin)| Some((own.get(name)?, *origin)));
    match found {
        Some((value, origin)) => json!({ "value": value, "origin": origin }),
        None => json!({ "value": left_out, "origin": BUILT_IN }),
    }
}

/// The same of a retry policy, with what it comes to.
fn retries(places: &[(&Value, &str)], left_out: &str, own: &Retries) -> Value {
    let mut shown = said(places, "retry", left_out.into());
    let conditions = own.conditions.as_ref();
    shown["policy"] = json!(own.policy);
    let list = |list: &[crate::retry_policy::RetryCondition]| -> Value {
        list.iter().map(ToString::to_string).collect()
    };
    shown["policy"]["on"] = conditions.map_or_else(|| json!([]), |own| list(&own.on));
    shown["policy"]["never"] = conditions.map_or_else(|| json!([]), |own| list(&own.never));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_says_where_it_comes_from() {
        let canonical = json!({
            "id": "w", "on_failure": "halt", "defaults": { "timeout": "5s", "retry": "none" },
            "steps": [
                {
                    "id": "a", "type": "act", "timeout": "1s",
                    "undo": { "type": "act", "retry": "none" },
                },
                { "id": "b", "type": "act", "retry": { "max_attempts": 7 }, "replay": "safe" },
                { "id": "c", "type": "transform", "with": 1 },
            ],
        });
        let plan = Plan::recompile(&canonical.to_string()).expect("a plan");
        let shown = effective_json(&canonical, &plan);
        let at = |path: &str| {
            let own = shown.pointer(path).unwrap_or_else(|| panic!("{path} of {shown}"));
            (own["value"].clone(), own["origin"].as_str().unwrap_or_default().to_owned())
        };
        let is = |value: Value, origin: &str| (value, origin.to_owned());
        assert_eq!(at("/workflow/on_failure"), is(json!("halt"), "definition"));
        assert_eq!(at("/workflow/priority"), is(json!("medium"), "built_in"));
        assert_eq!(at("/workflow/timeout"), is(Value::Null, "built_in"));
        assert_eq!(at("/steps/0/timeout"), is(json!("1s"), "step"));
        assert_eq!(at("/steps/1/timeout"), is(json!("5s"), "defaults"));
        assert_eq!(at("/steps/0/retry"), is(json!("none"), "defaults"));
        assert_eq!(at("/steps/0/undo/timeout"), is(json!("5s"), "defaults"));
        assert_eq!(at("/steps/0/undo/retry"), is(json!("none"), "undo"));
        assert_eq!(at("/steps/1/retry").1, "step");
        assert_eq!(shown["steps"][1]["retry"]["policy"]["max_attempts"], 7);
        assert_eq!(shown["steps"][0]["retry"]["policy"]["max_attempts"], 1);
        assert_eq!(at("/steps/1/replay"), is(json!("safe"), "step"));
        assert_eq!(at("/steps/0/replay").1, "type");
        assert_eq!(at("/steps/0/breaker").1, "node");
        assert!(shown["steps"][2].get("retry").is_none());
    }
}
