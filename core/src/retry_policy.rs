//! How often and after what wait an attempt is repeated, and after which failures.
//!
//! Plain data: the shell draws each wait and writes it into the event.

mod conditions;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use conditions::{NETWORK_CODES, RetryCondition, RetryConditions, STATUS_CODE};

use crate::failure::{Failure, FailureClass, codes};

/// The most attempts a policy may grant.
pub const ATTEMPTS_MAX: u16 = 100;
/// The longest wait before a second attempt.
pub const RETRY_INITIAL_MS_MAX: u64 = 3_600_000;
/// The longest wait between any two attempts.
pub const RETRY_WAIT_MS_MAX: u64 = 86_400_000;
/// The steepest growth of the wait.
pub const MULTIPLIER_MAX: f64 = 10.0;

/// How the wait grows from attempt to attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// `initial`, then times `multiplier` each time.
    Exponential,
    /// `initial`, then `initial` more each time.
    Linear,
    /// Always `initial`.
    Fixed,
}

/// How often and after what wait an attempt is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// All attempts, the first included: 1 to [`ATTEMPTS_MAX`].
    pub max_attempts: u16,
    /// How the wait grows.
    pub backoff: Backoff,
    /// The wait before the second attempt.
    pub initial_ms: u64,
    /// The longest wait.
    pub max_ms: u64,
    /// Growth of an exponential wait: 1 to [`MULTIPLIER_MAX`].
    pub multiplier: f64,
    /// Whether the wait is drawn between its half and its whole.
    pub jitter: bool,
}

/// A policy, and the failures after which it grants another attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Retries {
    /// How often, and after what wait.
    pub policy: RetryPolicy,
    /// After which failures; those of class retryable if unsaid.
    pub conditions: Option<Arc<RetryConditions>>,
}

/// Attempts of one operation that crashes may take before its outcome is given up as unknown.
pub const LOST_ATTEMPTS_MAX: u16 = 16;

impl Retries {
    /// One attempt.
    pub const NONE: Self = Self { policy: RetryPolicy::NONE, conditions: None };

    /// Whether a step that failed so is tried again, after `tries` attempts that count and `lost`
    /// ones that do not.
    ///
    /// A crash is not the step's fault and uses up no attempt; but a step that may be tried only
    /// once is not tried again when nobody knows whether it took effect.
    #[must_use]
    pub fn allow(&self, failure: &Failure, tries: u16, lost: u16) -> bool {
        let once = self.policy.max_attempts == 1 && failure.code == codes::ATTEMPT_LOST;
        !once && self.allow_undo(failure, tries, lost)
    }

    /// The same for an undo, which is the same effect however often it is made: one that may be
    /// tried only once is tried again after a crash.
    #[must_use]
    pub fn allow_undo(&self, failure: &Failure, tries: u16, lost: u16) -> bool {
        let conditions = self.conditions.as_ref();
        if failure.code == codes::ATTEMPT_LOST {
            return lost <= LOST_ATTEMPTS_MAX && conditions.is_none_or(|own| !own.forbid(failure));
        }
        let by_class = || failure.class == FailureClass::Retryable;
        tries < self.policy.max_attempts
            && conditions.map_or_else(by_class, |own| own.allow(failure))
    }
}

impl From<RetryPolicy> for Retries {
    fn from(policy: RetryPolicy) -> Self {
        Self { policy, conditions: None }
    }
}

impl RetryPolicy {
    /// `none`: one attempt.
    pub const NONE: Self = Self { max_attempts: 1, jitter: false, ..Self::STANDARD };

    /// `standard`: 3 attempts after 1 s and 2 s, at most 30 s, with jitter.
    pub const STANDARD: Self = Self {
        max_attempts: 3,
        backoff: Backoff::Exponential,
        initial_ms: 1_000,
        max_ms: 30_000,
        multiplier: 2.0,
        jitter: true,
    };

    /// `critical`: 10 attempts from 500 ms, doubling up to 60 s, with jitter.
    pub const CRITICAL: Self =
        Self { max_attempts: 10, initial_ms: 500, max_ms: 60_000, ..Self::STANDARD };

    /// The named policies of a definition.
    pub const NAMED: [(&'static str, Self); 3] =
        [("none", Self::NONE), ("standard", Self::STANDARD), ("critical", Self::CRITICAL)];
}
