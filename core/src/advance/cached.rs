//! Steps whose answer is known already: they make no attempt and use no turn.
//!
//! What somebody has run again on purpose, as a new round or in a fork, asks anew: an answer that
//! was wrong would otherwise come back.

use crate::event::{GraphEvent, RunEvent};
use crate::ids::StepIndex;
use crate::payload::Payload;
use crate::room::Turns;
use crate::state::State;
use crate::template::Work;

/// What becomes of a ready step that need not start: it is answered from the cache, or its key
/// can't be rendered. Nothing if it starts, with the turn that was taken for it.
pub(super) fn recalled(
    state: &State,
    step: StepIndex,
    turns: &mut Turns<'_>,
    work: &mut Work,
) -> Option<RunEvent> {
    let own = state.step(step);
    state.plan.step(step).cache.as_ref()?;
    let absent = own.input.as_ref().is_some_and(|input| input.absent().is_some());
    if absent || own.round > 1 || state.fork_origin().is_some() {
        return None;
    }
    let event = match state.cache_key(step, work) {
        Err(failure) => RunEvent::StepFailed { step, failure },
        Ok(found) => {
            let (key, ttl_ms) = found?;
            let known = turns.recalls(&key, ttl_ms)?;
            let output: Payload = known.output;
            RunEvent::Graph(GraphEvent::StepCacheHit {
                step,
                attempt: own.attempt,
                source: known.source.run,
                source_step: known.source.step,
                output,
            })
        }
    };
    turns.put_back();
    Some(event)
}
