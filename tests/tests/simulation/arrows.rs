//! Which arrows of the transition tables a run followed, told from where it stood before and
//! behind each event: the engine itself notes nothing. A change that is no arrow is a bug.

use std::collections::BTreeSet;
use std::fmt::Debug;

use backstitch_core::arrows::{
    DELIVERY_ARROWS, DeliveryMove, DeliveryStatus, PHASE_ARROWS, Phase, PhaseMove, STEP_ARROWS,
    StepMove, StepStatus, UNDO_ARROWS, UndoMove, UndoStatus,
};
use backstitch_core::event::{
    ControlEvent, ForkEvent, KeptStatus, LetterSubject, RunEvent, UnwindEvent,
};
use backstitch_core::state::State;

/// Which table, and which of its rows.
pub type Arrow = (Table, usize);

/// One of the tables of `core/src/arrows.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    Run,
    Step,
    Undo,
    Delivery,
}

/// Where everything of a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub phase: Phase,
    pub steps: Vec<(StepStatus, Option<UndoStatus>)>,
    pub deliveries: Vec<DeliveryStatus>,
}

impl Standing {
    pub fn of(state: &State) -> Self {
        let undo = |own: &backstitch_core::state::StepState| own.undo.as_ref().map(|u| u.status);
        Self {
            phase: state.phase,
            steps: state.steps.iter().map(|own| (own.status, undo(own))).collect(),
            deliveries: state.deliveries.iter().map(|own| own.status).collect(),
        }
    }
}

/// The arrows that the tables have, in words.
pub fn every() -> Vec<(Arrow, String)> {
    let mut all = Vec::new();
    name(Table::Run, PHASE_ARROWS, &mut all);
    name(Table::Step, STEP_ARROWS, &mut all);
    name(Table::Undo, UNDO_ARROWS, &mut all);
    name(Table::Delivery, DELIVERY_ARROWS, &mut all);
    all
}

fn name<S: Debug, M: Debug>(table: Table, arrows: &[(S, M, S)], all: &mut Vec<(Arrow, String)>) {
    for (at, (from, by, to)) in arrows.iter().enumerate() {
        all.push(((table, at), format!("{table:?}: {from:?} {by:?} {to:?}")));
    }
}

/// Notes the arrows between two standings of one run.
///
/// # Errors
/// A change that no table has.
pub fn note(
    (before, after): (&Standing, &Standing),
    event: &RunEvent,
    subject: Option<LetterSubject>,
    seen: &mut BTreeSet<Arrow>,
) -> Result<(), String> {
    if let Some(by) = run_move(before.phase, after.phase, event, subject) {
        follow(Table::Run, PHASE_ARROWS, (before.phase, after.phase), |own| own == by, seen)?;
    } else if before.phase != after.phase {
        return Err(format!("no arrow from {:?} to {:?}", before.phase, after.phase));
    }
    if matches!(event, RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { .. })) {
        // Its steps begin anew, by no arrow.
        return Ok(());
    }
    for (old, new) in before.steps.iter().zip(&after.steps) {
        if old.0 != new.0 {
            let hand = by_hand(event);
            let fits = |own| matches!(own, StepMove::SetOutput | StepMove::SkipByHand) == hand;
            follow(Table::Step, STEP_ARROWS, (old.0, new.0), fits, seen)?;
        }
        // Unwinding begins with undos of its own.
        let begins = matches!(event, RunEvent::UnwindingStarted);
        if let (Some(old), Some(new), false) = (old.1, new.1, begins)
            && old != new
        {
            follow(Table::Undo, UNDO_ARROWS, (old, new), |_: UndoMove| true, seen)?;
        }
    }
    for (old, new) in before.deliveries.iter().zip(&after.deliveries) {
        if old != new {
            let any = |_: DeliveryMove| true;
            follow(Table::Delivery, DELIVERY_ARROWS, (*old, *new), any, seen)?;
        }
    }
    if let RunEvent::CallbackAttemptFailed { retry_at: Some(_), .. } = event {
        let owed = (DeliveryStatus::Owed, DeliveryStatus::Owed);
        let retry = |own| own == DeliveryMove::Retry;
        follow(Table::Delivery, DELIVERY_ARROWS, owed, retry, seen)?;
    }
    Ok(())
}

fn by_hand(event: &RunEvent) -> bool {
    match event {
        RunEvent::Control(ControlEvent::StepOverridden { .. }) => true,
        RunEvent::Fork(ForkEvent::StepKept(kept)) => {
            matches!(kept.status, KeptStatus::Succeeded | KeptStatus::Skipped)
        }
        _ => false,
    }
}

/// What an event is for the run as a whole; a letter's event has its subject.
fn run_move(
    before: Phase,
    after: Phase,
    event: &RunEvent,
    subject: Option<LetterSubject>,
) -> Option<PhaseMove> {
    let moved = before != after;
    match event {
        RunEvent::RunFailing { .. } => Some(PhaseMove::Fail),
        RunEvent::RunSuspended { .. } => Some(PhaseMove::Suspend),
        RunEvent::UnwindingStarted => Some(PhaseMove::Unwind),
        RunEvent::RunEnded { .. } => Some(PhaseMove::End),
        RunEvent::LetterRetried { .. } => match subject {
            Some(LetterSubject::Undo(_)) => Some(PhaseMove::ReopenUnwinding),
            _ => moved.then_some(PhaseMove::ReopenForward),
        },
        RunEvent::Unwind(UnwindEvent::PartialUnwindingStarted { .. }) => {
            Some(PhaseMove::UnwindPart)
        }
        RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { .. }) => {
            Some(PhaseMove::ReopenForward)
        }
        RunEvent::LetterDiscarded { .. } | RunEvent::Unwind(UnwindEvent::UndosSettled { .. }) => {
            moved.then_some(PhaseMove::ReopenUnwinding)
        }
        RunEvent::Control(ControlEvent::Resumed { .. }) => {
            moved.then_some(PhaseMove::ReopenForward)
        }
        RunEvent::Control(ControlEvent::RollbackRequested { .. }) => {
            moved.then_some(PhaseMove::RollBack)
        }
        _ => None,
    }
}

fn follow<S: Copy + PartialEq + Debug, M: Copy>(
    table: Table,
    arrows: &[(S, M, S)],
    (from, to): (S, S),
    fits: impl Fn(M) -> bool,
    seen: &mut BTreeSet<Arrow>,
) -> Result<(), String> {
    let own = |(start, by, end): &(S, M, S)| *start == from && *end == to && fits(*by);
    let at = arrows.iter().position(own);
    let at = at.ok_or_else(|| format!("{table:?}: no arrow from {from:?} to {to:?}"))?;
    seen.insert((table, at));
    Ok(())
}
