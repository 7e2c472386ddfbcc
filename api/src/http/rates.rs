//! How often one address, and one caller, may ask.
//!
//! Counted by the generic cell rate algorithm (ITU-T I.371), of which `governor` keeps one cell for
//! each. What needs no permission is not counted: a probe must not fail because others ask too much.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use serde_json::json;

use super::codes;
use super::refusal::Refusal;
use crate::settings::RateLimit;

/// Requests refused because one address or caller asked too often, by `by`.
pub const RATE_LIMITED: &str = "backstitch_http_rate_limited_total";
/// Requests after which those who have long rested are forgotten.
const TIDY_EVERY: usize = 16_384;
/// How many bits of an IPv6 address tell one network from another: whoever has one has all of its
/// addresses.
const IPV6_NETWORK_BITS: u32 = 64;

/// Who has asked how often.
#[derive(Debug)]
pub struct Rates {
    by_address: Option<Limiter<IpAddr>>,
    by_caller: Option<Limiter<(Arc<str>, String)>>,
}

#[derive(Debug)]
struct Limiter<K: Hash + Eq + Clone> {
    cells: RateLimiter<K, HashMapStateStore<K>, DefaultClock>,
    asked: AtomicUsize,
}

/// Where a request comes from. On every one that a server takes.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

impl Rates {
    /// Nobody has asked yet.
    #[must_use]
    pub fn of(address: Option<RateLimit>, caller: Option<RateLimit>) -> Self {
        Self { by_address: address.map(Limiter::of), by_caller: caller.map(Limiter::of) }
    }

    /// Counts a request of an address.
    ///
    /// # Errors
    /// 429.
    pub(super) fn count_address(&self, peer: Option<Peer>) -> Result<(), Refusal> {
        match (&self.by_address, peer) {
            (Some(limiter), Some(Peer(address))) => limiter.count(network(address), "address"),
            _ => Ok(()),
        }
    }

    /// Counts a request of somebody who has proven who they are.
    ///
    /// # Errors
    /// 429.
    pub(super) fn count_caller(&self, namespace: &Arc<str>, actor: String) -> Result<(), Refusal> {
        let Some(limiter) = &self.by_caller else { return Ok(()) };
        limiter.count((namespace.clone(), actor), "caller")
    }
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    fn of(limit: RateLimit) -> Self {
        let quota = Quota::with_period(limit.every).expect("a rate's period is not zero");
        let quota = quota.allow_burst(limit.burst);
        Self { cells: RateLimiter::hashmap(quota), asked: AtomicUsize::new(0) }
    }

    fn count(&self, key: K, by: &'static str) -> Result<(), Refusal> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            self.cells.retain_recent();
            self.cells.shrink_to_fit();
        }
        let Err(not_until) = self.cells.check_key(&key) else { return Ok(()) };
        metrics::counter!(RATE_LIMITED, "by" => by).increment(1);
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let message = format!("this {by} asks too often; it may ask again in {seconds} s");
        Err(Refusal::new(codes::RATE_LIMITED, message)
            .with(json!({ "by": by, "retry_after_seconds": seconds.max(1) })))
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(own) => {
            let network = own.to_bits() >> (128 - IPV6_NETWORK_BITS) << (128 - IPV6_NETWORK_BITS);
            Ipv6Addr::from_bits(network).into()
        }
        own => own,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    fn limit(every: Duration, burst: u32) -> Option<RateLimit> {
        Some(RateLimit { every, burst: NonZeroU32::new(burst).expect("not zero") })
    }

    #[test]
    fn each_network_has_a_rate_of_its_own() {
        let rates = Rates::of(limit(Duration::from_secs(3_600), 2), None);
        let asks =
            |address: &str| rates.count_address(Some(Peer(address.parse().expect("an address"))));
        assert!(asks("192.0.2.1").is_ok() && asks("::ffff:192.0.2.1").is_ok());
        let refused = asks("192.0.2.1").expect_err("it asked twice");
        assert_eq!(refused.code, codes::RATE_LIMITED);
        let seconds = refused.details["retry_after_seconds"].as_u64().expect("a number");
        assert!((3_000..=3_600).contains(&seconds), "{seconds}");
        assert!(asks("192.0.2.2").is_ok());
        assert!(asks("2001:db8::1").is_ok() && asks("2001:db8::ffff:1").is_ok());
        assert!(asks("2001:db8::2").is_err() && asks("2001:db8:0:1::2").is_ok());
        let caller = |name: &str| rates.count_caller(&"default".into(), name.to_owned());
        assert!((0..10).all(|_| caller("key_1").is_ok()), "callers have no limit");
    }

    #[test]
    fn those_who_have_rested_are_forgotten() {
        let rates = Rates::of(None, limit(Duration::from_nanos(1), 1));
        for asked in 0..2 * TIDY_EVERY {
            rates.count_caller(&"default".into(), asked.to_string()).expect("each asks once");
        }
        let kept = rates.by_caller.as_ref().map(|limiter| limiter.cells.len());
        assert!(kept.is_some_and(|kept| kept < TIDY_EVERY), "{kept:?}");
    }
}
