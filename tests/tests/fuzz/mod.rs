//! Fuzzing: definitions, expressions and records out of a kept corpus, changed at random.
//!
//! Deterministic: a round is a seed, and the same seed changes the same inputs in the same way.
//! `make test` does a short round of each; `BACKSTITCH_FUZZ=n` does n times as much, and
//! `BACKSTITCH_FUZZ_SEED=s` another one. What ever made a target fail is kept in
//! `tests/fuzz/corpus`, where each file is tried as it is before anything is changed.

mod definition;
mod expression;
mod mutate;
mod record;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::simulation::random::Random;

/// Files of a folder, in the order of their names.
fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|why| panic!("{folder:?}: {why}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file")).collect()
}

/// Tries every input as it is, and then changed ones.
fn fuzz(corpus: &[Vec<u8>], words: &[&str], tries: u64, target: impl Fn(&[u8])) {
    assert!(!corpus.is_empty(), "there is no corpus");
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let (times, seed) = (number("BACKSTITCH_FUZZ"), number("BACKSTITCH_FUZZ_SEED"));
    let mut random = Random::new(seed.unwrap_or(1));
    let attempt = |input: &[u8], number: u64| {
        if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
            let text = String::from_utf8_lossy(input);
            panic!("try {number} fails; keep it in tests/fuzz/corpus:\n{text}\n{input:?}");
        }
    };
    corpus.iter().for_each(|input| attempt(input, 0));
    for number in 1..=tries * times.unwrap_or(1) {
        attempt(&mutate::changed(corpus, words, &mut random), number);
    }
}
