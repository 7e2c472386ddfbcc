//! Reading where a step leads: its needs, its routes, its handlers; and how long it may take.

use serde_json::Value;

use super::problem::{Problems, codes};
use super::read_fields::{Fields, type_of};
use super::read_policies::limit;
use super::{DurationText, ROUTES_MAX, Route, STEPS_MAX};
use crate::template::TEMPLATE_BYTES_MAX;
use crate::time::DURATION_MS_MAX;

/// A list of steps' ids; one id may stand alone.
pub(super) fn ids(fields: &Fields<'_>, name: &str, problems: &mut Problems) -> Vec<String> {
    if let Some(Value::String(id)) = fields.get(name) {
        return vec![id.clone()];
    }
    let mut ids = Vec::new();
    for (at, id) in fields.list(name, STEPS_MAX, problems).iter().enumerate() {
        match id {
            Value::String(id) => ids.push(id.clone()),
            other => {
                let message = format!("a step's id is a text, not {}", type_of(other));
                problems.add(fields.at(&format!("{name}[{at}]")), codes::WRONG_TYPE, message);
            }
        }
    }
    ids
}

/// The routes of a router.
pub(super) fn routes(fields: &Fields<'_>, problems: &mut Problems) -> Vec<Route> {
    let list = fields.list("routes", ROUTES_MAX, problems);
    let path = |at| fields.at(&format!("routes[{at}]"));
    list.iter().enumerate().map(|(at, value)| route(value, &path(at), problems)).collect()
}

fn route(value: &Value, path: &str, problems: &mut Problems) -> Route {
    let Some(fields) = Fields::of(value, path, &["when", "to"], problems) else {
        return Route::default();
    };
    fields.required("when", problems);
    let when = fields.text("when", TEMPLATE_BYTES_MAX, problems).unwrap_or_default();
    let to = ids(&fields, "to", problems);
    if to.is_empty() {
        problems.add(fields.at("to"), codes::MISSING_FIELD, "a route leads to at least one step");
    }
    Route { when, to }
}

/// How long all attempts of a step may take.
pub(super) fn total_timeout(fields: &Fields<'_>, problems: &mut Problems) -> Option<DurationText> {
    limit(fields, "total_timeout", (1, DURATION_MS_MAX), problems)
}

/// What was agreed: `5m`, or `{ within: 5m }`.
pub(super) fn sla(fields: &Fields<'_>, problems: &mut Problems) -> Option<DurationText> {
    match fields.get("sla")? {
        value @ Value::Object(_) => {
            let own = Fields::of(value, &fields.at("sla"), &["within"], problems)?;
            own.required("within", problems);
            limit(&own, "within", (1, DURATION_MS_MAX), problems)
        }
        _ => limit(fields, "sla", (1, DURATION_MS_MAX), problems),
    }
}
