//! What people and signals do to a run: folding it.

use super::move_run;
use crate::arrows::PhaseMove;
use crate::event::{ControlEvent, Recourse};
use crate::failure::{Failure, codes};
use crate::state::{Failing, State};
use crate::time::Timestamp;

pub(super) fn apply(state: &mut State, event: &ControlEvent, _at: Timestamp) -> Result<(), String> {
    match event {
        ControlEvent::RollbackRequested { to: None, reason, actor: _ } => {
            move_run(state, PhaseMove::RollBack)?;
            let failure = Failure::permanent(codes::ROLLED_BACK, reason.clone());
            state.failing = Some(Failing { failure, step: None, recourse: Recourse::Compensate });
            (state.ending, state.cancel) = (None, None);
            Ok(())
        }
        _ => Err(format!("nothing is known of {event:?} yet")),
    }
}
