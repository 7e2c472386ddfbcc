//! The order of undos, against the durable records.

use std::collections::BTreeSet;

use backstitch_core::event::{RunEvent, UndoSettlement, UnwindEvent};
use backstitch_core::ids::StepIndex;
use backstitch_core::state::State;

/// An undo starts only when everything that transitively needed its step and calls for an undo
/// has its result. Answers what is wrong.
pub fn out_of_order(state: &State, events: &[RunEvent]) -> Option<&'static str> {
    let mut finished = BTreeSet::new();
    for event in events {
        match event {
            RunEvent::UndoSucceeded { step, .. } | RunEvent::UndoFailed { step, .. } => {
                finished.insert(*step);
            }
            RunEvent::Unwind(UnwindEvent::UndosSettled { steps, settlement, .. })
                if *settlement != UndoSettlement::SetAside =>
            {
                finished.extend(steps);
            }
            RunEvent::UndoStarted { step, .. } => {
                let held = dependants(state, *step).into_iter().any(|dependant| {
                    let called = state.step(dependant).undo.is_some();
                    called && !finished.contains(&dependant)
                });
                if held {
                    return Some("an undo started before what depends on it");
                }
            }
            _ => {}
        }
    }
    None
}

fn dependants(state: &State, step: StepIndex) -> BTreeSet<StepIndex> {
    let mut found = BTreeSet::new();
    let mut from = vec![step];
    while let Some(step) = from.pop() {
        for &next in &state.plan.steps[step.at()].dependants {
            if found.insert(next) {
                from.push(next);
            }
        }
    }
    found
}
