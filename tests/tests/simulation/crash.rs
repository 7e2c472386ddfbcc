//! kill -9 and the start after it.

use std::collections::VecDeque;
use std::sync::Arc;

use backstitch_core::ids::{ExecutionId, PartitionId};
use backstitch_core::state::State;
use backstitch_core::summary::ViewChange;
use backstitch_core::time::Timestamp;
use backstitch_saga::partition::{Partition, recall};
use backstitch_saga::turns::Wake;

use super::disk::DiskHistories;
use super::services::Flight;
use super::world::{PARTITIONS, Ticket, World};
use super::{breakers, cached};

impl World {
    pub fn start(&mut self) {
        let histories = DiskHistories(self.disk.clone());
        self.partitions = (0..PARTITIONS)
            .map(|id| Partition::new(PartitionId(id), self.now, Box::new(histories.clone())))
            .map(|partition| self.seated(partition))
            .collect();
        self.writing = (0..PARTITIONS).map(|_| VecDeque::new()).collect();
        self.acks = (0..PARTITIONS).map(|_| VecDeque::new()).collect();
        let all: Vec<_> = (0..usize::from(PARTITIONS)).collect();
        self.start_partitions(&all);
    }

    fn seated(&self, partition: Partition<Ticket>) -> Partition<Ticket> {
        let wake: Wake = Arc::new(|| {});
        let (pool, slots) = (self.pool.seat(wake.clone()), self.slots.seat(wake.clone()));
        let seated = partition.seated(pool, slots, self.keys.seat(wake));
        let breakers = self.breakers.seat(Arc::new(|| {}));
        let guarded = seated.guarded_by(breakers, breakers::services());
        guarded.caching(self.cache.clone()).resting(self.rest)
    }

    /// Some partitions begin anew from the disk; the others go on.
    fn start_partitions(&mut self, which: &[usize]) {
        let histories = DiskHistories(self.disk.clone());
        let last_at = self.last_recorded();
        for &at in which {
            let id = PartitionId(u16::try_from(at).expect("few"));
            let partition = Partition::new(id, last_at, Box::new(histories.clone()));
            // What was held goes before it is claimed anew.
            self.partitions[at] = self.seated(partition);
            (self.writing[at], self.acks[at]) = (VecDeque::new(), VecDeque::new());
        }
        self.take_up_own(which);
        self.ask_redriven_again(which);
        if which.contains(&0) {
            self.take_up_workflows();
            self.take_up_redrives();
        }
        let runs: Vec<_> = self.disk.lock().expect("no panic").runs.keys().copied().collect();
        for run in runs.into_iter().filter(|run| which.contains(&usize::from(run.partition.0))) {
            let state = self.recovered_state(run);
            for row in rows_of(&state) {
                self.row(row);
            }
            if state.is_unstarted_fork() {
                self.partitions[usize::from(run.partition.0)].adopt_unstarted(&state);
                continue;
            }
            let live = self.disk.lock().expect("no panic").live.contains(&run);
            if live && !state.is_quiescent() {
                let now = self.now;
                self.partitions[usize::from(run.partition.0)].adopt_found(state, 0, now);
            }
        }
        let now = self.now;
        which.iter().for_each(|&at| self.partitions[at].claim_slots());
        self.slots.let_in();
        self.keys.let_in();
        self.breakers.let_in(now);
        for &at in which {
            self.partitions[at].recover(now);
            self.hand_over(at);
        }
    }

    fn take_up_own(&mut self, which: &[usize]) {
        let disk = self.disk.lock().expect("no panic");
        for (id, records) in &disk.own {
            if !which.contains(&usize::from(id.0)) {
                continue;
            }
            let events = records.iter().map(|record| (&record.event, record.at));
            let partition = &mut self.partitions[usize::from(id.0)];
            partition.adopt_own(events).expect("they are its own");
        }
    }

    /// The run's state as a start finds it: from its checkpoint on, if there is one.
    fn recovered_state(&mut self, run: ExecutionId) -> State {
        let histories = DiskHistories(self.disk.clone());
        let recalled = recall(run, &histories);
        let recalled = recalled.unwrap_or_else(|why| panic!("seed {}: {why}", self.seed));
        let (state, checkpointed) = recalled.expect("it is there");
        self.checkpoints_used += u64::from(checkpointed > 0);
        state
    }

    /// Where the records' time stands, whatever the clock says.
    fn last_recorded(&self) -> Timestamp {
        let disk = self.disk.lock().expect("no panic");
        let records = disk.runs.values().chain(disk.own.values()).chain(disk.workflows.values());
        records
            .chain(disk.redrives.values())
            .flatten()
            .map(|record| record.at)
            .max()
            .unwrap_or(self.now)
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
        let all: Vec<_> = (0..self.partitions.len()).collect();
        self.posts.clear();
        self.cache = cached::empty();
        self.kill(&all);
        if self.random.chance(50) {
            cached::warm(self);
        }
    }

    /// The start after a node that was stopped as it should be.
    pub fn start_again(&mut self) {
        self.posts.clear();
        self.cache = cached::empty();
        self.asked_before_crash = self.asked.len();
        let all: Vec<_> = (0..self.partitions.len()).collect();
        self.start_partitions(&all);
    }

    /// Some partitions lose their node, and the others do not notice.
    pub fn crash_some(&mut self) {
        self.crashes += 1;
        self.asked_before_crash = self.asked.len();
        let which: Vec<_> = (0..self.partitions.len()).filter(|_| self.random.chance(50)).collect();
        self.kill(&which);
    }

    fn kill(&mut self, which: &[usize]) {
        self.trace.push(format!("{} crash of {which:?}", self.now));
        for &at in which {
            let kept = self.random.index(self.writing[at].len() + 1);
            for _ in 0..kept {
                self.write_one(at);
            }
        }
        let struck =
            |flight: &Flight| which.contains(&usize::from(flight.order.execution.partition.0));
        let (lost, going): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.flights).into_iter().partition(struck);
        self.flights = going;
        for flight in lost {
            if flight.takes_effect && self.random.chance(50) {
                self.books.apply(&flight.order);
            }
        }
        if which.len() == self.partitions.len() {
            self.forget_circuits();
        }
        self.start_partitions(which);
    }
}

/// What recovery shows of a run: the rows of its fold.
fn rows_of(state: &State) -> Vec<ViewChange> {
    let run = ViewChange::Run(backstitch_core::report::run_summary(state));
    let letters = backstitch_core::report::letter_summaries(state).map(ViewChange::Letter);
    std::iter::once(run).chain(letters).collect()
}
