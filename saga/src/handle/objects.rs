//! Objects of configuration: set, removed, and read as they are in force.

use std::sync::{Arc, PoisonError, RwLock};

use backstitch_core::alerts::InForce;
use backstitch_core::event::{ObjectEvent, PartitionEvent};
use backstitch_core::ids::Digest;
use backstitch_core::objects::{self, Object, ObjectId, Objects, full};

use super::Handle;
use crate::clock;
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;
use crate::partition::Expected;

/// The objects in force: a copy of what partition 0 tells.
#[derive(Debug, Default)]
pub(super) struct Configured {
    known: RwLock<Arc<Objects>>,
    /// Held while one is set or removed.
    changing: tokio::sync::Mutex<()>,
}

/// Who has an object set or removed, and why.
#[derive(Debug, Clone)]
pub struct ObjectChange {
    /// Whose tenant's, of what sort, and which.
    pub id: ObjectId,
    /// What it must say now.
    pub expected: Expected,
    /// In their words.
    pub reason: String,
    /// Who.
    pub actor: String,
}

impl Handle {
    pub(crate) fn keep_objects(&self, objects: Objects) {
        self.put_objects(Arc::new(objects));
    }

    fn put_objects(&self, objects: Arc<Objects>) {
        self.catalog().policies().keep(objects.clone());
        let configured = &self.shared.configured;
        self.shared.catalog.alert(InForce::of(&objects));
        *configured.known.write().unwrap_or_else(PoisonError::into_inner) = objects;
    }

    /// Every object in force. The same `Arc` as long as nothing changes.
    #[must_use]
    pub fn objects(&self) -> Arc<Objects> {
        let configured = &self.shared.configured;
        configured.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One object.
    ///
    /// # Errors
    /// [`Error::ObjectNotFound`].
    pub fn object(&self, id: &ObjectId) -> Result<Arc<Object>, Error> {
        self.objects().get(id).cloned().ok_or_else(|| not_found(id))
    }

    /// Has an object say something. Answers it, and whether it was there before; when this
    /// answers, it is durable and counts. What it says already is not recorded again.
    ///
    /// # Errors
    /// [`Error::InvalidObject`], [`Error::TooManyObjects`], [`Error::ObjectNotExpected`],
    /// [`Error::Draining`], [`Error::Stopped`].
    pub async fn set_object(
        &self,
        change: ObjectChange,
        content: &serde_json::Value,
    ) -> Result<(Arc<Object>, bool), Error> {
        let text =
            objects::check(change.id.1, &change.id.2, content).map_err(Error::InvalidObject)?;
        self.to_its_end(move |handle| async move { handle.put_object(change, text).await }).await
    }

    async fn put_object(
        &self,
        change: ObjectChange,
        text: String,
    ) -> Result<(Arc<Object>, bool), Error> {
        let _one_at_a_time = self.shared.configured.changing.lock().await;
        let (objects, (namespace, kind, name)) = (self.objects(), change.id.clone());
        let known = objects.get(&change.id);
        change.check(known)?;
        if let Some(known) = known.filter(|own| own.digest == Digest::of(text.as_bytes())) {
            return Ok((known.clone(), true));
        }
        if let (None, Some(max)) = (known, full(&objects, &namespace, kind)) {
            return Err(Error::TooManyObjects { kind, max });
        }
        let revision = known.map_or(1, |own| own.revision.saturating_add(1));
        let (reason, actor) = (change.reason, change.actor);
        let set = ObjectEvent::Set { namespace, kind, name, revision, text, reason, actor };
        let set = self.change_objects(set).await?;
        Ok((set.get(&change.id).cloned().ok_or(Error::Stopped)?, known.is_some()))
    }

    /// Removes an object. When this answers, that is durable and counts.
    ///
    /// # Errors
    /// [`Error::ObjectNotFound`], [`Error::ObjectNotExpected`], [`Error::Draining`],
    /// [`Error::Stopped`].
    pub async fn remove_object(&self, change: ObjectChange) -> Result<Arc<Object>, Error> {
        let remove = move |handle: Self| async move {
            let _one_at_a_time = handle.shared.configured.changing.lock().await;
            let known = handle.object(&change.id)?;
            change.check(Some(&known))?;
            let (namespace, kind, name) = change.id;
            let (reason, actor) = (change.reason, change.actor);
            let removed = ObjectEvent::Removed { namespace, kind, name, reason, actor };
            handle.change_objects(removed).await?;
            Ok(known)
        };
        self.to_its_end(remove).await
    }

    async fn change_objects(&self, event: ObjectEvent) -> Result<Arc<Objects>, Error> {
        let at = clock::now();
        self.record(WORKFLOWS_PARTITION, PartitionEvent::Object(event.clone())).await?;
        let mut changed = Objects::clone(&self.objects());
        objects::evolve(&mut changed, &event, at);
        let changed = Arc::new(changed);
        self.put_objects(changed.clone());
        Ok(changed)
    }
}

impl ObjectChange {
    fn check(&self, known: Option<&Arc<Object>>) -> Result<(), Error> {
        match self.expected.holds(known.map(|own| own.digest)) {
            true => Ok(()),
            false => {
                let (_, kind, name) = &self.id;
                Err(Error::ObjectNotExpected { kind: *kind, name: name.to_string() })
            }
        }
    }
}

fn not_found((_, kind, name): &ObjectId) -> Error {
    Error::ObjectNotFound { kind: *kind, name: name.chars().take(64).collect() }
}
