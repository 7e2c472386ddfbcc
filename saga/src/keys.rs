//! Keyed limits: how many attempts with the same key a node has under way, over all partitions.
//!
//! Nothing here is remembered: who holds a place and who waits for one is read off the states of
//! runs, at the start and as steps ask, so a place can't leak. A step holds all of its places or
//! none, while an attempt of it is under way, and only attempts hold any: they end by themselves,
//! so that no two wait for each other. Steps without keyed limits are unknown here.

mod line;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstitch_core::event::LimitKey;
use backstitch_core::ids::{ExecutionId, StepIndex};
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;

use crate::turns::Wake;
use line::Line;
pub use line::{KeyShown, Order};

/// A step of a run.
pub type Asker = (ExecutionId, StepIndex);

/// Whose key it is, and the key.
type Name = (Arc<str>, Arc<str>);

/// What a step wants of keyed limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Whose tenant's.
    pub namespace: Arc<str>,
    /// The step's id.
    pub step: Arc<str>,
    /// The limits, each key once.
    pub keys: Vec<LimitKey>,
    /// Who goes first.
    pub order: Order,
    /// Since when it holds its places, if it does.
    pub at: Timestamp,
}

impl Ask {
    /// What a step of a run wants; nothing if it needs none.
    #[must_use]
    pub fn of(state: &State, step: StepIndex, at: Timestamp) -> Option<Self> {
        let wanted = state.wanted(step)?;
        Some(Self {
            namespace: state.submitted.namespace.clone(),
            step: state.plan.step(step).id.clone(),
            keys: wanted.keys.clone(),
            order: (state.priority(), wanted.since, state.id, step),
            at,
        })
    }

    fn asker(&self) -> Asker {
        (self.order.2, self.order.3)
    }

    fn names(&self) -> impl Iterator<Item = (Name, u32)> + '_ {
        self.keys.iter().map(|own| ((self.namespace.clone(), own.key.clone()), own.max))
    }
}

/// All keyed limits of a node.
#[derive(Clone, Default)]
pub struct Keys {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    lines: BTreeMap<Name, Line>,
    /// Who holds its places, and who waits, with their seats.
    holders: HashMap<Asker, (u64, Ask)>,
    waiting: HashMap<Asker, (u64, Ask)>,
    seats: HashMap<u64, Holder>,
    next: u64,
}

struct Holder {
    granted: VecDeque<Asker>,
    pending: Arc<AtomicUsize>,
    wake: Wake,
}

/// A partition's place at the keyed limits. What its runs hold goes with it.
pub struct KeySeat {
    keys: Keys,
    number: u64,
    pending: Arc<AtomicUsize>,
}

impl Keys {
    /// A seat that is woken when one of its steps has its places.
    #[must_use]
    pub fn seat(&self, wake: Wake) -> KeySeat {
        let mut inner = self.lock();
        let (number, pending) = (inner.next, Arc::new(AtomicUsize::new(0)));
        inner.next += 1;
        let granted = VecDeque::new();
        inner.seats.insert(number, Holder { granted, pending: pending.clone(), wake });
        drop(inner);
        KeySeat { keys: self.clone(), number, pending }
    }

    /// Lets in whoever there is room for, once every partition has said what its runs hold.
    pub fn let_in(&self) {
        let mut inner = self.lock();
        let names: Vec<_> = inner.lines.keys().cloned().collect();
        let woken = inner.hand_on(names);
        drop(inner);
        woken.iter().for_each(|wake| wake());
    }

    /// The keys that somebody holds or waits for, by namespace and key, a page of them.
    #[must_use]
    pub fn shown(&self, namespace: &str, most: usize) -> (Vec<KeyShown>, usize) {
        let inner = self.lock();
        let own = || inner.lines.iter().filter(|((own, _), _)| **own == *namespace);
        let shown = own().take(most).map(|((_, key), line)| line.shown(key, &inner.holders));
        (shown.collect(), own().count().saturating_sub(most))
    }

    /// Steps that wait: high, medium, low.
    #[must_use]
    pub fn waiting(&self) -> [usize; 3] {
        let inner = self.lock();
        let mut waiting = [0; 3];
        inner.waiting.values().for_each(|(_, ask)| waiting[ask.order.0 as usize] += 1);
        waiting
    }

    /// Whether a step holds its places.
    #[must_use]
    pub fn is_held(&self, asker: Asker) -> bool {
        self.lock().holders.contains_key(&asker)
    }

    /// Whether somebody waits for what is free.
    #[must_use]
    pub fn is_idle_for_somebody(&self) -> bool {
        let inner = self.lock();
        inner.waiting.values().any(|(_, ask)| inner.has_room(ask))
    }

