//! The demo's orders: what is special about each, and the input that says so to the shop.

use serde_json::{Value, json};

/// How long a slow payment takes to answer: long enough to be under way when the orchestrator
/// is killed.
const SLOW_MS: u64 = 2_500;

/// One order.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// Also its idempotency key.
    pub(super) id: String,
    /// What is special, for a person.
    pub(super) story: &'static str,
    /// The run's input.
    pub(super) input: Value,
    /// Whether the goods should arrive.
    pub(super) should_arrive: bool,
}

/// All orders, quick ones first.
pub(super) fn all() -> Vec<Order> {
    let slow = SLOW_MS;
    let stories: [(&'static str, bool, Value); 12] = [
        ("nothing special", true, json!({})),
        ("nothing special", true, json!({ "goods": "lamp" })),
        ("card declined", false, json!({ "card": "declined" })),
        ("address unreachable", false, json!({ "address": "unreachable" })),
        ("payment busy twice", true, json!({ "flaky": 2 })),
        ("payment's answer lost once", true, json!({ "lost": 1 })),
        ("sold out", false, json!({ "goods": "sold out" })),
        ("slow payment", true, json!({ "slow_ms": slow })),
        ("slow payment, unreachable", false, json!({ "slow_ms": slow, "address": "unreachable" })),
        ("slow payment, busy once", true, json!({ "slow_ms": slow, "flaky": 1 })),
        ("slow payment", true, json!({ "slow_ms": slow + 200 })),
        (
            "slow payment, unreachable",
            false,
            json!({ "slow_ms": slow + 400, "address": "unreachable" }),
        ),
    ];
    let order =
        |(number, (story, should_arrive, mut input)): (u64, (&'static str, bool, Value))| {
            let id = format!("order-{number:02}");
            input["order_id"] = id.clone().into();
            input["amount"] = (10 + number).into();
            Order { id, story, input, should_arrive }
        };
    (1..).zip(stories).map(order).collect()
}
