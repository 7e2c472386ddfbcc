//! `/api/v1/executions/{id}/steps/{step_id}/items`: what became of each item of a loop.

use axum::http::Uri;
use axum::response::Response;
use backstitch_core::plan::ITEMS_MAX;
use serde_json::json;

use super::answer;
use super::caller::Caller;
use super::path::TwoIds;
use super::query::Parameters;
use super::refusal::Refusal;
use super::run_names::find;

/// `GET`: items by their number, those that have begun and those beside them.
pub(super) async fn list(
    caller: Caller,
    TwoIds(id, step): TwoIds,
    uri: Uri,
) -> Result<Response, Refusal> {
    let (engine, run) = (caller.engine()?, find(&caller, &id)?);
    let asked = Parameters::of(&uri, &["limit", "cursor"])?;
    let from = asked.number("cursor", 0..=ITEMS_MAX as u64)?.unwrap_or(0);
    let page = engine.items(run, &step, from, asked.limit()?).await?;
    Ok(answer::ok(&json!({
        "items": page.rows,
        "count": page.count,
        "next_cursor": page.next.map(|next| next.to_string()),
    })))
}
