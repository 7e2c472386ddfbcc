//! `/api/v1/executions/{id}/steps/{step_id}/items`: what became of each item of a loop.

use std::sync::{Mutex, PoisonError};

use axum::http::Uri;
use axum::response::Response;
use backstitch_core::plan::ITEMS_MAX;
use serde_json::{Value, json};

use super::answer;
use super::caller::Caller;
use super::path::TwoIds;
use super::query::{LIMIT_DEFAULT, Parameters};
use super::refusal::Refusal;
use super::run_names::find;
use super::window::{self, Pages, Window};

/// `GET`: items by their number, those that have begun and those beside them.
pub(super) async fn list(
    caller: Caller,
    TwoIds(id, step): TwoIds,
    uri: Uri,
) -> Result<Response, Refusal> {
    let (engine, run) = (caller.engine()?, find(&caller, &id)?);
    let asked = Parameters::of(&uri, &window::PARAMETERS)?;
    let window = Window::of(&asked, LIMIT_DEFAULT)?;
    let from = asked.number("cursor", 0..=ITEMS_MAX as u64)?;
    let count = Mutex::new(None);
    let read = |from: Option<u64>, most| {
        let (reading, count) = (engine.items(run, &step, from.unwrap_or(0), most), &count);
        async move {
            let page = reading.await?;
            *count.lock().unwrap_or_else(PoisonError::into_inner) = page.count;
            Ok::<_, Refusal>(Pages { more: page.next.is_some(), rows: page.rows, next: page.next })
        }
    };
    let part = window.read(from, read).await?;
    let count = count.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(answer::ok(&window.told(json!({ "count": count }), "items", &part, Value::clone)))
}
