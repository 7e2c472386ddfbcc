//! API keys: made, found by their text, revoked.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use backstitch_core::api_keys::{API_KEYS_MAX, ApiKey, ApiKeyWish, KEY_ID_PREFIX};
use backstitch_core::definition::problem::{Problem, codes};
use backstitch_core::event::{ApiKeyEvent, PartitionEvent};
use backstitch_core::ids::Digest;

use super::Handle;
use crate::clock;
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;

/// What the texts of keys begin with; their id and their secret follow.
const TEXT_PREFIX: &str = "bst_";
/// Random bytes of an id.
const ID_BYTES: usize = 8;
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// The keys in force: a copy of what partition 0 tells.
#[derive(Debug, Default)]
pub(super) struct ApiKeys {
    known: RwLock<BTreeMap<Arc<str>, Arc<ApiKey>>>,
    /// Held while one is made or revoked.
    pub(super) changing: tokio::sync::Mutex<()>,
}

impl ApiKeys {
    fn read<T>(&self, read: impl FnOnce(&BTreeMap<Arc<str>, Arc<ApiKey>>) -> T) -> T {
        read(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<Arc<str>, Arc<ApiKey>>)) {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Whether a text is written like the one of a key.
#[must_use]
pub fn is_key_text(text: &str) -> bool {
    text.starts_with(TEXT_PREFIX)
}

impl Handle {
    pub(crate) fn keep_api_keys(&self, keys: Vec<Arc<ApiKey>>) {
        let keys = keys.into_iter().map(|key| (key.id.clone(), key));
        self.shared.api_keys.change(|known| known.extend(keys));
    }

    /// The keys of a tenant that were not revoked, by id.
    #[must_use]
    pub fn api_keys(&self, namespace: &str) -> Vec<Arc<ApiKey>> {
        let own = |key: &&Arc<ApiKey>| *key.namespace == *namespace;
        self.shared.api_keys.read(|known| known.values().filter(own).cloned().collect())
    }

    /// The key of a text, if it is in force. How long this takes says nothing of how much of the
    /// text is right: only hashes are compared.
    #[must_use]
    pub fn api_key_of(&self, text: &str) -> Option<Arc<ApiKey>> {
        let (id, _) = text.strip_prefix(TEXT_PREFIX)?.split_once('_')?;
        let key = self
            .shared
            .api_keys
            .read(|known| known.get(format!("{KEY_ID_PREFIX}{id}").as_str()).cloned())?;
        let right = key.digest.is_hash_of(text.as_bytes());
        (right && !key.is_expired(clock::now())).then_some(key)
    }

    /// Makes a key: answers it and its text, which is kept nowhere.
    ///
    /// # Errors
    /// [`Error::InvalidApiKey`], [`Error::TooManyApiKeys`], [`Error::Draining`], [`Error::Stopped`].
    pub async fn create_api_key(
        &self,
        wish: ApiKeyWish,
        actor: String,
    ) -> Result<(Arc<ApiKey>, String), Error> {
        self.to_its_end(move |handle| async move { handle.make_key(wish, actor).await }).await
    }

    async fn make_key(
        &self,
        wish: ApiKeyWish,
        actor: String,
    ) -> Result<(Arc<ApiKey>, String), Error> {
        let problems = wish.problems(clock::now());
        if !problems.is_empty() {
            let problem = |(path, message): (String, String)| Problem {
                path,
                code: codes::BAD_VALUE,
                message,
            };
            return Err(Error::InvalidApiKey(problems.into_iter().map(problem).collect()));
        }
        let _one_at_a_time = self.shared.api_keys.changing.lock().await;
        if self.shared.api_keys.read(BTreeMap::len) >= API_KEYS_MAX {
            return Err(Error::TooManyApiKeys { max: API_KEYS_MAX });
        }
        let (name, secret) = (drawn::<ID_BYTES>(), drawn::<SECRET_BYTES>());
        let text = format!("{TEXT_PREFIX}{name}_{secret}");
        let key = ApiKey {
            id: format!("{KEY_ID_PREFIX}{name}").into(),
            name: wish.name,
            namespace: wish.namespace,
            digest: Digest::of(text.as_bytes()),
            permissions: wish.permissions,
            created_at: clock::now(),
            expires_at: wish.expires_at,
            created_by: actor,
        };
        let created = ApiKeyEvent::Created {
            id: key.id.clone(),
            name: key.name.clone(),
            namespace: key.namespace.clone(),
            digest: key.digest,
            permissions: key.permissions.clone(),
            expires_at: key.expires_at,
            actor: key.created_by.clone(),
        };
        self.record(WORKFLOWS_PARTITION, PartitionEvent::ApiKey(created)).await?;
        let key = Arc::new(key);
        self.keep_api_keys(vec![key.clone()]);
        Ok((key, text))
    }

    /// Revokes a key of a tenant: it counts no more once that is durable.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`], [`Error::Draining`], [`Error::Stopped`].
    pub async fn revoke_api_key(
        &self,
        namespace: &str,
        id: &str,
        said: (String, String),
    ) -> Result<Arc<ApiKey>, Error> {
        let (namespace, id) = (namespace.to_owned(), id.to_owned());
        self.to_its_end(move |handle| async move { handle.revoke(&namespace, &id, said).await })
            .await
    }

    async fn revoke(
        &self,
        namespace: &str,
        id: &str,
        (reason, actor): (String, String),
    ) -> Result<Arc<ApiKey>, Error> {
        let _one_at_a_time = self.shared.api_keys.changing.lock().await;
        let known = self.shared.api_keys.read(|known| known.get(id).cloned());
        let Some(key) = known.filter(|key| *key.namespace == *namespace) else {
            return Err(Error::ApiKeyNotFound(id.chars().take(64).collect()));
        };
        let (id, namespace) = (key.id.clone(), key.namespace.clone());
        let revoked = ApiKeyEvent::Revoked { id, namespace, reason, actor };
        self.record(WORKFLOWS_PARTITION, PartitionEvent::ApiKey(revoked)).await?;
        self.shared.api_keys.change(|known| drop(known.remove(&key.id)));
        Ok(key)
    }
}

fn drawn<const BYTES: usize>() -> String {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_keys_differ_and_are_as_long_as_promised() {
        assert_eq!((drawn::<32>().len(), drawn::<8>().len()), (64, 16));
        assert_ne!(drawn::<32>(), drawn::<32>());
    }
}
