//! API keys: made, found by their text, revoked.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use backstitch_core::api_keys::{
    ApiKey, ApiKeyWish, KEY_DRAWN_BYTES, KEY_ID_PREFIX, KEY_TEXT_PREFIX, full,
};
use backstitch_core::definition::problem::{Problem, codes};
use backstitch_core::event::{ApiKeyEvent, PartitionEvent};

use super::Handle;
use crate::clock;
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;

/// Who lets expired keys go.
const OWN_ACTOR: &str = "backstitch";

/// Keys by their ids.
type Known = BTreeMap<Arc<str>, Arc<ApiKey>>;

/// What becomes of keys that were made with one that is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeWithIt {
    /// They count no more either.
    Ends,
    /// They stay.
    Stays,
}

/// The keys in force: a copy of what partition 0 tells.
#[derive(Debug, Default)]
pub(super) struct ApiKeys {
    known: RwLock<Known>,
    /// Held while one is made or revoked.
    pub(super) changing: tokio::sync::Mutex<()>,
}

impl ApiKeys {
    fn read<T>(&self, read: impl FnOnce(&Known) -> T) -> T {
        read(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Whether a text is written like the one of a key.
#[must_use]
pub fn is_key_text(text: &str) -> bool {
    text.starts_with(KEY_TEXT_PREFIX)
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
        let (id, _) = text.strip_prefix(KEY_TEXT_PREFIX)?.split_once('_')?;
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
        self.make_room(&wish.namespace).await?;
        let mut drawn = [0_u8; KEY_DRAWN_BYTES];
        getrandom::fill(&mut drawn).expect("the system has random numbers");
        let (key, text) = wish.key(&drawn, actor, clock::now());
        let created = key.created();
        self.record(WORKFLOWS_PARTITION, PartitionEvent::ApiKey(created)).await?;
        let key = Arc::new(key);
        self.keep_api_keys(vec![key.clone()]);
        Ok((key, text))
    }

    /// Fails if there are as many keys as there may be; those that are expired make room.
    async fn make_room(&self, namespace: &str) -> Result<(), Error> {
        let full = || self.shared.api_keys.read(|known| full(known, namespace));
        if full().is_none() {
            return Ok(());
        }
        let now = clock::now();
        let keys = |known: &Known| known.values().cloned().collect::<Vec<_>>();
        let expired = self.shared.api_keys.read(keys).into_iter().filter(|key| key.is_expired(now));
        for key in expired {
            self.end(&key, "it is expired", OWN_ACTOR).await?;
        }
        full().map_or(Ok(()), |max| Err(Error::TooManyApiKeys { max }))
    }

    /// A key that was not revoked.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`].
    pub fn api_key(&self, id: &str) -> Result<Arc<ApiKey>, Error> {
        let known = self.shared.api_keys.read(|known| known.get(id).cloned());
        known.ok_or_else(|| Error::ApiKeyNotFound(id.chars().take(64).collect()))
    }

    /// Revokes a key, and those that were made with it unless they are to stay: none counts any
    /// more once that is durable. The key itself is the last, so that a crash before leaves
    /// something to revoke again. Answers all of them, the key first.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`], [`Error::Draining`], [`Error::Stopped`].
    pub async fn revoke_api_key(
        &self,
        id: &str,
        made: MadeWithIt,
        said: (String, String),
    ) -> Result<Vec<Arc<ApiKey>>, Error> {
        let id = id.to_owned();
        self.to_its_end(move |handle| async move { handle.revoke(&id, made, said).await }).await
    }

    async fn revoke(
        &self,
        id: &str,
        made: MadeWithIt,
        (reason, actor): (String, String),
    ) -> Result<Vec<Arc<ApiKey>>, Error> {
        let _one_at_a_time = self.shared.api_keys.changing.lock().await;
        let mut ending = vec![self.api_key(id)?];
        if made == MadeWithIt::Ends {
            self.shared.api_keys.read(|known| add_made(known, &mut ending));
        }
        for key in ending[1..].iter().rev() {
            self.end(key, &format!("{id}, with which it was made: {reason}"), &actor).await?;
        }
        self.end(&ending[0], &reason, &actor).await?;
        Ok(ending)
    }

    /// A key counts no more.
    async fn end(&self, key: &ApiKey, reason: &str, actor: &str) -> Result<(), Error> {
        let (id, namespace) = (key.id.clone(), key.namespace.clone());
        let (reason, actor) = (reason.to_owned(), actor.to_owned());
        let revoked = ApiKeyEvent::Revoked { id, namespace, reason, actor };
        self.record(WORKFLOWS_PARTITION, PartitionEvent::ApiKey(revoked)).await?;
        self.shared.api_keys.change(|known| drop(known.remove(&key.id)));
        Ok(())
    }
}

/// Adds what was made with each of some keys, and with those.
fn add_made(known: &Known, ending: &mut Vec<Arc<ApiKey>>) {
    let mut at = 0;
    while let Some(maker) = ending.get(at).map(|key| key.id.clone()) {
        // Nobody else is called as a key is.
        let own = known.values().filter(|key| *key.created_by == *maker);
        let new = own.filter(|key| !ending.iter().any(|one| one.id == key.id));
        let new: Vec<_> = new.cloned().collect();
        ending.extend(new);
        at += 1;
    }
}
