//! What a run wants of the limits, and why it may not have it.

use std::sync::Arc;

use backstitch_core::definition::OnLimit;
use backstitch_core::event::Priority;
use backstitch_core::ids::ExecutionId;
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;

use crate::catalog::Name;

/// What a run wants of the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The run.
    pub run: ExecutionId,
    /// Its workflow.
    pub workflow: Name,
    /// The limit of its revision.
    pub max_runs: Option<usize>,
    /// What becomes of it beyond the limit.
    pub on_limit: OnLimit,
    /// Since when it waits.
    pub submitted_at: Timestamp,
    /// Who goes first.
    pub priority: Priority,
    /// The run above it: the node's own limit is not for a child.
    pub parent: Option<ExecutionId>,
}

impl Claim {
    /// What a run claims by its state.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let concurrency = state.plan.concurrency;
        Self {
            run: state.id,
            workflow: (state.submitted.namespace.clone(), state.submitted.workflow.clone()),
            max_runs: concurrency.map(|own| usize::try_from(own.max_runs).unwrap_or(usize::MAX)),
            on_limit: concurrency.and_then(|own| own.on_limit).unwrap_or_default(),
            submitted_at: state.submitted_at,
            priority: state.priority(),
            parent: state.parent().map(|parent| parent.run),
        }
    }

    /// Whether it is a step of another run.
    #[must_use]
    pub fn is_child(&self) -> bool {
        self.parent.is_some()
    }
}

/// Why a run is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Its workflow refuses what is beyond its limit.
    #[error("`{workflow}` has {max_runs} run(s) at a time at most, and refuses more")]
    Workflow {
        /// The workflow's id.
        workflow: Arc<str>,
        /// Its limit.
        max_runs: usize,
    },
    /// Too many wait already.
    #[error("{queue_max} runs wait to begin already, and no more are taken")]
    Queue {
        /// How many may wait.
        queue_max: usize,
    },
}
