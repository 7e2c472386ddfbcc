//! How callers prove who they are, as the settings say.
//!
//! A secret is never itself a setting: it is in a file or a variable that the setting names, and
//! no message has it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use backstitch_core::time::parse_duration_ms;

use super::Sources;
use crate::error::Error;

/// The fewest bytes of a secret: as many as the hash that is made with it has.
pub const SECRET_BYTES_MIN: usize = 32;
/// The most bytes of a secret.
const SECRET_BYTES_MAX: usize = 4 * 1024;
/// Beginnings of secrets that stand in documents, and so are known to everybody.
const SAMPLES: [&str; 5] = ["your-secret-key", "your-api-key", "your-jwt", "changeme", "secret"];
/// The longest that clocks may differ.
const LEEWAY_MS_MAX: u64 = 300_000;
/// How often keys of an issuer may be asked for anew.
const REFRESH_MS: std::ops::RangeInclusive<u64> = 30_000..=24 * 3_600_000;

/// How callers prove who they are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Authentication {
    /// Whether they have to.
    pub required: bool,
    /// A key with every permission that stands in no journal: for making the first ones.
    pub api_key: Option<Secret>,
    /// Whose JSON Web Tokens are taken.
    pub jwt: Option<Jwt>,
}

/// Whose JSON Web Tokens are taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Jwt {
    /// What HS256 tokens are signed with; they are not taken without it.
    pub secret: Option<Secret>,
    /// Where the keys of RS256 and ES256 tokens are; they are not taken without it.
    pub key_set: Option<KeySet>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must name one of.
    pub audience: Vec<String>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Whether a token must name the tenant: one that does not is otherwise of the default one.
    pub namespace_required: bool,
}

/// Where the public keys of an issuer are.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySet {
    /// The place.
    pub place: Place,
    /// How long they are used before they are read again.
    pub refresh: Duration,
}

/// A file, or a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On this machine.
    File(PathBuf),
    /// Over https, or over http from loopback.
    Url(reqwest::Url),
}

