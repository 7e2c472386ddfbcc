//! The wall clock: the only file here that reads it.

use backstitch_core::time::Timestamp;

/// The present instant.
#[must_use]
pub fn now() -> Timestamp {
    #[allow(clippy::disallowed_methods, reason = "this is the clock of the command line")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let us = since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
    Timestamp(us)
}
