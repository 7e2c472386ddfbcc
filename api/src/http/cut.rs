//! `POST /api/v1/admin/cut`: how far back the log and its archive reach.

use std::time::Duration;

use axum::response::Response;
use backstitch_core::definition::problem::codes as wrong;
use backstitch_core::time::{Timestamp, parse_duration_ms};
use backstitch_journal::CutPoint;
use backstitch_saga::clock;
use backstitch_saga::retention::ago;

use super::answer;
use super::caller::Caller;
use super::document::Document;
use super::fields::Fields;
use super::refusal::Refusal;

/// Shows what a cut would do, and does it if `dry_run` is false.
pub(super) async fn cut(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let mut fields = Fields::of(document, &["keep_for", "before", "dry_run"]);
    let point = point(&mut fields);
    let dry_run = fields.truth("dry_run").unwrap_or(true);
    fields.finish()?;
    let point = CutPoint::Before(point.unwrap_or_default());
    let plan = match dry_run {
        true => engine.plan_cut(point).await?,
        false => engine.cut(point, &caller.actor()).await?,
    };
    Ok(answer::ok(&plan.to_json(dry_run)))
}

/// Everything older than this may go.
fn point(fields: &mut Fields) -> Option<Timestamp> {
    let (keep_for, before) = (fields.text("keep_for"), fields.text("before"));
    match (keep_for, before) {
        (Some(text), None) => match parse_duration_ms(&text) {
            Ok(ms) => Some(ago(Duration::from_millis(ms))),
            Err(why) => {
                fields.problem("keep_for", wrong::BAD_DURATION, why);
                None
            }
        },
        (None, Some(text)) => {
            let at = Timestamp::parse(&text).filter(|at| *at <= clock::now());
            if at.is_none() {
                let message = "must be an instant such as 2026-01-31T00:00:00Z, not in the future";
                fields.problem("before", wrong::BAD_VALUE, message.to_owned());
            }
            at
        }
        _ => {
            let message = "say how far back the log is to reach: `keep_for` or `before`, not both";
            fields.problem("keep_for", wrong::MISSING_FIELD, message.to_owned());
            None
        }
    }
}
