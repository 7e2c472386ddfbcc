//! API keys as the stream of partition 0 tells them.
//!
//! Knows a key by the hash of its text only.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::access::{EVERYTHING, Permission};
use crate::event::ApiKeyEvent;
use crate::ids::Digest;
use crate::time::Timestamp;

/// The most keys that are not revoked at a time.
pub const API_KEYS_MAX: usize = 1_000;
/// The most of them of one tenant.
pub const API_KEYS_PER_NAMESPACE_MAX: usize = 250;
/// The longest name of a key, in bytes.
pub const KEY_NAME_BYTES_MAX: usize = 128;
/// The longest namespace of a key or token, in bytes.
pub const NAMESPACE_BYTES_MAX: usize = 64;
/// What the ids of keys begin with.
pub const KEY_ID_PREFIX: &str = "key_";

/// What the texts of keys begin with; their id and their secret follow.
pub const KEY_TEXT_PREFIX: &str = "bst_";
/// Random bytes of an id.
const ID_BYTES: usize = 8;
/// Random bytes that a new key is made of: those of its id, and those of its secret.
pub const KEY_DRAWN_BYTES: usize = ID_BYTES + 32;

/// A key that was not revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: Arc<str>,
    /// What it is called.
    pub name: String,
    /// The tenant that whoever has it belongs to.
    pub namespace: Arc<str>,
    /// blake3 of its text.
    pub digest: Digest,
    /// Words of what it allows.
    pub permissions: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it counts no more; never, if unsaid.
    pub expires_at: Option<Timestamp>,
    /// Who had it made.
    pub created_by: String,
}

impl ApiKey {
    /// Whether it counts no more because of its age.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// That it was made.
    #[must_use]
    pub fn created(&self) -> ApiKeyEvent {
        ApiKeyEvent::Created {
            id: self.id.clone(),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            digest: self.digest,
            permissions: self.permissions.clone(),
            expires_at: self.expires_at,
            actor: self.created_by.clone(),
        }
    }
}

/// The bound that is reached, of all keys or of a tenant's.
#[must_use]
pub fn full(keys: &BTreeMap<Arc<str>, Arc<ApiKey>>, namespace: &str) -> Option<usize> {
    let own = keys.values().filter(|key| *key.namespace == *namespace).count();
    let of_all = (keys.len() >= API_KEYS_MAX).then_some(API_KEYS_MAX);
    of_all.or((own >= API_KEYS_PER_NAMESPACE_MAX).then_some(API_KEYS_PER_NAMESPACE_MAX))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A key that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyWish {
    /// What it is to be called.
    pub name: String,
    /// The tenant that whoever has it belongs to.
    pub namespace: Arc<str>,
    /// Words of what it is to allow.
    pub permissions: Vec<String>,
    /// From when on it counts no more; never, if unsaid.
    pub expires_at: Option<Timestamp>,
}

impl ApiKeyWish {
    /// The key as it is made of bytes that were drawn, and its text, which is kept nowhere.
    #[must_use]
    pub fn key(
        self,
        drawn: &[u8; KEY_DRAWN_BYTES],
        created_by: String,
        created_at: Timestamp,
    ) -> (ApiKey, String) {
        let (name, secret) = drawn.split_at(ID_BYTES);
        let (name, secret) = (hex(name), hex(secret));
        let text = format!("{KEY_TEXT_PREFIX}{name}_{secret}");
        let key = ApiKey {
            id: format!("{KEY_ID_PREFIX}{name}").into(),
            name: self.name,
            namespace: self.namespace,
            digest: Digest::of(text.as_bytes()),
            permissions: self.permissions,
            created_at,
            expires_at: self.expires_at,
            created_by,
        };
        (key, text)
    }

    /// What is wrong with it: a field, and a sentence about it.
    #[must_use]
    pub fn problems(&self, now: Timestamp) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let name = &self.name;
        if name.trim().is_empty() || name.len() > KEY_NAME_BYTES_MAX || has_control(name) {
            let range = format!("must have 1 to {KEY_NAME_BYTES_MAX} bytes, none of them control");
            problems.push(("name".to_owned(), range));
        }
        if !is_namespace(&self.namespace) {
            let words = "must have 1 to 64 letters, digits, dots, dashes or underscores";
            problems.push(("namespace".to_owned(), words.to_owned()));
        }
        if self.permissions.is_empty() {
            let words = "must name at least one permission, or `*` for all of them";
            problems.push(("permissions".to_owned(), words.to_owned()));
        }
        problems.extend(self.problems_of_permissions());
        if self.expires_at.is_some_and(|at| at <= now) {
            problems.push(("expires_at".to_owned(), "must be still to come".to_owned()));
        }
        problems
    }

    /// A list that has more words than there are is not looked at word by word.
    fn problems_of_permissions(&self) -> Vec<(String, String)> {
        let words = Permission::WORDS.map(|(_, word)| word);
        let most = words.len() + 1;
        if self.permissions.len() > most {
            let many = format!("has {} words, at most {most}", self.permissions.len());
            return vec![("permissions".to_owned(), many)];
        }
        let known = |word: &str| word == EVERYTHING || Permission::of_word(word).is_some();
        let problem = |(at, word): (usize, &String)| {
            let message = match known(word) {
                true if self.permissions[..at].contains(word) => "is said twice".to_owned(),
                true => return None,
                false => format!("is none of {EVERYTHING}, {}", words.join(", ")),
            };
            Some((format!("permissions[{at}]"), message))
        };
        self.permissions.iter().enumerate().filter_map(problem).collect()
    }
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// Whether a text can name a tenant.
#[must_use]
pub fn is_namespace(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=NAMESPACE_BYTES_MAX).contains(&text.len()) && text.chars().all(plain)
}

