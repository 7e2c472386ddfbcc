//! `/api/v1/admin/api-keys`: keys of the caller's tenant.

use axum::http::StatusCode;
use axum::response::Response;
use backstitch_core::api_keys::ApiKeyWish;
use backstitch_core::definition::problem::codes as problems;
use backstitch_core::ids::DEFAULT_NAMESPACE;
use backstitch_core::report::api_key_json;
use backstitch_core::time::{Timestamp, parse_duration_ms};
use backstitch_saga::clock;
use serde_json::{Value, json};

use super::caller::Caller;
use super::control::reason;
use super::document::Document;
use super::fields::Fields;
use super::path::PathId;
use super::refusal::Refusal;
use super::{answer, codes};

const FIELDS: [&str; 5] = ["name", "permissions", "namespace", "expires_in", "expires_at"];

/// `GET /api/v1/admin/api-keys`: those that were not revoked.
pub(super) async fn list(caller: Caller) -> Result<Response, Refusal> {
    let now = clock::now();
    let keys = caller.engine()?.api_keys(caller.namespace());
    let rows: Vec<_> = keys.iter().map(|key| api_key_json(key, now)).collect();
    Ok(answer::ok(&json!({ "api_keys": rows })))
}

/// `POST /api/v1/admin/api-keys`: 201 with the key's text, which nobody can be told again.
pub(super) async fn create(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let wish = read(&caller, document)?;
    let lacking = caller.permissions().lack(&wish.permissions);
    if !lacking.is_empty() {
        let message = format!("nobody gives away what they may not do: {}", lacking.join(", "));
        let refusal = Refusal::new(codes::PERMISSION_DENIED, message);
        return Err(refusal.with(json!({ "permissions": lacking })));
    }
    if wish.namespace != *caller.namespace() && **caller.namespace() != *DEFAULT_NAMESPACE {
        let message = "keys of another namespace are made from the namespace `default` only";
        return Err(Refusal::new(codes::PERMISSION_DENIED, message));
    }
    let (key, text) = engine.create_api_key(wish, caller.actor()).await?;
    let mut body = api_key_json(&key, clock::now());
    body["token"] = text.into();
    Ok(answer::json(StatusCode::CREATED, &body))
}

/// `DELETE /api/v1/admin/api-keys/{key_id}`: it counts no more.
pub(super) async fn revoke(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let said = (reason(document)?, caller.actor());
    let key = caller.engine()?.revoke_api_key(caller.namespace(), &id, said).await?;
    let mut body = api_key_json(&key, clock::now());
    body["revoked"] = true.into();
    Ok(answer::ok(&body))
}

fn read(caller: &Caller, document: Document) -> Result<ApiKeyWish, Refusal> {
    let mut fields = Fields::of(document, &FIELDS);
    let name = fields.words("name");
    let words = fields.list("permissions");
    let permissions = fields.texts("permissions", words);
    let namespace = fields.words("namespace");
    let namespace = match namespace.is_empty() {
        true => caller.namespace().clone(),
        false => namespace.into(),
    };
    let expires_at = expiry(&mut fields);
    let wish = ApiKeyWish { name, namespace, permissions, expires_at };
    for (path, message) in wish.problems(clock::now()) {
        fields.problem(path, problems::BAD_VALUE, message);
    }
    fields.finish()?;
    Ok(wish)
}

/// When the key is to end: an instant, or how long from now.
fn expiry(fields: &mut Fields) -> Option<Timestamp> {
    let (until, long) = (fields.take("expires_at"), fields.take("expires_in"));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match (until, long) {
        (None, None) => None,
        (Some(until), None) => {
            let at = text(&until).and_then(|text| Timestamp::parse(&text));
            if at.is_none() {
                let message = "must be an instant such as 2027-01-31T00:00:00Z".to_owned();
                fields.problem("expires_at", problems::BAD_VALUE, message);
            }
            at
        }
        (None, Some(long)) => {
            let ms = text(&long).and_then(|text| parse_duration_ms(&text).ok());
            let at = ms.filter(|ms| *ms > 0).map(|ms| clock::now().plus_ms(ms));
            if at.is_none() {
                let message = "must be a duration such as 90d".to_owned();
                fields.problem("expires_in", problems::BAD_VALUE, message);
            }
            at
        }
        (Some(_), Some(_)) => {
            let message = "say either `expires_at` or `expires_in`".to_owned();
            fields.problem("expires_at", problems::BAD_VALUE, message);
            None
        }
    }
}
