//! What the driver hands to an executor and what it gets back.
//!
//! Knows nothing of runs, journals or retries: one task is one attempt at one effect.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use backstitch_core::failure::Failure;
use backstitch_core::ids::ExecutionId;
use backstitch_core::payload::Payload;
use backstitch_core::plan::WrittenHosts;
use backstitch_core::trace::TraceContext;
use serde_json::Value;

/// One attempt at one effect: the unit handed to an executor.
#[derive(Debug, Clone)]
pub struct Task {
    /// The run it belongs to; nothing for what belongs to none.
    pub execution: Option<ExecutionId>,
    /// The id of the step, as in the definition.
    pub step: Arc<str>,
    /// Which executor does it, such as `http`.
    pub task_type: Arc<str>,
    /// `<execution>/<step>/<round>`, with `/undo` behind it for an undo. Equal for all
    /// retries of a round, so that the service can tell a repeat from a new wish.
    pub idempotency_key: String,
    /// Counts the attempts of the round from 1.
    pub attempt: u16,
    /// The submitter's word to find the run again in other logs; may be empty.
    pub correlation_id: Arc<str>,
    /// Where whoever is called stands in a trace, to be handed on.
    pub trace: Option<TraceContext>,
    /// The rendered `with` of the step: JSON, at most
    /// [`PAYLOAD_BYTES_MAX`](backstitch_core::payload::PAYLOAD_BYTES_MAX).
    pub input: Payload,
    /// The services that the definition names itself, which may be called wherever they are.
    pub hosts: WrittenHosts,
    /// What is left for this attempt. The driver keeps it, by dropping the future; an
    /// executor may pass it on to whom it asks.
    pub timeout: Duration,
}

/// How an attempt ended: its output (JSON, at most
/// [`PAYLOAD_BYTES_MAX`](backstitch_core::payload::PAYLOAD_BYTES_MAX)) or why there is none.
pub type Answer = Result<Payload, Failure>;

/// An attempt under way. Dropping it aborts the work and releases what it held.
pub type Attempt = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A problem found in the `with` of a step: its path below `with`, and a sentence.
pub type InputProblem = (String, String);

/// Does the tasks of one type.
pub trait Executor: Send + Sync {
    /// Begins one attempt. It answers when the outcome is known, does not retry by itself,
    /// and never panics over what the task holds.
    fn run(&self, task: Task) -> Attempt;

    /// The service that a task with this input calls, for breakers: scheme, host and port, or
    /// whatever stands for them. Nothing if it calls none, or the input names none.
    fn service(&self, _input: &Payload) -> Option<String> {
        None
    }

    /// Whether it keeps to itself what it is given, so that it may be given secrets.
    fn takes_secrets(&self) -> bool {
        false
    }

    /// What is wrong with the `with` of a step, before anything was rendered: a string that
    /// holds `{{` or `{%` may become anything and is passed over.
    fn check(&self, with: &Value) -> Vec<InputProblem>;
}
