//! Looking an answer up in the result cache: the hash of what is asked, and the table.

use backstitch_core::cache::{CacheKey, CacheSource};
use backstitch_core::ids::{DEFAULT_NAMESPACE, ExecutionId, PartitionId};
use backstitch_core::payload::Payload;
use backstitch_core::time::Timestamp;
use backstitch_saga::cache::{Answered, CACHE_BYTES_DEFAULT, ResultCache};
use serde_json::json;

use crate::figures::Measured;
use crate::load::{Pace, blocking_loop};

/// Bytes of what is asked.
pub const INPUT_BYTES: [usize; 2] = [1_024, 65_536];
/// Answers in the cache.
const ENTRIES: u64 = 50_000;
/// Those that are looked up, in turn.
const ASKED: u64 = 200;
/// When they were given.
const AT: Timestamp = Timestamp(1_800_000_000_000_000);

/// Looks up one answer after the other, each of which is there.
///
/// # Errors
/// An answer that is not.
pub fn measure(input_bytes: usize, pace: Pace) -> Result<Measured, String> {
    let cache = ResultCache::new(CACHE_BYTES_DEFAULT);
    let filler = "x".repeat(input_bytes.saturating_sub(24));
    let input = |n: u64| Payload::of(&json!({ "n": n, "text": filler }));
    let key = |input: &Payload| CacheKey::of_input(DEFAULT_NAMESPACE, "http", input);
    let asked: Vec<_> = (0..ASKED).map(input).collect();
    for n in 0..ENTRIES {
        let other = || Payload::of(&json!(n));
        let input = asked.get(usize::try_from(n).unwrap_or(usize::MAX)).cloned();
        let key = key(&input.unwrap_or_else(other));
        let run = ExecutionId { partition: PartitionId(0), digits: u128::from(n) };
        let source = CacheSource { run, step: "ask".into() };
        let output = Payload::of(&json!({ "answer": n }));
        cache.remember(Answered { key, source, output, at: AT, ttl_ms: 1_000 });
    }
    let mut asked = asked.iter().cycle();
    blocking_loop(pace, || {
        let input = asked.next().ok_or("nothing is asked")?;
        cache.recall(&key(input), 1_000, AT).map(drop).ok_or_else(|| "an answer is gone".to_owned())
    })
}
