//! The engine on virtual time: real partitions, a log that crashes, services that fail.
//!
//! One seed is one life of a small deployment; everything drawn comes from it, so a failure is
//! a seed: `make sim SEED=n` repeats it. The faults are listed in `docs/fault-model.md`, the
//! invariants in `check.rs`, each checked against the durable records and the services' books,
//! which know nothing of the engine's state.

mod check;
mod clients;
mod commits;
mod control;
mod crash;
mod disk;
mod generate;
mod limits;
mod links;
mod observe;
mod posts;
pub mod random;
mod services;
mod world;

use std::collections::BTreeSet;

use world::World;

/// Seeds that every test run tries; `BACKSTITCH_SEEDS` tries another number of them.
const SEEDS: u64 = 500;

/// The kinds of events a life reached, and how often a start used a checkpoint.
fn life(seed: u64) -> (BTreeSet<&'static str>, u64) {
    let mut world = World::new(seed);
    world.live();
    world.settle();
    check::all(&world);
    world.retire();
    world.settle();
    check::all(&world);
    (world.event_kinds(), world.checkpoints_used)
}

#[test]
fn seeds() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    if let Some(seed) = number("BACKSTITCH_SEED") {
        println!("seed {seed}");
        life(seed);
        return;
    }
    let seeds = number("BACKSTITCH_SEEDS").unwrap_or(SEEDS);
    let mut kinds = BTreeSet::new();
    let mut checkpoints_used = 0;
    for seed in 0..seeds {
        let lived = std::panic::catch_unwind(|| life(seed));
        match lived {
            Ok((seen, used)) => {
                kinds.extend(seen);
                checkpoints_used += used;
            }
            Err(_) => panic!("seed {seed} failed: repeat it with `make sim SEED={seed}`"),
        }
    }
    let missing: Vec<_> = check::event_kinds().filter(|kind| !kinds.contains(*kind)).collect();
    assert!(checkpoints_used > 0, "no seed below {seeds} used a checkpoint");
    assert!(missing.is_empty(), "no seed below {seeds} reached {missing:?}");
}

#[test]
fn a_seed_lives_the_same_life_twice() {
    let trace = |seed| {
        let mut world = World::new(seed);
        world.live();
        world.settle();
        world.trace()
    };
    assert_eq!(trace(7), trace(7));
}
