//! The API keys that count in what is restored: a source that is older than a revocation knows
//! nothing of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstitch_core::api_keys::{self, ApiKey};
use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::time::Timestamp;
use serde::Serialize;

use crate::record::Record;

/// A key that counts in what is restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoredKey {
    /// Its id.
    pub key_id: String,
    /// What it is called.
    pub name: String,
    /// Its tenant.
    pub namespace: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it counts no more; never, if unsaid.
    pub expires_at: Option<Timestamp>,
}

/// The keys that were not revoked up to the point.
#[derive(Default)]
pub(super) struct Keys(BTreeMap<Arc<str>, Arc<ApiKey>>);

impl Keys {
    /// Takes what is kept, in order.
    pub(super) fn take(&mut self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            self.fold(&record.event, record.recorded_at);
        }
    }

    fn fold(&mut self, event: &Event, at: Timestamp) {
        if let Event::Partition(PartitionEvent::ApiKey(event)) = event {
            api_keys::evolve(&mut self.0, event, at);
        }
    }

    /// Those that count once it is restored, but for what was revoked behind the point.
    pub(super) fn in_force<'a>(
        &self,
        held_to: impl IntoIterator<Item = &'a PartitionEvent>,
    ) -> Vec<RestoredKey> {
        let mut left = Self(self.0.clone());
        for event in held_to {
            left.fold(&Event::Partition(event.clone()), Timestamp(0));
        }
        let shown = |key: &Arc<ApiKey>| RestoredKey {
            key_id: key.id.to_string(),
            name: key.name.clone(),
            namespace: key.namespace.to_string(),
            created_at: key.created_at,
            expires_at: key.expires_at,
        };
        left.0.values().map(shown).collect()
    }
}
