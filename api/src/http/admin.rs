//! `/api/v1/admin`: what an operator does to the server itself.

use axum::http::{StatusCode, Uri};
use axum::response::Response;
use backstitch_core::definition::problem::codes as problems;
use backstitch_journal::ViewName;
use serde_json::json;

use super::answer;
use super::caller::Caller;
use super::document::Document;
use super::fields::Fields;
use super::query::Parameters;
use super::refusal::Refusal;
use super::window::{self, Window};
use crate::nearest::unknown;

/// `GET /api/v1/admin/views`: how far behind each view is, and how a rebuild goes.
pub(super) async fn views(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let window = Window::of_short(&Parameters::of(&uri, &window::PARAMETERS)?)?;
    let part = window.counted_part(caller.engine()?.views())?;
    Ok(answer::ok(&window.told(json!({}), "views", &part, |view| json!(view))))
}

/// `POST /api/v1/admin/views/rebuild`: 202 once it is begun or was under way already.
pub(super) async fn rebuild_view(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let mut fields = Fields::of(document, &["view"]);
    let word = fields.text("view");
    let view = word.as_deref().and_then(ViewName::of_word);
    if view.is_none() {
        let message = match &word {
            Some(word) => unknown("view", word, &ViewName::ALL.map(ViewName::word)),
            None => "is required".to_owned(),
        };
        let code = if word.is_some() { problems::BAD_VALUE } else { problems::MISSING_FIELD };
        fields.problem("view", code, message);
    }
    fields.finish()?;
    let Some(view) = view else { return Err(Refusal::bad_request("no view is named")) };
    let begun = engine.rebuild_view(view);
    let body = json!({ "view": view.word(), "begun": begun });
    Ok(answer::json(StatusCode::ACCEPTED, &body))
}
