//! What the richer words of the graph bring about: routes, handlers, caches, limits of time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{ExecutionId, StepIndex};
use crate::payload::Payload;
use crate::time::Timestamp;

/// What the richer words of the graph bring about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GraphEvent {
    /// A router has chosen: the targets of its other routes are pruned.
    RouteChosen {
        /// The router.
        step: StepIndex,
        /// Which of its routes, from 0; none if no condition held and there is no default.
        route: Option<u16>,
        /// The choice as the step's output.
        output: Payload,
    },
    /// The step waits for a signal.
    StepAwaitsSignal {
        /// Which step.
        step: StepIndex,
        /// The signal's name.
        name: Arc<str>,
        /// When it gives up.
        due_at: Option<Timestamp>,
    },
    /// The step takes a signal that came in, and succeeds with what it carries.
    StepSignalled {
        /// Which step.
        step: StepIndex,
        /// Counts the run's signals from 0.
        signal: u32,
        /// `signal`, `payload` and `received_at`.
        output: Payload,
    },
    /// The step is answered from the cache: no attempt is made.
    StepCacheHit {
        /// Which step.
        step: StepIndex,
        /// How many attempts were made before.
        attempt: u16,
        /// The run that answered first.
        source: ExecutionId,
        /// Its step.
        source_step: Arc<str>,
        /// What it answered.
        output: Payload,
    },
    /// The step as a whole, with its retries and waits, ran past its limit.
    StepLimitPassed {
        /// Which step.
        step: StepIndex,
        /// The limit it had.
        limit_ms: u64,
    },
    /// The run, or one of its steps, took longer than was agreed; nothing else follows.
    SlaBreached {
        /// Which step; the run if unsaid.
        step: Option<StepIndex>,
        /// What was agreed.
        limit_ms: u64,
    },
    /// The step needs places of keyed limits while an attempt of it is under way. Comes before
    /// it is ready.
    StepKeyed {
        /// Which step.
        step: StepIndex,
        /// The limits, each key once.
        keys: Vec<LimitKey>,
    },
    /// Numbers that the definition has templates for, as they are from now on.
    NumbersSet {
        /// Whose; the run's own if unsaid.
        step: Option<StepIndex>,
        /// Each once.
        numbers: Vec<(Number, u64)>,
    },
}

/// A keyed limit as a step asks for it: the key is rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitKey {
    /// Whoever names the same key, in the same namespace, shares the limit.
    pub key: Arc<str>,
    /// Attempts at a time.
    pub max: u32,
}

/// A number that a definition may have a template for. Durations are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Number {
    /// How long an attempt may take; of the run itself, the run.
    Timeout,
    /// How long all attempts may take.
    TotalTimeout,
    /// What was agreed.
    Sla,
    /// All attempts.
    MaxAttempts,
    /// The wait before the second.
    RetryInitial,
    /// The longest wait.
    RetryMax,
    /// How long an attempt of the undo may take.
    UndoTimeout,
    /// All attempts of the undo.
    UndoMaxAttempts,
    /// The wait before its second.
    UndoRetryInitial,
    /// Its longest wait.
    UndoRetryMax,
}

impl Number {
    /// Whether it counts, rather than being a duration.
    #[must_use]
    pub fn is_count(self) -> bool {
        matches!(self, Self::MaxAttempts | Self::UndoMaxAttempts)
    }

    /// Its word, with its unit.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Timeout => "timeout_ms",
            Self::TotalTimeout => "total_timeout_ms",
            Self::Sla => "sla_ms",
            Self::MaxAttempts => "max_attempts",
            Self::RetryInitial => "retry_initial_ms",
            Self::RetryMax => "retry_max_ms",
            Self::UndoTimeout => "undo_timeout_ms",
            Self::UndoMaxAttempts => "undo_max_attempts",
            Self::UndoRetryInitial => "undo_retry_initial_ms",
            Self::UndoRetryMax => "undo_retry_max_ms",
        }
    }
}

impl GraphEvent {
    /// What it carries.
    #[must_use]
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Self::RouteChosen { output, .. }
            | Self::StepSignalled { output, .. }
            | Self::StepCacheHit { output, .. } => Some(output),
            Self::StepAwaitsSignal { .. }
            | Self::StepLimitPassed { .. }
            | Self::SlaBreached { .. }
            | Self::StepKeyed { .. }
            | Self::NumbersSet { .. } => None,
        }
    }

    /// What it carries, to change it.
    #[must_use]
    pub fn payload_mut(&mut self) -> Option<&mut Payload> {
        match self {
            Self::RouteChosen { output, .. }
            | Self::StepSignalled { output, .. }
            | Self::StepCacheHit { output, .. } => Some(output),
            Self::StepAwaitsSignal { .. }
            | Self::StepLimitPassed { .. }
            | Self::SlaBreached { .. }
            | Self::StepKeyed { .. }
            | Self::NumbersSet { .. } => None,
        }
    }

    /// The step it is about, if it is about one.
    #[must_use]
    pub fn step(&self) -> Option<StepIndex> {
        match self {
            Self::RouteChosen { step, .. }
            | Self::StepAwaitsSignal { step, .. }
            | Self::StepSignalled { step, .. }
            | Self::StepCacheHit { step, .. }
            | Self::StepLimitPassed { step, .. }
            | Self::StepKeyed { step, .. } => Some(*step),
            Self::SlaBreached { step, .. } | Self::NumbersSet { step, .. } => *step,
        }
    }
}
