//! The orders that are submitted: each follows from the seed and its number alone.

use serde_json::{Value, json};

use crate::simulation::random::Random;

/// What becomes of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Fine,
    /// The payment is busy for the first attempts.
    Flaky,
    /// The payment takes effect and its first answers are lost.
    Lost,
    /// The payment takes its time to answer.
    Slow,
    /// The stock refuses.
    SoldOut,
    /// The payment refuses.
    Declined,
    /// The shipping refuses.
    Unreachable,
}

const KINDS: [Kind; 7] = [
    Kind::Fine,
    Kind::Flaky,
    Kind::Lost,
    Kind::Slow,
    Kind::SoldOut,
    Kind::Declined,
    Kind::Unreachable,
];

/// The longest that a payment takes for a slow order.
const SLOW_MS_MAX: u64 = 150;

/// One order and how its client goes about it.
#[derive(Debug, Clone)]
pub struct Order {
    pub id: String,
    pub kind: Kind,
    /// Submitted with an idempotency key, so that its client may ask again.
    pub keyed: bool,
    /// The client waits for the run's end.
    pub waits: bool,
    /// The client asks again although it was answered.
    pub repeats: bool,
    input: Value,
}

impl Order {
    pub fn draw(seed: u64, number: u64) -> Self {
        let mut random = Random::new(seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let id = format!("order-{number}");
        let kind = *random.pick(&KINDS);
        let mut input = json!({ "order_id": id, "amount": 1 + random.below(500) });
        let (field, value) = match kind {
            Kind::Fine => ("goods", json!("thread")),
            Kind::Flaky => ("flaky", json!(1 + random.below(3))),
            Kind::Lost => ("lost", json!(1 + random.below(2))),
            Kind::Slow => ("slow_ms", json!(random.below(SLOW_MS_MAX))),
            Kind::SoldOut => ("goods", json!("sold out")),
            Kind::Declined => ("card", json!("declined")),
            Kind::Unreachable => ("address", json!("unreachable")),
        };
        input[field] = value;
        Self {
            id,
            kind,
            keyed: random.chance(70),
            waits: random.chance(50),
            repeats: random.chance(25),
            input,
        }
    }

    /// The body of its submission. The order's id is the correlation id, by which a run is
    /// found that nobody was told of.
    pub fn body(&self, shop_url: &str, wait_seconds: u32) -> Value {
        json!({
            "input": self.input,
            "variables": { "shop_url": shop_url },
            "correlation_id": self.id,
            "wait_seconds": wait_seconds,
        })
    }

    /// The words its run may end with. A run whose first step is refused has nothing to undo,
    /// unless an attempt was lost before and might have taken effect.
    pub fn statuses(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Fine | Kind::Flaky | Kind::Lost | Kind::Slow => &["completed"],
            Kind::SoldOut => &["failed", "compensated"],
            Kind::Declined | Kind::Unreachable => &["compensated"],
        }
    }
}
