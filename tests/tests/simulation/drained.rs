//! A node that stops as it is asked to: what is under way ends, nothing new begins, and the next
//! start finds no attempt that was lost.

use backstitch_core::effect::{Effect, owed};
use backstitch_saga::partition::Partition;

use super::world::World;

/// Steps that a draining node may take to come to rest.
const DRAIN_MOMENTS_MAX: usize = 20_000;

impl World {
    /// Drains all partitions and starts them again, unless they crash meanwhile.
    pub fn drain(&mut self) {
        self.trace.push(format!("{} drains", self.now));
        self.partitions.iter_mut().for_each(Partition::drain);
        let crashes = self.crashes;
        for _ in 0..DRAIN_MOMENTS_MAX {
            if self.random.chance(5) {
                // Somebody asks all the same.
                self.client();
            }
            let worked = self.work();
            if self.crashes > crashes {
                return;
            }
            if worked {
                continue;
            }
            for at in 0..self.partitions.len() {
                self.hand_over(at);
            }
            match self.flights.iter().map(|flight| flight.lands_at).min() {
                Some(at) => self.now = at.max(self.now),
                None if self.partitions.iter().any(|own| own.stages_in_flight() > 0) => {}
                None => {
                    self.nothing_is_under_way();
                    return self.start_again();
                }
            }
        }
        panic!("seed {}: a draining node does not come to rest", self.seed);
    }

    /// Whatever was begun has ended, durably.
    fn nothing_is_under_way(&self) {
        let seed = self.seed;
        for partition in &self.partitions {
            let (id, effects) = (partition.id(), partition.effects_in_flight());
            assert_eq!(effects, 0, "seed {seed}: partition {id} is drained");
        }
        let runs: Vec<_> = self.disk.lock().expect("no panic").runs.keys().copied().collect();
        for run in runs {
            let attempts = owed(&self.live_state(run), self.now).into_iter().filter(|effect| {
                matches!(effect, Effect::RunStep { .. } | Effect::UndoStep { .. })
            });
            let attempts: Vec<_> = attempts.collect();
            assert!(attempts.is_empty(), "seed {seed}: {run}: {attempts:?} would be lost");
        }
    }
}
