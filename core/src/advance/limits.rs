//! What follows of limits of time: a step's limit over all its attempts, and what was agreed.

use std::collections::BTreeSet;

use crate::arrows::{Phase, StepStatus};
use crate::event::{GraphEvent, RunEvent};
use crate::ids::StepIndex;
use crate::state::{State, Subject};
use crate::time::Timestamp;

use super::STARTS_PER_LAYER_MAX;

/// What took longer than was agreed; nothing follows but that it is told.
pub(super) fn breached(state: &State, now: Timestamp, events: &mut Vec<RunEvent>) {
    if state.flow.is_none() || state.phase == Phase::Ended {
        return;
    }
    let breached = state.due_by(now).filter_map(|subject| match subject {
        Subject::Sla => Some((None, state.run_sla_ms()?)),
        Subject::StepSla(step) => Some((Some(step), state.sla_ms(step)?)),
        _ => None,
    });
    let breached = breached.take(STARTS_PER_LAYER_MAX);
    events.extend(
        breached
            .map(|(step, limit_ms)| RunEvent::Graph(GraphEvent::SlaBreached { step, limit_ms })),
    );
}

/// Steps that ran past their limit; answers which, for nothing else follows of them now. One
/// whose attempt has just ended, or that takes its signal, has its way first.
pub(super) fn passed(
    state: &State,
    now: Timestamp,
    signalled: &BTreeSet<StepIndex>,
    events: &mut Vec<RunEvent>,
) -> BTreeSet<StepIndex> {
    if state.flow.is_none() {
        return BTreeSet::new();
    }
    let late = state.due_by(now).filter_map(|subject| match subject {
        Subject::StepLimit(step) => Some(step),
        _ => None,
    });
    let open = |step: &StepIndex| {
        let status = state.step(*step).status;
        status != StepStatus::Faulted && !signalled.contains(step)
    };
    let late: BTreeSet<_> = late.filter(open).take(STARTS_PER_LAYER_MAX).collect();
    events.extend(late.iter().filter_map(|&step| {
        let limit_ms = state.total_timeout_ms(step)?;
        Some(RunEvent::Graph(GraphEvent::StepLimitPassed { step, limit_ms }))
    }));
    late
}
