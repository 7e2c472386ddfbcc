//! What a run keeps of the run it was forked from, and what its own forks took over.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::State;
use crate::event::ForkOrigin;
use crate::ids::{ExecutionId, StepIndex};

/// What a run keeps of another, and what its own forks took over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forks {
    /// Where the run was forked from, if it was.
    pub origin: Option<ForkOrigin>,
    /// Whether all that is kept is told.
    pub started: bool,
    /// Steps that were kept.
    pub kept: BTreeSet<StepIndex>,
    /// Of those: steps that the run they come from undoes.
    pub undone_there: BTreeSet<StepIndex>,
    /// Forks of this run, and the steps of it that each undoes.
    pub made: BTreeMap<ExecutionId, Vec<StepIndex>>,
}

impl State {
    /// Where the run was forked from, if it was.
    #[must_use]
    pub fn fork_origin(&self) -> Option<&ForkOrigin> {
        self.forks.as_ref()?.origin.as_ref()
    }

    /// The run that a step was kept from; another round is this run's own.
    #[must_use]
    pub fn kept_from(&self, step: StepIndex) -> Option<ExecutionId> {
        let forks = self.forks.as_ref().filter(|forks| forks.kept.contains(&step))?;
        Some(forks.origin.as_ref()?.run)
    }

    /// Whether the run is a fork of which not everything is told: nothing of it goes on, and a
    /// start that finds one removes it.
    #[must_use]
    pub fn is_unstarted_fork(&self) -> bool {
        self.forks.as_ref().is_some_and(|forks| forks.origin.is_some() && !forks.started)
    }

    /// Whether another run undoes the step: the one it was kept from, or a fork.
    #[must_use]
    pub fn is_undone_elsewhere(&self, step: StepIndex) -> bool {
        self.forks.as_ref().is_some_and(|forks| {
            let moved = || forks.made.values().any(|steps| steps.binary_search(&step).is_ok());
            forks.undone_there.contains(&step) || moved()
        })
    }

    pub(crate) fn forks_mut(&mut self) -> &mut Forks {
        self.forks.get_or_insert_default()
    }
}
