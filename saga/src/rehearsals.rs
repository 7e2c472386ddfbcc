//! Rehearsals as the shell has them: waits drawn as the driver draws them, at their longest,
//! and statuses read as the HTTP executor reads them.

use backstitch_core::failure::{EffectKnown, FailureClass};
use backstitch_core::rehearsal::Surroundings;
use backstitch_core::retry_policy::RetryPolicy;
use backstitch_executors::http::verdict;

use crate::retry;

/// What a rehearsal needs to know of the shell.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shell;

impl Surroundings for Shell {
    /// With jitter, the longest wait that could be drawn.
    fn wait_ms(&self, policy: &RetryPolicy, tries: u16) -> u64 {
        retry::wait_ms(policy, tries, u32::MAX)
    }

    fn verdict(&self, status: u16) -> (FailureClass, EffectKnown) {
        verdict(status)
    }
}
