//! What a template can read of one run.
//!
//! The state machine implements [`Scope`]; templates ask it only for what they name, and
//! payloads are parsed only then. Knows nothing of how a run keeps its facts.

use serde_json::{Map, Value, json};

use crate::ids::StepIndex;
use crate::payload::Payload;

/// The facts of one run, as templates read them.
pub trait Scope {
    /// The run's input: root `input`.
    fn input(&self) -> Payload;
    /// The definition's variables, overridden by those of the run: root `variables`.
    fn variables(&self) -> Payload;
    /// Root `workflow`: an object with `id name revision version execution_id correlation_id
    /// submitted_at`.
    fn workflow(&self) -> Value;
    /// One step: `steps.<id>`.
    fn step(&self, step: StepIndex) -> StepView;
    /// The item of a loop that is at hand, with its number from 0: roots `item` and `index`.
    fn item(&self) -> Option<(u64, Payload)> {
        None
    }
}

/// One step, as templates read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepView {
    /// `status`: the word of SEMANTICS rule 9.
    pub status: &'static str,
    /// `attempts`: how many were started.
    pub attempts: u16,
    /// `output`: what a succeeded step answered; of every other step it reads as null.
    pub output: Option<Payload>,
    /// `error`: the failure of a failed step, null otherwise.
    pub error: Option<Value>,
    /// `check`: what its service answered that was asked whether it took effect; null otherwise.
    pub check: Option<Payload>,
    /// `idempotency_key`: the key that its attempts carry in its present round.
    pub idempotency_key: String,
}

impl StepView {
    /// The fields a template may name after `steps.<id>`.
    pub const FIELDS: [&'static str; 6] =
        ["output", "status", "attempts", "error", "check", "idempotency_key"];

    /// The step as one JSON object.
    #[must_use]
    pub fn value(&self) -> Value {
        json!({
            "status": self.status,
            "attempts": self.attempts,
            "output": self.output.as_ref().map_or(Value::Null, Payload::value),
            "error": self.error,
            "check": self.check.as_ref().map_or(Value::Null, Payload::value),
            "idempotency_key": self.idempotency_key,
        })
    }
}

/// Lays a run's variables over those of its definition; absent ones stay absent.
#[must_use]
pub fn merge_variables(of_definition: &Map<String, Value>, of_run: &Payload) -> Payload {
    if of_run.absent().is_some() {
        return of_run.clone();
    }
    let mut merged = of_definition.clone();
    if let Value::Object(overrides) = of_run.value() {
        merged.extend(overrides);
    }
    Payload::of(&Value::Object(merged))
}
