//! `/api/v1/admin/log-levels`: how much is logged, and having it otherwise for a while.

use std::time::Duration;

use axum::response::Response;
use backstitch_core::definition::problem::codes as wrong;
use backstitch_core::time::parse_duration_ms;
use backstitch_saga::handle::LogLevels;
use serde_json::{Map, Value, json};

use super::answer;
use super::caller::Caller;
use super::document::Document;
use super::fields::{Fields, kind};
use super::refusal::Refusal;
use crate::log::{COMPONENTS, Logs, Wanted};

/// How long levels may count that go back by themselves.
const FOR_MS: std::ops::RangeInclusive<u64> = 1_000..=7 * 24 * 3_600_000;

/// `GET /api/v1/admin/log-levels`.
pub(super) async fn show(caller: Caller) -> Result<Response, Refusal> {
    Ok(answer::ok(&shown(caller.logs())))
}

/// `PUT /api/v1/admin/log-levels`: these levels, and for what they do not name those of the settings.
pub(super) async fn set(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let mut fields = Fields::of(document, &["levels", "for"]);
    let wanted = levels(&mut fields);
    let for_ms = fields.text("for").and_then(|text| {
        let ms = parse_duration_ms(&text).ok().filter(|ms| FOR_MS.contains(ms));
        if ms.is_none() {
            let message = "must be a duration from 1s to 7d".to_owned();
            fields.problem("for", wrong::BAD_VALUE, message);
        }
        ms
    });
    fields.finish()?;
    let pairs = wanted.pairs().map(|(name, level)| (name.to_owned(), level.to_owned()));
    let node = caller.about().node.clone();
    let recorded = LogLevels { node, levels: pairs.collect(), for_ms };
    let (logs, actor) = (caller.logs().clone(), caller.actor());
    let during = for_ms.map(Duration::from_millis);
    let by = actor.clone();
    let carry_out = move || logs.levels().set(wanted, during, by);
    engine.set_log_levels(recorded, actor, carry_out).await?;
    Ok(answer::ok(&shown(caller.logs())))
}

fn levels(fields: &mut Fields) -> Wanted {
    let given = match fields.take("levels") {
        Some(Value::Object(given)) => given,
        None => {
            let message = "is required; an empty object goes back to the settings".to_owned();
            fields.problem("levels", wrong::MISSING_FIELD, message);
            Map::new()
        }
        Some(other) => {
            let message = format!("must be an object of levels by component, not {}", kind(&other));
            fields.problem("levels", wrong::WRONG_TYPE, message);
            Map::new()
        }
    };
    Wanted::read(&given, "levels").unwrap_or_else(|problems| {
        fields.further(problems);
        Wanted::default()
    })
}

fn shown(logs: &Logs) -> Value {
    let standing = logs.levels().standing().clone();
    let (by, at) = standing.set.unzip();
    let levels: Map<_, _> =
        standing.wanted.pairs().map(|(name, level)| (name.to_owned(), json!(level))).collect();
    let components = COMPONENTS.map(|own| json!({ "name": own.name, "targets": own.targets }));
    json!({
        "settings": logs.levels().settings(),
        "levels": levels,
        "in_force": logs.levels().directives(),
        "set_by": by,
        "set_at": at.map(|at| at.to_string()),
        "until": standing.until.map(|at| at.to_string()),
        "components": components,
    })
}
