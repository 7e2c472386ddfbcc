//! The rules of undoing a part of a run.

use std::collections::BTreeSet;

use backstitch_core::arrows::{Phase, StepStatus};
use backstitch_core::event::LetterSubject;
use backstitch_core::ids::StepIndex;
use backstitch_core::plan::TaskKind;

use super::{Model, Step, Undo, Verdict, rule};

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
        if self.back_to.is_some() {
            return self.begin_behind(&part);
        }
        let settled = self.places().all(|step| self.settled(step));
        rule(settled, "a part is undone while a step is not settled")?;
        rule(part == self.unknown_outcomes(), "another part is undone than is to be")?;
        rule(!part.is_empty(), "nothing is undone")?;
        self.move_run(&[Phase::Forward], Phase::Unwinding)?;
        for step in &part {
            self.own(*step).undo = Some(Undo::pending());
        }
        self.part = Some(part);
        Ok(())
    }

    /// The run is to be rolled back to a step: nothing starts before what builds on it is undone.
    pub(super) fn roll_back_to(&mut self, step: StepIndex) -> Verdict {
        rule(self.part.is_none(), "two parts of a run are undone at once")?;
        rule(
            self.status(step) == StepStatus::Succeeded,
            "a run goes on from what did not succeed",
        )?;
        rule(self.phase != Phase::Ended || self.completed, "a run that failed goes on")?;
        self.move_run(&[Phase::Forward, Phase::Suspended, Phase::Ended], Phase::Failing)?;
        let part = self.below(step).into_iter().collect();
        (self.recourse, self.part, self.back_to) = (None, Some(part), Some(step));
        Ok(())
    }

    /// What builds on the step is undone once nothing is in flight but runs beside it.
    fn begin_behind(&mut self, part: &BTreeSet<StepIndex>) -> Verdict {
        rule(self.part.as_ref() == Some(part), "another part is undone than was asked for")?;
        let idle = |step: StepIndex| match self.status(step) {
            StepStatus::Faulted => false,
            StepStatus::Running => !part.contains(&step) && self.is_a_run(step),
            _ => true,
        };
        rule(self.places().all(idle), "a part is undone with a step in flight")?;
        let over = |step: &StepIndex| {
            let status = self.status(*step);
            status == StepStatus::Pending || status.is_settled()
        };
        rule(part.iter().all(over), "a part is undone that waits for something")?;
        self.move_run(&[Phase::Failing], Phase::Unwinding)?;
        let wanted: Vec<_> = part.iter().copied().filter(|step| self.wants_undo(*step)).collect();
        for step in wanted {
            self.own(step).undo.get_or_insert(Undo::pending());
        }
        Ok(())
    }

    /// Whether the step is another run, or several.
    fn is_a_run(&self, step: StepIndex) -> bool {
        matches!(self.plan.step(step).task, TaskKind::Workflow | TaskKind::Foreach)
    }

    /// The part is pending again; what it led to is forgotten.
    pub(super) fn again(&mut self, steps: &[StepIndex]) -> Verdict {
        let part: BTreeSet<_> = steps.iter().copied().collect();
        let asked = self.back_to.is_some() && self.part.as_ref() == Some(&part);
        rule(asked, "a part is done anew that nobody asked for")?;
        rule(self.part_has_results() && !self.part_failed(), "a part is not undone whole")?;
        self.move_run(&[Phase::Unwinding], Phase::Forward)?;
        self.end_part();
        for &step in &part {
            let attempt = self.steps[step.at()].attempt;
            *self.own(step) = Step { attempt, ..Step::pending() };
            self.close_letters(LetterSubject::Step(step));
            self.close_letters(LetterSubject::Undo(step));
        }
        let stays = |step: &StepIndex| !part.contains(step);
        self.handled.retain(stays);
        self.standing.retain(stays);
        self.called.retain(stays);
        self.routes.retain(|step, _| stays(step));
        self.numbers.retain(|step, _| step.as_ref().is_none_or(stays));
        self.loops.retain(|step, _| stays(step));
        self.call_again();
        Ok(())
    }

    /// Failures that were made good by what is to be done anew call their handlers once more.
    fn call_again(&mut self) {
        loop {
            let lost = |step: &&StepIndex| {
                let mut handlers = self.plan.step(**step).failure_handlers().iter();
                !handlers.any(|own| self.has_completed(*own))
            };
            let Some(step) = self.handled.iter().find(lost).copied() else { break };
            self.handled.remove(&step);
        }
        for step in self.places().collect::<Vec<_>>() {
            let fails = self.status(step) == StepStatus::Failed && !self.allowed(step);
            // One that a handler made good stays so, and its other handlers were called too.
            if fails && !self.standing.contains(&step) {
                let handlers = self.plan.step(step).failure_handlers().to_vec();
                self.called.extend(handlers);
            }
        }
    }

    /// Whether an undo of the part failed and nobody settled that.
    pub(super) fn part_failed(&self) -> bool {
        self.part.iter().flatten().any(|step| self.is_left_undone(*step))
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
        self.back_to = None;
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