/// Folds one event.
pub fn evolve(keys: &mut BTreeMap<Arc<str>, Arc<ApiKey>>, event: &ApiKeyEvent, at: Timestamp) {
    match event {
        ApiKeyEvent::Created { id, name, namespace, digest, permissions, expires_at, actor } => {
            let key = ApiKey {
                id: id.clone(),
                name: name.clone(),
                namespace: namespace.clone(),
                digest: *digest,
                permissions: permissions.clone(),
                created_at: at,
                expires_at: *expires_at,
                created_by: actor.clone(),
            };
            keys.insert(id.clone(), Arc::new(key));
        }
        ApiKeyEvent::Revoked { id, .. } => drop(keys.remove(id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(permissions: &[&str]) -> ApiKeyWish {
        ApiKeyWish {
            name: "ci".to_owned(),
            namespace: "default".into(),
            permissions: permissions.iter().map(|word| (*word).to_owned()).collect(),
            expires_at: Some(Timestamp(5)),
        }
    }

    #[test]
    fn every_problem_of_a_wish_is_named() {
        let now = Timestamp(4);
        assert_eq!(wish(&["workflows:read", "*"]).problems(now), []);
        let wrong = ApiKeyWish {
            name: "a\nb".to_owned(),
            namespace: "a/b".into(),
            ..wish(&["workflows:read", "workflows:all"])
        };
        let named = |wish: &ApiKeyWish| {
            wish.problems(Timestamp(5)).into_iter().map(|(path, _)| path).collect::<Vec<_>>()
        };
        assert_eq!(named(&wrong), ["name", "namespace", "permissions[1]", "expires_at"]);
        assert_eq!(named(&wish(&[])), ["permissions", "expires_at"]);
        let twice = wish(&["keys:write", "*", "keys:write"]);
        assert_eq!(named(&twice), ["permissions[2]", "expires_at"]);
        assert_eq!(named(&wish(&["keys:write"; 12_000])), ["permissions", "expires_at"]);
    }

    #[test]
    fn a_key_is_made_of_what_was_drawn_and_knows_the_hash_of_its_text_only() {
        let mut drawn = [7; KEY_DRAWN_BYTES];
        drawn[0] = 255;
        let (key, text) = wish(&["*"]).key(&drawn, "ann".to_owned(), Timestamp(1));
        assert_eq!((&*key.id, text.len()), ("key_ff07070707070707", 4 + 16 + 1 + 64));
        assert!(
            text.starts_with("bst_ff07070707070707_0707")
                && key.digest == Digest::of(text.as_bytes())
        );
        let mut known = BTreeMap::new();
        evolve(&mut known, &key.created(), Timestamp(1));
        assert_eq!(known.into_values().next().as_deref(), Some(&key));
        assert!(!format!("{key:?}").contains(&text[21..]));
    }

    #[test]
    fn a_tenant_has_its_own_bound_below_that_of_all() {
        let mut known = BTreeMap::new();
        let mut make = |namespace: &str, count: usize| {
            for _ in 0..count {
                let mut drawn = [0; KEY_DRAWN_BYTES];
                drawn[..8].copy_from_slice(&known.len().to_le_bytes());
                let wish = ApiKeyWish { namespace: namespace.into(), ..wish(&["*"]) };
                let (key, _) = wish.key(&drawn, "ann".to_owned(), Timestamp(1));
                known.insert(key.id.clone(), Arc::new(key));
            }
            (full(&known, "a"), full(&known, "e"))
        };
        assert_eq!(make("a", API_KEYS_PER_NAMESPACE_MAX - 1), (None, None));
        assert_eq!(make("a", 1), (Some(API_KEYS_PER_NAMESPACE_MAX), None));
        for other in ["b", "c"] {
            make(other, API_KEYS_PER_NAMESPACE_MAX);
        }
        assert_eq!(make("d", API_KEYS_PER_NAMESPACE_MAX).1, Some(API_KEYS_MAX));
    }

    #[test]
    fn a_revoked_key_is_gone_and_an_old_one_expired() {
        let mut keys = BTreeMap::new();
        let (id, namespace): (Arc<str>, Arc<str>) = ("key_1".into(), "default".into());
        let created = ApiKeyEvent::Created {
            id: id.clone(),
            name: "ci".to_owned(),
            namespace: namespace.clone(),
            digest: Digest::of(b"text"),
            permissions: vec!["*".to_owned()],
            expires_at: Some(Timestamp(5)),
            actor: "ann".to_owned(),
        };
        evolve(&mut keys, &created, Timestamp(1));
        assert_eq!(keys.values().map(|key| key.is_expired(Timestamp(4))).next(), Some(false));
        assert_eq!(keys.values().map(|key| key.is_expired(Timestamp(5))).next(), Some(true));
        let (reason, actor) = ("lost".to_owned(), "bob".to_owned());
        evolve(&mut keys, &ApiKeyEvent::Revoked { id, namespace, reason, actor }, Timestamp(2));
        assert!(keys.is_empty());
    }
}
