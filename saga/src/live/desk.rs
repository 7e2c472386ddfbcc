//! Who follows what, and how far what became durable has been handed out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use backstitch_core::history::EventFilter;
use backstitch_core::ids::{ExecutionId, PartitionId};
use tokio::sync::mpsc;

use super::follower::Told;

/// Events that wait for one follower; one that lets more wait is let go.
const MAILBOX_MAX: usize = 256;

/// A place to hand events to.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) number: u64,
    pub(super) filter: Arc<EventFilter>,
    pub(super) mailbox: mpsc::Sender<Told>,
}

/// All seats, those that follow one run by that run.
pub(super) struct Desk {
    closed: bool,
    next: u64,
    of_runs: HashMap<ExecutionId, Vec<Seat>>,
    others: Vec<Seat>,
    /// The last position handed out, of each partition.
    positions: Vec<u64>,
}

impl Desk {
    pub(super) fn of(partitions: usize) -> Self {
        let (of_runs, others) = (HashMap::new(), Vec::new());
        Self { closed: false, next: 0, of_runs, others, positions: vec![0; partitions] }
    }

    /// A seat for a filter: its number, and where its events come out. None if the engine stops.
    pub(super) fn take(&mut self, filter: Arc<EventFilter>) -> Option<(u64, mpsc::Receiver<Told>)> {
        if self.closed {
            return None;
        }
        self.next += 1;
        let (mailbox, events) = mpsc::channel(MAILBOX_MAX);
        let (number, run) = (self.next, filter.run());
        let seat = Seat { number, filter, mailbox };
        match run {
            Some(run) => self.of_runs.entry(run).or_default().push(seat),
            None => self.others.push(seat),
        }
        Some((number, events))
    }

    /// Takes a seat back.
    pub(super) fn leave(&mut self, number: u64, run: Option<ExecutionId>) {
        let Some(run) = run else { return self.others.retain(|seat| seat.number != number) };
        if let Some(seats) = self.of_runs.get_mut(&run) {
            seats.retain(|seat| seat.number != number);
            if seats.is_empty() {
                self.of_runs.remove(&run);
            }
        }
    }

    /// The seats that follow a run.
    pub(super) fn of_run(&self, run: &ExecutionId) -> &[Seat] {
        self.of_runs.get(run).map_or(&[], Vec::as_slice)
    }

    /// The seats that follow more than one run.
    pub(super) fn others(&self) -> &[Seat] {
        &self.others
    }

    /// Lets some go: their mailboxes end.
    pub(super) fn let_go(&mut self, numbers: &HashSet<u64>) {
        if numbers.is_empty() {
            return;
        }
        self.others.retain(|seat| !numbers.contains(&seat.number));
        self.of_runs.retain(|_, seats| {
            seats.retain(|seat| !numbers.contains(&seat.number));
            !seats.is_empty()
        });
    }

    /// Lets all go.
    pub(super) fn let_all_go(&mut self) {
        self.others.clear();
        self.of_runs.clear();
    }

    /// Lets all go, and takes nobody any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.let_all_go();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Everything of a partition up to a position has been handed out.
    pub(super) fn reached(&mut self, partition: PartitionId, position: u64) {
        if let Some(own) = self.positions.get_mut(usize::from(partition.0)) {
            *own = position.max(*own);
        }
    }

    pub(super) fn positions(&self) -> &[u64] {
        &self.positions
    }
}
