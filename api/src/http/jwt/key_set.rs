//! The public keys of an issuer (a JWKS): read from a file or a URL, and read again as they change.

use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::client;
use crate::error::Error;
use crate::settings::authentication::{KeySet as Settings, Place};

/// The most bytes of a key set.
const BYTES_MAX: usize = 256 * 1024;
/// The most keys of one.
const KEYS_MAX: usize = 100;
/// How long reading one may take.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// The shortest time between two attempts to read it, whatever tokens ask for.
const ATTEMPT_PAUSE: Duration = Duration::from_secs(10);
/// How long keys count that can't be read again.
const STALE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// A key, and what it may be used for.
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

#[derive(Default)]
struct Kept {
    keys: Vec<Key>,
    read_at: Option<Instant>,
}

/// The keys of one issuer.
pub(super) struct KeySet {
    place: Place,
    refresh: Duration,
    http: Option<reqwest::Client>,
    kept: RwLock<Kept>,
    /// Held while it is read; when that was last tried.
    attempt: Mutex<Option<Instant>>,
}

/// Why there is no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The issuer has none such.
    Unknown,
    /// The issuer's keys could not be read.
    Unavailable,
}

impl KeySet {
    /// Keys that are still to be read; those of a file are read at once.
    pub(super) fn of(settings: &Settings) -> Result<Self, Error> {
        let own = Self {
            place: settings.place.clone(),
            refresh: settings.refresh,
            http: match settings.place {
                Place::Url(_) => Some(client::plain(READ_TIMEOUT)?),
                Place::File(_) => None,
            },
            kept: RwLock::default(),
            attempt: Mutex::new(None),
        };
        if let Place::File(path) = &own.place {
            let keys = read_file(path).and_then(|text| parse(&text));
            let keys = keys.map_err(|why| {
                Error::Setting(format!("the key set {} can't be used: {why}", path.display()))
            })?;
            own.keep(keys);
        }
        Ok(own)
    }

    /// The key that a token says it is signed with.
    pub(super) async fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, NoKey> {
        let (found, age) = self.look(id, algorithm);
        let is_fresh = age.is_some_and(|age| age < self.refresh);
        if let (Some(key), true) = (&found, is_fresh) {
            return Ok(key.clone());
        }
        match (&found, self.attempt.try_lock()) {
            // Somebody reads it already; a key that is there serves meanwhile.
            (Some(_), Err(_)) => {}
            (_, Ok(turn)) => self.read_again(turn).await,
            (None, Err(_)) => self.read_again(self.attempt.lock().await).await,
        }
        let (found, age) = self.look(id, algorithm);
        match (found, age) {
            (_, None) => Err(NoKey::Unavailable),
            (_, Some(age)) if age > STALE_MAX => Err(NoKey::Unavailable),
            (Some(key), _) => Ok(key),
            (None, _) => Err(NoKey::Unknown),
        }
    }

    /// The key, and how long ago the set was read.
    fn look(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> (Option<DecodingKey>, Option<Duration>) {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let fit = |own: &&Key| {
            own.algorithm == algorithm && id.is_none_or(|id| own.id.as_deref() == Some(id))
        };
        let mut fitting = kept.keys.iter().filter(fit);
        let found = fitting.next().map(|own| own.key.clone());
        // Without an id there is no telling which of several is meant.
        let found = found.filter(|_| fitting.next().is_none());
        (found, kept.read_at.map(|at| at.elapsed()))
    }

    async fn read_again(&self, mut last: tokio::sync::MutexGuard<'_, Option<Instant>>) {
        if last.is_some_and(|at| at.elapsed() < ATTEMPT_PAUSE) {
            return;
        }
        *last = Some(Instant::now());
        let text = match (&self.place, &self.http) {
            (Place::Url(url), Some(http)) => fetch(http, url.clone()).await,
            (Place::File(path), _) => read_file(path),
            (Place::Url(_), None) => Err("there is no client for it".to_owned()),
        };
        match text.and_then(|text| parse(&text)) {
            Ok(keys) => self.keep(keys),
            Err(why) => tracing::warn!(%why, "the key set of the issuer can't be read"),
        }
    }

    fn keep(&self, keys: Vec<Key>) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        *kept = Kept { keys, read_at: Some(Instant::now()) };
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let long = || format!("it has more than {BYTES_MAX} bytes");
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if usize::try_from(length).map_or(true, |length| length > BYTES_MAX) {
        return Err(long());
    }
    std::fs::read(path).map_err(|error| error.to_string())
}

async fn fetch(http: &reqwest::Client, url: reqwest::Url) -> Result<Vec<u8>, String> {
    let told = |error: reqwest::Error| error.without_url().to_string();
    let mut answer = http.get(url).send().await.map_err(told)?;
    if !answer.status().is_success() {
        return Err(format!("it was answered with {}", answer.status()));
    }
    let mut text = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(told)? {
        if text.len() + part.len() > BYTES_MAX {
            return Err(format!("it has more than {BYTES_MAX} bytes"));
        }
        text.extend_from_slice(&part);
    }
    Ok(text)
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// The keys that tokens may be signed with; others of the set are left out.
fn parse(text: &[u8]) -> Result<Vec<Key>, String> {
    let set: Set = serde_json::from_slice(text).map_err(|error| format!("no JWKS: {error}"))?;
    if set.keys.len() > KEYS_MAX {
        return Err(format!("it has more than {KEYS_MAX} keys"));
    }
    let keys: Vec<_> = set.keys.into_iter().filter_map(key_of).collect();
    if keys.is_empty() {
        return Err("it has no key for RS256 or ES256".to_owned());
    }
    Ok(keys)
}

fn key_of(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let common = &jwk.common;
    let signs = common.public_key_use.as_ref().is_none_or(|own| *own == PublicKeyUse::Signature);
    // A secret in a key set is public: it is worth nothing.
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(own) if own.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        _ => return None,
    };
    let fits = common.key_algorithm.as_ref().is_none_or(|own| *own == named);
    if !signs || !fits {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(Key { id: common.key_id.clone(), algorithm, key })
}
