use backstitch_core::ids::PartitionId;
use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

fn key(word: &str) -> CacheKey {
    CacheKey::of_input("default", "task", &Payload::of(&json!(word)))
}

fn run(digits: u128) -> ExecutionId {
    ExecutionId { partition: PartitionId(0), digits }
}

fn answered(word: &str, by: u128, at: Timestamp) -> Answered {
    let source = CacheSource { run: run(by), step: "a".into() };
    Answered { key: key(word), source, output: Payload::of(&json!(word)), at, ttl_ms: 1_000 }
}

fn who(cache: &ResultCache, word: &str, ttl_ms: u64, now: Timestamp) -> Option<u128> {
    cache.recall(&key(word), ttl_ms, now).map(|hit| hit.source.run.digits)
}

#[test]
fn an_answer_counts_as_long_as_both_steps_let_it() {
    let cache = ResultCache::new(10_000);
    cache.remember(answered("x", 1, NOW));
    assert_eq!(who(&cache, "y", 1_000, NOW), None);
    assert_eq!(who(&cache, "x", 1_000, NOW.plus_ms(1_000)), Some(1));
    assert_eq!(who(&cache, "x", 500, NOW.plus_ms(501)), None, "too old for who asks");
    assert_eq!(who(&cache, "x", 2_000, NOW), Some(1), "and still there for others");
    assert_eq!(who(&cache, "x", 2_000, NOW.plus_ms(1_001)), None, "too old for who answered");
    let usage = cache.usage();
    assert_eq!((usage.entries, usage.bytes), (0, 0), "what nobody can use any more goes");
    assert_eq!((usage.hits, usage.misses), (2, 3));
}

#[test]
fn the_newest_answer_counts() {
    let cache = ResultCache::new(10_000);
    cache.remember(answered("x", 2, NOW));
    cache.remember(answered("x", 1, Timestamp(NOW.0 - 1)));
    assert_eq!(who(&cache, "x", 1_000, NOW), Some(2));
    cache.remember(answered("x", 3, Timestamp(NOW.0 + 1)));
    assert_eq!(who(&cache, "x", 1_000, NOW), Some(3));
    assert_eq!(cache.usage().entries, 1);
}

#[test]
fn what_was_not_asked_for_longest_leaves_first() {
    let one = Entries::bytes_of(&answered("a", 1, NOW));
    let cache = ResultCache::new(2 * one);
    cache.remember(answered("a", 1, NOW));
    cache.remember(answered("b", 1, NOW));
    assert_eq!(who(&cache, "a", 1_000, NOW), Some(1));
    cache.remember(answered("c", 1, NOW));
    assert_eq!(who(&cache, "b", 1_000, NOW), None);
    assert_eq!((who(&cache, "a", 1, NOW), who(&cache, "c", 1, NOW)), (Some(1), Some(1)));
    let usage = cache.usage();
    assert_eq!((usage.entries, usage.bytes, usage.evicted), (2, 2 * one, 1));
    let none = ResultCache::new(0);
    none.remember(answered("a", 1, NOW));
    assert_eq!(none.usage().entries, 0, "a cache without room keeps nothing");
}

#[test]
fn what_is_removed_erased_or_emptied_does_not_come_back() {
    let cache = ResultCache::new(1_000_000);
    cache.remember(answered("a", 1, NOW));
    cache.remember(answered("b", 2, NOW));
    let before = cache.taken_out();
    cache.forget_runs(&BTreeSet::from([run(1)]));
    assert_eq!((who(&cache, "a", 1, NOW), who(&cache, "b", 1, NOW)), (None, Some(2)));
    assert!(!cache.remember_read(vec![answered("a", 1, NOW)], before), "it was read before");
    assert_eq!(who(&cache, "a", 1, NOW), None);

    let mut beside = answered("c", 3, NOW);
    beside.output.keep_beside();
    let (digest, _) = beside.output.reference().expect("it is kept beside its record");
    cache.remember(beside);
    cache.forget(&digest);
    assert_eq!((who(&cache, "c", 1, NOW), who(&cache, "b", 1, NOW)), (None, Some(2)));

    assert_eq!(cache.empty(NOW), 1);
    cache.remember(answered("b", 2, NOW));
    assert_eq!(who(&cache, "b", 1, NOW), None, "it was answered before");
    cache.remember(answered("b", 2, NOW.plus_ms(1)));
    assert_eq!(who(&cache, "b", 1, NOW), Some(2));
}

#[test]
fn what_cannot_be_had_is_no_answer() {
    let cache = ResultCache::new(1_000_000);
    let mut erased = answered("a", 1, NOW);
    erased.output.keep_beside();
    erased.output.let_go(backstitch_core::payload::AbsentWhy::Erased);
    cache.remember(erased);
    assert_eq!(cache.usage().entries, 0);
}
