//! The shop's books: what each order holds, how it came to that, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

/// One of the shop's three services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Reserves goods, and releases them.
    Stock,
    /// Charges cards, and refunds them.
    Payment,
    /// Books parcels, and cancels them.
    Shipping,
}

impl Service {
    /// All services, in the order in which an order goes through them.
    pub const ALL: [Self; 3] = [Self::Stock, Self::Payment, Self::Shipping];
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stock => "stock",
            Self::Payment => "payment",
            Self::Shipping => "shipping",
        })
    }
}

/// What a request turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// The effect took place.
    Done,
    /// It took place although it had before, under another key.
    Doubled,
    /// It was taken back.
    Undone,
    /// There was nothing to take back, nor had there ever been.
    NothingToUndo,
    /// There was nothing to take back any more: it had been taken back under another key.
    UndoneAgain,
    /// The order was refused.
    Refused,
    /// The key had been used for something else before; nothing took place.
    KeyMisused,
}

/// One line of the shop's day-book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Counts the entries of all orders from 1, in the order in which they took place.
    pub sequence: u64,
    /// Whose it is.
    pub order_id: String,
    /// Where it took place.
    pub service: Service,
    /// What took place.
    pub turn: Turn,
    /// Under which `Idempotency-Key`.
    pub key: String,
}

/// What one service has done for one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Holding {
    /// How many times the effect took place.
    pub done: u32,
    /// How many times it was taken back.
    pub undone: u32,
}

impl Holding {
    /// Whether the order still holds something here.
    #[must_use]
    pub fn holds(self) -> bool {
        self.done > self.undone
    }
}

/// A copy of the books at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Books {
    /// What each order has at each service that heard of it.
    pub orders: BTreeMap<String, BTreeMap<Service, Holding>>,
    /// Requests that came again under their key and changed nothing.
    pub repeats: u64,
    /// Everything that took place, in order.
    pub entries: Vec<Entry>,
}

/// Something that must not be in the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discrepancy {
    /// The order was submitted and never reached the shop.
    Unheard {
        /// Which.
        order_id: String,
    },
    /// Nobody submitted the order.
    Unexpected {
        /// Which.
        order_id: String,
    },
    /// The order is neither wholly fulfilled nor wholly undone.
    Torn {
        /// Which.
        order_id: String,
        /// Where it still holds something.
        held: Vec<Service>,
    },
    /// The same effect took place more than once.
    Doubled {
        /// Whose.
        order_id: String,
        /// Where.
        service: Service,
    },
    /// The same effect was taken back more than once.
    UndoneAgain {
        /// Whose.
        order_id: String,
        /// Where.
        service: Service,
    },
    /// A key that belonged to something else was used for this.
    KeyMisused {
        /// Whose.
        order_id: String,
        /// Where.
        service: Service,
    },
    /// Something was taken back before what had been built on it.
    UndoneOutOfOrder {
        /// Whose.
        order_id: String,
        /// Taken back too early.
        early: Service,
        /// Taken back after it, though it had been done after it too.
        late: Service,
    },
}

impl fmt::Display for Discrepancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unheard { order_id } => write!(f, "{order_id} never reached the shop"),
            Self::Unexpected { order_id } => write!(f, "{order_id} was never submitted"),
            Self::Torn { order_id, held } => {
                let held: Vec<_> = held.iter().map(ToString::to_string).collect();
                write!(f, "{order_id} is torn: it holds only {}", held.join(" and "))
            }
            Self::Doubled { order_id, service } => {
                write!(f, "{order_id} had its {service} done twice")
            }
            Self::UndoneAgain { order_id, service } => {
                write!(f, "{order_id} had its {service} undone twice")
            }
            Self::KeyMisused { order_id, service } => {
                write!(f, "{order_id} asked for its {service} under the key of something else")
            }
            Self::UndoneOutOfOrder { order_id, early, late } => {
                write!(f, "{order_id} had its {early} undone before its {late}")
            }
        }
    }
}

impl Books {
    /// Whether an order holds something at every service.
    #[must_use]
    pub fn is_fulfilled(&self, order_id: &str) -> bool {
        self.held(order_id).len() == Service::ALL.len()
    }

    /// Everything that is wrong once all runs have ended: each of the `expected` orders is
    /// wholly fulfilled or wholly undone, nothing was done or undone twice, there are no others.
    #[must_use]
    pub fn check<T: AsRef<str>>(&self, expected: &[T]) -> Vec<Discrepancy> {
        let expected: BTreeSet<&str> = expected.iter().map(AsRef::as_ref).collect();
        let mut found = Vec::new();
        for order_id in expected.iter().filter(|order_id| !self.orders.contains_key(**order_id)) {
            found.push(Discrepancy::Unheard { order_id: (*order_id).to_owned() });
        }
        for order_id in self.orders.keys().cloned() {
            if !expected.contains(order_id.as_str()) {
                found.push(Discrepancy::Unexpected { order_id: order_id.clone() });
            }
            let held = self.held(&order_id);
            if !held.is_empty() && held.len() < Service::ALL.len() {
                found.push(Discrepancy::Torn { order_id, held });
            }
        }
        for Entry { order_id, service, turn, .. } in &self.entries {
            let (order_id, service) = (order_id.clone(), *service);
            match turn {
                Turn::Doubled => found.push(Discrepancy::Doubled { order_id, service }),
                Turn::UndoneAgain => found.push(Discrepancy::UndoneAgain { order_id, service }),
                Turn::KeyMisused => found.push(Discrepancy::KeyMisused { order_id, service }),
                Turn::Done | Turn::Undone | Turn::NothingToUndo | Turn::Refused => {}
            }
        }
        found
    }

    /// Where an order was not undone in the reverse order of its doing: wrong for a workflow
    /// whose steps form a chain.
    #[must_use]
    pub fn check_undo_order(&self) -> Vec<Discrepancy> {
        let mut found = Vec::new();
        let mut done: BTreeMap<&str, Vec<Service>> = BTreeMap::new();
        for Entry { order_id, service, turn, .. } in &self.entries {
            let standing = done.entry(order_id).or_default();
            match turn {
                Turn::Done | Turn::Doubled => standing.push(*service),
                Turn::Undone => {
                    let (order_id, early) = (order_id.clone(), *service);
                    let place = standing.iter().rposition(|done| done == service);
                    if let Some(&late) = standing.last().filter(|last| *last != service) {
                        found.push(Discrepancy::UndoneOutOfOrder { order_id, early, late });
                    }
                    if let Some(place) = place {
                        standing.remove(place);
                    }
                }
                Turn::NothingToUndo | Turn::UndoneAgain | Turn::Refused | Turn::KeyMisused => {}
            }
        }
        found
    }

    /// Where an order holds something.
    fn held(&self, order_id: &str) -> Vec<Service> {
        let holdings = self.orders.get(order_id).into_iter().flatten();
        holdings.filter(|(_, holding)| holding.holds()).map(|(service, _)| *service).collect()
    }
}
