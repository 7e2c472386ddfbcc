//! Runs at rest: nothing of them is in memory, and nothing of them is missed.

use backstitch_core::time::{Moment, Timestamp};
use backstitch_saga::partition::{RestPolicy, Rested};

use super::random::Random;
use super::world::{PARTITIONS, World};

/// How eager the partitions of a life are to let runs go.
pub fn policy(random: &mut Random) -> RestPolicy {
    let wake_ahead_ms = *random.pick(&[0, 0, 50, 2_000]);
    RestPolicy {
        wait_ms_min: *random.pick(&[0, 0, 20, 500, 5_000]),
        wait_ms_per_event: *random.pick(&[0, 0, 10]),
        after_idle_ms: *random.pick(&[0, 0, 100, 3_000]),
        wake_ahead_ms,
        events_per_checkpoint: 1 + random.below(20),
    }
}

/// Of every run at rest all is durable, nothing follows before it is due, and what is kept of it
/// is so. Answers how many there are.
pub fn rests(world: &World) -> u64 {
    let mut rested = 0;
    for partition in &world.partitions {
        for own in partition.rested() {
            rests_rightly(world, own);
            rested += 1;
        }
        assert_eq!(partition.at_rest(), partition.rested().count(), "seed {}", world.seed);
    }
    rested
}

fn rests_rightly(world: &World, own: Rested) {
    let Rested { run, version, due, holds_slot } = own;
    let seed = world.seed;
    let durable = {
        let disk = world.disk.lock().expect("no thread panicked");
        disk.runs.get(&run).map_or(0, |records| records.len() as u64)
    };
    assert_eq!(durable, version, "seed {seed}: {run} is at rest");
    let state = world.live_state(run);
    let before = due.map_or(world.now, |due| world.now.min(Timestamp(due.0 - 1)));
    let moment = Moment { partitions: PARTITIONS, ..Moment::at(before) };
    assert!(state.is_at_rest(moment), "seed {seed}: something follows of {run}, which is at rest");
    assert!(!state.is_quiescent(), "seed {seed}: {run} is at rest and over");
    assert_eq!(state.next_due(before), due, "seed {seed}: {run} is at rest");
    assert_eq!(state.holds_slot(), holds_slot, "seed {seed}: {run} is at rest");
}

/// What partitions hold in memory is what the durable events add up to, where all of it is durable.
/// A run may be gone and have begun again, and the disk not know of either.
pub fn states(world: &World) {
    for state in world.partitions.iter().flat_map(|own| own.states()) {
        let durable = {
            let disk = world.disk.lock().expect("no thread panicked");
            let records = disk.runs.get(&state.id).map_or(&[][..], |records| records);
            let same = records.first().is_some_and(|first| first.at == state.submitted_at);
            if same { records.len() as u64 } else { 0 }
        };
        if state.version <= durable {
            world.is_its_replay(state);
        }
    }
}
