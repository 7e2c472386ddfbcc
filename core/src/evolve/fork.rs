//! What makes a run go on from another's steps: folding it.

use crate::arrows::StepMove;
use crate::event::{ForkEvent, KeptStatus, KeptStep};
use crate::state::State;
use crate::time::Timestamp;

use super::{flow, move_step, step_mut};

pub(super) fn apply(state: &mut State, event: &ForkEvent, at: Timestamp) -> Result<(), String> {
    match event {
        ForkEvent::Begun(origin) => {
            if state.version != state.beginning() {
                return Err("a run is forked when it is submitted".to_owned());
            }
            state.forks_mut().origin = Some(origin.as_ref().clone());
            Ok(())
        }
        ForkEvent::StepKept(kept) => {
            if !state.is_unstarted_fork() {
                return Err("a step is kept before the fork starts".to_owned());
            }
            keep(state, kept, at)
        }
        ForkEvent::Started => {
            if !state.is_unstarted_fork() {
                return Err("a fork starts once".to_owned());
            }
            state.forks_mut().started = true;
            Ok(())
        }
        ForkEvent::Forked { to, undoes, actor: _ } => {
            if let Some(step) = undoes.iter().find(|&&step| state.is_undone_elsewhere(step)) {
                return Err(format!("step {} is another run's to undo already", step.0));
            }
            state.forks_mut().made.insert(*to, undoes.clone());
            Ok(())
        }
        ForkEvent::ForkDropped { fork } => {
            let dropped = state.forks_mut().made.remove(fork);
            dropped.map(drop).ok_or_else(|| format!("{fork} is no fork of this run"))
        }
        ForkEvent::Migrated { digest, .. } => {
            Err(format!("the revision {digest} is not in the journal"))
        }
    }
}

fn keep(state: &mut State, kept: &KeptStep, at: Timestamp) -> Result<(), String> {
    let step = kept.step;
    let own = step_mut(state, step)?;
    (own.round, own.attempt, own.unsure) = (kept.round, kept.attempt, kept.unsure);
    (own.input, own.output) = (kept.input.clone(), kept.output.clone());
    own.failure = kept.failure.clone().map(Box::new);
    let allowed = state.plan.steps[step.at()].allow_failure;
    let by = match kept.status {
        KeptStatus::Succeeded => StepMove::SetOutput,
        KeptStatus::Skipped => StepMove::SkipByHand,
        KeptStatus::Pruned => StepMove::Prune,
        KeptStatus::Failed if allowed => StepMove::Fail,
        KeptStatus::Failed => return Err(format!("step {} is not allowed to fail", step.0)),
    };
    let forks = state.forks_mut();
    forks.kept.insert(step);
    if !kept.undone_here {
        forks.undone_there.insert(step);
    }
    if let Some(taken) = &kept.led_to {
        flow::lead(state, step, taken)?;
    }
    move_step(state, step, by, at)
}
