//! How often and after what wait an attempt is repeated.
//!
//! Pure arithmetic: whoever schedules the retry draws the jitter and hands it in.

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

    /// Whether another attempt is granted after `attempts` were made in this round.
    #[must_use]
    pub fn allows_another(&self, attempts: u16) -> bool {
        attempts < self.max_attempts
    }

    /// The wait after the failure of attempt `attempt` (counted from 1) of a round.
    ///
    /// `drawn` is a random number over the whole range of `u32`; with jitter the wait lies
    /// between half of the grown wait (0) and the whole of it (`u32::MAX`).
    #[must_use]
    pub fn wait_ms(&self, attempt: u16, drawn: u32) -> u64 {
        let repeats = attempt.max(1) - 1;
        let grown_ms = match self.backoff {
            Backoff::Fixed => self.initial_ms,
            Backoff::Linear => self.initial_ms.saturating_mul(u64::from(repeats) + 1),
            Backoff::Exponential => {
                exponential_ms(self.initial_ms, self.multiplier, repeats, self.max_ms)
            }
        };
        let whole_ms = grown_ms.min(self.max_ms);
        if !self.jitter {
            return whole_ms;
        }
        let half_ms = whole_ms / 2;
        let spread = u128::from(whole_ms - half_ms) * u128::from(drawn) / u128::from(u32::MAX);
        half_ms + u64::try_from(spread).expect("a part of a u64 is a u64")
    }
}

/// `initial * multiplier^repeats`, at most `max_ms`, by steps so that every machine agrees.
fn exponential_ms(initial_ms: u64, multiplier: f64, repeats: u16, max_ms: u64) -> u64 {
    let (mut wait, max) = (to_f64(initial_ms), to_f64(max_ms));
    for _ in 0..repeats {
        if wait >= max {
            return max_ms;
        }
        wait *= multiplier;
    }
    // Both are non-negative and at most a day, far below where f64 loses whole numbers.
    wait.min(max).round() as u64
}

fn to_f64(duration_ms: u64) -> f64 {
    duration_ms as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_cap() {
        let policy = RetryPolicy { jitter: false, ..RetryPolicy::STANDARD };
        let waits_ms: Vec<u64> = (1..=7).map(|attempt| policy.wait_ms(attempt, 0)).collect();
        assert_eq!(waits_ms, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        let linear = RetryPolicy { backoff: Backoff::Linear, ..policy };
        assert_eq!([1, 2, 3].map(|attempt| linear.wait_ms(attempt, 0)), [1_000, 2_000, 3_000]);
        let fixed = RetryPolicy { backoff: Backoff::Fixed, ..policy };
        assert_eq!([1, 9, u16::MAX].map(|attempt| fixed.wait_ms(attempt, 0)), [1_000; 3]);
        assert_eq!(policy.wait_ms(u16::MAX, 0), 30_000);
    }

    #[test]
    fn jitter_stays_between_half_and_whole() {
        let policy = RetryPolicy::STANDARD;
        assert_eq!(policy.wait_ms(2, 0), 1_000);
        assert_eq!(policy.wait_ms(2, u32::MAX / 2), 1_499);
        assert_eq!(policy.wait_ms(2, u32::MAX), 2_000);
    }

    #[test]
    fn attempts_are_counted_from_one() {
        assert!(!RetryPolicy::NONE.allows_another(1));
        assert!(RetryPolicy::STANDARD.allows_another(2));
        assert!(!RetryPolicy::STANDARD.allows_another(3));
    }
}
