//! The rules of the way back.

use backstitch_core::arrows::{Phase, StepStatus, UndoStatus as U};
use backstitch_core::event::{LetterSubject, RunEvent, UndoSettlement, UnwindEvent};
use backstitch_core::failure::codes;
use backstitch_core::ids::StepIndex;
use backstitch_core::time::Timestamp;

use super::{Model, Undo, Verdict, rule};

impl Model {
    /// It can be undone, and it took effect or may have.
    pub(super) fn wants_undo(&self, step: StepIndex) -> bool {
        let own = &self.steps[step.at()];
        let effective = own.status == StepStatus::Succeeded || own.unsure;
        let plan = &self.plan.steps[step.at()];
        let called = plan.undo.is_some() || plan.holds_unwinding;
        called && effective && !self.forks.is_elsewhere(step)
    }

    /// Nobody knows whether it took effect, and somebody can be asked.
    fn wants_check(&self, step: StepIndex) -> bool {
        let own = &self.steps[step.at()];
        let unknown = own.unsure && own.status != StepStatus::Succeeded;
        let undo = self.plan.step(step).undo.as_ref();
        unknown && undo.is_some_and(|undo| undo.check.is_some())
    }

    pub(super) fn unwound(&mut self, event: &RunEvent, at: Timestamp) -> Verdict {
        match event {
            RunEvent::UnwindingStarted => self.begin(),
            RunEvent::UndoReady { step, .. } => {
                self.has_its_turn(*step)?;
                self.has_undo_window(*step)?;
                let asked = !self.wants_check(*step) || self.undo(*step)?.found;
                rule(asked, "a step is undone and nobody asked whether it took effect")?;
                self.move_undo(*step, &[U::Pending], U::Ready)
            }
            RunEvent::UndoStarted { step, attempt } => {
                rule(self.phase == Phase::Unwinding, "an undo starts in a run that does not undo")?;
                let own = self.undo(*step)?;
                let due_at = own.due_at.take();
                rule(due_at.is_none_or(|due_at| due_at <= at), "an undo goes on before its time")?;
                rule(*attempt == own.attempt + 1, "attempts count up")?;
                own.attempt = *attempt;
                self.move_undo(*step, &[U::Ready, U::Retrying], U::Running)
            }
            RunEvent::UndoSucceeded { step, attempt, .. } => {
                let own = self.undo(*step)?;
                rule(*attempt == own.attempt, "an old attempt counts for nothing")?;
                rule(!own.asks, "an answer is taken for an undo")?;
                self.move_undo(*step, &[U::Running], U::Succeeded)
            }
            RunEvent::UndoAttemptFailed { step, attempt, failure, .. } => {
                let own = self.undo(*step)?;
                rule(*attempt == own.attempt, "an old attempt counts for nothing")?;
                own.tries += u16::from(failure.code != codes::ATTEMPT_LOST);
                self.move_undo(*step, &[U::Running], U::Faulted)
            }
            RunEvent::UndoRetryScheduled { step, due_at } => {
                let plan = self.plan.steps[step.at()].undo.as_ref();
                let most = plan.map_or(0, |own| own.retry.policy.max_attempts);
                let check = plan.and_then(|own| own.check.as_ref());
                let asked_most = check.map_or(0, |own| own.retry.policy.max_attempts);
                let own = self.undo(*step)?;
                let most = if own.asks { asked_most } else { most };
                own.due_at = Some(*due_at);
                rule(own.tries < most, "an undo is tried more often than it may")?;
                self.move_undo(*step, &[U::Faulted], U::Retrying)
            }
            RunEvent::UndoFailed { step, .. } if self.undos_forced => {
                let open = [
                    U::Pending,
                    U::Ready,
                    U::Running,
                    U::Faulted,
                    U::Retrying,
                    U::Waiting,
                    U::Answered,
                ];
                self.move_undo(*step, &open, U::Failed)
            }
            RunEvent::UndoFailed { step, .. } => {
                self.has_its_turn(*step)?;
                let own = self.undo(*step)?;
                let heard = own.status != U::Answered || own.said.is_none();
                rule(heard, "a service said what it was asked and a person is asked again")?;
                self.move_undo(*step, &[U::Pending, U::Faulted, U::Answered], U::Failed)
            }
            other => Err(format!("{other:?} undoes nothing")),
        }
    }

