//! What a definition comes to: every value that was said or left out, and where it comes from.

use serde_json::{Map, Value, json};

use super::target_json;
use crate::definition::STEP_TIMEOUT_MS_DEFAULT;
use crate::event::Applied;
use crate::plan::{Plan, PlanStep, ReplaySafety, TaskKind};
use crate::retry_policy::Retries;

/// Fields of a workflow that have a meaning when they are left out, and that meaning.
const LEFT_OUT: [(&str, Value); 4] = [
    ("timeout", Value::Null),
    ("compensation_timeout", Value::Null),
    ("sla", Value::Null),
    ("rollback_window", Value::Null),
];

/// A definition as its author wrote it, and what was made of it.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// The revision.
    pub own: &'a Value,
    /// What policies, the environment and adapters made of it; the same if they say nothing.
    pub adapted: &'a Value,
    /// Who said what.
    pub applied: &'a [Applied],
}

impl<'a> Written<'a> {
    /// A revision of which nothing was made.
    #[must_use]
    pub fn alone(own: &'a Value) -> Self {
        Self { own, adapted: own, applied: &[] }
    }

    /// Who said what stands at a place, if the author did not.
    fn by(&self, field: &str) -> Option<&'a str> {
        self.applied.iter().find(|own| own.field == field).map(|own| own.by.as_str())
    }
}

/// What was applied, as it is shown.
#[must_use]
pub fn applied_json(applied: &[Applied]) -> Value {
    let one = |own: &Applied| json!({ "field": own.field, "by": own.by, "revision": own.revision });
    applied.iter().map(one).collect()
}

/// What a workflow's revision comes to; `plan` is what was made of the adapted definition.
/// `origin` is `definition`, `step`, `undo`, `defaults`, `type` (of the step), `node` or
/// `built_in`, or who said it in the definition's place: `policy:<name>`, `environment:<name>`,
/// `adapter:<name>`.
#[must_use]
pub fn effective_json(written: &Written<'_>, plan: &Plan) -> Value {
    let words = [
        ("on_failure", json!("compensate")),
        ("on_no_undo", json!("skip")),
        ("priority", json!("medium")),
        ("enabled", json!(true)),
        ("erasable", json!(false)),
    ];
    let definition = [definition(written)];
    let mut workflow: Map<_, _> = (words.into_iter().chain(LEFT_OUT))
        .map(|(name, left_out)| (name.to_owned(), said(written, &definition, name, left_out)))
        .collect();
    workflow.insert("callbacks".to_owned(), callbacks(written, plan));
    workflow.insert("egress".to_owned(), egress(written));
    let steps = plan.steps.iter().zip(list(&written.adapted["steps"]));
    let steps = steps.zip(list(&written.own["steps"]));
    let steps: Vec<_> =
        steps.map(|((step, adapted), own)| of_step(written, step, (own, adapted))).collect();
    json!({ "workflow": workflow, "steps": steps, "applied": applied_json(written.applied) })
}

/// Somewhere a value may be said.
struct Place<'a> {
    /// What the author wrote there.
    own: &'a Value,
    adapted: &'a Value,
    /// The author's words there.
    origin: &'static str,
    /// Where others' words for it are noted.
    noted: String,
}

fn definition<'a>(written: &Written<'a>) -> Place<'a> {
    let (own, adapted) = (written.own, written.adapted);
    Place { own, adapted, origin: "definition", noted: String::new() }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[][..], Vec::as_slice)
}

fn callbacks(written: &Written<'_>, plan: &Plan) -> Value {
    let each = plan.callbacks.iter().enumerate().map(|(at, target)| {
        let by = written.by(&format!("callbacks[{at}]")).unwrap_or("definition");
        json!({ "value": target_json(target), "origin": by })
    });
    each.collect()
}

fn egress(written: &Written<'_>) -> Value {
    let own = &written.adapted["egress"];
    let all = if own.is_object() { std::slice::from_ref(own) } else { list(own) };
    let each = all.iter().enumerate().map(|(at, value)| {
        let by = written.by(&format!("egress[{at}]")).unwrap_or("definition");
        json!({ "value": value, "origin": by })
    });
    each.collect()
}

