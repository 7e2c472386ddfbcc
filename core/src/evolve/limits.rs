//! Folding limits of time: when a step's clocks start and stop, and what passing them means.

use crate::arrows::{StepMove, StepStatus};
use crate::event::Number;
use crate::failure::{Failure, codes};
use crate::ids::StepIndex;
use crate::state::{Breach, State, StepLimits, Subject};
use crate::time::Timestamp;

use super::{move_step, step_mut};

/// The step is ready: its clocks run until it is settled.
pub(super) fn start(state: &mut State, step: StepIndex, at: Timestamp) {
    let (limit_ms, sla_ms) = (state.total_timeout_ms(step), state.sla_ms(step));
    if limit_ms.is_none() && sla_ms.is_none() {
        return;
    }
    let limits = StepLimits {
        limit_at: limit_ms.map(|ms| at.plus_ms(ms)),
        sla_at: sla_ms.map(|ms| at.plus_ms(ms)),
    };
    let due = &mut state.sets.due;
    due.extend(limits.limit_at.map(|at| (at, Subject::StepLimit(step))));
    due.extend(limits.sla_at.map(|at| (at, Subject::StepSla(step))));
    if let Some(flow) = &mut state.flow {
        flow.limits.insert(step, limits);
    }
}

/// Templates came to these numbers: a step's before it is ready, the run's before it begins.
pub(super) fn set(
    state: &mut State,
    step: Option<StepIndex>,
    numbers: &[(Number, u64)],
) -> Result<(), String> {
    let stands = match step {
        Some(step) => step_mut(state, step)?.status == StepStatus::Pending,
        None => !state.has_begun(),
    };
    let flow = state.flow.as_mut().filter(|_| stands);
    let flow = flow.ok_or("it has begun, or its definition has no templates for numbers")?;
    match step {
        Some(step) => drop(flow.numbers.insert(step, numbers.to_vec())),
        None => {
            flow.own_numbers = numbers.to_vec();
            let from = state.submitted_at;
            let due = |number, subject| {
                let own = numbers.iter().find(|(own, _)| *own == number);
                own.map(|(_, ms)| (from.plus_ms(*ms), subject))
            };
            state.sets.due.extend(due(Number::Timeout, Subject::Deadline));
            state.sets.due.extend(due(Number::Sla, Subject::Sla));
        }
    }
    Ok(())
}

/// The step is settled, or starts over.
pub(super) fn stop(state: &mut State, step: StepIndex) {
    let limits = state.flow.as_mut().and_then(|flow| flow.limits.remove(&step));
    let Some(StepLimits { limit_at, sla_at }) = limits else { return };
    let limit = limit_at.map(|at| (at, Subject::StepLimit(step)));
    let sla = sla_at.map(|at| (at, Subject::StepSla(step)));
    for clock in limit.iter().chain(&sla) {
        state.sets.due.remove(clock);
    }
}

/// The step had its time: an attempt under way may have taken effect.
pub(super) fn pass(
    state: &mut State,
    step: StepIndex,
    limit_ms: u64,
    at: Timestamp,
) -> Result<(), String> {
    let own = step_mut(state, step)?;
    let running = own.status == StepStatus::Running;
    let message = format!("the step took longer than {limit_ms} ms, over all its attempts");
    let failure = Failure::permanent(codes::STEP_TIMEOUT, message);
    own.unsure |= running;
    own.failure = Some(Box::new(if running { failure.of_unknown_effect() } else { failure }));
    move_step(state, step, StepMove::Fault, at)
}

/// Something took longer than was agreed; that is said once.
pub(super) fn breach(
    state: &mut State,
    step: Option<StepIndex>,
    limit_ms: u64,
    at: Timestamp,
) -> Result<(), String> {
    let subject = step.map_or(Subject::Sla, Subject::StepSla);
    state.sets.due.retain(|(_, own)| *own != subject);
    let flow = state.flow.as_mut().ok_or("nothing was agreed for this run")?;
    flow.breached.push(Breach { step, limit_ms, at });
    Ok(())
}
