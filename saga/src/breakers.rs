//! Circuit breakers: whether services may be called, by what a node has seen of them.
//!
//! Nothing here is journaled but what operators say (see [`Breakers::force`]): a circuit is an
//! observation, old with the process, and another node would see something else. What a run does
//! because of it is in its events, and a start makes open circuits again of the calls that wait
//! for them. A call that waits stands in the line of its circuit; one that tries a half open one
//! is known by its run and step until it has ended, so that no try can leak.

mod budget;
mod circuit;
mod seat;
mod shown;
#[cfg(test)]
mod tests;
mod window;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstitch_core::breaker::BreakerRules;
use backstitch_core::event::HoldReason;
use backstitch_core::payload::Payload;
use backstitch_core::time::Timestamp;
use backstitch_executors::Registry;

use crate::metrics;
use crate::turns::Wake;
pub use circuit::{Asker, Forced, Order, Outcome};
use circuit::{Circuit, Turned};
pub use seat::BreakerSeat;
pub use shown::CircuitShown;

/// Circuits that are kept; beyond them those that keep nobody back and were not used for longest
/// go.
pub const CIRCUITS_MAX: usize = 10_000;
/// How many go at a time, so that looking for them is seldom.
const CIRCUITS_FORGOTTEN_AT_ONCE: usize = 1_000;

/// Whose circuit it is, and its key.
pub type Name = (Arc<str>, Arc<str>);

/// Says which service a task calls.
pub trait Dependencies: Send + Sync {
    /// The service that a task with this input calls; nothing if it calls none.
    fn service(&self, task_type: &str, input: &Payload) -> Option<String>;
}

impl Dependencies for Registry {
    fn service(&self, task_type: &str, input: &Payload) -> Option<String> {
        self.get(task_type)?.service(input)
    }
}

/// Nobody calls anybody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Independent;

impl Dependencies for Independent {
    fn service(&self, _: &str, _: &Payload) -> Option<String> {
        None
    }
}

/// How breakers are set up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Whether there are any.
    pub enabled: bool,
    /// Rules of those who do not say.
    pub rules: BreakerRules,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, rules: BreakerRules::default() }
    }
}

/// A call that was let through, until it has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Called {
    /// Whose circuit it passed.
    pub name: Name,
    /// The rules it goes by.
    pub rules: BreakerRules,
    /// The circuit's own count of its turns by then: see `CircuitShown::epoch`.
    pub epoch: u64,
}

/// All circuits of a node.
#[derive(Clone)]
pub struct Breakers {
    settings: Settings,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    circuits: BTreeMap<Name, Circuit>,
    /// When circuits change for those who wait.
    agenda: BTreeSet<(Timestamp, Name)>,
    /// Who waits, or was told to go on and has not ended.
    seated: HashMap<Asker, Seated>,
    seats: HashMap<u64, Holder>,
    next: u64,
}

/// Whose call it is, and where it stands in line.
struct Seated {
    seat: u64,
    name: Name,
    order: Option<Order>,
}

struct Holder {
    granted: VecDeque<(Asker, Name)>,
    pending: Arc<AtomicUsize>,
    wake: Wake,
}