fn of_step(written: &Written<'_>, step: &PlanStep, (own, adapted): (&Value, &Value)) -> Value {
    let of_type = |own: &Value| format!("types.{}", own["type"].as_str().unwrap_or_default());
    let here = || Place { own, adapted, origin: "step", noted: of_type(own) };
    let defaults = || Place {
        own: &written.own["defaults"],
        adapted: &written.adapted["defaults"],
        origin: "defaults",
        noted: "defaults".to_owned(),
    };
    let skip = json!("skip");
    let mut shown = json!({
        "step": step.id,
        "type": own["type"],
        "replay": said(written, &[here()], "replay", Value::Null),
        "on_no_undo": said(written, &[here(), definition(written)], "on_no_undo", skip),
    });
    if shown["replay"]["origin"] == BUILT_IN {
        let word = ReplaySafety::WORDS.iter().find(|(_, own)| *own == step.replay);
        shown["replay"] = json!({ "value": word.map(|(word, _)| word), "origin": "type" });
    }
    if let Some(by) = written.by(&format!("{}.url", of_type(own))) {
        shown["url"] = json!({ "value": adapted["with"]["url"], "origin": by });
    }
    if !matches!(step.task, TaskKind::Transform | TaskKind::Wait | TaskKind::Router) {
        shown["retry"] = retries(written, &[here(), defaults()], "standard", &step.retry);
    }
    if matches!(step.task, TaskKind::Effect(_)) {
        let places = [here(), defaults()];
        shown["timeout"] = said(written, &places, "timeout", standard_timeout());
        shown["breaker"] = said(written, &places, "breaker", Value::Null);
        if shown["breaker"]["origin"] == BUILT_IN {
            shown["breaker"]["origin"] = "node".into();
        }
    }
    if let (Some(undo), true) = (&step.undo, own["undo"].is_object()) {
        let (own, adapted) = (&own["undo"], &adapted["undo"]);
        let here = || Place { own, adapted, origin: "undo", noted: of_type(own) };
        shown["undo"] = json!({
            "retry": retries(written, &[here()], "critical", &undo.retry),
            "timeout": said(written, &[here(), defaults()], "timeout", standard_timeout()),
        });
    }
    shown
}

const BUILT_IN: &str = "built_in";

fn standard_timeout() -> Value {
    format!("{}s", STEP_TIMEOUT_MS_DEFAULT / 1_000).into()
}

/// The first place that says a field, or what it means where none does.
fn said(written: &Written<'_>, places: &[Place<'_>], name: &str, left_out: Value) -> Value {
    let found = places.iter().find_map(|place| Some((place, place.adapted.get(name)?)));
    let Some((place, value)) = found else {
        return json!({ "value": left_out, "origin": BUILT_IN });
    };
    let by = match place.own.get(name) {
        Some(_) => None,
        None => written.by(&format!("{}.{name}", place.noted)),
    };
    json!({ "value": value, "origin": by.unwrap_or(place.origin) })
}

/// The same of a retry policy, with what it comes to, and who says what its name means if it is
/// not the definition.
fn retries(written: &Written<'_>, places: &[Place<'_>], left_out: &str, own: &Retries) -> Value {
    let mut shown = said(written, places, "retry", left_out.into());
    let conditions = own.conditions.as_ref();
    shown["policy"] = json!(own.policy);
    let list = |list: &[crate::retry_policy::RetryCondition]| -> Value {
        list.iter().map(ToString::to_string).collect()
    };
    shown["policy"]["on"] = conditions.map_or_else(|| json!([]), |own| list(&own.on));
    shown["policy"]["never"] = conditions.map_or_else(|| json!([]), |own| list(&own.never));
    let name = shown["value"].as_str().unwrap_or_default();
    if let Some(by) = written.by(&format!("retry_policies.{name}")) {
        shown["named_by"] = by.into();
    }
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
        let shown = effective_json(&Written::alone(&canonical), &plan);
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
