//! The result cache as an operator sees it: how it stands, and emptying it.

use backstitch_core::event::PartitionEvent;

use super::Handle;
use crate::cache::ResultCache;
use crate::clock;
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;

impl Handle {
    /// The answers that may stand for later attempts.
    #[must_use]
    pub fn cache(&self) -> &ResultCache {
        &self.shared.cache
    }

    /// Empties the result cache: recorded first, so that no start brings back what was in it.
    /// Answers how many answers there were.
    ///
    /// # Errors
    /// [`Error::Draining`], [`Error::Stopped`].
    pub async fn empty_cache(&self, reason: String, actor: String) -> Result<usize, Error> {
        let emptied = PartitionEvent::CacheEmptied { reason, actor };
        self.to_its_end(|handle| async move {
            handle.record(WORKFLOWS_PARTITION, emptied).await?;
            Ok(handle.shared.cache.empty(clock::now()))
        })
        .await
    }
}
