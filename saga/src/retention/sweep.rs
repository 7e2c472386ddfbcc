//! Applying the policy in force by itself, now and then.

use std::time::Duration;

use backstitch_core::retention::Asked;

use crate::clock;
use crate::error::Error;
use crate::handle::Handle;

/// Who acts in a sweep.
const ACTOR: &str = "retention";

/// Sweeps until the engine stops.
pub(crate) async fn sweep(handle: Handle, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let policy = handle.retention_policy().policy;
        if !policy.removes() {
            continue;
        }
        for namespace in handle.journal().namespaces() {
            let (namespace, policy) = (namespace.into(), policy.clone());
            let asked = Asked { namespace, policy, at: clock::now(), after: None, limit: 1 };
            match handle.apply_and_wait(asked, ACTOR).await {
                Ok(()) | Err(Error::RetentionRunning) => {}
                Err(_) => return,
            }
        }
    }
}
