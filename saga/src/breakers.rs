//! Circuit breakers: whether services may be called, by what a node has seen of them.
//!
//! Nothing here is journaled but what operators say (see [`Breakers::force`]): a circuit is an
//! observation, old with the process, and another node would see something else. What a run does
//! because of it is in its events, and a start makes open circuits again of the calls that wait
//! for them. A call that waits stands in the line of its circuit; one that tries a half open one
//! is known by its run and step until it has ended, so that no try can leak.

mod budget;
mod circuit;
mod shown;
#[cfg(test)]
mod tests;
mod window;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstitch_core::breaker::{BreakerPolicy, BreakerRules};
use backstitch_core::event::{Hold, HoldReason};
use backstitch_core::payload::Payload;
use backstitch_core::time::Timestamp;
use backstitch_executors::Registry;

use crate::metrics;
use crate::turns::Wake;
pub use circuit::{Asker, Forced, Order, Outcome};
use circuit::{Circuit, Standing, Turned};
pub use shown::CircuitShown;

/// Circuits that are kept; beyond them those that are closed and were not used for longest go.
pub const CIRCUITS_MAX: usize = 10_000;

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
    /// How often the circuit had opened by then.
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

/// A partition's place at the circuits. Its calls go with it.
pub struct BreakerSeat {
    breakers: Breakers,
    number: u64,
    pending: Arc<AtomicUsize>,
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
            circuit.forced = forced;
            inner.hand_on(name, now)
        });
    }

    /// An operator has everything seen of a service forgotten: its circuit is closed.
    pub fn reset(&self, name: &Name, now: Timestamp) {
        self.changed(|inner| {
            let circuit = inner.circuit(name, &self.settings.rules, now);
            circuit.forced = None;
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
            let idle = self.circuits.iter().filter(|(_, own)| own.is_idle());
            let oldest = idle.min_by_key(|(_, own)| own.used_at).map(|(name, _)| name.clone());
            oldest.and_then(|name| self.circuits.remove(&name));
        }
        self.circuits.entry(name.clone()).or_insert_with(|| Circuit::new(*rules, now))
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

impl BreakerSeat {
    /// Whether a call may be made. One that may is in the circuit's book until
    /// [`BreakerSeat::ended`].
    ///
    /// # Errors
    /// Why not now.
    pub fn ask(
        &self,
        name: &Name,
        policy: Option<&BreakerPolicy>,
        again: bool,
        now: Timestamp,
    ) -> Result<Called, Hold> {
        let rules = self.rules(policy);
        let mut inner = self.breakers.lock();
        let circuit = inner.circuit(name, &rules, now);
        let held = circuit.ask(&rules, again, now);
        let epoch = circuit.opened;
        inner.note(name);
        match held {
            Some(hold) => Err(Hold { key: name.1.clone(), ..hold }),
            None => Ok(Called { name: name.clone(), rules, epoch }),
        }
    }

    /// The same for a call that has no place in line: it may try a service, if nobody waits to.
    ///
    /// # Errors
    /// Why not now.
    pub fn ask_in_passing(
        &self,
        (asker, name): (Asker, &Name),
        again: bool,
        now: Timestamp,
    ) -> Result<Called, Hold> {
        let asked = self.ask(name, None, again, now);
        let Err(Hold { why: HoldReason::Probing, .. }) = &asked else { return asked };
        let mut inner = self.breakers.lock();
        let rules = self.breakers.settings.rules;
        let circuit = inner.circuit(name, &rules, now);
        if !circuit.probe(asker, now) {
            return asked;
        }
        let epoch = circuit.opened;
        let (seat, name) = (self.number, name.clone());
        inner.seated.insert(asker, Seated { seat, name: name.clone(), order: None });
        Ok(Called { name, rules, epoch })
    }

    /// What a call is that was let on from the line; nothing if the circuit has turned since.
    #[must_use]
    pub fn called(
        &self,
        (asker, name): (Asker, &Name),
        policy: Option<&BreakerPolicy>,
    ) -> Option<Called> {
        let inner = self.breakers.lock();
        let circuit = inner.circuits.get(name)?;
        let rules = self.rules(policy);
        let may = circuit.is_closed() || circuit.probing.contains(&asker);
        may.then(|| Called { name: name.clone(), rules, epoch: circuit.opened })
    }

    fn rules(&self, policy: Option<&BreakerPolicy>) -> BreakerRules {
        let rules = self.breakers.settings.rules;
        policy.map_or(rules, |own| own.rules(&rules))
    }

    /// A call waits from now on, for what it was told.
    pub fn wait(&self, name: &Name, why: HoldReason, order: Order, now: Timestamp) {
        self.breakers.changed(|inner| {
            inner.stand(self.number, name, why, order, &self.breakers.settings.rules, now);
            inner.hand_on(name, now)
        });
    }

    /// A call was found waiting at a start; [`Breakers::let_in`] is called once all have said so.
    /// A circuit that nobody knows any more is as it was when the call was told to wait.
    pub fn waited(&self, name: &Name, hold: &Hold, order: Order, now: Timestamp) {
        let mut inner = self.breakers.lock();
        let unknown = !inner.circuits.contains_key(name);
        let found = inner.circuit(name, &self.breakers.settings.rules, now);
        let until = match hold.why {
            HoldReason::Open | HoldReason::Probing => hold.until.or(Some(now)),
            HoldReason::Forced | HoldReason::RetryBudget => None,
        };
        let later = |until: &Timestamp| match found.standing {
            Standing::Open(known) => found.recovered && known < *until,
            Standing::Closed | Standing::HalfOpen => unknown,
        };
        if let Some(until) = until.filter(later) {
            found.open_until(until, order.1);
            found.recovered = true;
        }
        inner.stand(self.number, name, hold.why, order, &self.breakers.settings.rules, now);
        inner.note(name);
    }

    /// A call waits no more, or is not made although it may: another may in its place.
    pub fn leave(&self, name: &Name, asker: Asker, now: Timestamp) {
        self.breakers.changed(|inner| {
            inner.leave(name, asker);
            inner.hand_on(name, now)
        });
    }

    /// A call that was let through has ended.
    pub fn ended(&self, called: &Called, asker: Asker, outcome: &Outcome, now: Timestamp) {
        let name = &called.name;
        self.breakers.changed(|inner| {
            inner.seated.remove(&asker);
            let circuit = inner.circuit(name, &called.rules, now);
            let turned = circuit.report((asker, called.epoch), outcome, &called.rules, now);
            told(name, circuit, turned);
            inner.hand_on(name, now)
        });
    }

    /// Sees to circuits whose time is up.
    pub fn tick(&self, now: Timestamp) {
        self.breakers.changed(|inner| {
            let mut woken = Vec::new();
            while let Some((at, name)) = inner.agenda.first().cloned() {
                if at > now {
                    break;
                }
                woken.extend(inner.hand_on(&name, now));
                // What stays due stays where it is until somebody lets it go on.
                if inner.agenda.first().is_some_and(|first| *first == (at, name)) {
                    break;
                }
            }
            woken
        });
    }

    /// When a circuit changes by itself for somebody who waits.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.breakers.lock().agenda.first().map(|(at, _)| *at)
    }

    /// The circuits it is a seat of.
    #[must_use]
    pub fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// How many of the partition's calls may be made and were not told.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    /// The next call that may be made.
    #[must_use]
    pub fn next_granted(&self) -> Option<(Asker, Name)> {
        if self.granted() == 0 {
            return None;
        }
        let mut inner = self.breakers.lock();
        let own = inner.seats.get_mut(&self.number)?;
        let granted = own.granted.pop_front()?;
        own.pending.fetch_sub(1, Ordering::AcqRel);
        Some(granted)
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

impl Drop for BreakerSeat {
    /// Nobody is let on instead: where the partition begins anew, its calls wait as they waited.
    fn drop(&mut self) {
        let mut inner = self.breakers.lock();
        let number = self.number;
        inner.seats.remove(&number);
        let own = inner.seated.iter().filter(|(_, own)| own.seat == number);
        let own: Vec<_> = own.map(|(asker, own)| (*asker, own.name.clone())).collect();
        for (asker, name) in own {
            inner.leave(&name, asker);
            inner.note(&name);
        }
    }
}
