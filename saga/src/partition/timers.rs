//! What a partition does of itself: what falls due, and decisions that were cut.

use backstitch_core::command::Command;
use backstitch_core::time::Timestamp;

use super::cell::Cell;
use super::{Abandon, Partition};

/// Runs whose timers one call of [`Partition::fire`] sees to.
pub const TIMERS_PER_FIRE_MAX: usize = 1_024;

impl<T: Abandon> Partition<T> {
    /// The next instant at which [`Partition::fire`] has something to do.
    #[must_use]
    pub fn next_timer(&self) -> Option<Timestamp> {
        if self.draining {
            return None;
        }
        let timer = self.timers.first().map(|&(at, _)| at);
        let others = self.next_resend().into_iter().chain(self.resting.next());
        timer.into_iter().chain(others).chain(self.breakers.next_at()).min()
    }

    /// Whether a decision was cut short, or a turn came, and [`Partition::fire`] is to be
    /// called at once.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.draining
            && (!self.cut.is_empty()
                || self.seat.granted() > 0
                || self.slots.granted() > 0
                || self.keys.granted() > 0
                || self.has_calls())
    }

    /// [`Partition::fire`], if there is something for it to do.
    pub fn fire_if_due(&mut self, now: Timestamp) {
        let due = self.next_timer().is_some_and(|at| at <= now);
        if due || self.has_more() {
            self.fire(now);
        }
    }

    /// Sees to timers that are due and decisions that were cut, a bounded number of each.
    pub fn fire(&mut self, now: Timestamp) {
        let moment = self.tick(now);
        for _ in 0..self.cut.len() {
            let Some(run) = self.cut.pop_front() else { break };
            self.decide(run, Command::Continue, None, moment);
        }
        self.make_room(moment);
        self.open_circles(moment);
        self.use_slots(moment);
        self.use_calls(moment);
        self.use_keys(moment);
        self.use_turns(moment);
        self.wake_due(now);
        for _ in 0..TIMERS_PER_FIRE_MAX {
            let Some(&(at, run)) = self.timers.first().filter(|(at, _)| *at <= now) else { break };
            self.timers.remove(&(at, run));
            if let Some(Cell::Run(own)) = self.runs.get_mut(&run) {
                own.timer = None;
            }
            self.decide(run, Command::Continue, None, moment);
        }
        self.resend(now);
        self.rest_idle(now);
    }
}
