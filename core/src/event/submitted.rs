//! What a run is submitted with.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, ExecutionId};
use crate::payload::Payload;
use crate::time::Timestamp;

/// What a run is pinned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Tenant.
    pub namespace: Arc<str>,
    /// The workflow's id.
    pub workflow: Arc<str>,
    /// The workflow's revision, counted from 1.
    pub revision: u32,
    /// The revision's content.
    pub digest: Digest,
    /// The run's input.
    pub input: Payload,
    /// Overrides of the definition's variables: an object.
    pub variables: Payload,
    /// Carried through every call, log line and callback.
    pub correlation_id: Arc<str>,
    /// As the client gave it.
    pub idempotency_key: Option<String>,
    /// Hash of what was submitted, to tell a repeat from another body under the same key.
    pub request: Digest,
    /// Callbacks given with the submission; those of the definition come with the revision.
    pub callbacks: Vec<Callback>,
    /// When the run as a whole times out.
    pub deadline_at: Option<Timestamp>,
    /// The compensated run whose letter was retried with this one.
    pub retry_of: Option<ExecutionId>,
    /// Who submitted it.
    pub actor: String,
}

/// Where a callback goes, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// What it reports.
    pub event: CallbackEvent,
    /// An `http` or `https` URL.
    pub url: String,
}

/// What a callback can report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CallbackEvent {
    /// `workflow.completed`.
    Completed,
    /// `workflow.failed`: once, at the end, for every failed outcome.
    Failed,
    /// `workflow.compensating`: early, when the undos begin.
    Compensating,
    /// `workflow.cancelled`.
    Cancelled,
    /// `workflow.sla_breached`: once, at the first breach of the run or of a step.
    SlaBreached,
    /// `workflow.started`: once, when a step was first looked at.
    Started,
    /// `step.failed`: each time that a step fails for good.
    StepFailed,
    /// `step.dead_lettered`: for each dead letter of a step, or of its undo.
    StepDeadLettered,
    /// `workflow.compensation_failed`: once, when the run has ended and an undo of it failed.
    CompensationFailed,
    /// `step.waiting`: each time that a step waits for a signal.
    StepWaiting,
}
