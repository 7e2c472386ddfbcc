//! A partition's place at the circuits of its node.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backstitch_core::breaker::{BreakerPolicy, BreakerRules};
use backstitch_core::event::{Hold, HoldReason};
use backstitch_core::time::Timestamp;

use super::circuit::Standing;
use super::{Asker, Breakers, Called, Name, Order, Outcome, Seated, told};

/// A partition's place at the circuits. Its calls go with it.
pub struct BreakerSeat {
    pub(super) breakers: Breakers,
    pub(super) number: u64,
    pub(super) pending: Arc<AtomicUsize>,
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
        let mut answer = None;
        self.breakers.changed(|inner| {
            let circuit = inner.circuit(name, &rules, now);
            let held = circuit.ask(&rules, again, now);
            let epoch = circuit.epoch;
            // Its time may be up without anybody having looked: those who wait go first.
            let woken = match held {
                Some(_) => inner.hand_on(name, now),
                None => Vec::new(),
            };
            inner.note(name);
            answer = Some((held, epoch));
            woken
        });
        match answer.expect("it was just asked") {
            (Some(hold), _) => Err(Hold { key: name.1.clone(), ..hold }),
            (None, epoch) => Ok(Called { name: name.clone(), rules, epoch }),
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
        let epoch = circuit.epoch;
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
        may.then(|| Called { name: name.clone(), rules, epoch: circuit.epoch })
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
