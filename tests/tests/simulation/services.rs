//! The outside world: services that keep books by idempotency key, and answer, fail, hang or
//! vanish as the seed says.

use std::collections::BTreeMap;

use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::Effect;
use backstitch_core::failure::Failure;
use backstitch_core::ids::ExecutionId;
use backstitch_core::payload::{PAYLOAD_BYTES_MAX, Payload};
use backstitch_core::time::Timestamp;
use backstitch_saga::partition::Order;
use serde_json::json;

use super::random::Random;

/// What took effect outside: how often each key was applied, repeats not counted.
#[derive(Debug, Default)]
pub struct Books {
    /// By idempotency key: when it took effect, as a running number.
    pub applied: BTreeMap<String, u64>,
    /// Callbacks received, by key: how often.
    pub callbacks: BTreeMap<String, u64>,
    counter: u64,
}

impl Books {
    /// A removed run's keys may come again, with its id: services have forgotten them by then.
    pub fn forget(&mut self, run: &ExecutionId) {
        let prefix = run.to_string();
        self.applied.retain(|key, _| !key.starts_with(&prefix));
        self.callbacks.retain(|key, _| !key.starts_with(&prefix));
    }

    /// What a flight comes to as it lands: whoever asks is told what the books say by then.
    pub fn land(&mut self, flight: &mut Flight) {
        if let AttemptResult::Answered(Ok(answer)) = &mut flight.result
            && let Some(key) = flight.order.input.value()["asks"].as_str()
            && answer.value()["vague"] == false
        {
            let found = self.applied.contains_key(key);
            *answer = Payload::of(&json!({ "found": found, "receipt": key }));
        }
        if flight.takes_effect {
            self.apply(&flight.order);
        }
    }

    /// A service that honours idempotency keys applies each once; a question changes nothing.
    pub fn apply(&mut self, order: &Order) {
        if order.input.value().get("asks").is_some() {
            return;
        }
        self.counter += 1;
        if order.receiver.is_some() {
            *self.callbacks.entry(order.idempotency_key.clone()).or_default() += 1;
        } else {
            let counter = self.counter;
            self.applied.entry(order.idempotency_key.clone()).or_insert(counter);
        }
    }
}

/// An attempt under way outside.
#[derive(Debug)]
pub struct Flight {
    pub order: Order,
    pub lands_at: Timestamp,
    pub takes_effect: bool,
    pub result: AttemptResult,
}

impl Flight {
    /// Whether it is a check: it asks a service what became of a step.
    pub fn asks(&self) -> bool {
        matches!(self.order.effect, Effect::UndoStep { .. })
            && self.order.input.value().get("asks").is_some()
    }
}

/// How services do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    None,
    Some,
    /// The one that is called is down.
    Down,
}

/// Draws how an order will go. Bad days end when the world settles.
pub fn fly(order: Order, now: Timestamp, random: &mut Random, faults: Faults) -> Flight {
    let soon = now.plus_ms(random.below(800));
    let answered = |result| AttemptResult::Answered(result);
    let dead = order.receiver.as_ref().is_some_and(|to| to.url.starts_with("http://dead/"));
    let draw = match (dead, faults) {
        (true, _) | (false, Faults::Down) => 65,
        (false, Faults::Some) => random.below(100),
        (false, Faults::None) => 0,
    };
    // An answer to a question need not say anything.
    let vague = faults == Faults::Some && draw < 8 || super::faults::says_nothing(&order);
    let receipt = json!({ "receipt": order.idempotency_key, "status": 200, "vague": vague });
    let receipt = Payload::of(&receipt);
    let (takes_effect, lands_at, result) = match draw {
        0..=64 => (true, soon, answered(Ok(receipt))),
        65..=79 => (false, soon, answered(Err(Failure::retryable("SERVICE_BUSY", "try again")))),
        80..=86 => (false, soon, answered(Err(Failure::permanent("REFUSED", "no")))),
        87..=90 => {
            let failure = Failure::retryable("CONNECTION_LOST", "sent, no answer");
            (random.chance(50), soon, answered(Err(failure.of_unknown_effect())))
        }
        91 => {
            // One is kept beside its record, the other is more than a payload may be.
            let bytes = if random.chance(50) { 70_000 } else { PAYLOAD_BYTES_MAX };
            let large = Payload::of(&json!("x".repeat(bytes)));
            (true, soon, answered(Ok(large)))
        }
        _ => (random.chance(50), now.plus_ms(order.timeout_ms), AttemptResult::TimedOut),
    };
    super::faults::spoil(Flight { order, lands_at, takes_effect, result }, now)
}

/// What the driver would report of a landed flight.
pub fn report(flight: &Flight, retry_delay_ms: u64) -> Command {
    let result = flight.result.clone();
    match flight.order.effect {
        Effect::RunStep { step, attempt } => {
            Command::ReportStep { step, attempt, result, retry_delay_ms }
        }
        Effect::UndoStep { step, attempt } => {
            Command::ReportUndo { step, attempt, result, retry_delay_ms }
        }
        Effect::Send { .. } => panic!("partitions send messages themselves"),
        Effect::DeliverCallback { delivery, attempt } => {
            let result = match result {
                AttemptResult::Answered(Ok(_)) => Ok(200),
                AttemptResult::Answered(Err(failure)) => Err(failure),
                AttemptResult::TimedOut | AttemptResult::Lost => {
                    Err(backstitch_core::evolve::timed_out(flight.order.timeout_ms))
                }
            };
            Command::ReportCallback { delivery, attempt, result, retry_delay_ms }
        }
    }
}
