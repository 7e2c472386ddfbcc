//! A histogram of durations, cheap to add to from a hot path.
//!
//! Buckets grow by an eighth of a power of two, so a percentile is right to about a tenth.
//! Knows no clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

/// Buckets for each power of two.
const FINE: usize = 8;
/// Microseconds up to 2^40, twelve days.
const POWERS: usize = 40;
const BUCKETS: usize = FINE * POWERS;

/// What was measured, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean_us: u64,
    /// Half were at most this.
    pub p50_us: u64,
    /// 95 of 100 were at most this.
    pub p95_us: u64,
    /// 99 of 100 were at most this.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// Gathers durations.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
    max_us: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = std::array::from_fn(|_| AtomicU64::new(0));
        Self { buckets, sum_us: AtomicU64::new(0), max_us: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Adds a duration.
    pub(crate) fn add(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(us)].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
        self.max_us.fetch_max(us, Ordering::Relaxed);
    }

    /// What was gathered.
    pub(crate) fn latency(&self) -> Latency {
        let counts: Vec<u64> = self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        let max_us = self.max_us.load(Ordering::Relaxed);
        let at = |percent: u64| {
            let wanted = (count * percent).div_ceil(100);
            let mut seen = 0;
            let place = counts.iter().position(|bucket| {
                seen += bucket;
                seen >= wanted
            });
            place.map_or(0, |place| upper_us(place).min(max_us))
        };
        if count == 0 {
            return Latency::default();
        }
        let mean_us = self.sum_us.load(Ordering::Relaxed) / count;
        Latency { count, mean_us, p50_us: at(50), p95_us: at(95), p99_us: at(99), max_us }
    }
}

fn bucket_of(us: u64) -> usize {
    let us = us.max(1);
    let power = us.ilog2() as usize;
    // The three bits below the highest one.
    let fine = match power {
        0..3 => (us << (3 - power)) as usize % FINE,
        _ => (us >> (power - 3)) as usize % FINE,
    };
    (power * FINE + fine).min(BUCKETS - 1)
}

/// The largest duration of a bucket.
fn upper_us(bucket: usize) -> u64 {
    let (power, fine) = (bucket / FINE, (bucket % FINE) as u64);
    let upper = (FINE as u64 + fine + 1) << power;
    (upper / FINE as u64).saturating_sub(u64::from(power >= 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_put_there() {
        for us in (0..5_000).chain((5_000..50_000_000).step_by(9_973)) {
            let upper = upper_us(bucket_of(us));
            assert!(upper >= us && upper <= us + us / 8 + 1, "{us} in a bucket up to {upper}");
        }
    }

    #[test]
    fn percentiles_are_right_to_a_tenth() {
        let histogram = Histogram::default();
        assert_eq!(histogram.latency(), Latency::default());
        for us in 1..=1_000 {
            histogram.add(Duration::from_micros(us));
        }
        let latency = histogram.latency();
        assert_eq!((latency.count, latency.mean_us, latency.max_us), (1_000, 500, 1_000));
        for (found, right) in [(latency.p50_us, 500), (latency.p95_us, 950), (latency.p99_us, 990)]
        {
            assert!(found >= right && found <= right * 9 / 8 + 1, "{found} for {right}");
        }
    }
}
