//! A part of a run that is being undone while the run as a whole does not fail.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Said, State};
use crate::arrows::{StepStatus, UndoStatus};
use crate::event::{Compensation, LetterSubject};
use crate::ids::StepIndex;
use crate::summary::LetterStatus;

/// A part of a run that is being undone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// The steps of the part; those of them that call for an undo have one.
    pub steps: BTreeSet<StepIndex>,
    /// The step that the run is rolled back to, if it goes on from there; a run whose every step
    /// is settled completes.
    pub back_to: Option<BackTo>,
}

/// A roll-back to a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackTo {
    /// The step, which stays as it is.
    pub step: StepIndex,
    /// Who had it so.
    pub said: Said,
}

impl State {
    /// The part of the run that is being undone, if the run is to go on or complete after that.
    #[must_use]
    pub fn partial(&self) -> Option<&Partial> {
        self.controls.as_ref()?.partial.as_deref()
    }

    /// The step that the run is being rolled back to.
    #[must_use]
    pub fn back_to(&self) -> Option<&BackTo> {
        self.partial()?.back_to.as_ref()
    }

    /// Everything that builds on the step, transitively: what is done anew once the run is rolled
    /// back to it.
    #[must_use]
    pub fn behind(&self, step: StepIndex) -> BTreeSet<StepIndex> {
        let (mut found, mut from) = (BTreeSet::new(), vec![step]);
        while let Some(step) = from.pop() {
            let dependants = self.plan.step(step).dependants.iter().copied();
            from.extend(dependants.filter(|dependant| found.insert(*dependant)));
        }
        found
    }

    /// The numbers of all letters of these steps, ascending, and of their undos.
    #[must_use]
    pub fn letters_of_part(&self, steps: &[StepIndex]) -> Vec<u32> {
        let of_part = |own: &LetterSubject| match own {
            LetterSubject::Step(step) | LetterSubject::Undo(step) => {
                steps.binary_search(step).is_ok()
            }
            LetterSubject::Callback(_) => false,
        };
        let letters = (0..).zip(&self.letters);
        letters.filter(|(_, own)| of_part(&own.subject)).map(|(number, _)| number).collect()
    }

    /// The run unwinds as a whole, or is over: no part of it is being undone any more.
    pub(crate) fn end_partial(&mut self) {
        if let Some(controls) = &mut self.controls
            && controls.partial.take().is_some()
        {
            (controls.undos_forced, controls.undos_timed_out) = (false, false);
        }
    }

    /// Whether what the step did, or may have done, stands and calls for an undo.
    pub(crate) fn stands(&self, step: StepIndex) -> bool {
        self.needs_undo(step) && self.step(step).undo.is_none()
    }

    /// Whether anything of the run stands that calls for an undo, and the run as a whole was not
    /// undone. It has ended.
    pub(crate) fn anything_stands(&self) -> bool {
        let unwound = |own: Compensation| own != Compensation::None;
        let mut steps = (0..).map(StepIndex).take(self.steps.len());
        !self.ending.as_ref().is_some_and(|end| unwound(end.compensation))
            && steps.any(|step| self.stands(step))
    }

    /// The steps that failed, may have taken effect all the same, and have an undo: they are
    /// undone before the run completes in spite of them. What a person settled stays so.
    pub(crate) fn unsettled_outcomes(&self) -> Vec<StepIndex> {
        let steps = (0..).map(StepIndex).take(self.steps.len());
        let unknown = |step: &StepIndex| {
            let own = self.step(*step);
            own.unsure && own.status != StepStatus::Succeeded && !own.by_hand
        };
        let undoable = |step: &StepIndex| self.plan.step(*step).undo.is_some();
        steps.filter(unknown).filter(undoable).filter(|step| self.stands(*step)).collect()
    }

    /// The first step of the part whose undo failed and was not settled since: it waits for a
    /// person, and the run with it.
    #[must_use]
    pub fn unsettled_undo(&self) -> Option<StepIndex> {
        let part = self.partial()?;
        let left = self.left_undone();
        part.steps.iter().copied().find(|step| left.contains(step))
    }

    /// The steps whose undo failed, and nobody has accepted that or given its letter up.
    #[must_use]
    pub fn left_undone(&self) -> BTreeSet<StepIndex> {
        let failed = |step: &StepIndex| {
            let undo = self.step(*step).undo.as_deref();
            undo.is_some_and(|own| own.status == UndoStatus::Failed)
        };
        let steps = (0..).map(StepIndex).take(self.steps.len());
        let mut left: BTreeSet<_> = steps.filter(failed).collect();
        let failed = left.clone();
        for letter in &self.letters {
            // The newest of an undo counts: others may be of a round before.
            match (letter.subject, letter.status) {
                (LetterSubject::Undo(step), LetterStatus::Resolved | LetterStatus::Discarded) => {
                    left.remove(&step);
                }
                (LetterSubject::Undo(step), _) if failed.contains(&step) => {
                    left.insert(step);
                }
                _ => {}
            }
        }
        left
    }
}
