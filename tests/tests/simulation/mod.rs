//! The engine on virtual time: real partitions, a log that crashes, services that fail.
//!
//! One seed is one life of a small deployment; everything drawn comes from it, so a failure is
//! a seed: `make sim SEED=n` repeats it. The faults are listed in `docs/fault-model.md`, the
//! invariants in `check.rs`, each checked against the durable records and the services' books,
//! which know nothing of the engine's state.

mod arrows;
mod breakers;
mod cached;
mod check;
mod clients;
mod commits;
mod control;
mod crash;
mod disk;
mod drained;
mod faults;
mod flow;
mod folds;
mod forks;
mod generate;
mod limits;
mod links;
mod migrations;
mod model;
mod observe;
mod posts;
pub mod random;
mod redrives;
mod rest;
mod retries;
mod rollouts;
mod services;
mod told;
mod undos;
mod watch;
mod world;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Mutex;
use std::thread;

use arrows::Arrow;
use backstitch_core::report::RUN_EVENT_TYPES;
use world::World;

/// Seeds that every test run tries; `BACKSTITCH_SEEDS` tries another number of them, and
/// `BACKSTITCH_FIRST_SEED` begins further on.
const SEEDS: u64 = 1_000;

/// Seeds after which a long run says how far it is.
const SEEDS_PER_WORD: u64 = 1_000;

/// What lives reached together.
#[derive(Default)]
struct Reached {
    kinds: BTreeSet<&'static str>,
    arrows: BTreeSet<Arrow>,
    struck: BTreeSet<&'static str>,
    checkpoints_used: u64,
    rested: u64,
}

impl Reached {
    fn join(&mut self, other: Self) {
        self.kinds.extend(other.kinds);
        self.arrows.extend(other.arrows);
        self.struck.extend(other.struck);
        self.checkpoints_used += other.checkpoints_used;
        self.rested += other.rested;
    }
}

fn life(seed: u64) -> Reached {
    let mut world = World::new(seed);
    world.live();
    world.settle();
    check::all(&world);
    redrives::letters_were_claimed_first(&world);
    world.retire();
    world.settle();
    check::all(&world);
    let (kinds, checkpoints_used) = (world.event_kinds(), world.checkpoints_used);
    let (arrows, struck) = (world.watch.arrows, world.watch.struck);
    Reached { kinds, arrows, struck, checkpoints_used, rested: world.rested }
}

/// Lives the seeds that are left, one after the other, beside others who do.
fn live_some(left: &Mutex<Range<u64>>) -> Reached {
    let mut all = Reached::default();
    loop {
        let seed = left.lock().expect("held for a moment").next();
        let Some(seed) = seed else { return all };
        if seed > 0 && seed % SEEDS_PER_WORD == 0 {
            eprintln!("{seed} seeds begun");
        }
        match std::panic::catch_unwind(|| life(seed)) {
            Ok(reached) => all.join(reached),
            Err(_) => panic!("seed {seed} failed: repeat it with `make sim SEED={seed}`"),
        }
    }
}

/// Every seed, on every processor.
fn live_all(seeds: Range<u64>) -> Reached {
    let left = Mutex::new(seeds);
    let processors = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let some: Vec<_> = (0..processors).map(|_| scope.spawn(|| live_some(&left))).collect();
        let mut all = Reached::default();
        for lives in some {
            match lives.join() {
                Ok(reached) => all.join(reached),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

/// Kinds of events that the seeds together must reach.
fn event_kinds() -> impl Iterator<Item = &'static str> {
    let others = rollouts::EVENT_KINDS.into_iter().chain(redrives::EVENT_KINDS);
    RUN_EVENT_TYPES.iter().copied().chain(["RunsRemoved", "BreakerSet"]).chain(others)
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
    let all = live_all(number("BACKSTITCH_FIRST_SEED").unwrap_or(0)..seeds);
    let missing: Vec<_> = event_kinds().filter(|kind| !all.kinds.contains(*kind)).collect();
    assert!(all.checkpoints_used > 0, "no seed below {seeds} used a checkpoint");
    assert!(all.rested > 0, "no seed below {seeds} saw a run at rest");
    assert!(missing.is_empty(), "no seed below {seeds} reached {missing:?}");
    let missing: Vec<_> = faults::of_checks().filter(|own| !all.struck.contains(own)).collect();
    assert!(missing.is_empty(), "no check below seed {seeds} met {missing:?}");
    let missing = arrows::every().into_iter().filter(|(own, _)| !all.arrows.contains(own));
    let missing: Vec<_> = missing.map(|(_, words)| words).collect();
    assert!(missing.is_empty(), "no seed below {seeds} followed {missing:#?}");
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
