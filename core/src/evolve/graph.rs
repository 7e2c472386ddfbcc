//! What the richer words of the graph bring about: folding it.

use crate::arrows::{StepMove, StepStatus};
use crate::cache::CacheSource;
use crate::event::GraphEvent;
use crate::state::State;
use crate::time::Timestamp;

use super::{current, flow, limits, move_step, signals, step_mut};

pub(super) fn apply(state: &mut State, event: &GraphEvent, at: Timestamp) -> Result<(), String> {
    match event {
        GraphEvent::StepAwaitsSignal { step, name, due_at } => {
            signals::wait(state, *step, name, *due_at, at)
        }
        GraphEvent::StepSignalled { step, signal, output } => {
            signals::take(state, *step, *signal, output, at)
        }
        GraphEvent::RouteChosen { step, route, output } => {
            flow::choose(state, *step, *route)?;
            let own = step_mut(state, *step)?;
            (own.output, own.failure) = (Some(output.clone()), None);
            own.started_at.get_or_insert(at);
            move_step(state, *step, StepMove::Succeed, at)
        }
        GraphEvent::StepLimitPassed { step, limit_ms } => limits::pass(state, *step, *limit_ms, at),
        GraphEvent::SlaBreached { step, limit_ms } => limits::breach(state, *step, *limit_ms, at),
        GraphEvent::StepKeyed { step, keys } => {
            if step_mut(state, *step)?.status != StepStatus::Pending {
                return Err(format!("step {} is told its keys before it is ready", step.0));
            }
            state.keyed.get_or_insert_default().note(*step, keys, at);
            Ok(())
        }
        GraphEvent::NumbersSet { step, numbers } => limits::set(state, *step, numbers),
        GraphEvent::StepCacheHit { step, attempt, source, source_step, output } => {
            let own = step_mut(state, *step)?;
            current(*attempt, own.attempt)?;
            (own.output, own.failure) = (Some(output.clone()), None);
            own.started_at.get_or_insert(at);
            let source = CacheSource { run: *source, step: source_step.clone() };
            let flow = state.flow.as_mut().ok_or("nothing of this run is cached")?;
            flow.cached.insert(*step, source);
            move_step(state, *step, StepMove::Succeed, at)
        }
    }
}
