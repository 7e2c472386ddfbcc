//! Why something did not work, in a form a person can act on and the engine can decide by.

use serde::{Deserialize, Serialize};

use crate::payload::Payload;

/// A failed attempt, step, undo, callback or run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable word such as `TASK_TIMEOUT` or `HTTP_STATUS`.
    pub code: String,
    /// What happened, for a person.
    pub message: String,
    /// Whether another attempt may help.
    pub class: FailureClass,
    /// Whether the attempt may have taken effect all the same.
    pub effect: EffectKnown,
    /// More, as JSON: a status, a body's beginning, a path.
    pub details: Option<Payload>,
}

/// Whether another attempt may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureClass {
    /// It may: a timeout, a lost connection, a busy service.
    Retryable,
    /// It will not: the request itself is wrong.
    Permanent,
}

/// What is known of the effect of an attempt that did not answer with success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EffectKnown {
    /// It did not take effect: refused, never sent, or answered with an error.
    None,
    /// Nobody knows: it was sent and no answer came.
    Unknown,
}

impl Failure {
    /// A failure that another attempt will not mend and that had no effect.
    #[must_use]
    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            class: FailureClass::Permanent,
            effect: EffectKnown::None,
            details: None,
        }
    }

    /// A failure that another attempt may mend and that had no effect.
    #[must_use]
    pub fn retryable(code: &str, message: impl Into<String>) -> Self {
        Self { class: FailureClass::Retryable, ..Self::permanent(code, message) }
    }

    /// The same, but the attempt may have taken effect.
    #[must_use]
    pub fn of_unknown_effect(self) -> Self {
        Self { effect: EffectKnown::Unknown, ..self }
    }

    /// The same with details.
    #[must_use]
    pub fn with_details(self, details: Payload) -> Self {
        Self { details: Some(details), ..self }
    }
}

/// The longest code and message a record keeps, in bytes, and the largest details.
const CODE_BYTES_MAX: usize = 128;
const MESSAGE_BYTES_MAX: usize = 4 * 1024;
const DETAILS_BYTES_MAX: usize = 8 * 1024;

impl Failure {
    /// The same, cut to what a record keeps: failures come from executors of all kinds.
    #[must_use]
    pub fn clipped(mut self) -> Self {
        clip(&mut self.code, CODE_BYTES_MAX);
        clip(&mut self.message, MESSAGE_BYTES_MAX);
        if self.details.as_ref().is_some_and(|own| own.length_bytes() > DETAILS_BYTES_MAX) {
            self.details = None;
        }
        self
    }
}

fn clip(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
    }
}

