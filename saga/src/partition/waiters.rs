//! Who waits for the ends of runs, whether those are in memory or at rest.

use std::collections::HashMap;

use backstitch_core::ids::ExecutionId;

use super::Abandon;

/// Tickets that wait before those that were abandoned are looked for.
const SWEPT_ABOVE_MIN: usize = 1_024;

/// Tickets by the run whose end they wait for.
pub(super) struct Waiters<T> {
    runs: HashMap<ExecutionId, Vec<T>>,
    tickets: usize,
    /// Beyond so many tickets the abandoned ones are let go.
    sweep_above: usize,
}

impl<T: Abandon> Waiters<T> {
    pub(super) fn new() -> Self {
        Self { runs: HashMap::new(), tickets: 0, sweep_above: SWEPT_ABOVE_MIN }
    }

    pub(super) fn add(&mut self, run: ExecutionId, ticket: T) {
        let own = self.runs.entry(run).or_default();
        let before = own.len();
        own.retain(|waiting| !waiting.is_abandoned());
        self.tickets -= before - own.len();
        own.push(ticket);
        self.tickets += 1;
        if self.tickets > self.sweep_above {
            self.sweep();
        }
    }

    /// Everybody who waits for the run's end.
    pub(super) fn take(&mut self, run: ExecutionId) -> Vec<T> {
        if self.runs.is_empty() {
            return Vec::new();
        }
        let own = self.runs.remove(&run).unwrap_or_default();
        self.tickets -= own.len();
        own
    }

    /// As many tickets as are left come in before the next time.
    fn sweep(&mut self) {
        self.runs.retain(|_, own| {
            own.retain(|waiting| !waiting.is_abandoned());
            !own.is_empty()
        });
        self.tickets = self.runs.values().map(Vec::len).sum();
        self.sweep_above = (2 * self.tickets).max(SWEPT_ABOVE_MIN);
    }
}

#[cfg(test)]
mod tests {
    use backstitch_core::ids::PartitionId;

    use super::*;

    struct Ticket(bool);

    impl Abandon for Ticket {
        fn is_abandoned(&self) -> bool {
            self.0
        }
    }

    #[test]
    fn whoever_went_is_let_go_though_no_run_ends() {
        let mut waiters = Waiters::new();
        let run = |digits| ExecutionId { partition: PartitionId(0), digits };
        for digits in 0..10 * SWEPT_ABOVE_MIN as u128 {
            waiters.add(run(digits), Ticket(digits % 100 > 0));
            assert!(waiters.tickets <= SWEPT_ABOVE_MIN + 1);
        }
        assert_eq!(waiters.take(run(0)).len(), 1);
        assert_eq!(waiters.take(run(0)).len(), 0);
        assert_eq!(waiters.tickets, waiters.runs.values().map(Vec::len).sum::<usize>());
    }
}
