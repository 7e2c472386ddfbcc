//! Faults that runs are submitted with: what services do then, and what must come of it.

use std::collections::{BTreeMap, BTreeSet};

use backstitch_core::command::AttemptResult;
use backstitch_core::event::{Fault, FaultKind, RunEvent, UnwindEvent};
use backstitch_core::failure::{Failure, codes};
use backstitch_core::ids::{ExecutionId, StepIndex};
use backstitch_core::plan::{Plan, TaskKind};
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;

use super::services::Flight;

/// One in so many runs is submitted with faults.
const ONE_IN: u128 = 6;

/// The faults that a run is submitted with: a repeat has the same.
pub fn own_faults(execution: ExecutionId, plan: &Plan) -> Vec<Fault> {
    if !execution.digits.is_multiple_of(ONE_IN) {
        return Vec::new();
    }
    let draw = execution.digits / ONE_IN;
    let mut faults = Vec::new();
    for (step, own) in (0..).map(StepIndex).zip(&plan.steps) {
        let undone = own.undo.as_ref().is_some_and(|undo| !undo.rolls_back());
        for (undo, calls) in [(false, matches!(own.task, TaskKind::Effect(_))), (true, undone)] {
            let place = draw.wrapping_add(u128::from(step.0) * 2 + u128::from(undo));
            let kind = match place % 7 {
                0 => FaultKind::Fail { permanent: false },
                1 => FaultKind::Fail { permanent: true },
                2 => FaultKind::Delay { ms: 1_500 },
                3 => FaultKind::CrashBeforeAck,
                4 => FaultKind::Duplicate,
                _ => continue,
            };
            // What fails every time would never settle.
            let attempt = Some(1 + u16::from(draw.is_multiple_of(2)));
            if calls {
                faults.push(Fault { step, undo, attempt, kind });
            }
        }
    }
    faults
}

/// An attempt with its fault, if it has one.
pub fn spoil(flight: Flight, now: Timestamp) -> Flight {
    let Some(fault) = flight.order.fault.clone() else { return flight };
    match fault {
        FaultKind::Fail { permanent: true } => {
            let result = AttemptResult::Answered(Err(Failure::permanent(FAULT, "on purpose")));
            Flight { takes_effect: false, lands_at: now, result, ..flight }
        }
        FaultKind::Fail { permanent: false } => {
            let result = AttemptResult::Answered(Err(Failure::retryable(FAULT, "on purpose")));
            Flight { takes_effect: false, lands_at: now, result, ..flight }
        }
        FaultKind::Delay { ms } => {
            let late = flight.lands_at.plus_ms(ms);
            let last = now.plus_ms(flight.order.timeout_ms);
            let result = if late < last { flight.result } else { AttemptResult::TimedOut };
            Flight { lands_at: late.min(last), result, ..flight }
        }
        FaultKind::CrashBeforeAck => Flight { result: AttemptResult::Lost, ..flight },
        // Services that honour keys answer a repeat as they answered before. Which fault an attempt
        // meets is said without `AtCheck`.
        FaultKind::Duplicate | FaultKind::AtCheck(_) => flight,
    }
}

const FAULT: &str = codes::FAULT_INJECTED;

/// An attempt that was to fail or to be lost and did not, or one that was not to and did.
pub fn wrong_fault(state: &State, events: &[RunEvent]) -> Option<&'static str> {
    let mut asked = Asked::default();
    for event in events {
        asked.hear(event);
        let (step, undo, attempt, answered, failure) = match event {
            RunEvent::StepSucceeded { step, attempt, .. } => (*step, false, *attempt, true, None),
            RunEvent::UndoSucceeded { step, attempt, .. } => (*step, true, *attempt, true, None),
            RunEvent::StepAttemptFailed { step, attempt, failure, .. } => {
                (*step, false, *attempt, false, Some(failure))
            }
            RunEvent::UndoAttemptFailed { step, attempt, failure, .. } => {
                (*step, true, *attempt, false, Some(failure))
            }
            _ => continue,
        };
        let number = attempt.saturating_sub(if undo { asked.attempts(step) } else { 0 });
        let meets = |own: &&Fault| {
            let this = own.attempt.is_none_or(|attempt| attempt == number);
            (own.step, own.undo) == (step, undo) && this
        };
        let asks = undo && asked.asking.contains(&step);
        let fault = state.faults().iter().filter(|_| !asks).find(meets).map(|own| &own.kind);
        let stops = matches!(fault, Some(FaultKind::Fail { .. } | FaultKind::CrashBeforeAck));
        if stops && answered {
            return Some("an attempt succeeds that was to fail or to be lost");
        }
        let on_purpose = failure.is_some_and(|own| own.code == FAULT);
        if on_purpose && !matches!(fault, Some(FaultKind::Fail { .. })) {
            return Some("an attempt fails on purpose that nobody asked for");
        }
    }
    None
}

/// Which undos are asked about, and how many attempts that took: those of the undo come after.
#[derive(Default)]
struct Asked {
    asking: BTreeSet<StepIndex>,
    attempts: BTreeMap<StepIndex, u16>,
}

impl Asked {
    fn hear(&mut self, event: &RunEvent) {
        match event {
            RunEvent::Unwind(UnwindEvent::CheckReady { step, .. }) => {
                self.asking.insert(*step);
            }
            RunEvent::Unwind(UnwindEvent::CheckAnswered { step, attempt, .. }) => {
                self.attempts.insert(*step, *attempt);
            }
            RunEvent::Unwind(UnwindEvent::CheckConcluded { step, .. }) => {
                self.asking.remove(step);
            }
            // The next round counts anew.
            RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { steps }) => {
                self.asking.retain(|own| !steps.contains(own));
                self.attempts.retain(|own, _| !steps.contains(own));
            }
            _ => {}
        }
    }

    fn attempts(&self, step: StepIndex) -> u16 {
        self.attempts.get(&step).copied().unwrap_or_default()
    }
}
