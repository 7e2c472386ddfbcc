//! The rules of undoing a part of a run.

use std::collections::BTreeSet;

use backstitch_core::arrows::{Phase, StepStatus, UndoStatus as U};
use backstitch_core::event::LetterSubject;
use backstitch_core::ids::StepIndex;

use super::{Model, Undo, Verdict, rule};

impl Model {
    /// Steps that may have taken effect though they failed, and that nobody undid or settled.
    pub(super) fn unknown_outcomes(&self) -> BTreeSet<StepIndex> {
        let unknown = |step: &StepIndex| {
            let own = &self.steps[step.at()];
            let failed = own.status != StepStatus::Succeeded && own.unsure && !own.by_hand;
            failed && own.undo.is_none() && self.plan.step(*step).undo.is_some()
        };
        self.places().filter(unknown).filter(|step| self.wants_undo(*step)).collect()
    }

    /// What failed and may have taken effect is undone once every step is settled.
    pub(super) fn begin_part(&mut self, steps: &[StepIndex]) -> Verdict {
        let part: BTreeSet<_> = steps.iter().copied().collect();
        let settled = self.places().all(|step| self.settled(step));
        rule(settled, "a part is undone while a step is not settled")?;
        rule(part == self.unknown_outcomes(), "another part is undone than is to be")?;
        rule(!part.is_empty(), "nothing is undone")?;
        self.move_run(&[Phase::Forward], Phase::Unwinding)?;
        for step in &part {
            let (status, had_result) = (U::Pending, false);
            self.own(*step).undo =
                Some(Undo { status, attempt: 0, tries: 0, due_at: None, had_result });
        }
        self.part = Some(part);
        Ok(())
    }

    /// Whether an undo of the part failed and nobody settled that.
    pub(super) fn part_failed(&self) -> bool {
        let failed = |step: &StepIndex| {
            let undo = self.steps[step.at()].undo.as_ref();
            undo.is_some_and(|own| own.status == U::Failed)
                && self.has_open_letter(LetterSubject::Undo(*step))
        };
        self.part.iter().flatten().any(failed)
    }

    /// Whether every undo of the part has its result.
    pub(super) fn part_has_results(&self) -> bool {
        let open = |step: &StepIndex| {
            let undo = self.steps[step.at()].undo.as_ref();
            undo.is_some_and(|own| !own.status.is_settled())
        };
        self.part.as_ref().is_some_and(|part| !part.iter().any(open))
    }

    pub(super) fn end_part(&mut self) {
        if self.part.take().is_some() {
            self.undos_forced = false;
        }
    }

    /// A failed undo was settled as it is: a run that waits for that looks what is left.
    pub(super) fn look_again(&mut self) {
        if self.part.is_some() && self.phase == Phase::Suspended {
            self.phase = Phase::Unwinding;
        }
    }

    /// Where an undo may be tried again, or be said to be done.
    pub(super) fn undoes_again(&mut self) -> Verdict {
        self.look_again();
        self.move_run(&[Phase::Unwinding, Phase::Ended], Phase::Unwinding)
    }
}