    /// What stops the way back, and what people do about it.
    pub(super) fn helped(&mut self, event: &UnwindEvent, at: Timestamp) -> Verdict {
        match event {
            UnwindEvent::UndoAwaited { step } => {
                self.has_its_turn(*step)?;
                let wanted = self.plan.step(*step).holds_unwinding;
                rule(wanted, "a person is asked and the definition does not say so")?;
                self.move_undo(*step, &[U::Pending], U::Waiting)
            }
            UnwindEvent::UndosSettled { steps, settlement, .. } => {
                steps.iter().try_for_each(|step| self.settle_undo(*step, *settlement))
            }
            UnwindEvent::PartialUnwindingStarted { steps } => self.begin_part(steps),
            UnwindEvent::PartialUnwindingEnded { steps } => self.again(steps),
            UnwindEvent::CompensationTimedOut { limit_ms } => {
                rule(self.phase == Phase::Unwinding, "undos are given up that do not run")?;
                let limit = self.plan.compensation_timeout_ms == Some(*limit_ms);
                let late = self.unwinds_since.is_some_and(|own| own.plus_ms(*limit_ms) <= at);
                rule(limit && late, "undos are given up before their time")?;
                self.undos_forced = true;
                Ok(())
            }
            UnwindEvent::CheckReady { step, .. } => {
                self.has_its_turn(*step)?;
                self.has_undo_window(*step)?;
                rule(self.wants_check(*step), "somebody is asked what is known")?;
                let own = self.undo(*step)?;
                rule(!own.found, "somebody is asked again what they said")?;
                own.asks = true;
                self.move_undo(*step, &[U::Pending], U::Ready)
            }
            UnwindEvent::CheckAnswered { step, attempt, output } => {
                let own = self.undo(*step)?;
                rule(*attempt == own.attempt, "an old attempt counts for nothing")?;
                rule(own.asks, "somebody answers who was not asked")?;
                own.said = output.value()["found"].as_bool();
                self.move_undo(*step, &[U::Running], U::Answered)
            }
            UnwindEvent::CheckConcluded { step, took_effect, .. } => {
                let own = self.undo(*step)?;
                let said = own.said == Some(*took_effect);
                rule(said, "it is concluded what the service did not say")?;
                (own.asks, own.found, own.tries) = (false, *took_effect, 0);
                let to = if *took_effect { U::Pending } else { U::Skipped };
                self.move_undo(*step, &[U::Answered], to)
            }
        }
    }

    fn settle_undo(&mut self, step: StepIndex, settlement: UndoSettlement) -> Verdict {
        let letter = LetterSubject::Undo(step);
        match settlement {
            UndoSettlement::Done if self.undo(step)?.status == U::Waiting => {
                self.move_undo(step, &[U::Waiting], U::Succeeded)
            }
            UndoSettlement::Done => {
                rule(self.has_open_letter(letter), "an undo is settled that nobody asked about")?;
                self.close_letters(letter);
                self.undoes_again()?;
                self.move_undo(step, &[U::Failed], U::Succeeded)
            }
            UndoSettlement::Accepted if self.undo(step)?.status == U::Failed => {
                rule(self.has_open_letter(letter), "an undo is settled that nobody asked about")?;
                self.close_letters(letter);
                self.look_again();
                Ok(())
            }
            UndoSettlement::Accepted => self.move_undo(step, &[U::Waiting], U::Skipped),
            UndoSettlement::SetAside => self.move_undo(step, &[U::Waiting], U::Faulted),
        }
    }

    /// Nothing forward is in flight when the first undo begins.
    fn begin(&mut self) -> Verdict {
        let flying = [StepStatus::Running, StepStatus::Faulted];
        let flies = self.steps.iter().any(|own| flying.contains(&own.status));
        rule(!flies, "unwinding begins with a step in flight")?;
        self.move_run(&[Phase::Failing], Phase::Unwinding)?;
        let wanted: Vec<_> = self.places().filter(|step| self.wants_undo(*step)).collect();
        rule(!wanted.is_empty(), "unwinding begins with nothing to undo")?;
        for step in wanted {
            let left = self.is_left_undone(step);
            // What was undone before is not undone again, and what a person settled then stands.
            let undo = self.own(step).undo.get_or_insert(Undo::pending());
            undo.stands = undo.status == U::Failed && !left;
        }
        Ok(())
    }

    /// Everything that builds on the step and is to be undone had its result.
    fn has_its_turn(&self, step: StepIndex) -> Verdict {
        rule(self.phase == Phase::Unwinding, "an undo opens in a run that does not undo")?;
        let done =
            |own: &StepIndex| self.steps[own.at()].undo.as_ref().is_none_or(|undo| undo.had_result);
        rule(self.below(step).iter().all(done), "an undo opens before what builds on its step")
    }

    pub(super) fn reopen_undo(&mut self, step: StepIndex) -> Verdict {
        self.undos_forced = false;
        let own = self.undo(step)?;
        (own.tries, own.due_at, own.asks) = (0, None, false);
        self.undoes_again()?;
        self.move_undo(step, &[U::Failed], U::Pending)
    }

    pub(super) fn undo(&mut self, step: StepIndex) -> Result<&mut Undo, String> {
        self.own(step).undo.as_mut().ok_or_else(|| "there is no such undo".to_owned())
    }

    fn move_undo(&mut self, step: StepIndex, from: &[U], to: U) -> Verdict {
        let own = self.undo(step)?;
        rule(from.contains(&own.status), &format!("the undo was {:?}", own.status))?;
        own.had_result |= matches!(to, U::Succeeded | U::Failed | U::Skipped);
        own.status = to;
        Ok(())
    }
}
