//! Who follows what, and how far what became durable has been handed out.

use std::collections::HashMap;
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
    pub(super) mailbox: mpsc::Sender<Told>,
}

/// Those that follow the same. Cheap to clone.
#[derive(Clone)]
pub(super) struct Group {
    pub(super) filter: Arc<EventFilter>,
    pub(super) seats: Arc<Vec<Seat>>,
}

/// All seats: those that follow one run by that run, so that an event is looked at once for all
/// that follow the same, and not at all for those of other runs.
pub(super) struct Desk {
    closed: bool,
    next: u64,
    of_runs: HashMap<ExecutionId, Vec<Group>>,
    others: Vec<Group>,
    /// The last position handed out, of each partition.
    positions: Vec<u64>,
}

impl Desk {
    pub(super) fn of(partitions: usize) -> Self {
        let (of_runs, others) = (HashMap::new(), Vec::new());
        Self { closed: false, next: 0, of_runs, others, positions: vec![0; partitions] }
    }

    /// A seat for a filter: its number, and where its events come out. None if the engine stops.
    pub(super) fn take(
        &mut self,
        filter: &Arc<EventFilter>,
    ) -> Option<(u64, mpsc::Receiver<Told>)> {
        if self.closed {
            return None;
        }
        self.next += 1;
        let (mailbox, events) = mpsc::channel(MAILBOX_MAX);
        let seat = Seat { number: self.next, mailbox };
        let groups = match filter.run() {
            Some(run) => self.of_runs.entry(run).or_default(),
            None => &mut self.others,
        };
        match groups.iter_mut().find(|group| group.filter == *filter) {
            Some(group) => Arc::make_mut(&mut group.seats).push(seat),
            None => {
                groups.push(Group { filter: filter.clone(), seats: Arc::new(vec![seat]) });
            }
        }
        Some((self.next, events))
    }

    /// Takes a seat back, or lets it go: its mailbox ends.
    pub(super) fn leave(&mut self, number: u64, filter: &EventFilter) {
        let Some(run) = filter.run() else { return remove(&mut self.others, number, filter) };
        if let Some(groups) = self.of_runs.get_mut(&run) {
            remove(groups, number, filter);
            if groups.is_empty() {
                self.of_runs.remove(&run);
            }
        }
    }

    /// Those that follow a run.
    pub(super) fn of_run(&self, run: &ExecutionId) -> &[Group] {
        self.of_runs.get(run).map_or(&[], Vec::as_slice)
    }

    /// Those that follow more than one run.
    pub(super) fn others(&self) -> &[Group] {
        &self.others
    }

    /// Whether nobody has a seat.
    pub(super) fn is_empty(&self) -> bool {
        self.others.is_empty() && self.of_runs.is_empty()
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

    /// Everything up to these positions needs no handing out any more.
    pub(super) fn skip(&mut self, positions: &[u64]) {
        for (own, position) in self.positions.iter_mut().zip(positions) {
            *own = (*own).max(*position);
        }
    }

    pub(super) fn positions(&self) -> &[u64] {
        &self.positions
    }
}

fn remove(groups: &mut Vec<Group>, number: u64, filter: &EventFilter) {
    for group in groups.iter_mut().filter(|group| *group.filter == *filter) {
        Arc::make_mut(&mut group.seats).retain(|seat| seat.number != number);
    }
    groups.retain(|group| !group.seats.is_empty());
}
