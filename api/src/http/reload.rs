//! `/api/v1/config/reload`: the configuration file is read again.

use axum::response::Response;
use backstitch_core::definition::problem::codes as problems;
use serde_json::json;

use super::caller::Caller;
use super::document::Document;
use super::fields::Fields;
use super::refusal::Refusal;
use super::{answer, codes};
use crate::reload::Refused;
use crate::settings::Problems;

/// `POST /api/v1/config/reload`: what changed and took force, and what needs a restart.
pub(super) async fn reload(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    Fields::of(document, &[]).finish()?;
    match caller.reloading().reload(engine, caller.actor()).await {
        Ok(told) => Ok(answer::ok(&told)),
        Err(Refused::Wrong(problems)) => Err(wrong(&problems)),
        Err(Refused::Engine(error)) => Err(error.into()),
    }
}

fn wrong(found: &Problems) -> Refusal {
    let listed = found.iter().map(|(key, message)| {
        json!({ "path": key.unwrap_or_default(), "code": problems::BAD_VALUE, "message": message })
    });
    let listed: Vec<_> = listed.collect();
    let message = format!("the settings stay as they are: {} can't be used", listed.len());
    Refusal::new(codes::INVALID_INPUT, message).with(json!({ "problems": listed }))
}
