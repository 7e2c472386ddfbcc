//! The wall clock and the dice: the only file that reads either for the engine.

use backstitch_core::time::Timestamp;

/// The present instant.
#[must_use]
pub fn now() -> Timestamp {
    #[allow(clippy::disallowed_methods, reason = "this is the clock of the shell")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let us = since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
    Timestamp(us)
}

/// A random number over the whole range.
///
/// # Panics
/// If the operating system gives no randomness: then no id is safe to draw.
#[must_use]
pub fn draw_u32() -> u32 {
    getrandom::u32().expect("the operating system gives randomness")
}

/// The digits of a new execution id: 48 bits of time in milliseconds, then 80 random bits
/// (the layout of a UUID version 7, RFC 9562, without its version and variant).
///
/// # Panics
/// As [`draw_u32`].
#[must_use]
pub fn draw_digits(now: Timestamp) -> u128 {
    let mut random = [0_u8; 10];
    getrandom::fill(&mut random).expect("the operating system gives randomness");
    let ms = u128::try_from(now.0 / 1_000).unwrap_or(0);
    random.iter().fold(ms, |digits, &byte| (digits << 8) | u128::from(byte))
}
