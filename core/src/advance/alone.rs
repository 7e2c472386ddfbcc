//! Steps that run alone: while one does nothing else of the run starts, and one that is about to
//! waits until nothing else is under way. Nothing else starts before it meanwhile, so that it
//! has its turn.
//!
//! Pure steps take no time and are held up by nobody.

use crate::arrows::StepStatus;
use crate::ids::StepIndex;
use crate::plan::TaskKind;
use crate::state::{State, Subject};
use crate::time::Timestamp;

/// Which steps may start, as far as steps that run alone are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// All.
    Open,
    /// This one alone.
    Only(StepIndex),
    /// None.
    Shut,
}

impl Gate {
    /// How it stands at `now`.
    pub(crate) fn of(state: &State, now: Timestamp) -> Self {
        if !state.plan.has_exclusive {
            return Self::Open;
        }
        let alone = |step: &StepIndex| state.plan.step(*step).exclusive;
        if state.sets.running.iter().any(alone) {
            return Self::Shut;
        }
        let retrying = state.due_by(now).filter_map(|subject| match subject {
            Subject::Step(step) if state.step(step).status == StepStatus::Retrying => Some(step),
            _ => None,
        });
        let ready = state.sets.queued.iter().chain(&state.sets.ready).copied();
        match ready.chain(retrying).filter(alone).min() {
            None => Self::Open,
            Some(step) if state.sets.running.is_empty() => Self::Only(step),
            Some(_) => Self::Shut,
        }
    }

    /// Whether a step may start.
    pub(crate) fn lets(self, state: &State, step: StepIndex) -> bool {
        let pure = match state.plan.step(step).task {
            TaskKind::Transform | TaskKind::Wait | TaskKind::Router => true,
            TaskKind::Workflow | TaskKind::Foreach | TaskKind::Signal | TaskKind::Effect(_) => {
                false
            }
        };
        match self {
            Self::Open => true,
            Self::Only(own) => pure || own == step,
            Self::Shut => pure,
        }
    }
}
