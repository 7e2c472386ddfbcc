//! API keys in a directory whose server does not run: recorded as a server does it.

use std::collections::BTreeMap;

use backstitch_core::api_keys::{self, ApiKey, ApiKeyWish, KEY_DRAWN_BYTES};
use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::{PartitionId, StreamId};

use super::Writing;
use crate::error::Error;

/// The partition whose stream tells of keys.
const KEYS_PARTITION: PartitionId = PartitionId(0);

impl Writing {
    /// Makes a key; answers it and its text, which is kept nowhere.
    pub(crate) fn create_key(
        &mut self,
        wish: ApiKeyWish,
        drawn: &[u8; KEY_DRAWN_BYTES],
        actor: &str,
    ) -> Result<(ApiKey, String), Error> {
        let moment = self.moment(KEYS_PARTITION);
        let problems = wish.problems(moment.now);
        if !problems.is_empty() {
            return Err(Error::BadKey { problems });
        }
        let own = self.journal.history(&StreamId::Partition(KEYS_PARTITION))?.unwrap_or_default();
        let mut known = BTreeMap::new();
        for record in own {
            if let Event::Partition(PartitionEvent::ApiKey(event)) = &record.event {
                api_keys::evolve(&mut known, event, record.recorded_at);
            }
        }
        known.retain(|_, key| !key.is_expired(moment.now));
        if let Some(max) = api_keys::full(&known, &wish.namespace) {
            return Err(Error::TooManyKeys { max });
        }
        let at = moment.stamp;
        let (key, text) = wish.key(drawn, actor.to_owned(), at);
        let event = PartitionEvent::ApiKey(key.created());
        let own = self.own_record(KEYS_PARTITION, event, at)?;
        self.append(KEYS_PARTITION, &[own], Vec::new(), Vec::new(), at)?;
        Ok((key, text))
    }
}
