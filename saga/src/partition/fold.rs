//! Running the core's code where it must not take the partition down with it.

use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::event::Event;
use backstitch_core::ids::ExecutionId;
use backstitch_core::lineage::Plans;
use backstitch_core::machine::{replay, replay_more};
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;

use super::{Histories, Recoverable};

/// Folds a run's history with the plans it was made with.
///
/// # Errors
/// A sentence: no such plan, or an event that does not fit.
pub fn fold(
    id: ExecutionId,
    events: &[(Event, Timestamp)],
    histories: &dyn Histories,
) -> Result<State, String> {
    let events = events.iter().map(|(event, at)| (event, *at));
    let plans: &dyn Plans = histories;
    match guarded(|| replay(id, plans, events)) {
        Ok(Ok(state)) => Ok(state),
        Ok(Err(illegal)) => Err(illegal.to_string()),
        Err(why) => Err(why),
    }
}

/// Folds what came after a checkpoint into it.
///
/// # Errors
/// A sentence: the checkpoint can't be used, or an event does not fit. The whole history may
/// still fold.
pub fn fold_more(
    id: ExecutionId,
    checkpoint: Checkpoint,
    events: &[(Event, Timestamp)],
    histories: &dyn Histories,
) -> Result<State, String> {
    let plans: &dyn Plans = histories;
    let plan = plans
        .plan_of(&checkpoint.lineage())
        .ok_or_else(|| format!("a revision of {id} is not in the journal"))?;
    let mut state = checkpoint.restore(id, plan).map_err(|why| why.to_string())?;
    let events = events.iter().map(|(event, at)| (event, *at));
    match guarded(|| replay_more(&mut state, plans, events)) {
        Ok(Ok(())) => Ok(state),
        Ok(Err(illegal)) => Err(illegal.to_string()),
        Err(why) => Err(why),
    }
}

/// Folds a run from its checkpoint, or from its beginning if that does not work; answers the
/// state and the version of the checkpoint, 0 without one.
///
/// # Errors
/// A sentence: it can't be read, or not folded either way.
pub fn recall(id: ExecutionId, histories: &dyn Histories) -> Result<Option<(State, u64)>, String> {
    let found = histories.recoverable(id)?;
    found.map(|found| fold_found(id, found, histories)).transpose()
}

/// The same of what was read already.
///
/// # Errors
/// A sentence: it folds neither way.
pub(crate) fn fold_found(
    id: ExecutionId,
    found: Recoverable,
    histories: &dyn Histories,
) -> Result<(State, u64), String> {
    let Recoverable { checkpoint, events } = found;
    let Some(checkpoint) = checkpoint else {
        return fold(id, &events, histories).map(|state| (state, 0));
    };
    let version = checkpoint.version();
    match fold_more(id, *checkpoint, &events, histories) {
        Ok(state) => Ok((state, version)),
        Err(why) => {
            tracing::warn!(execution_id = %id, "folded without its checkpoint: {why}");
            let events = histories.history(id)?.unwrap_or_default();
            fold(id, &events, histories).map(|state| (state, 0))
        }
    }
}

/// Runs engine code so that a panic in it stops one run, not the partition.
pub(crate) fn guarded<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        format!("the engine failed: {}", message.unwrap_or_else(|| "no message".to_owned()))
    })
}
