//! Turns: how many attempts a node has under way at a time, over all its partitions.
//!
//! A run that finds none free stands in one line for all partitions; a turn that comes back goes
//! to the first in it, one at a time, so that neither a wide run nor a busy partition keeps the
//! others waiting. A turn is held by a partition's [`Seat`] and comes back with it: what a
//! partition holds is what it has in flight, and nothing else remembers it.

mod queue;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstitch_core::ids::ExecutionId;

use queue::Queue;
pub use queue::{Class, Place, WEIGHTS};

/// Tells a partition that one of its runs has a turn.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// All turns of a node.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    size: usize,
    used: usize,
    queue: Queue<Waiting>,
    seats: HashMap<u64, Holder>,
    next_seat: u64,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    seat: u64,
    run: ExecutionId,
}

/// What a partition holds.
struct Holder {
    turns: usize,
    granted: VecDeque<ExecutionId>,
    /// How many wait in `granted`, to be looked at without the lock.
    pending: Arc<AtomicUsize>,
    wake: Wake,
}

/// How a pool stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Turns there are.
    pub size: usize,
    /// Turns that are taken.
    pub used: usize,
    /// Runs that wait, by class in the order of [`Class::ALL`].
    pub waiting: [usize; 4],
}

/// A partition's place at the pool. What it holds comes back when it is dropped.
pub struct Seat {
    pool: Pool,
    number: u64,
    pending: Arc<AtomicUsize>,
}

impl Pool {
    /// A pool of so many turns, at least one.
    #[must_use]
    pub fn new(size: usize) -> Self {
        let inner = Inner {
            size: size.max(1),
            used: 0,
            queue: Queue::new(),
            seats: HashMap::new(),
            next_seat: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// A seat that is woken when it has been given a turn.
    #[must_use]
    pub fn seat(&self, wake: Wake) -> Seat {
        let mut inner = self.lock();
        let (number, pending) = (inner.next_seat, Arc::new(AtomicUsize::new(0)));
        inner.next_seat += 1;
        let granted = VecDeque::new();
        let holder = Holder { turns: 0, granted, pending: pending.clone(), wake };
        inner.seats.insert(number, holder);
        drop(inner);
        Seat { pool: self.clone(), number, pending }
    }

    /// How it stands.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let inner = self.lock();
        Usage { size: inner.size, used: inner.used, waiting: inner.queue.lengths() }
    }

    /// Where a run of a class stands: how many of the class are before it. Looks at all that wait
    /// in the class; for people only.
    #[must_use]
    pub fn before(&self, run: ExecutionId, class: Class) -> Option<usize> {
        self.lock().queue.before(class, |waiting| waiting.run == run)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Gives free turns to who waits; answers whom to wake.
    fn hand_on(&mut self) -> Vec<Wake> {
        let mut woken = Vec::new();
        while self.used < self.size {
            let Some(Waiting { seat, run }) = self.queue.pop() else { break };
            let Some(holder) = self.seats.get_mut(&seat) else { continue };
            self.used += 1;
            holder.turns += 1;
            holder.granted.push_back(run);
            holder.pending.fetch_add(1, Ordering::AcqRel);
            woken.push(holder.wake.clone());
        }
        woken
    }
}

impl Seat {
    /// A turn, if one is free and nobody waits for it.
    #[must_use]
    pub fn take(&self) -> bool {
        let mut inner = self.pool.lock();
        if inner.used >= inner.size || !inner.queue.is_empty() {
            return false;
        }
        inner.used += 1;
        if let Some(own) = inner.seats.get_mut(&self.number) {
            own.turns += 1;
        }
        true
    }

    /// Gives turns back.
    pub fn give_back(&self, turns: usize) {
        if turns == 0 {
            return;
        }
        let mut inner = self.pool.lock();
        if let Some(own) = inner.seats.get_mut(&self.number) {
            let turns = turns.min(own.turns);
            own.turns -= turns;
            inner.used -= turns;
        }
        let woken = inner.hand_on();
        drop(inner);
        woken.iter().for_each(|wake| wake());
    }

    /// A run waits for a turn.
    pub fn wait(&self, run: ExecutionId, class: Class) -> Place {
        let mut inner = self.pool.lock();
        let place = inner.queue.push(class, Waiting { seat: self.number, run });
        // Whatever was given back since the run asked is handed on now.
        let woken = inner.hand_on();
        drop(inner);
        woken.iter().for_each(|wake| wake());
        place
    }

    /// A run waits no more.
    pub fn leave(&self, place: Place) {
        self.pool.lock().queue.leave(place);
    }

    /// How many of the partition's runs have been given a turn and not been told.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    /// The next run that has been given a turn.
    #[must_use]
    pub fn next_granted(&self) -> Option<ExecutionId> {
        if self.granted() == 0 {
            return None;
        }
        let mut inner = self.pool.lock();
        let own = inner.seats.get_mut(&self.number)?;
        let run = own.granted.pop_front()?;
        own.pending.fetch_sub(1, Ordering::AcqRel);
        Some(run)
    }

    /// Turns that the seat holds, given and not told included.
    #[must_use]
    pub fn held(&self) -> usize {
        self.pool.lock().seats.get(&self.number).map_or(0, |own| own.turns)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inner = self.pool.lock();
        let own = self.number;
        inner.queue.retain(|waiting| waiting.seat != own);
        if let Some(holder) = inner.seats.remove(&own) {
            inner.used -= holder.turns;
        }
        let woken = inner.hand_on();
        drop(inner);
        woken.iter().for_each(|wake| wake());
    }
}

#[cfg(test)]
mod tests {
    use backstitch_core::event::Priority;
    use backstitch_core::ids::PartitionId;

    use super::*;

    const MEDIUM: Class = Class::Forward(Priority::Medium);

    fn run(digits: u128) -> ExecutionId {
        ExecutionId { partition: PartitionId(0), digits }
    }

    fn seat(pool: &Pool) -> Seat {
        pool.seat(Arc::new(|| {}))
    }

    #[test]
    fn a_turn_that_comes_back_goes_to_the_first_in_line_wherever_it_is() {
        let pool = Pool::new(1);
        let (one, two) = (seat(&pool), seat(&pool));
        assert!(one.take());
        assert!(!two.take());
        let _ = two.wait(run(2), MEDIUM);
        let _ = one.wait(run(1), MEDIUM);
        assert_eq!([run(2), run(1)].map(|own| pool.before(own, MEDIUM)), [Some(0), Some(1)]);
        assert_eq!(pool.before(run(1), Class::Undo), None);
        one.give_back(1);
        assert_eq!((two.granted(), one.granted()), (1, 0));
        assert!(!one.take(), "whoever waits goes before who comes");
        assert_eq!(two.next_granted(), Some(run(2)));
        two.give_back(1);
        assert_eq!(one.next_granted(), Some(run(1)));
        assert_eq!(pool.usage(), Usage { size: 1, used: 1, waiting: [0; 4] });
    }

    #[test]
    fn a_partition_that_goes_gives_back_what_it_held() {
        let pool = Pool::new(2);
        let (one, two) = (seat(&pool), seat(&pool));
        assert!(one.take() && one.take());
        let _ = one.wait(run(1), MEDIUM);
        let _ = two.wait(run(2), MEDIUM);
        drop(one);
        assert_eq!(two.next_granted(), Some(run(2)));
        assert_eq!(pool.usage().used, 1);
        assert_eq!((two.held(), pool.usage().waiting), (1, [0; 4]));
    }
}
