//! kill -9 and the start after it.

use std::collections::VecDeque;

use backstitch_core::ids::PartitionId;
use backstitch_core::time::Timestamp;
use backstitch_saga::partition::Partition;

use super::disk::DiskHistories;
use super::world::{PARTITIONS, World, rows_of};

impl World {
    pub fn start(&mut self) {
        let histories = DiskHistories(self.disk.clone());
        let last_at = self.last_recorded();
        self.partitions = (0..PARTITIONS)
            .map(|id| Partition::new(PartitionId(id), last_at, Box::new(histories.clone())))
            .collect();
        self.writing = (0..PARTITIONS).map(|_| VecDeque::new()).collect();
        self.acks = (0..PARTITIONS).map(|_| VecDeque::new()).collect();
        self.take_up_own();
        let runs: Vec<_> = self.disk.lock().expect("no panic").runs.keys().copied().collect();
        for run in runs {
            let state = self.live_state(run);
            for row in rows_of(&state) {
                self.row(row);
            }
            let live = self.disk.lock().expect("no panic").live.contains(&run);
            if live && !state.is_quiescent() {
                self.partitions[usize::from(run.partition.0)].adopt(state);
            }
        }
        let now = self.now;
        for at in 0..self.partitions.len() {
            self.partitions[at].recover(now);
            self.hand_over(at);
        }
    }

    fn take_up_own(&mut self) {
        let disk = self.disk.lock().expect("no panic");
        for (id, records) in &disk.own {
            let events = records.iter().map(|record| (&record.event, record.at));
            let partition = &mut self.partitions[usize::from(id.0)];
            partition.adopt_own(events).expect("they are its own");
        }
    }

    /// Where the records' time stands, whatever the clock says.
    fn last_recorded(&self) -> Timestamp {
        let disk = self.disk.lock().expect("no panic");
        let records = disk.runs.values().chain(disk.own.values()).flatten();
        records.map(|record| record.at).max().unwrap_or(self.now)
    }

    /// kill -9 or a lost disk: memory is gone, and of what was being written a prefix stays.
    pub fn crash(&mut self) {
        self.crashes += 1;
        self.asked_before_crash = self.asked.len();
        if self.random.chance(15) {
            // Somebody sets the clock back while the process is down.
            self.now = Timestamp(
                self.now.0 - 1_000_000 * i64::try_from(self.random.below(600)).expect("small"),
            );
        }
        self.trace.push(format!("{} crash", self.now));
        for at in 0..self.writing.len() {
            let kept = self.random.index(self.writing[at].len() + 1);
            for _ in 0..kept {
                self.write_one(at);
            }
        }
        for flight in std::mem::take(&mut self.flights) {
            if flight.takes_effect && self.random.chance(50) {
                self.books.apply(&flight.order);
            }
        }
        self.start();
    }
}
