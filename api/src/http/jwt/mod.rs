//! JSON Web Tokens: whether one is right, and whom it names.
//!
//! HS256 tokens are checked with the configured secret only, RS256 and ES256 tokens with keys of
//! the issuer's set only, so that no token chooses how it is checked. Every other algorithm,
//! `none` above all, is refused.

mod key_set;
mod signatures;

use backstitch_core::access::{Permissions, is_taken_name};
use backstitch_core::api_keys::is_namespace;
use backstitch_core::audit::ACTOR_BYTES_MAX;
use backstitch_core::ids::DEFAULT_NAMESPACE;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;

use super::caller::Identity;
use super::gate::NotIn;
use crate::error::Error;
use crate::settings::authentication;
use key_set::{KeySet, NoKey};

/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Whose tokens are taken.
pub(super) struct Jwt {
    secret: Option<DecodingKey>,
    key_set: Option<KeySet>,
    issuer: Option<String>,
    audience: Vec<String>,
    leeway_seconds: u64,
    namespace_required: bool,
}

/// What a token says, as far as it is read.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    permissions: Value,
    #[serde(default)]
    scope: Value,
}

impl Jwt {
    pub(super) fn of(settings: &authentication::Jwt) -> Result<Self, Error> {
        signatures::install();
        Ok(Self {
            secret: settings.secret.as_ref().map(|own| DecodingKey::from_secret(own.bytes())),
            key_set: settings.key_set.as_ref().map(KeySet::of).transpose()?,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            leeway_seconds: settings.leeway.as_secs(),
            namespace_required: settings.namespace_required,
        })
    }

    /// Whom a token names.
    pub(super) async fn identity(&self, token: &str) -> Result<Identity, NotIn> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(NotIn::Wrong("the token is too long"));
        }
        let no_token = |_| NotIn::Wrong("the token can't be read");
        let header = decode_header(token).map_err(no_token)?;
        let unknown = NotIn::Wrong("the token is signed with a key that is not known here");
        let key = match (header.alg, &self.secret, &self.key_set) {
            (Algorithm::HS256, Some(secret), _) => secret.clone(),
            (Algorithm::RS256 | Algorithm::ES256, _, Some(set)) => {
                match set.find(header.kid.as_deref(), header.alg).await {
                    Ok(key) => key,
                    Err(NoKey::Unknown) => return Err(unknown),
                    Err(NoKey::Unavailable) => return Err(NotIn::NotNow),
                }
            }
            _ => return Err(NotIn::Wrong("the token's algorithm is not taken")),
        };
        let claims = decode::<Claims>(token, &key, &self.validation(header.alg));
        let claims = claims.map_err(|error| NotIn::Wrong(why(error.kind())))?.claims;
        if self.namespace_required && claims.namespace.is_none() {
            return Err(NotIn::Wrong("the token has no `namespace`, which this server requires"));
        }
        identity_of(claims)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        let mut required = vec!["exp", "sub"];
        validation.leeway = self.leeway_seconds;
        validation.validate_nbf = true;
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if !self.audience.is_empty() {
            validation.set_audience(&self.audience);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

fn identity_of(claims: Claims) -> Result<Identity, NotIn> {
    let subject = claims.sub;
    let fits = (1..=ACTOR_BYTES_MAX).contains(&subject.len());
    if !fits || is_taken_name(&subject) || subject.chars().any(char::is_control) {
        return Err(NotIn::Wrong("the token's `sub` can't name who acts"));
    }
    let namespace = claims.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    if !is_namespace(&namespace) {
        return Err(NotIn::Wrong("the token's `namespace` can't name a tenant"));
    }
    let words = [words(&claims.permissions), words(&claims.scope)].concat();
    Ok(Identity {
        actor: subject.into(),
        namespace: namespace.into(),
        permissions: Permissions::of_words(words.iter().copied()),
        key: None,
    })
}

/// The words of a list, or of a text with spaces between them.
fn words(claim: &Value) -> Vec<&str> {
    match claim {
        Value::String(text) => text.split_whitespace().collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn why(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "the token is expired",
        ErrorKind::ImmatureSignature => "the token does not count yet",
        ErrorKind::InvalidIssuer => "the token is of another issuer",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks one of exp, sub, iss and aud",
        ErrorKind::InvalidSignature => "the token's signature is wrong",
        ErrorKind::InvalidAlgorithm => "the token's algorithm is not that of its key",
        _ => "the token can't be read",
    }
}
