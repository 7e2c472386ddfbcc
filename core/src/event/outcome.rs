//! How a run ends, and what is done about one that fails.

use serde::{Deserialize, Serialize};

/// What is done about a failing run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Recourse {
    /// Undo what was done.
    Compensate,
    /// End as it stands; letters can be retried in place.
    Halt,
    /// Wait for an operator.
    Suspend,
}

/// What a suspended run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SuspendReason {
    /// The workflow's policy puts failures before a person.
    Policy,
    /// Somebody paused it.
    Pause,
    /// An undo failed, and the run does not go on before that is settled.
    Undo,
}

/// The final word on a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Every step that matters is done.
    Completed,
    /// It failed and nothing was undone.
    Failed,
    /// It failed and everything done is undone.
    Compensated,
    /// It failed and something could not be undone.
    CompensationFailed,
    /// It was cancelled.
    Cancelled,
}

/// What became of the undos of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Compensation {
    /// There were none.
    None,
    /// All were done.
    Done,
    /// Some failed.
    Failed,
}
