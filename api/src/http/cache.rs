//! `/api/v1/cache`: how the result cache stands, and emptying it.

use axum::http::Uri;
use axum::response::Response;
use backstitch_saga::cache::Usage;
use serde_json::{Value, json};

use super::answer;
use super::caller::Caller;
use super::query::Parameters;
use super::refusal::Refusal;

/// `GET /api/v1/cache`.
pub(super) async fn show(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    Parameters::of(&uri, &[])?;
    Ok(answer::ok(&shown(caller.engine()?.cache().usage())))
}

/// `DELETE /api/v1/cache`, with a `reason` if somebody wants to say one.
pub(super) async fn empty(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let reason = Parameters::of(&uri, &["reason"])?.reason()?;
    let engine = caller.engine()?;
    let emptied = engine.empty_cache(reason, caller.actor()).await?;
    let mut body = shown(engine.cache().usage());
    body["emptied"] = emptied.into();
    Ok(answer::ok(&body))
}

fn shown(usage: Usage) -> Value {
    json!({
        "entries": usage.entries,
        "bytes": usage.bytes,
        "bytes_max": usage.bytes_max,
        "hits": usage.hits,
        "misses": usage.misses,
        "evicted": usage.evicted,
        "warming": usage.warming,
    })
}
