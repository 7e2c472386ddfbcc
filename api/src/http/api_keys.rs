//! `/api/v1/admin/api-keys`: keys of the caller's tenant, and of others for those who administer them.

use axum::http::{StatusCode, Uri};
use axum::response::Response;
use backstitch_core::access::Permission;
use backstitch_core::api_keys::ApiKeyWish;
use backstitch_core::definition::problem::codes as problems;
use backstitch_core::report::api_key_json;
use backstitch_core::time::{Timestamp, parse_duration_ms};
use backstitch_saga::handle::MadeWithIt;
use backstitch_saga::{Error as EngineError, clock};
use serde_json::{Value, json};

use super::caller::Caller;
use super::document::Document;
use super::fields::Fields;
use super::path::PathId;
use super::query::Parameters;
use super::refusal::Refusal;
use super::window::{self, Window};
use super::{answer, codes};

const FIELDS: [&str; 5] = ["name", "permissions", "namespace", "expires_in", "expires_at"];

/// `GET /api/v1/admin/api-keys`: those that were not revoked, of the caller's tenant or of the
/// one asked for.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &[&["namespace"], &window::PARAMETERS[..]].concat())?;
    let namespace = asked.text("namespace").unwrap_or(caller.namespace());
    reaches(&caller, namespace)?;
    let (window, now) = (Window::of_short(&asked)?, clock::now());
    let keys = caller.engine()?.api_keys(namespace);
    let part = window.part(keys, |key| key.id.to_string())?;
    Ok(answer::ok(&window.told(json!({}), "api_keys", &part, |key| api_key_json(key, now))))
}

/// `POST /api/v1/admin/api-keys`: 201 with the key's text, which nobody can be told again.
pub(super) async fn create(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let wish = read(&caller, document)?;
    has_all(&caller, &wish.permissions, "gives away")?;
    reaches(&caller, &wish.namespace)?;
    let (key, text) = engine.create_api_key(wish, caller.actor()).await?;
    let mut body = api_key_json(&key, clock::now());
    body["token"] = text.into();
    Ok(answer::json(StatusCode::CREATED, &body))
}

/// `DELETE /api/v1/admin/api-keys/{key_id}`: it counts no more, and neither does what was made
/// with it, unless that is to stay.
pub(super) async fn revoke(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let mut fields = Fields::of(document, &["reason", "keep_made"]);
    let said = (fields.words("reason"), caller.actor());
    let made = match fields.truth("keep_made") {
        Some(true) => MadeWithIt::Stays,
        _ => MadeWithIt::Ends,
    };
    fields.finish()?;
    let engine = caller.engine()?;
    let key = engine.api_key(&id)?;
    if key.namespace != *caller.namespace() && !caller.may(Permission::NamespacesAdmin) {
        return Err(EngineError::ApiKeyNotFound(id.chars().take(64).collect()).into());
    }
    has_all(&caller, &key.permissions, "takes away")?;
    let ended = engine.revoke_api_key(&id, made, said).await?;
    let mut body = api_key_json(&key, clock::now());
    body["revoked"] = true.into();
    body["made_with_it"] = ended[1..].iter().map(|key| json!(&*key.id)).collect();
    Ok(answer::ok(&body))
}

/// Fails if a key is of another tenant, and the caller has to do with their own only.
fn reaches(caller: &Caller, namespace: &str) -> Result<(), Refusal> {
    if *namespace == **caller.namespace() {
        return Ok(());
    }
    caller.needs(Permission::NamespacesAdmin)
}

/// Fails if a key allows what the caller may not do.
fn has_all(caller: &Caller, permissions: &[String], does: &str) -> Result<(), Refusal> {
    let lacking = caller.permissions().lack(permissions);
    if lacking.is_empty() {
        return Ok(());
    }
    let message = format!("nobody {does} what they may not do: {}", lacking.join(", "));
    let refusal = Refusal::new(codes::PERMISSION_DENIED, message);
    Err(refusal.with(json!({ "permissions": lacking })))
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
    let expires_at = no_longer_than(caller, &mut fields);
    let wish = ApiKeyWish { name, namespace, permissions, expires_at };
    for (path, message) in wish.problems(clock::now()) {
        fields.problem(path, problems::BAD_VALUE, message);
    }
    fields.finish()?;
    Ok(wish)
}

/// When the key is to end: not after the one that it is made with.
fn no_longer_than(caller: &Caller, fields: &mut Fields) -> Option<Timestamp> {
    let (wanted, own) = (expiry(fields), caller.key().and_then(|key| key.expires_at));
    if let (Some(wanted), Some(own)) = (wanted, own)
        && wanted > own
    {
        let message = format!("must not be after {own}, when the key that makes it expires");
        fields.problem("expires_at", problems::BAD_VALUE, message);
    }
    wanted.or(own)
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