impl Breakers {
    /// Circuits, all of them closed.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, inner: Arc::default() }
    }

    /// How they are set up.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A seat that is woken when one of its calls may be made.
    #[must_use]
    pub fn seat(&self, wake: Wake) -> BreakerSeat {
        let mut inner = self.lock();
        let (number, pending) = (inner.next, Arc::new(AtomicUsize::new(0)));
        inner.next += 1;
        let granted = VecDeque::new();
        inner.seats.insert(number, Holder { granted, pending: pending.clone(), wake });
        drop(inner);
        BreakerSeat { breakers: self.clone(), number, pending }
    }

    /// Lets on whoever may, once every partition has said who waits.
    pub fn let_in(&self, now: Timestamp) {
        self.changed(|inner| {
            let names: Vec<_> = inner.circuits.keys().cloned().collect();
            names.iter().flat_map(|name| inner.hand_on(name, now)).collect()
        });
    }

    /// An operator has a circuit be open or closed, or go by what is seen again. Recorded before,
    /// by who calls this.
    pub fn force(&self, name: &Name, forced: Option<Forced>, now: Timestamp) {
        self.changed(|inner| {
            let circuit = inner.circuit(name, &self.settings.rules, now);
            circuit.force(forced);
            inner.hand_on(name, now)
        });
    }

    /// An operator has everything seen of a service forgotten: its circuit is closed.
    pub fn reset(&self, name: &Name, now: Timestamp) {
        self.changed(|inner| {
            let circuit = inner.circuit(name, &self.settings.rules, now);
            circuit.force(None);
            circuit.close();
            circuit.budget = budget::Budget::new(now);
            inner.hand_on(name, now)
        });
    }

    fn changed(&self, change: impl FnOnce(&mut Inner) -> Vec<Wake>) {
        let woken = change(&mut self.lock());
        woken.iter().for_each(|wake| wake());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn circuit(&mut self, name: &Name, rules: &BreakerRules, now: Timestamp) -> &mut Circuit {
        if !self.circuits.contains_key(name) && self.circuits.len() >= CIRCUITS_MAX {
            self.forget(now);
        }
        self.circuits.entry(name.clone()).or_insert_with(|| Circuit::new(*rules, now))
    }

    /// Makes room for other circuits.
    fn forget(&mut self, now: Timestamp) {
        let idle = self.circuits.iter().filter(|(_, own)| own.is_idle(now));
        let mut idle: Vec<_> = idle.map(|(name, own)| (own.used_at, name.clone())).collect();
        idle.sort_unstable();
        for (_, name) in idle.iter().take(CIRCUITS_FORGOTTEN_AT_ONCE) {
            self.circuits.remove(name);
        }
    }

    /// Lets those go on who may by now; answers whom to wake.
    fn hand_on(&mut self, name: &Name, now: Timestamp) -> Vec<Wake> {
        let Some(circuit) = self.circuits.get_mut(name) else { return Vec::new() };
        let free = circuit.let_on(now);
        let mut woken = Vec::new();
        for order in free {
            let asker = (order.2, order.3);
            let Some(own) = self.seated.get_mut(&asker) else { continue };
            own.order = None;
            let Some(holder) = self.seats.get_mut(&own.seat) else { continue };
            holder.granted.push_back((asker, name.clone()));
            holder.pending.fetch_add(1, Ordering::AcqRel);
            woken.push(holder.wake.clone());
        }
        self.note(name);
        woken
    }

    /// Keeps the agenda.
    fn note(&mut self, name: &Name) {
        let Some(circuit) = self.circuits.get_mut(name) else { return };
        let (before, now) = (circuit.noted_at, circuit.wakes_at());
        if before == now {
            return;
        }
        circuit.noted_at = now;
        if let Some(at) = before {
            self.agenda.remove(&(at, name.clone()));
        }
        self.agenda.extend(now.map(|at| (at, name.clone())));
    }
}

/// Says when a circuit turns.
fn told(name: &Name, circuit: &Circuit, turned: Option<Turned>) {
    let key = &*name.1;
    match turned {
        Some(Turned::Opened) => {
            let why = circuit.last_failure.as_ref().map_or("", |(_, why)| why.as_str());
            tracing::warn!(key, why, "circuit open: calls wait");
            metrics::circuit_turned("open");
        }
        Some(Turned::Closed) => {
            tracing::info!(key, "circuit closed: calls go on");
            metrics::circuit_turned("closed");
        }
        None => {}
    }
}

impl Inner {
    fn stand(
        &mut self,
        seat: u64,
        name: &Name,
        why: HoldReason,
        order: Order,
        rules: &BreakerRules,
        now: Timestamp,
    ) {
        let circuit = self.circuit(name, rules, now);
        match why {
            HoldReason::RetryBudget => circuit.retries.insert(order),
            HoldReason::Open | HoldReason::Probing | HoldReason::Forced => {
                circuit.line.insert(order)
            }
        };
        let own = Seated { seat, name: name.clone(), order: Some(order) };
        self.seated.insert((order.2, order.3), own);
    }

    fn leave(&mut self, name: &Name, asker: Asker) {
        let own = self.seated.remove(&asker);
        let Some(circuit) = self.circuits.get_mut(name) else { return };
        circuit.probing.remove(&asker);
        if let Some(order) = own.and_then(|own| own.order) {
            circuit.line.remove(&order);
            circuit.retries.remove(&order);
        }
    }
}