    /// The keys that have no room for a step that waits, with how many are before it.
    #[must_use]
    pub fn waits_for(&self, asker: Asker) -> Vec<(KeyShown, usize)> {
        let inner = self.lock();
        let Some((_, ask)) = inner.waiting.get(&asker) else { return Vec::new() };
        let line = |(name, max)| {
            let line: &Line = inner.lines.get(&name)?;
            let before = line.before(&ask.order);
            (!line.has_room(max) || before > 0)
                .then(|| (line.shown(&name.1, &inner.holders), before))
        };
        ask.names().filter_map(line).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn has_room(&self, ask: &Ask) -> bool {
        ask.names().all(|(name, max)| self.lines.get(&name).is_none_or(|own| own.has_room(max)))
    }

    fn hold(&mut self, seat: u64, ask: Ask) {
        self.leave(ask.asker());
        for (name, max) in ask.names() {
            self.lines.entry(name).or_default().hold(ask.asker(), max);
        }
        self.holders.insert(ask.asker(), (seat, ask));
    }

    fn wait(&mut self, seat: u64, ask: Ask) {
        for (name, max) in ask.names() {
            self.lines.entry(name).or_default().wait(ask.order, max);
        }
        self.waiting.insert(ask.asker(), (seat, ask));
    }

    /// Somebody waits no more.
    fn leave(&mut self, asker: Asker) {
        let Some((_, ask)) = self.waiting.remove(&asker) else { return };
        for (name, _) in ask.names() {
            if let Some(line) = self.lines.get_mut(&name) {
                line.leave(&ask.order);
            }
            self.drop_idle(&name);
        }
    }

    /// Somebody holds its places no more; answers whom to wake.
    fn release(&mut self, asker: Asker) -> Vec<Wake> {
        let Some((_, ask)) = self.holders.remove(&asker) else { return Vec::new() };
        let names: Vec<_> = ask.names().map(|(name, _)| name).collect();
        for name in &names {
            if let Some(line) = self.lines.get_mut(name) {
                line.release(asker);
            }
            self.drop_idle(name);
        }
        self.hand_on(names)
    }

    fn drop_idle(&mut self, name: &Name) {
        if self.lines.get(name).is_some_and(Line::is_idle) {
            self.lines.remove(name);
        }
    }

    /// Gives what is free of some keys to who waits for it, in order; whoever lacks room of
    /// another key does not hold up those behind it.
    fn hand_on(&mut self, names: Vec<Name>) -> Vec<Wake> {
        let mut woken = Vec::new();
        for name in names {
            let mut from = None;
            while let Some(line) = self.lines.get(&name).filter(|line| line.may_have_room()) {
                let Some(order) = line.next(from) else { break };
                from = Some(order);
                let Some((seat, ask)) = self.waiting.get(&(order.2, order.3)).cloned() else {
                    continue;
                };
                if !self.has_room(&ask) {
                    continue;
                }
                let asker = ask.asker();
                self.hold(seat, ask);
                if let Some(holder) = self.seats.get_mut(&seat) {
                    holder.granted.push_back(asker);
                    holder.pending.fetch_add(1, Ordering::AcqRel);
                    woken.push(holder.wake.clone());
                }
            }
        }
        woken
    }
}

impl KeySeat {
    /// The places that a step wants, if all are free; otherwise it waits for them from now on.
    #[must_use]
    pub fn take_or_wait(&self, ask: Ask) -> bool {
        let mut inner = self.keys.lock();
        if inner.holders.contains_key(&ask.asker()) {
            return true;
        }
        let taken = inner.has_room(&ask);
        match taken {
            true => inner.hold(self.number, ask),
            false => inner.wait(self.number, ask),
        }
        taken
    }

    /// An attempt of the step is under way, whatever the limits say.
    pub fn holds(&self, ask: Ask) {
        self.keys.lock().hold(self.number, ask);
    }

    /// A step that was given its places goes on with them.
    pub fn began(&self, asker: Asker, at: Timestamp) {
        if let Some((_, ask)) = self.keys.lock().holders.get_mut(&asker) {
            ask.at = at;
        }
    }

    /// The step was found waiting at a start; [`Keys::let_in`] is called once all have said so.
    pub fn waited(&self, ask: Ask) {
        self.keys.lock().wait(self.number, ask);
    }

    /// The step waits no more.
    pub fn leave(&self, asker: Asker) {
        self.keys.lock().leave(asker);
    }

    /// The step holds its places no more, and that is durable.
    pub fn release(&self, asker: Asker) {
        let woken = self.keys.lock().release(asker);
        woken.iter().for_each(|wake| wake());
    }

    /// The limits it is a seat of.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// How many of the partition's steps have been given their places and not been told.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    /// The next step that has been given its places.
    #[must_use]
    pub fn next_granted(&self) -> Option<Asker> {
        if self.granted() == 0 {
            return None;
        }
        let mut inner = self.keys.lock();
        let own = inner.seats.get_mut(&self.number)?;
        let asker = own.granted.pop_front()?;
        own.pending.fetch_sub(1, Ordering::AcqRel);
        Some(asker)
    }

    /// Steps of the partition that hold places.
    #[must_use]
    pub fn held(&self) -> Vec<Asker> {
        let inner = self.keys.lock();
        let own = inner.holders.iter().filter(|(_, (seat, _))| *seat == self.number);
        let mut held: Vec<_> = own.map(|(asker, _)| *asker).collect();
        held.sort_unstable();
        held
    }
}

impl Drop for KeySeat {
    /// Nobody is let in instead: where the partition begins anew, its runs hold what they held.
    fn drop(&mut self) {
        let mut inner = self.keys.lock();
        let number = self.number;
        inner.seats.remove(&number);
        let of_seat = |all: &HashMap<Asker, (u64, Ask)>| -> Vec<Asker> {
            let own = all.iter().filter(|(_, (seat, _))| *seat == number);
            own.map(|(asker, _)| *asker).collect()
        };
        for asker in of_seat(&inner.waiting) {
            inner.leave(asker);
        }
        for asker in of_seat(&inner.holders) {
            let Some((_, ask)) = inner.holders.remove(&asker) else { continue };
            for (name, _) in ask.names() {
                if let Some(line) = inner.lines.get_mut(&name) {
                    line.release(asker);
                }
                inner.drop_idle(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests;
