//! Circuits as people see them.

use std::sync::Arc;

use backstitch_core::ids::ExecutionId;
use backstitch_core::time::Timestamp;

use super::circuit::{Circuit, Forced, Standing};
use super::{Asker, Breakers, Name};

/// Waiters of one circuit that are named; counts say how many there are.
const NAMED_MAX: usize = 100;

/// One circuit, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct CircuitShown {
    /// The key.
    pub key: Arc<str>,
    /// `closed`, `open`, `half_open`: what it goes by now.
    pub state: &'static str,
    /// What an operator has it be.
    pub forced: Option<Forced>,
    /// Until when it is open by itself.
    pub until: Option<Timestamp>,
    /// Failures in a row.
    pub consecutive_failures: u32,
    /// How often it opened since the start.
    pub opened: u64,
    /// How often it opened, or an operator's word was given or taken back.
    pub epoch: u64,
    /// When it last did.
    pub opened_at: Option<Timestamp>,
    /// When a call last failed, and why.
    pub last_failure: Option<(Timestamp, String)>,
    /// Calls that try it now.
    pub probing: Vec<Asker>,
    /// How many may at a time.
    pub probes: u32,
    /// Calls that wait for it.
    pub waiting: usize,
    /// Retries that wait for its budget.
    pub retries_waiting: usize,
    /// Retries that its budget bears now, if there is one.
    pub retries_left: Option<f64>,
    /// The runs of the first of those that wait.
    pub waiters: Vec<ExecutionId>,
}

impl Circuit {
    fn shown(&self, key: &Arc<str>, now: Timestamp) -> CircuitShown {
        let (until, by_itself) = match self.standing {
            Standing::Closed => (None, "closed"),
            Standing::Open(until) if until > now => (Some(until), "open"),
            Standing::Open(_) | Standing::HalfOpen => (None, "half_open"),
        };
        let state = match self.forced {
            Some(Forced::Open) => "open",
            Some(Forced::Closed) => "closed",
            None => by_itself,
        };
        let waiters = self.line.iter().chain(&self.retries).take(NAMED_MAX);
        CircuitShown {
            key: key.clone(),
            state,
            forced: self.forced,
            until,
            consecutive_failures: self.consecutive,
            opened: self.opened,
            epoch: self.epoch,
            opened_at: self.opened_at,
            last_failure: self.last_failure.clone(),
            probing: self.probing.iter().copied().collect(),
            probes: self.rules.probes,
            waiting: self.line.len(),
            retries_waiting: self.retries.len(),
            retries_left: self.rules.retry_ratio.map(|_| self.budget.left()),
            waiters: waiters.map(|order| order.2).collect(),
        }
    }
}

impl Breakers {
    /// The circuits of a namespace, by key.
    #[must_use]
    pub fn shown(&self, namespace: &str, now: Timestamp) -> Vec<CircuitShown> {
        let inner = self.lock();
        let own = inner.circuits.iter().filter(|((own, _), _)| **own == *namespace);
        own.map(|((_, key), circuit)| circuit.shown(key, now)).collect()
    }

    /// One circuit.
    #[must_use]
    pub fn find(&self, name: &Name, now: Timestamp) -> Option<CircuitShown> {
        self.lock().circuits.get(name).map(|own| own.shown(&name.1, now))
    }

    /// How many circuits operators keep open or closed.
    #[must_use]
    pub fn forced(&self) -> usize {
        self.lock().circuits.values().filter(|own| own.forced.is_some()).count()
    }

    /// How many of those are a tenant's.
    #[must_use]
    pub fn forced_in(&self, namespace: &str) -> usize {
        let inner = self.lock();
        let own = inner.circuits.iter().filter(|((own, _), _)| **own == *namespace);
        own.filter(|(_, own)| own.forced.is_some()).count()
    }

    /// How many circuits stand how, and how many calls wait: closed, open, half open, waiting.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> ([usize; 3], usize) {
        let inner = self.lock();
        let (mut counts, mut waiting) = ([0; 3], 0);
        for ((_, key), circuit) in &inner.circuits {
            let shown = circuit.shown(key, now);
            waiting += shown.waiting + shown.retries_waiting;
            match shown.state {
                "closed" => counts[0] += 1,
                "open" => counts[1] += 1,
                _ => counts[2] += 1,
            }
        }
        (counts, waiting)
    }

    /// What is wrong, if anything is: more tries than there may be, somebody who waits while the
    /// circuit is closed.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let inner = self.lock();
        inner.circuits.iter().find_map(|((_, key), own)| {
            let tries = own.probing.len();
            if tries > own.rules.probes as usize && own.standing == Standing::HalfOpen {
                return Some(format!("{tries} calls try `{key}`, at most {}", own.rules.probes));
            }
            let waits = own.is_closed() && !own.line.is_empty();
            let tried = own.forced.is_none()
                && own.standing == Standing::HalfOpen
                && tries == 0
                && !own.line.is_empty();
            let waits = waits.then(|| format!("somebody waits for `{key}`, which is closed"));
            waits.or_else(|| tried.then(|| format!("nobody tries `{key}`, and somebody waits")))
        })
    }
}
