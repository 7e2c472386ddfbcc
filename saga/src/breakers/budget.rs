//! The budget of retries of one service: a bucket of tokens, each one retry.
//!
//! Every first call adds the part that may be retries. A full bucket bears a few retries of a
//! service that is seldom called, and one comes back from time to time, so that nothing waits
//! for ever.

use backstitch_core::time::Timestamp;

/// Tokens that the bucket holds: retries that a service bears at once.
pub const RETRIES_MAX: f64 = 10.0;
/// How long it takes for one token to come back when nobody calls.
pub const RETRY_BACK_MS: u64 = 10_000;

#[derive(Debug)]
pub(super) struct Budget {
    tokens: f64,
    /// Up to when tokens have come back.
    filled_at: Timestamp,
}

impl Budget {
    pub fn new(now: Timestamp) -> Self {
        Self { tokens: RETRIES_MAX, filled_at: now }
    }

    /// A call is made, if the budget bears it; otherwise it says when it will at the latest.
    pub fn spend(&mut self, ratio: f64, again: bool, now: Timestamp) -> Option<Timestamp> {
        self.refill(now);
        if !again {
            self.tokens = (self.tokens + ratio).min(RETRIES_MAX);
            return None;
        }
        // Many parts that make one token may add up to a little less.
        if self.tokens + 1e-9 < 1.0 {
            return Some(self.next_at());
        }
        self.tokens = (self.tokens - 1.0).max(0.0);
        None
    }

    /// When one more token has come back by itself.
    pub fn next_at(&self) -> Timestamp {
        self.filled_at.plus_ms(RETRY_BACK_MS)
    }

    /// Retries that it bears now.
    pub fn left(&self) -> f64 {
        self.tokens
    }

    fn refill(&mut self, now: Timestamp) {
        let back_us = i64::try_from(RETRY_BACK_MS * 1_000).expect("it is small");
        let passed = (now.0 - self.filled_at.0).max(0) / back_us;
        self.filled_at = match passed {
            // A clock that was set back gives no time away.
            0 if now < self.filled_at => now,
            _ => Timestamp(self.filled_at.0 + passed * back_us),
        };
        let tokens = u32::try_from(passed).map_or(RETRIES_MAX, f64::from);
        self.tokens = (self.tokens + tokens).min(RETRIES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_part_of_the_calls_and_one_comes_back_from_time_to_time() {
        let at = |s: i64| Timestamp(1_800_000_000_000_000 + s * 1_000_000);
        let mut budget = Budget::new(at(0));
        let retries = (0..20).filter(|_| budget.spend(0.2, true, at(1)).is_none()).count();
        assert_eq!(retries, 10, "the bucket was full");
        assert_eq!(budget.spend(0.2, true, at(1)), Some(at(10)));
        for _ in 0..5 {
            assert_eq!(budget.spend(0.2, false, at(2)), None);
        }
        assert_eq!(budget.spend(0.2, true, at(2)), None, "a fifth of five");
        assert_eq!(budget.spend(0.2, true, at(2)), Some(at(10)));
        assert_eq!(budget.spend(0.2, true, at(10)), None, "one came back");
        assert_eq!(budget.spend(0.2, true, at(11)), Some(at(20)));
        assert_eq!(budget.spend(0.2, true, at(-50)), Some(at(-40)), "the clock was set back");
    }
}
