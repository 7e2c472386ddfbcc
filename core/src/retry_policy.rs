//! How often and after what wait an attempt is repeated.
//!
//! Plain data: the shell draws each wait and writes it into the event.

use serde::{Deserialize, Serialize};

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
