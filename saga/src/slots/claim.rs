//! What a run wants of the limits, and why it may not have it.

use std::sync::Arc;

use backstitch_core::event::{OnLimit, Priority, SlotKey};
use backstitch_core::ids::ExecutionId;
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;

use crate::catalog::Name;

/// Since when a run waits: the same after every start.
pub(super) type Since = (Timestamp, ExecutionId);

/// What a run wants of the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The run.
    pub run: ExecutionId,
    /// Its workflow.
    pub workflow: Name,
    /// Whether it counts against its workflow's own limit: not below a run that does.
    pub whole: bool,
    /// The limit of its revision.
    pub max_runs: Option<usize>,
    /// What becomes of it beyond the limit.
    pub on_limit: OnLimit,
    /// Its limits with others that have the same key.
    pub keys: Vec<SlotKey>,
    /// Since when it waits.
    pub submitted_at: Timestamp,
    /// Since when it goes on, if it does.
    pub begun_at: Option<Timestamp>,
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
            whole: true,
            max_runs: concurrency.map(|own| most(own.max_runs)),
            on_limit: concurrency.map(|own| own.on_limit).unwrap_or_default(),
            keys: state.run_keys().to_vec(),
            submitted_at: state.submitted_at,
            begun_at: state.begun_at,
            priority: state.priority(),
            parent: state.parent().map(|parent| parent.run),
        }
    }

    /// Whether it is a step of another run.
    #[must_use]
    pub fn is_child(&self) -> bool {
        self.parent.is_some()
    }

    pub(super) fn since(&self) -> Since {
        (self.submitted_at, self.run)
    }

    /// Whether a limit of it says so of a run that there is no slot for.
    pub(super) fn says(&self, on_limit: OnLimit) -> bool {
        let whole = self.max_runs.is_some() && self.on_limit == on_limit;
        whole || self.keys.iter().any(|own| own.on_limit == on_limit)
    }
}

pub(super) fn most(max_runs: u32) -> usize {
    usize::try_from(max_runs).unwrap_or(usize::MAX)
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
    /// Its workflow refuses what is beyond the limit of runs with the same key.
    #[error(
        "`{workflow}` has {max_runs} run(s) with key `{key}` at a time at most, and refuses more"
    )]
    Key {
        /// The workflow's id.
        workflow: Arc<str>,
        /// The key.
        key: Arc<str>,
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
