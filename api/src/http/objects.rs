//! `/api/v1/policies`, `environments`, `adapters`, `alerts/channels` and `alerts/rules`: objects
//! of configuration of the caller's tenant.

use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use backstitch_core::event::ObjectKind;
use backstitch_core::objects::{ObjectId, of_kind};
use backstitch_core::report::object_json;
use backstitch_saga::handle::ObjectChange;
use serde_json::json;

use super::answer;
use super::caller::Caller;
use super::document::Document;
use super::path::PathId;
use super::preconditions::{expected, tagged};
use super::query::Parameters;
use super::refusal::Refusal;
use super::window::{self, Window};

/// `GET /api/v1/policies`: all of them, by name.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let window = Window::of_short(&Parameters::of(&uri, &window::PARAMETERS)?)?;
    let kind = kind(&caller);
    let objects = caller.engine()?.objects();
    let own = of_kind(&objects, caller.namespace(), kind).collect();
    let part = window.part(own, |(name, _)| name.to_string())?;
    let told =
        window.told(json!({}), "objects", &part, |(name, object)| object_json(kind, name, object));
    Ok(answer::ok(&told))
}

/// `GET /api/v1/policies/{name}`.
pub(super) async fn show(caller: Caller, PathId(name): PathId) -> Result<Response, Refusal> {
    let id = id(&caller, &name);
    let object = caller.engine()?.object(&id)?;
    Ok(tagged(answer::ok(&object_json(id.1, &name, &object)), &object.digest))
}

/// `PUT /api/v1/policies/{name}`: the body is what it says from now on. 201 if it was not there.
pub(super) async fn set(
    caller: Caller,
    PathId(name): PathId,
    uri: Uri,
    headers: HeaderMap,
    document: Document,
) -> Result<Response, Refusal> {
    let change = change(&caller, &name, &uri, &headers)?;
    let kind = change.id.1;
    let (content, _share) = document.required(&format!("the {}: an object", kind.word()))?;
    let (object, known) = caller.engine()?.set_object(change, &content).await?;
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    Ok(tagged(answer::json(status, &object_json(kind, &name, &object)), &object.digest))
}

/// `DELETE /api/v1/policies/{name}`: answers what it said.
pub(super) async fn remove(
    caller: Caller,
    PathId(name): PathId,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let change = change(&caller, &name, &uri, &headers)?;
    let kind = change.id.1;
    let object = caller.engine()?.remove_object(change).await?;
    Ok(answer::ok(&object_json(kind, &name, &object)))
}

fn change(
    caller: &Caller,
    name: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<ObjectChange, Refusal> {
    let reason = Parameters::of(uri, &["reason"])?.reason()?;
    let (expected, actor) = (expected(headers)?, caller.actor());
    Ok(ObjectChange { id: id(caller, name), expected, reason, actor })
}

fn id(caller: &Caller, name: &str) -> ObjectId {
    (caller.namespace().clone(), kind(caller), name.into())
}

/// The kind whose objects a route is about: its path says so.
fn kind(caller: &Caller) -> ObjectKind {
    let path = caller.path().strip_prefix("/api/v1/").unwrap_or_default();
    let of_path = |(_, _, word): &&(ObjectKind, &str, &str)| path.starts_with(word);
    let found = ObjectKind::WORDS.iter().find(of_path);
    found.map(|(kind, ..)| *kind).expect("only routes of objects lead here")
}
