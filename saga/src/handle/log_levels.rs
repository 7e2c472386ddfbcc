//! How much a node logs, as an operator sets it.

use backstitch_core::event::PartitionEvent;

use super::Handle;
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;

/// What a node is to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevels {
    /// Which node, by its name.
    pub node: String,
    /// Levels by component; none for those of its settings.
    pub levels: Vec<(String, String)>,
    /// After how long those of its settings count again; until it ends if unsaid.
    pub for_ms: Option<u64>,
}

impl Handle {
    /// Has a node log more or less: recorded first, and then carried out by whoever can.
    ///
    /// # Errors
    /// [`Error::Draining`], [`Error::Stopped`].
    pub async fn set_log_levels(
        &self,
        wanted: LogLevels,
        actor: String,
        carry_out: impl FnOnce() + Send + 'static,
    ) -> Result<(), Error> {
        self.to_its_end(|handle| async move {
            let _one_at_a_time = handle.shared.ordering.lock().await;
            let LogLevels { node, levels, for_ms } = wanted;
            let set = PartitionEvent::LogLevelsSet { node, levels, for_ms, actor };
            handle.record(WORKFLOWS_PARTITION, set).await?;
            carry_out();
            Ok(())
        })
        .await
    }
}
