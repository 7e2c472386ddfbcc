//! Faults as people wish for them, and which of a run's attempts meets one.
//!
//! A fault is the shell's to bring about; the core records what was asked, once, when the run
//! begins, and says which attempt it is for.

use crate::definition::nearest::nearest;
use crate::definition::problem::{Problem, codes};
use crate::effect::Effect;
use crate::event::{Fault, FaultKind};
use crate::plan::{Plan, PlanUndo, TaskKind};
use crate::state::State;

/// The most faults that one run is submitted with.
pub const FAULTS_MAX: usize = 64;
/// The longest delay of an answer.
pub const FAULT_DELAY_MS_MAX: u64 = 3_600_000;

/// A fault as a client puts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultWish {
    /// The step's id.
    pub step: String,
    /// Whose attempts meet it.
    pub strikes: Struck,
    /// Which attempt, counted from 1; every one if unsaid.
    pub attempt: Option<u16>,
    /// What goes wrong.
    pub kind: FaultKind,
}

/// Whose attempts meet a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Struck {
    /// The step's own.
    Step,
    /// Those of its undo.
    Undo,
    /// Those of the check before its undo.
    Check,
}

/// The faults of a run of this plan.
///
/// # Errors
/// Every wish that names no attempt of the plan, by its place in the list.
pub fn faults_of(plan: &Plan, wishes: &[FaultWish]) -> Result<Vec<Fault>, Vec<Problem>> {
    let (mut faults, mut problems) = (Vec::new(), Vec::new());
    if wishes.len() > FAULTS_MAX {
        let message = format!("at most {FAULTS_MAX} faults are taken, not {}", wishes.len());
        return Err(vec![Problem { path: "faults".into(), code: codes::OUT_OF_RANGE, message }]);
    }
    for (at, wish) in wishes.iter().enumerate() {
        match fault_of(plan, wish) {
            Ok(fault) => faults.push(fault),
            Err(message) => {
                let path = format!("faults[{at}].step");
                problems.push(Problem { path, code: codes::BAD_VALUE, message });
            }
        }
    }
    if problems.is_empty() { Ok(faults) } else { Err(problems) }
}

fn fault_of(plan: &Plan, wish: &FaultWish) -> Result<Fault, String> {
    let name = &wish.step;
    let Some(step) = plan.index_of(name) else {
        let known = plan.steps.iter().map(|step| &*step.id);
        let meant = nearest(name, known).map(|near| format!("; did you mean `{near}`?"));
        let shown: String = name.chars().take(64).collect();
        return Err(format!("there is no step `{shown}`{}", meant.unwrap_or_default()));
    };
    let own = plan.step(step);
    let undo = own.undo.as_ref().filter(|undo| !PlanUndo::rolls_back(undo));
    let (calls, what) = match wish.strikes {
        Struck::Step => (matches!(own.task, TaskKind::Effect(_)), "is no task"),
        Struck::Undo => (undo.is_some(), "has no undo"),
        Struck::Check => (undo.is_some_and(|undo| undo.check.is_some()), "has no check"),
    };
    if !calls {
        return Err(format!(
            "step `{name}` {what} with attempts of its own, so none of them can meet a fault"
        ));
    }
    let kind = match wish.strikes {
        Struck::Check => FaultKind::AtCheck(Box::new(wish.kind.clone())),
        Struck::Step | Struck::Undo => wish.kind.clone(),
    };
    Ok(Fault { step, undo: wish.strikes != Struck::Step, attempt: wish.attempt, kind })
}

impl Fault {
    /// Whose attempts meet it.
    #[must_use]
    pub fn strikes(&self) -> Struck {
        match (self.undo, &self.kind) {
            (false, _) => Struck::Step,
            (true, FaultKind::AtCheck(_)) => Struck::Check,
            (true, _) => Struck::Undo,
        }
    }
}

impl State {
    /// The faults that the run was submitted with.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        self.calls.as_ref().map_or(&[], |calls| &calls.faults)
    }

    /// What goes wrong with an attempt; the first fault that names it.
    #[must_use]
    pub fn fault_of(&self, effect: Effect) -> Option<&FaultKind> {
        let (of, struck) = match effect {
            Effect::RunStep { step, .. } => (step, Struck::Step),
            Effect::UndoStep { step, .. } if self.is_asking(step) => (step, Struck::Check),
            Effect::UndoStep { step, .. } => (step, Struck::Undo),
            Effect::DeliverCallback { .. } | Effect::Send { .. } => return None,
        };
        // Attempts of an undo are counted on from those of its check.
        let undo = self.step(of).undo.as_ref().filter(|_| struck == Struck::Undo);
        let before = undo.map_or(0, |undo| undo.attempts_before());
        let number = effect.attempt().saturating_sub(before);
        let meets = |own: &&Fault| {
            let this = own.attempt.is_none_or(|attempt| attempt == number);
            own.step == of && own.strikes() == struck && this
        };
        self.faults().iter().find(meets).map(|own| match &own.kind {
            FaultKind::AtCheck(kind) => &**kind,
            kind => kind,
        })
    }
}
