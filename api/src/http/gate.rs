//! Who may pass: every declared route asks here before its handler.
//!
//! Without authentication everybody passes, and is who they say they are. With it, a request
//! carries one API key or one JSON Web Token, which says who sent it, for which tenant, and what
//! they may do. A run, letter or redrive of another tenant is not there.

use std::sync::Arc;

use axum::extract::RawPathParams;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use backstitch_core::access::{Permission, Permissions};
use backstitch_core::audit::ACTOR_BYTES_MAX;
use backstitch_core::ids::{DEFAULT_NAMESPACE, Digest, ExecutionId, LetterId, RedriveId};
use backstitch_saga::Error as EngineError;
use backstitch_saga::handle::is_key_text;
use serde_json::json;

use super::caller::{Caller, Identity};
use super::jwt::Jwt;
use super::refusal::Refusal;
use super::routes::{Access, Route};
use super::{App, codes};
use crate::error::Error;
use crate::settings::Authentication;

/// Who acts without authentication, unless the request says who.
pub(super) const ANONYMOUS: &str = "anonymous";
/// Who acts with the key of the settings.
const CONFIGURED_KEY: &str = "key_configured";
/// Says who acts, where nobody has to prove it; for whom, where they do.
const USER_ID: &str = "x-user-id";
/// Carries an API key, as `Authorization: Bearer` does too.
const API_KEY: &str = "x-api-key";