/// Codes the engine itself gives; executors add their own. One page each in `docs/errors`.
pub mod codes {
    /// An attempt ran longer than its timeout.
    pub const TASK_TIMEOUT: &str = "TASK_TIMEOUT";
    /// The process that ran the attempt went away before it reported.
    pub const ATTEMPT_LOST: &str = "ATTEMPT_LOST";
    /// Somebody forced the run to stop, and this was given up.
    pub const CANCELLED_BY_FORCE: &str = "CANCELLED_BY_FORCE";
    /// Somebody had the run rolled back.
    pub const ROLLED_BACK: &str = "ROLLED_BACK";
    /// The signal that a step waited for did not come in time.
    pub const SIGNAL_TIMEOUT: &str = "SIGNAL_TIMEOUT";
    /// No executor takes the step's task type.
    pub const TASK_EXECUTOR_NOT_FOUND: &str = "TASK_EXECUTOR_NOT_FOUND";
    /// A template or condition could not be evaluated.
    pub const EXPRESSION_FAILED: &str = "EXPRESSION_FAILED";
    /// A rendered input or an output is larger than a payload may be.
    pub const PAYLOAD_TOO_LARGE: &str = "PAYLOAD_TOO_LARGE";
    /// A payload that is needed is missing or damaged where it was kept.
    pub const PAYLOAD_MISSING: &str = "PAYLOAD_MISSING";
    /// A payload that is needed was erased.
    pub const PAYLOAD_ERASED: &str = "PAYLOAD_ERASED";
    /// The step's service failed too often to be called, and the step does not wait.
    pub const CIRCUIT_OPEN: &str = "CIRCUIT_OPEN";
    /// Too many of the calls to the step's service were retries, and the step does not wait.
    pub const RETRY_BUDGET_SPENT: &str = "RETRY_BUDGET_SPENT";
    /// The attempt failed on purpose: its run was submitted with this fault.
    pub const FAULT_INJECTED: &str = "FAULT_INJECTED";
    /// A secret that the input refers to is not there, or can't be used. Nothing was sent.
    pub const SECRET_UNAVAILABLE: &str = "SECRET_UNAVAILABLE";
    /// The step passed its limit over all attempts.
    pub const STEP_TIMEOUT: &str = "STEP_TIMEOUT";
    /// What stands in the place of a number comes to none.
    pub const LIMIT_INVALID: &str = "LIMIT_INVALID";
    /// The run passed its own timeout.
    pub const WORKFLOW_TIMEOUT: &str = "WORKFLOW_TIMEOUT";
    /// An operator or client cancelled the run.
    pub const CANCELLED: &str = "CANCELLED";
    /// The step may have taken effect, and its undo needs an output nobody has.
    pub const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";
    /// A step failed for good, and the run with it; the step's own code is below it.
    pub const WORKFLOW_EXECUTION_FAILED: &str = "WORKFLOW_EXECUTION_FAILED";
    /// The run of another workflow that a step is did not complete.
    pub const CHILD_FAILED: &str = "CHILD_FAILED";
    /// A step names a workflow, or a revision of one, that does not exist.
    pub const CHILD_WORKFLOW_NOT_FOUND: &str = "CHILD_WORKFLOW_NOT_FOUND";
    /// A step asks for a revision that the workflow's roll-out keeps from it.
    pub const REVISION_NOT_OPEN: &str = "REVISION_NOT_OPEN";
    /// A step's workflow is disabled.
    pub const WORKFLOW_DISABLED: &str = "WORKFLOW_DISABLED";
    /// A step's workflow is archived.
    pub const WORKFLOW_ARCHIVED: &str = "WORKFLOW_ARCHIVED";
    /// A child's workflow does not take the input that the step gives it.
    pub const CHILD_INPUT_INVALID: &str = "CHILD_INPUT_INVALID";
    /// The run of another workflow that a step is could not be undone whole.
    pub const CHILD_NOT_UNDONE: &str = "CHILD_NOT_UNDONE";
    /// Too many runs are above this one for it to have children.
    pub const CHILD_TOO_DEEP: &str = "CHILD_TOO_DEEP";
    /// A child waited for a slot that is held by runs which wait for it.
    pub const LIMIT_CIRCLE: &str = "LIMIT_CIRCLE";
    /// What a loop is to go through is no list, or too long a one.
    pub const ITEMS_INVALID: &str = "ITEMS_INVALID";
    /// The undos of a run took longer than its workflow allows, and this one had no result.
    pub const COMPENSATION_TIMEOUT: &str = "COMPENSATION_TIMEOUT";
    /// A step without an undo was set aside by a person when its run was undone.
    pub const NO_UNDO: &str = "NO_UNDO";
    /// A loop began no more of its items, because its run was being stopped.
    pub const LOOP_STOPPED: &str = "LOOP_STOPPED";
    /// A message between runs was refused by its receiver.
    pub const MESSAGE_REFUSED: &str = "MESSAGE_REFUSED";
    /// In a dry run: the mock of an attempt says that it fails, and not how.
    pub const MOCKED: &str = "MOCKED";
    /// In a dry run that asks for it: no mock says what an attempt comes to.
    pub const NOT_MOCKED: &str = "NOT_MOCKED";
    /// The engine met a state it does not know; the run is set aside.
    pub const INTERNAL: &str = "INTERNAL";
}
