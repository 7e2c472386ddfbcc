//! `/api/v1/admin/payloads`: who names a content kept beside the records, erasing it, and
//! collecting what nobody names.

use axum::response::Response;
use backstitch_core::definition::problem::codes::MISSING_FIELD;
use backstitch_core::ids::Digest;
use backstitch_saga::handle::KeptPayload;
use serde_json::{Value, json};

use super::caller::Caller;
use super::document::Document;
use super::fields::Fields;
use super::path::PathId;
use super::refusal::Refusal;
use super::{answer, codes};

/// `GET /api/v1/admin/payloads/{digest}`: what is kept, and which runs name it.
pub(super) async fn show(caller: Caller, PathId(id): PathId) -> Result<Response, Refusal> {
    let known = caller.engine()?.payload(read_digest(&id)?).await?;
    Ok(answer::ok(&shown(&known, &json!({}))))
}

/// `POST /api/v1/admin/payloads/{digest}/erase`: recorded, then gone for good; with `dry_run`
/// only what would be.
pub(super) async fn erase(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let digest = read_digest(&id)?;
    let mut fields = Fields::of(document, &["reason", "dry_run"]);
    let dry_run = fields.truth("dry_run").unwrap_or(false);
    let reason = fields.words("reason");
    if reason.is_empty() && !dry_run {
        let message = "is required: it stays when the payload is gone".to_owned();
        fields.problem("reason", MISSING_FIELD, message);
    }
    fields.finish()?;
    let known = match dry_run {
        true => engine.payload(digest).await?,
        false => engine.erase_payload(digest, reason, caller.actor()).await?,
    };
    let erased = known.kept_bytes.is_some() && !dry_run;
    Ok(answer::ok(&shown(&known, &json!({ "erased": erased, "dry_run": dry_run }))))
}

/// `POST /api/v1/admin/payloads/collect`: removes contents that nothing names any more.
pub(super) async fn collect(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let mut fields = Fields::of(document, &["dry_run"]);
    let dry_run = fields.truth("dry_run").unwrap_or(false);
    fields.finish()?;
    let collected = engine.collect_payloads(dry_run).await?;
    Ok(answer::ok(&json!({
        "dry_run": dry_run,
        "payloads": collected.contents,
        "bytes": collected.bytes,
        "unfinished": collected.unfinished,
        "young": collected.young,
    })))
}

fn shown(known: &KeptPayload, more: &Value) -> Value {
    let mut body = json!({
        "digest": known.digest.to_string(),
        "bytes": known.kept_bytes,
        "executions": known.runs.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

fn read_digest(text: &str) -> Result<Digest, Refusal> {
    Digest::parse(text).ok_or_else(|| {
        let message = "a payload's id is its digest: 64 lower-case hex digits";
        Refusal::new(codes::PAYLOAD_NOT_FOUND, message)
    })
}
