//! Settings of a node that are read again while it runs.

use backstitch_core::event::{PartitionEvent, SettingChanged};
use backstitch_core::retention::Policy;

use super::Handle;
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;

/// Settings that are others now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// Which node, by its name.
    pub node: String,
    /// Each as it was and is written.
    pub changed: Vec<SettingChanged>,
    /// The retention policy of the settings, which counts until somebody sets another one.
    pub policy: Option<Policy>,
}

impl Handle {
    /// Has settings take force that changed: recorded first, and then carried out, here and by whoever can.
    ///
    /// # Errors
    /// [`Error::RecordTooLarge`], [`Error::Draining`], [`Error::Stopped`].
    pub async fn reload_settings(
        &self,
        reloaded: Reloaded,
        actor: String,
        carry_out: impl FnOnce() + Send + 'static,
    ) -> Result<(), Error> {
        self.to_its_end(|handle| async move {
            let _one_at_a_time = handle.shared.ordering.lock().await;
            let Reloaded { node, changed, policy } = reloaded;
            let recorded = PartitionEvent::SettingsReloaded { node, changed, actor };
            handle.record(WORKFLOWS_PARTITION, recorded).await?;
            handle.retention().keep_policy_of_settings(policy);
            carry_out();
            Ok(())
        })
        .await
    }
}
