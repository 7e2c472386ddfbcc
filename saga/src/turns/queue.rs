//! A waiting line with classes: undos first, then high, medium and low by weight, so that none
//! waits for ever; within a class in the order of coming.

use std::collections::BTreeMap;

use backstitch_core::event::Priority;
use backstitch_core::room::Attempt;

/// How often a class is served while all wait: high, medium, low.
pub const WEIGHTS: [i64; 3] = [8, 3, 1];

/// Whose turn it is before others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Undoing goes before everything.
    Undo,
    /// By the run's priority.
    Forward(Priority),
}

impl Class {
    /// Every class, first come first.
    pub const ALL: [Self; 4] = [
        Self::Undo,
        Self::Forward(Priority::High),
        Self::Forward(Priority::Medium),
        Self::Forward(Priority::Low),
    ];

    /// Of an attempt of a run with a priority.
    #[must_use]
    pub fn of(attempt: Attempt, priority: Priority) -> Self {
        match attempt {
            Attempt::Undo => Self::Undo,
            Attempt::Step => Self::Forward(priority),
        }
    }

    /// The word that is shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Undo => "undo",
            Self::Forward(Priority::High) => "high",
            Self::Forward(Priority::Medium) => "medium",
            Self::Forward(Priority::Low) => "low",
        }
    }

    fn at(self) -> usize {
        match self {
            Self::Undo => 0,
            Self::Forward(Priority::High) => 1,
            Self::Forward(Priority::Medium) => 2,
            Self::Forward(Priority::Low) => 3,
        }
    }
}

/// A place in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Of which class.
    pub class: Class,
    number: u64,
}

/// The line.
#[derive(Debug)]
pub(super) struct Queue<K> {
    lines: [BTreeMap<u64, K>; 4],
    /// What each weighted class is owed: the one that is owed most is next.
    owed: [i64; 3],
    next: u64,
}

impl<K> Queue<K> {
    pub(super) fn new() -> Self {
        Self { lines: std::array::from_fn(|_| BTreeMap::new()), owed: [0; 3], next: 0 }
    }

    pub(super) fn push(&mut self, class: Class, waiting: K) -> Place {
        let number = self.next;
        self.next += 1;
        self.lines[class.at()].insert(number, waiting);
        Place { class, number }
    }

    /// Leaves the line; whoever was let in already is not in it.
    pub(super) fn leave(&mut self, place: Place) {
        self.lines[place.class.at()].remove(&place.number);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.iter().all(BTreeMap::is_empty)
    }

    /// The next one.
    pub(super) fn pop(&mut self) -> Option<K> {
        let class = self.next_class()?;
        self.lines[class].pop_first().map(|(_, waiting)| waiting)
    }

    fn next_class(&mut self) -> Option<usize> {
        if !self.lines[0].is_empty() {
            return Some(0);
        }
        let mut total = 0;
        for (class, weight) in WEIGHTS.into_iter().enumerate() {
            if self.lines[class + 1].is_empty() {
                self.owed[class] = 0;
            } else {
                self.owed[class] += weight;
                total += weight;
            }
        }
        let waiting = (0..WEIGHTS.len()).filter(|class| !self.lines[class + 1].is_empty());
        let next = waiting.max_by_key(|&class| (self.owed[class], std::cmp::Reverse(class)))?;
        self.owed[next] -= total;
        Some(next + 1)
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.lines.iter_mut().for_each(|line| line.retain(|_, waiting| keep(waiting)));
    }

    /// How many wait, by class.
    pub(super) fn lengths(&self) -> [usize; 4] {
        std::array::from_fn(|class| self.lines[class].len())
    }

    /// How many of a class are before the first that is meant, if one is.
    pub(super) fn before(&self, class: Class, is_meant: impl Fn(&K) -> bool) -> Option<usize> {
        self.lines[class.at()].values().position(is_meant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIGH: Class = Class::Forward(Priority::High);
    const MEDIUM: Class = Class::Forward(Priority::Medium);
    const LOW: Class = Class::Forward(Priority::Low);

    #[test]
    fn classes_are_served_by_weight_and_undos_first() {
        let mut queue = Queue::new();
        for at in 0..24 {
            for class in [LOW, MEDIUM, HIGH] {
                queue.push(class, (class, at));
            }
        }
        queue.push(Class::Undo, (Class::Undo, 0));
        assert_eq!(queue.pop().unwrap().0, Class::Undo);
        let served: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        for round in served[..24].chunks(12) {
            let count = |class| round.iter().filter(|own| own.0 == class).count();
            assert_eq!([count(HIGH), count(MEDIUM), count(LOW)], [8, 3, 1]);
        }
        for class in [HIGH, MEDIUM, LOW] {
            let order: Vec<_> = served.iter().filter(|own| own.0 == class).map(|o| o.1).collect();
            assert_eq!(order, (0..24).collect::<Vec<_>>(), "first come, first served");
        }
    }

    #[test]
    fn whoever_leaves_is_not_served() {
        let mut queue = Queue::new();
        let first = queue.push(LOW, 1);
        let second = queue.push(LOW, 2);
        assert_eq!(queue.before(second.class, |own| *own == 2), Some(1));
        queue.leave(first);
        assert_eq!(queue.before(second.class, |own| *own == 2), Some(0));
        assert_eq!((queue.pop(), queue.pop()), (Some(2), None));
        assert_eq!(queue.before(second.class, |own| *own == 2), None);
    }
}