/// What is asked of callers.
#[derive(Default)]
pub struct Gate {
    required: bool,
    /// The hash of the key of the settings.
    configured_key: Option<Digest>,
    jwt: Option<Jwt>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("required", &self.required).finish_non_exhaustive()
    }
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotIn {
    /// Nothing says who they are.
    Missing,
    /// What says who they are does not count.
    Wrong(&'static str),
    /// Whether it counts can't be told now.
    NotNow,
}

impl Gate {
    /// What the settings ask of callers.
    ///
    /// # Errors
    /// [`Error::Setting`] for keys of an issuer that can't be read.
    pub fn of(settings: &Authentication) -> Result<Self, Error> {
        Ok(Self {
            required: settings.required,
            configured_key: settings.api_key.as_ref().map(|own| Digest::of(own.bytes())),
            jwt: settings.jwt.as_ref().map(Jwt::of).transpose()?,
        })
    }

    /// Whether callers have to prove who they are.
    pub(super) fn is_required(&self) -> bool {
        self.required
    }

    async fn identity(&self, app: &App, headers: &HeaderMap) -> Result<Identity, Refusal> {
        let text = credential(headers).map_err(refuse)?;
        if self.configured_key.is_some_and(|key| key.is_hash_of(text.as_bytes())) {
            return Ok(Identity {
                actor: CONFIGURED_KEY.into(),
                namespace: DEFAULT_NAMESPACE.into(),
                permissions: Permissions::everything(),
                key: None,
            });
        }
        if is_key_text(text) {
            let key = app.engine()?.api_key_of(text);
            let key = key.ok_or(NotIn::Wrong("the API key is unknown, revoked or expired"));
            let key = key.map_err(refuse)?;
            return Ok(Identity {
                actor: key.id.clone(),
                namespace: key.namespace.clone(),
                permissions: Permissions::of_words(key.permissions.iter().map(String::as_str)),
                key: Some(key),
            });
        }
        match &self.jwt {
            Some(jwt) => jwt.identity(text).await.map_err(refuse),
            None => Err(refuse(NotIn::Wrong("it is no API key, and tokens are not taken"))),
        }
    }
}

/// Who sent a request.
///
/// # Errors
/// 401; 503 while nobody can say.
pub(super) async fn identify(
    app: &App,
    route: &Arc<Route>,
    headers: &HeaderMap,
) -> Result<Caller, Refusal> {
    let gate = app.gate();
    let identity = match gate.required {
        true => gate.identity(app, headers).await?,
        false => unproven(headers)?,
    };
    Ok(Caller::new(app.clone(), identity, route.clone()))
}

/// Fails unless they may have what they ask for.
///
/// # Errors
/// 403; 404 for what is another tenant's.
pub(super) async fn admit(
    caller: &Caller,
    route: &Route,
    parameters: Option<&RawPathParams>,
) -> Result<(), Refusal> {
    if let Access::Needs(needed) = route.access
        && !caller.has(needed)
    {
        return Err(lacking(caller, needed));
    }
    for (_, value) in parameters.into_iter().flatten() {
        own(caller, value).await?;
    }
    Ok(())
}

/// What somebody is told who lacks a permission.
pub(super) fn lacking(caller: &Caller, needed: Permission) -> Refusal {
    let word = needed.word();
    tracing::info!(actor = caller.actor(), permission = word, "a request was refused");
    let message = match caller.permissions().allow(needed) {
        false => format!("this needs the permission `{word}`, which {} lacks", caller.actor()),
        true => format!(
            "`{word}` concerns the whole store, and counts in the namespace `{DEFAULT_NAMESPACE}` only"
        ),
    };
    Refusal::new(codes::PERMISSION_DENIED, message).with(json!({ "permission": word }))
}

/// Fails if an id names what belongs to another tenant, as if it were not there. Whatever a route
/// calls its parameter: ids of runs, letters and redrives are told by how they begin.
pub(super) async fn own(caller: &Caller, id: &str) -> Result<(), Refusal> {
    if !caller.gate().is_required() {
        return Ok(());
    }
    let engine = caller.engine()?;
    let (run, foreign) = if let Ok(run) = id.parse::<ExecutionId>() {
        (run, EngineError::ExecutionNotFound(run))
    } else if let Ok(letter) = id.parse::<LetterId>() {
        (letter.execution, EngineError::LetterNotFound(letter))
    } else if let Ok(redrive) = id.parse::<RedriveId>() {
        let namespace = engine.redrive(redrive).await?.request.namespace.clone();
        let foreign = || EngineError::RedriveNotFound(redrive).into();
        return if namespace == *caller.namespace() { Ok(()) } else { Err(foreign()) };
    } else {
        return Ok(());
    };
    match engine.namespace_of(run).await {
        Ok(namespace) if namespace == *caller.namespace() => Ok(()),
        // Whose it was is gone with it: only who reads the whole history may know that it was.
        Err(EngineError::ExecutionRemoved { .. }) if caller.has(Permission::HistoryRead) => Ok(()),
        Ok(_) | Err(EngineError::ExecutionNotFound(_) | EngineError::ExecutionRemoved { .. }) => {
            Err(foreign.into())
        }
        Err(other) => Err(other.into()),
    }
}

/// The one text by which a request says who sent it.
fn credential(headers: &HeaderMap) -> Result<&str, NotIn> {
    let bearer = headers.get_all(AUTHORIZATION).into_iter().map(|value| {
        let (scheme, text) = value.to_str().ok()?.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(text.trim())
    });
    let key = headers.get_all(API_KEY).into_iter().map(|value| value.to_str().ok().map(str::trim));
    let mut given = bearer.chain(key);
    match (given.next(), given.next()) {
        (None, _) => Err(NotIn::Missing),
        (Some(_), Some(_)) => Err(NotIn::Wrong("the request carries more than one token or key")),
        (Some(Some(text)), None) if !text.is_empty() => Ok(text),
        (Some(_), None) => Err(NotIn::Wrong("`Authorization` must be `Bearer` and a token")),
    }
}

fn refuse(why: NotIn) -> Refusal {
    let wrong = match why {
        NotIn::Missing => "say who you are: `Authorization: Bearer` with a token or an API key",
        NotIn::Wrong(wrong) => {
            tracing::info!(why = wrong, "a request was not let in");
            wrong
        }
        NotIn::NotNow => {
            return Refusal::unavailable("the keys of who signs tokens can't be read now");
        }
    };
    Refusal::new(codes::UNAUTHENTICATED, wrong)
}

/// The text of a header, if it has 1 to so many visible ASCII characters and spaces.
pub(super) fn visible(value: &HeaderValue, bytes_max: usize) -> Option<&str> {
    let text = value.to_str().ok()?;
    // `to_str` lets tabs pass.
    ((1..=bytes_max).contains(&text.len()) && !text.contains('\t')).then_some(text)
}

/// For whom a request is sent, as whoever proved who they are says.
pub(super) fn on_behalf_of(app: &App, headers: &HeaderMap) -> Option<Arc<str>> {
    let said = headers.get(USER_ID).filter(|_| app.gate().is_required())?;
    visible(said, ACTOR_BYTES_MAX).map(Arc::from)
}

/// Whoever the request says it is: without authentication everybody may do everything.
fn unproven(headers: &HeaderMap) -> Result<Identity, Refusal> {
    let mut given = headers.get_all(USER_ID).iter();
    let actor = match given.next() {
        None => ANONYMOUS,
        Some(name) => {
            visible(name, ACTOR_BYTES_MAX).filter(|_| given.next().is_none()).ok_or_else(|| {
                let range = format!("1 to {ACTOR_BYTES_MAX} visible ASCII characters");
                Refusal::bad_request(format!(
                    "the header X-User-ID must be there once, with {range}"
                ))
            })?
        }
    };
    Ok(Identity {
        actor: actor.into(),
        namespace: DEFAULT_NAMESPACE.into(),
        permissions: Permissions::everything(),
        key: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &'static str)| {
            (name.parse().expect("a name"), value.parse().expect("a value"))
        };
        given.iter().map(header).collect()
    }

    #[test]
    fn a_request_carries_one_credential() {
        let of =
            |given: &[(&'static str, &'static str)]| credential(&headers(given)).map(str::to_owned);
        assert_eq!(of(&[("authorization", "bearer  abc ")]), Ok("abc".to_owned()));
        assert_eq!(of(&[("x-api-key", "abc")]), Ok("abc".to_owned()));
        assert_eq!(of(&[]), Err(NotIn::Missing));
        for wrong in [
            &[("authorization", "Basic abc")][..],
            &[("authorization", "Bearer ")],
            &[("authorization", "Bearer")],
            &[("x-api-key", "")],
            &[("authorization", "Bearer a"), ("x-api-key", "a")],
        ] {
            assert!(matches!(of(wrong), Err(NotIn::Wrong(_))), "{wrong:?}");
        }
    }
}
