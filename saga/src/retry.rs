//! Waits between attempts. The only file that names `backoff`.
//!
//! The wait is drawn here, by the shell, and written into the event; folding never draws.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use backstitch_core::command::AttemptResult;
use backstitch_core::failure::Failure;
use backstitch_core::retry_policy::{Backoff, RetryPolicy};

/// The longest wait that a service's `Retry-After` is heeded for.
pub const RETRY_AFTER_MS_MAX: u64 = 3_600_000;

/// How a callback's delivery is retried, over about a day: from 1 s, three times as long each time,
/// up to 4 hours.
pub const CALLBACK_POLICY: RetryPolicy = RetryPolicy {
    max_attempts: backstitch_core::decide::CALLBACK_ATTEMPTS_MAX,
    backoff: Backoff::Exponential,
    initial_ms: 1_000,
    max_ms: 4 * 3_600_000,
    multiplier: 3.0,
    jitter: true,
};

/// How a replay's delivery is retried: from half a second, doubling up to a minute.
pub const REPLAY_POLICY: RetryPolicy = RetryPolicy {
    max_attempts: backstitch_core::replays::ATTEMPTS_MAX,
    backoff: Backoff::Exponential,
    initial_ms: 500,
    max_ms: 60_000,
    multiplier: 2.0,
    jitter: true,
};

/// The wait after `tries` attempts of a round (at least 1) under a policy.
///
/// `drawn` is a random number over the whole range of `u32`; with jitter the wait lies between
/// half of the grown wait (0) and the whole of it (`u32::MAX`).
#[must_use]
pub fn wait_ms(policy: &RetryPolicy, tries: u16, drawn: u32) -> u64 {
    let tries = tries.max(1);
    let grown_ms = match policy.backoff {
        Backoff::Fixed => policy.initial_ms,
        Backoff::Linear => policy.initial_ms.saturating_mul(u64::from(tries)),
        Backoff::Exponential => exponential_ms(policy, tries),
    };
    let whole_ms = grown_ms.min(policy.max_ms);
    if !policy.jitter {
        return whole_ms;
    }
    let half_ms = whole_ms / 2;
    half_ms + share_ms(whole_ms - half_ms, drawn)
}

/// The wait before the next attempt after one that ended so: as drawn by the policy, and not
/// before the service wants to be asked again, if it said when. With jitter those who were told
/// the same come back spread over a tenth of that.
#[must_use]
pub fn wait_after_ms(policy: &RetryPolicy, tries: u16, drawn: u32, result: &AttemptResult) -> u64 {
    let failure = match result {
        AttemptResult::Answered(Ok(_)) => return 0,
        AttemptResult::Answered(Err(failure)) => Some(failure),
        AttemptResult::TimedOut | AttemptResult::Lost => None,
    };
    let asked_ms = failure.and_then(retry_after_ms).unwrap_or(0).min(RETRY_AFTER_MS_MAX);
    let spread_ms = if policy.jitter { share_ms(asked_ms / 10, drawn) } else { 0 };
    wait_ms(policy, tries, drawn).max(asked_ms + spread_ms)
}

/// When a service that failed wants to be asked again, as its executor read it.
fn retry_after_ms(failure: &Failure) -> Option<u64> {
    failure.details.as_ref()?.value().get("retry_after_ms")?.as_u64()
}

fn share_ms(whole_ms: u64, drawn: u32) -> u64 {
    let share = u128::from(whole_ms) * u128::from(drawn) / u128::from(u32::MAX);
    u64::try_from(share).expect("a part of a u64 is a u64")
}

fn exponential_ms(policy: &RetryPolicy, tries: u16) -> u64 {
    let mut waits = ExponentialBackoff {
        current_interval: Duration::from_millis(policy.initial_ms),
        initial_interval: Duration::from_millis(policy.initial_ms),
        randomization_factor: 0.0,
        multiplier: policy.multiplier,
        max_interval: Duration::from_millis(policy.max_ms),
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    };
    // Past the cap every wait is the same, so there is no need to count on.
    let last = (1..=tries.min(200)).filter_map(|_| waits.next_backoff()).last();
    last.map_or(policy.max_ms, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use backstitch_core::payload::Payload;
    use serde_json::json;

    use super::*;

    #[test]
    fn waits_grow_to_their_cap() {
        let policy = RetryPolicy { jitter: false, ..RetryPolicy::STANDARD };
        let waits_ms: Vec<u64> = (1..=7).map(|tries| wait_ms(&policy, tries, 0)).collect();
        assert_eq!(waits_ms, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        let linear = RetryPolicy { backoff: Backoff::Linear, ..policy };
        assert_eq!([1, 2, 3].map(|tries| wait_ms(&linear, tries, 0)), [1_000, 2_000, 3_000]);
        let fixed = RetryPolicy { backoff: Backoff::Fixed, ..policy };
        assert_eq!([1, 9, u16::MAX].map(|tries| wait_ms(&fixed, tries, 0)), [1_000; 3]);
        assert_eq!(wait_ms(&policy, u16::MAX, 0), 30_000);
    }

    #[test]
    fn a_service_says_when_to_come_back() {
        let after = |ms: u64| {
            let details = Payload::of(&json!({ "status": 503, "retry_after_ms": ms }));
            AttemptResult::Answered(Err(Failure::retryable("BUSY", "").with_details(details)))
        };
        let policy = RetryPolicy::STANDARD;
        let wait = |result: &AttemptResult, drawn| wait_after_ms(&policy, 1, drawn, result);
        assert_eq!(wait(&after(120_000), 0), 120_000, "longer than the policy's longest");
        assert_eq!(wait(&after(120_000), u32::MAX), 132_000);
        assert_eq!(wait(&after(10), u32::MAX), 1_000, "no earlier than the policy says");
        assert_eq!(wait(&after(u64::MAX), 0), RETRY_AFTER_MS_MAX);
        assert_eq!(wait(&AttemptResult::TimedOut, u32::MAX), 1_000);
        assert_eq!(wait(&AttemptResult::Answered(Ok(Payload::null())), 7), 0);
        let exact = RetryPolicy { jitter: false, ..policy };
        assert_eq!(wait_after_ms(&exact, 1, u32::MAX, &after(9_000)), 9_000);
    }

    #[test]
    fn a_callback_is_tried_for_about_a_day() {
        let hours = |drawn| {
            let tries = 1..CALLBACK_POLICY.max_attempts;
            tries.map(|tries| wait_ms(&CALLBACK_POLICY, tries, drawn)).sum::<u64>() / 3_600_000
        };
        assert_eq!((hours(0), hours(u32::MAX)), (15, 30));
        assert_eq!(
            [1, 2, 9].map(|n| wait_ms(&CALLBACK_POLICY, n, u32::MAX)),
            [1_000, 3_000, 6_561_000]
        );
    }

    #[test]
    fn jitter_stays_between_half_and_whole() {
        let policy = RetryPolicy::STANDARD;
        assert_eq!(wait_ms(&policy, 2, 0), 1_000);
        assert_eq!(wait_ms(&policy, 2, u32::MAX / 2), 1_499);
        assert_eq!(wait_ms(&policy, 2, u32::MAX), 2_000);
    }
}
