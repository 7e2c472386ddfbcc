//! Who waits for turns, slots and keyed limits, and who has them.

use backstitch_core::ids::PartitionId;

use super::{Handle, unexpected};
use crate::clock;
use crate::driver::UnderWay;
use crate::error::Error;
use crate::holders::Holders;
use crate::keys::KeyShown;
use crate::partition::{Answer, Input, RunMemory};
use crate::slots::{Limits, SlotHolder};
use crate::turns::{Class, Usage};

impl Handle {
    /// What runs take in memory, in all partitions.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn run_memory(&self) -> Result<RunMemory, Error> {
        let mut all = RunMemory::default();
        for partition in (0..).map(PartitionId).take(self.shared.mailboxes.len()) {
            match self.ask(partition, Input::Weigh).await? {
                Answer::Weighed(own) => all = all.and(own),
                answer => return Err(unexpected(answer, None)),
            }
        }
        Ok(all)
    }

    /// How the turns of attempts stand.
    #[must_use]
    pub fn turns(&self) -> Usage {
        self.shared.limits.pool.usage()
    }

    /// The attempts that hold turns, as a tenant is told of them.
    #[must_use]
    pub fn under_way(&self, namespace: &str, most: usize) -> Holders<UnderWay> {
        self.shared.limits.flights.shown(namespace, most)
    }

    /// The runs that hold a slot of the node, as a tenant is told of them.
    #[must_use]
    pub fn going_on(&self, namespace: &str, most: usize) -> Holders<SlotHolder> {
        self.shared.limits.slots.of_node(namespace, most)
    }

    /// Every limit of runs at a time, with who holds and who waits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.shared.limits.slots.limits()
    }

    /// Tells the recorder who waits for turns, slots, keyed limits and services.
    pub fn record_waiting(&self) {
        let turns = self.turns().waiting;
        let words = Class::ALL.map(Class::word);
        crate::metrics::waiting("turns", words.into_iter().zip(&turns));
        let (slots, keys) = (self.limits().waiting, self.shared.limits.keys.waiting());
        let words = || words.into_iter().skip(1);
        crate::metrics::waiting("slots", words().zip(&slots));
        crate::metrics::waiting("keys", words().zip(&keys));
        let (circuits, calls) = self.shared.limits.breakers.counts(clock::now());
        crate::metrics::circuits(circuits, calls);
    }

    /// The keyed limits of a namespace that somebody holds or waits for, the first of them by
    /// key, and how many more there are.
    #[must_use]
    pub fn keyed_limits(&self, namespace: &str, most: usize) -> (Vec<KeyShown>, usize) {
        self.shared.limits.keys.shown(namespace, most)
    }
}