/// Bytes that are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes the bytes of a secret if they are enough.
    ///
    /// # Errors
    /// A sentence that does not have them.
    pub fn of(bytes: &[u8]) -> Result<Self, String> {
        let own = bytes.trim_ascii();
        let text = String::from_utf8_lossy(own).to_ascii_lowercase();
        if SAMPLES.iter().any(|sample| text.starts_with(sample)) {
            return Err("is a sample out of a document, which everybody knows".to_owned());
        }
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&own.len()) {
            return Err(format!(
                "has {} bytes, and must have {SECRET_BYTES_MIN} to \
                 {SECRET_BYTES_MAX}; `openssl rand -hex 32` makes one",
                own.len()
            ));
        }
        Ok(Self(own.to_vec()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Authentication {
    pub(super) fn read(sources: &Sources) -> Result<Self, Error> {
        let api_key = secret(sources, "api_key")?;
        let jwt = Jwt::read(sources)?;
        let given = api_key.is_some() || jwt.is_some();
        let required = match sources.get("authentication") {
            None => given,
            Some(said) => match said.text.trim() {
                "on" | "true" => true,
                "off" | "false" if given => {
                    return Err(Error::Setting(format!(
                        "{}: authentication is off, but api_key, jwt_secret or jwt_jwks is set; \
                         leave out one or the other",
                        said.origin
                    )));
                }
                "off" | "false" => false,
                _ => return Err(wrong(sources, "authentication", "must be on or off")),
            },
        };
        Ok(Self { required, api_key, jwt })
    }
}

impl Jwt {
    fn read(sources: &Sources) -> Result<Option<Self>, Error> {
        let secret = secret(sources, "jwt_secret")?;
        let place = sources.get("jwt_jwks").map(|given| place(sources, given.text.trim()));
        let refresh = match sources.get("jwt_jwks_refresh") {
            None => Duration::from_secs(600),
            Some(given) => duration(&given.text, REFRESH_MS).ok_or_else(|| {
                wrong(sources, "jwt_jwks_refresh", "must be a duration from 30s to 24h")
            })?,
        };
        let leeway = match sources.get("jwt_leeway") {
            None => Duration::from_secs(60),
            Some(given) => duration(&given.text, 0..=LEEWAY_MS_MAX)
                .ok_or_else(|| wrong(sources, "jwt_leeway", "must be a duration up to 5m"))?,
        };
        let namespace_required = match sources.get("jwt_require_namespace") {
            None => false,
            Some(given) => match given.text.trim() {
                "on" | "true" => true,
                "off" | "false" => false,
                _ => return Err(wrong(sources, "jwt_require_namespace", "must be on or off")),
            },
        };
        let issuer = sources.get("jwt_issuer").map(|given| given.text.trim().to_owned());
        let audience: Vec<_> = (sources.get("jwt_audience").into_iter())
            .flat_map(|given| given.text.split(','))
            .map(|word| word.trim().to_owned())
            .filter(|word| !word.is_empty())
            .collect();
        let key_set = place.transpose()?.map(|place| KeySet { place, refresh });
        if secret.is_none() && key_set.is_none() {
            let idle = ["jwt_issuer", "jwt_audience", "jwt_require_namespace"].into_iter();
            return match idle.clone().find(|key| sources.get(key).is_some()) {
                Some(key) => Err(wrong(sources, key, "needs jwt_secret or jwt_jwks")),
                None => Ok(None),
            };
        }
        // An issuer with public keys serves others, too: a token for them is none for this server.
        if key_set.is_some() && (issuer.is_none() || audience.is_empty()) {
            let why = "needs jwt_issuer and jwt_audience: the issuer's tokens for other services \
                       would count here";
            return Err(wrong(sources, "jwt_jwks", why));
        }
        Ok(Some(Self { secret, key_set, issuer, audience, leeway, namespace_required }))
    }
}

fn duration(text: &str, range: std::ops::RangeInclusive<u64>) -> Option<Duration> {
    let ms = parse_duration_ms(text.trim()).ok().filter(|ms| range.contains(ms));
    ms.map(Duration::from_millis)
}

fn wrong(sources: &Sources, key: &str, why: &str) -> Error {
    let origin = sources.get(key).map_or(key, |given| given.origin.as_str());
    Error::Setting(format!("{origin}: {why}"))
}

fn place(sources: &Sources, text: &str) -> Result<Place, Error> {
    if !text.contains("://") {
        return Ok(Place::File(text.into()));
    }
    let is_safe = |url: &reqwest::Url| match url.scheme() {
        "https" => true,
        "http" => matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")),
        _ => false,
    };
    match reqwest::Url::parse(text) {
        Ok(url) if is_safe(&url) => Ok(Place::Url(url)),
        _ => Err(wrong(
            sources,
            "jwt_jwks",
            "must be a file, an https URL, or an http URL of this machine",
        )),
    }
}

/// The secret that a setting names.
fn secret(sources: &Sources, key: &str) -> Result<Option<Secret>, Error> {
    let Some(bytes) = named_bytes(sources, key)? else { return Ok(None) };
    Secret::of(&bytes).map(Some).map_err(|why| wrong(sources, key, &format!("the secret {why}")))
}

/// What stands in the variable or the file that a setting names. What is written in the setting is
/// not repeated: it might be a secret.
pub(super) fn named_bytes(sources: &Sources, key: &str) -> Result<Option<Vec<u8>>, Error> {
    let Some(given) = sources.get(key) else { return Ok(None) };
    let bytes = match given.text.trim().split_once(':') {
        Some(("env", name)) => match std::env::var(name) {
            Ok(text) => text.into_bytes(),
            Err(_) => {
                let why = format!("the variable {name} that it names is not there");
                return Err(wrong(sources, key, &why));
            }
        },
        Some(("file", path)) => std::fs::read(path).map_err(|source| {
            let file = format!("{path}, which {} names,", given.origin);
            Error::File { file, source }
        })?,
        _ => {
            let why = "must be env:NAME or file:PATH: secrets stand in variables or files only";
            return Err(wrong(sources, key, why));
        }
    };
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Authentication, String> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        let variable = |name: &str| variables.get(name).map(|text| (*text).to_owned());
        let sources = Sources::gather(&[], variable, None).map_err(|error| error.to_string())?;
        Authentication::read(&sources).map_err(|error| error.to_string())
    }

    fn file(text: &str) -> (tempfile::NamedTempFile, String) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("it can be written");
        let named = format!("file:{}", file.path().display());
        (file, named)
    }

    #[test]
    fn it_is_off_until_something_is_set_and_never_off_in_spite_of_it() {
        assert_eq!(read(&[]), Ok(Authentication::default()));
        assert!(read(&[("BACKSTITCH_AUTHENTICATION", "on")]).is_ok_and(|own| own.required));
        let (_kept, named) = file(&format!("{}\n", "k".repeat(32)));
        let set = ("BACKSTITCH_API_KEY", named.as_str());
        assert!(read(&[set]).is_ok_and(|own| own.required && own.api_key.is_some()));
        let refused = read(&[set, ("BACKSTITCH_AUTHENTICATION", "off")]);
        assert!(refused.is_err_and(|why| why.contains("leave out one or the other")));
    }

    #[test]
    fn weak_known_and_bare_secrets_are_refused_and_not_repeated() {
        for (text, why) in [
            ("your-secret-key-your-secret-key-your-secret-key", "sample"),
            ("tooshort", "has 8 bytes"),
        ] {
            let (_kept, named) = file(text);
            let refused = read(&[("BACKSTITCH_JWT_SECRET", &named)]).expect_err("refused");
            assert!(refused.contains(why) && !refused.contains(text), "{refused}");
        }
        let bare = "k".repeat(40);
        let refused = read(&[("BACKSTITCH_JWT_SECRET", &bare)]).expect_err("refused");
        assert!(refused.contains("env:NAME") && !refused.contains(&bare), "{refused}");
        assert_eq!(format!("{:?}", Secret::of(bare.as_bytes())), "Ok(Secret(..))");
    }

    #[test]
    fn keys_of_an_issuer_need_its_name_and_ours_and_a_safe_way() {
        let (url, issuer) = ("BACKSTITCH_JWT_JWKS", ("BACKSTITCH_JWT_ISSUER", "https://id"));
        let audience = ("BACKSTITCH_JWT_AUDIENCE", "backstitch, other");
        let whole = read(&[(url, "https://id/keys"), issuer, audience]).expect("settings");
        assert_eq!(whole.jwt.map(|jwt| jwt.audience.len()), Some(2));
        assert!(read(&[(url, "https://id/keys"), issuer]).is_err());
        assert!(read(&[(url, "https://id/keys"), audience]).is_err());
        let strict = ("BACKSTITCH_JWT_REQUIRE_NAMESPACE", "on");
        let whole = read(&[(url, "https://id/keys"), issuer, audience, strict]);
        assert!(whole.is_ok_and(|own| own.jwt.is_some_and(|own| own.namespace_required)));
        assert!(read(&[strict]).is_err_and(|why| why.contains("needs jwt_secret or jwt_jwks")));
        assert!(read(&[issuer]).is_err_and(|why| why.contains("needs jwt_secret or jwt_jwks")));
        assert!(read(&[(url, "http://id/keys"), issuer, audience]).is_err());
        assert!(read(&[(url, "http://127.0.0.1:9/keys"), issuer, audience]).is_ok());
    }
}
