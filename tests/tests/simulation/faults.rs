//! Faults that runs are submitted with: what services do then, and what must come of it.

use std::collections::{BTreeMap, BTreeSet};

use backstitch_core::command::AttemptResult;
use backstitch_core::effect::Effect;
use backstitch_core::event::{Fault, FaultKind, RunEvent, UnwindEvent};
use backstitch_core::failure::{Failure, codes};
use backstitch_core::faults::Struck;
use backstitch_core::ids::{ExecutionId, StepIndex};
use backstitch_core::plan::{Plan, TaskKind};
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;
use backstitch_saga::partition::Order;

use super::services::Flight;

/// One in so many runs is submitted with faults.
const ONE_IN: u128 = 6;

/// What is planned for the attempts of a step, of its undo or of its check.
enum Planned {
    Fault(FaultKind),
    /// Of a check: its answer does not tell what is asked.
    SaysNothing,
}

/// What is planned, and for which attempt: what fails every time would never settle.
fn planned(execution: ExecutionId, step: StepIndex, strikes: Struck) -> Option<(u16, Planned)> {
    if !execution.digits.is_multiple_of(ONE_IN) {
        return None;
    }
    let draw = execution.digits / ONE_IN;
    let lot = match strikes {
        Struck::Step => draw,
        Struck::Undo => draw / 7,
        Struck::Check => draw / 49,
    };
    let planned = match lot.wrapping_add(u128::from(step.0)) % 7 {
        0 => Planned::Fault(FaultKind::Fail { permanent: false }),
        1 => Planned::Fault(FaultKind::Fail { permanent: true }),
        2 => Planned::Fault(FaultKind::Delay { ms: 1_500 }),
        3 => Planned::Fault(FaultKind::CrashBeforeAck),
        4 => Planned::Fault(FaultKind::Duplicate),
        5 if strikes == Struck::Check => Planned::SaysNothing,
        _ => return None,
    };
    Some((1 + u16::from(lot.is_multiple_of(2)), planned))
}

/// The faults that a run is submitted with: a repeat has the same.
pub fn own_faults(execution: ExecutionId, plan: &Plan) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (step, own) in (0..).map(StepIndex).zip(&plan.steps) {
        let undo = own.undo.as_ref().filter(|undo| !undo.rolls_back());
        for strikes in [Struck::Step, Struck::Undo, Struck::Check] {
            let calls = match strikes {
                Struck::Step => matches!(own.task, TaskKind::Effect(_)),
                Struck::Undo => undo.is_some(),
                Struck::Check => undo.is_some_and(|undo| undo.check.is_some()),
            };
            let planned = planned(execution, step, strikes).filter(|_| calls);
            let Some((attempt, Planned::Fault(kind))) = planned else { continue };
            let kind = match strikes {
                Struck::Check => FaultKind::AtCheck(Box::new(kind)),
                Struck::Step | Struck::Undo => kind,
            };
            let (undo, attempt) = (strikes != Struck::Step, Some(attempt));
            faults.push(Fault { step, undo, attempt, kind });
        }
    }
    faults
}

/// What can be planned for a check.
pub fn of_checks() -> impl Iterator<Item = &'static str> {
    FaultKind::WORDS.into_iter().chain([SAYS_NOTHING])
}

/// What is planned for an attempt of a check, if it is one.
pub fn strikes_check(order: &Order) -> Option<&'static str> {
    order.input.value().get("asks")?;
    let nothing = || says_nothing(order).then_some(SAYS_NOTHING);
    order.fault.as_ref().map(FaultKind::word).or_else(nothing)
}

/// Whether a service answers this question without saying what it was asked.
pub fn says_nothing(order: &Order) -> bool {
    let Effect::UndoStep { step, attempt } = order.effect else { return false };
    matches!(
        planned(order.execution, step, Struck::Check),
        Some((planned, Planned::SaysNothing)) if planned == attempt
    )
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
        // Services that honour keys answer a repeat as they answered before; that it is reported
        // twice is up to who lands it. Which fault an attempt meets is said without `AtCheck`.
        FaultKind::Duplicate | FaultKind::AtCheck(_) => flight,
    }
}

const SAYS_NOTHING: &str = "says_nothing";
const FAULT: &str = codes::FAULT_INJECTED;

/// An attempt that was to fail or to be lost and did not, or one that was not to and did.
pub fn wrong_fault(state: &State, events: &[RunEvent]) -> Option<&'static str> {
    let mut asked = Asked::default();
    for event in events {
        asked.hear(event);
        let (step, strikes, attempt, failure) = match event {
            RunEvent::StepSucceeded { step, attempt, .. } => (*step, Struck::Step, *attempt, None),
            RunEvent::UndoSucceeded { step, attempt, .. } => (*step, Struck::Undo, *attempt, None),
            RunEvent::Unwind(UnwindEvent::CheckAnswered { step, attempt, .. }) => {
                (*step, Struck::Check, *attempt, None)
            }
            RunEvent::StepAttemptFailed { step, attempt, failure, .. } => {
                (*step, Struck::Step, *attempt, Some(failure))
            }
            RunEvent::UndoAttemptFailed { step, attempt, failure, .. } => {
                (*step, asked.struck(*step), *attempt, Some(failure))
            }
            _ => continue,
        };
        let before = if strikes == Struck::Undo { asked.attempts(step) } else { 0 };
        let number = attempt.saturating_sub(before);
        let meets = |own: &&Fault| {
            let this = own.attempt.is_none_or(|attempt| attempt == number);
            own.step == step && own.strikes() == strikes && this
        };
        let fault = state.faults().iter().find(meets).map(|own| match &own.kind {
            FaultKind::AtCheck(kind) => &**kind,
            kind => kind,
        });
        let stops = matches!(fault, Some(FaultKind::Fail { .. } | FaultKind::CrashBeforeAck));
        if stops && failure.is_none() && calls(state, step, strikes) {
            return Some("an attempt succeeds that was to fail or to be lost");
        }
        let on_purpose = failure.is_some_and(|own| own.code == FAULT);
        if on_purpose && !matches!(fault, Some(FaultKind::Fail { .. })) {
            return Some("an attempt fails on purpose that nobody asked for");
        }
    }
    None
}

/// Whether an executor is called: a migration may have made a child of a step, which meets no fault.
fn calls(state: &State, step: StepIndex, strikes: Struck) -> bool {
    let own = state.plan.step(step);
    match strikes {
        Struck::Step => matches!(own.task, TaskKind::Effect(_)),
        Struck::Undo | Struck::Check => own.undo.as_ref().is_some_and(|undo| !undo.rolls_back()),
    }
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

    /// Whose attempt it is that the undo makes.
    fn struck(&self, step: StepIndex) -> Struck {
        if self.asking.contains(&step) { Struck::Check } else { Struck::Undo }
    }

    fn attempts(&self, step: StepIndex) -> u16 {
        self.attempts.get(&step).copied().unwrap_or_default()
    }
}
