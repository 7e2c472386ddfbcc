//! How often somebody may ask: `100/s`, or `6000/m, burst 500`.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// The most requests in a unit of time, and at once.
const REQUESTS_MAX: u32 = 1_000_000;
/// What a rate is written per.
const UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3_600)];

/// How often one caller may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The time after which a further request is free.
    pub every: Duration,
    /// Requests that may come at once, after a time of rest.
    pub burst: NonZeroU32,
}

/// What `off`, or a rate, means.
pub(super) fn read(text: &str) -> Result<Option<RateLimit>, String> {
    if text == "off" {
        return Ok(None);
    }
    let wanted = || {
        format!(
            "off, or a rate such as 100/s or 6000/m, burst 500: 1 to {REQUESTS_MAX} requests per \
             s, m or h, and as many at once"
        )
    };
    rate(text).map(Some).ok_or_else(wanted)
}

fn rate(text: &str) -> Option<RateLimit> {
    let (rate, burst) = match text.split_once(',') {
        Some((rate, rest)) => (rate.trim(), Some(rest.trim().strip_prefix("burst ")?)),
        None => (text, None),
    };
    let (requests, unit) = rate.split_once('/')?;
    let (_, seconds) = UNITS.into_iter().find(|(word, _)| *word == unit.trim())?;
    let requests = count(requests)?;
    let burst = burst.map_or(Some(requests), count)?;
    Some(RateLimit { every: Duration::from_secs(seconds) / requests.get(), burst })
}

fn count(text: &str) -> Option<NonZeroU32> {
    let count = NonZeroU32::from_str(text.trim()).ok()?;
    (count.get() <= REQUESTS_MAX).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_unit_and_may_have_a_burst() {
        let of = |text: &str| {
            let own = read(text).expect("a rate").expect("it is on");
            (own.every, own.burst.get())
        };
        assert_eq!(of("100/s"), (Duration::from_millis(10), 100));
        assert_eq!(of("60/m, burst 500"), (Duration::from_secs(1), 500));
        assert_eq!(of("1/h,burst 1"), (Duration::from_secs(3_600), 1));
        assert_eq!(read("off"), Ok(None));
        for wrong in
            ["", "100", "0/s", "1000001/s", "-1/s", "1/d", "1/s,", "1/s, 5", "1/s, burst 0"]
        {
            assert!(read(wrong).is_err_and(|why| why.contains("100/s")), "{wrong}");
        }
    }
}
