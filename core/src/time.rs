//! Instants and durations as data. Nothing here reads a clock.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};

/// An instant: microseconds since 1970 in UTC. Printed RFC 3339, ending in `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The instant `delay_ms` milliseconds later; stays at the end of time rather than wrap.
    #[must_use]
    pub fn plus_ms(self, delay_ms: u64) -> Self {
        let delay_us = i64::try_from(delay_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        Self(self.0.saturating_add(delay_us))
    }

    /// Whole milliseconds from `earlier` to `self`; 0 if `self` is earlier.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0) / 1_000).unwrap_or(0)
    }

    /// Reads RFC 3339 with any offset.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|at| Self(at.timestamp_micros()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_micros(self.0) {
            Some(at) => f.write_str(&at.to_rfc3339_opts(SecondsFormat::Micros, true)),
            None => write!(f, "{} us", self.0),
        }
    }
}

/// The two instants of one decision, and where it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock: what is due is due by this. It may go back.
    pub now: Timestamp,
    /// What records are stamped with: never goes back within a partition.
    pub stamp: Timestamp,
    /// Among how many partitions new runs are spread.
    pub partitions: u16,
}

impl Moment {
    /// A moment at which the clock has always gone forward, of a single partition.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now, stamp: now, partitions: 1 }
    }
}

/// The longest duration a definition may name: ten years.
pub const DURATION_MS_MAX: u64 = 10 * 365 * 24 * 3_600_000;

/// Reads a duration word as a definition writes it: `500ms 5s 10m 2h 1d`, also joined
/// (`1h30m`). Answers milliseconds, at most [`DURATION_MS_MAX`].
///
/// # Errors
/// A sentence that says what a duration looks like.
pub fn parse_duration_ms(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is not a duration; write `500ms`, `5s`, `10m`, `2h`, `1d`");
    let mut rest = text.trim();
    let mut total_ms: u64 = 0;
    if rest.is_empty() || rest.len() > 64 {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit_ms = match &rest[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        rest = &rest[letters..];
        total_ms = number
            .checked_mul(unit_ms)
            .and_then(|part_ms| total_ms.checked_add(part_ms))
            .filter(|&sum_ms| sum_ms <= DURATION_MS_MAX)
            .ok_or_else(|| format!("`{text}` is longer than ten years"))?;
    }
    Ok(total_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("10m", 600_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
        }
        for text in
            ["", "5", "s", "-5s", "5 s", "1.5s", "5S", "5x", "99999999999999999999s", "9999d"]
        {
            assert!(parse_duration_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn instants_print_and_read_back() {
        let at = Timestamp(1_763_639_177_123_456);
        assert_eq!(at.to_string(), "2025-11-20T11:46:17.123456Z");
        assert_eq!(Timestamp::parse(&at.to_string()), Some(at));
        assert_eq!(Timestamp(i64::MAX).plus_ms(5), Timestamp(i64::MAX));
    }
}
