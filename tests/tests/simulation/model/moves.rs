//! The rules of steps on their way forward, of the run as a whole, and of what people do.

use backstitch_core::arrows::{DeliveryStatus, Phase, StepStatus as S, UndoStatus};
use backstitch_core::event::{
    Compensation, ControlEvent, DeliveryEvent, LetterSubject, Number, Outcome, Recourse, RunEvent,
};
use backstitch_core::failure::{EffectKnown, codes};
use backstitch_core::ids::StepIndex;
use backstitch_core::time::Timestamp;

use super::{Model, Verdict, rule};

impl Model {
    pub(super) fn stepped(&mut self, event: &RunEvent, at: Timestamp) -> Verdict {
        match event {
            RunEvent::StepReady { step, .. } => {
                self.opens(*step)?;
                self.has_window(*step)?;
                self.own(*step).ready_at = Some(at);
                self.move_step(*step, &[S::Pending], S::Ready)
            }
            RunEvent::StepSkipped { step } => {
                self.opens(*step)?;
                let asked = self.plan.steps[step.at()].condition.is_some();
                rule(asked, "a step without a condition is not skipped")?;
                self.move_step(*step, &[S::Pending], S::Skipped)
            }
            RunEvent::StepWaiting { step, due_at } => {
                self.goes_forward()?;
                self.own(*step).due_at = Some(*due_at);
                self.move_step(*step, &[S::Ready], S::Waiting)
            }
            RunEvent::StepStarted { step, attempt } => {
                self.goes_forward()?;
                self.on_time(*step, at)?;
                rule(*attempt == self.own(*step).attempt + 1, "attempts count up")?;
                let alone = |step: StepIndex| self.plan.step(step).exclusive;
                let mut running = self.places().filter(|own| self.status(*own) == S::Running);
                let crowded = running.any(|own| alone(own) || alone(*step));
                rule(!crowded, "a step that runs alone is not alone")?;
                self.own(*step).attempt = *attempt;
                self.move_step(*step, &[S::Ready, S::Retrying], S::Running)
            }
            RunEvent::StepSucceeded { step, attempt, .. } => {
                rule(*attempt == self.own(*step).attempt, "an old attempt counts for nothing")?;
                self.all_items_ended(*step)?;
                if self.status(*step) != S::Running {
                    self.goes_forward()?;
                    self.on_time(*step, at)?;
                }
                self.move_step(*step, &[S::Running, S::Ready, S::Waiting], S::Succeeded)
            }
            RunEvent::StepAttemptFailed { step, attempt, failure, .. } => {
                let lost = failure.code == codes::ATTEMPT_LOST;
                let unsure = failure.effect == EffectKnown::Unknown;
                self.faults(*step, *attempt, !lost, unsure)
            }
            RunEvent::StepTimedOut { step, attempt, .. } => {
                self.faults(*step, *attempt, true, true)
            }
            RunEvent::StepAttemptLost { step, attempt } => {
                self.faults(*step, *attempt, false, true)
            }
            RunEvent::StepRetryScheduled { step, due_at } => {
                let most = self.number(Some(*step), Number::MaxAttempts);
                let most = most.map(|most| u16::try_from(most).expect("few"));
                let most = most.unwrap_or(self.plan.steps[step.at()].retry.policy.max_attempts);
                rule(self.own(*step).tries < most, "a step is tried more often than it may")?;
                self.own(*step).due_at = Some(*due_at);
                self.move_step(*step, &[S::Faulted], S::Retrying)
            }
            RunEvent::StepFailed { step, .. } => {
                if self.status(*step) != S::Faulted {
                    self.goes_forward()?;
                }
                if self.status(*step) == S::Pending {
                    self.opens(*step)?;
                }
                let from = [S::Pending, S::Ready, S::Waiting, S::Faulted];
                self.move_step(*step, &from, S::Failed)?;
                self.failed(*step);
                Ok(())
            }
            RunEvent::StepsPruned { steps } => {
                let prunable: Vec<_> = steps.iter().map(|step| self.may_be_pruned(*step)).collect();
                rule(prunable.iter().all(|may| *may), "a step is pruned that could still run")?;
                steps.iter().try_for_each(|step| self.move_step(*step, &[S::Pending], S::Pruned))
            }
            RunEvent::StepCancelled { step } => {
                rule(self.phase == Phase::Failing, "a step is given up only by a failing run")?;
                let behind = self.part.as_ref().is_none_or(|part| part.contains(step));
                rule(behind, "a step is given up that builds on nothing undone")?;
                let open = [S::Ready, S::Waiting, S::Faulted, S::Retrying];
                self.move_step(*step, &open, S::Cancelled)
            }
            other => Err(format!("the model does not know {other:?}")),
        }
    }

    pub(super) fn opens(&self, step: StepIndex) -> Verdict {
        self.goes_forward()?;
        rule(self.may_open(step), "a step opens before what it needs is settled")
    }

    /// What waits for an instant waits for it.
    pub(super) fn on_time(&mut self, step: StepIndex, at: Timestamp) -> Verdict {
        let waited = matches!(self.status(step), S::Waiting | S::Retrying);
        match self.own(step).due_at.take().filter(|_| waited) {
            Some(due_at) => rule(due_at <= at, "a step goes on before its time"),
            None => Ok(()),
        }
    }

    fn faults(&mut self, step: StepIndex, attempt: u16, counts: bool, unsure: bool) -> Verdict {
        let own = self.own(step);
        rule(attempt == own.attempt, "an old attempt counts for nothing")?;
        own.tries += u16::from(counts);
        own.unsure |= unsure;
        self.move_step(step, &[S::Running], S::Faulted)
    }

    pub(super) fn turned(&mut self, event: &RunEvent) -> Verdict {
        match event {
            RunEvent::RunFailing { recourse, .. } => {
                (self.paused, self.recourse) = (false, Some(*recourse));
                let part = self.part_has_results() && self.phase == Phase::Unwinding;
                self.end_part();
                let from = [Phase::Forward, Phase::Failing, Phase::Suspended];
                if part {
                    self.phase = Phase::Failing;
                    return Ok(());
                }
                self.move_run(&from, Phase::Failing)
            }
            RunEvent::RunSuspended { .. } if self.part.is_some() => {
                let waits = self.part_has_results() && self.part_failed();
                rule(waits, "a run is suspended and no undo failed")?;
                self.move_run(&[Phase::Unwinding], Phase::Suspended)
            }
            RunEvent::RunSuspended { .. } => {
                let asked = self.paused || self.recourse == Some(Recourse::Suspend);
                rule(asked, "a run is suspended and nobody wants it")?;
                self.move_run(&[Phase::Forward, Phase::Failing], Phase::Suspended)
            }
            RunEvent::RunEnded { outcome, compensation, .. } => {
                self.ends(*outcome, *compensation)?;
                self.completed = *outcome == Outcome::Completed;
                self.end_part();
                self.phase = Phase::Ended;
                let pending = self.steps.iter_mut().filter(|own| own.status == S::Pending);
                pending.for_each(|own| own.status = S::Cancelled);
                Ok(())
            }
            other => Err(format!("{other:?} does not turn a run")),
        }
    }

    /// What was done, by the word of the steps and their undos, fits the final word.
    fn ends(&self, outcome: Outcome, compensation: Compensation) -> Verdict {
        let moving = [S::Ready, S::Waiting, S::Running, S::Faulted, S::Retrying];
        let moves = self.steps.iter().any(|own| moving.contains(&own.status));
        rule(!moves, "a run ends with a step under way")?;
        let undos: Vec<_> = self.steps.iter().filter_map(|own| own.undo.as_ref()).collect();
        let gone = |own: &UndoStatus| matches!(own, UndoStatus::Succeeded | UndoStatus::Skipped);
        let all_undone = undos.iter().all(|own| gone(&own.status) || own.stands);
        let told = undos.iter().all(|own| own.status.is_settled());
        match (outcome, compensation) {
            (Outcome::Completed, Compensation::None) => {
                let settled = self.places().all(|step| self.settled(step));
                rule(settled, "a run completes with a step that is not settled")?;
                let unknown = self.unknown_outcomes().is_empty();
                rule(unknown, "a run completes in spite of what may have been done in vain")?;
                let part = self.part_has_results() && !self.part_failed();
                let undone = part && self.phase == Phase::Unwinding;
                let forward = self.phase == Phase::Forward;
                rule(forward || undone, "a run completes that did not go forward")
            }
            (Outcome::Compensated | Outcome::Cancelled, Compensation::Done) => {
                let whole = all_undone && !self.anything_stands();
                rule(self.phase == Phase::Unwinding && whole, "not everything is undone")
            }
            (Outcome::CompensationFailed | Outcome::Cancelled, Compensation::Failed) => {
                let failed = self.phase == Phase::Unwinding && told && !all_undone;
                rule(failed, "undos failed, or did not, or have no result")
            }
            (Outcome::Failed | Outcome::Cancelled, Compensation::None) => {
                let stopped = self.phase == Phase::Unwinding
                    && self.recourse == Some(Recourse::Halt)
                    && told
                    && self.anything_stands();
                rule(self.phase == Phase::Failing || stopped, "a run fails that is not failing")?;
                let owes = self.places().any(|step| self.wants_undo(step));
                let undoes = self.recourse == Some(Recourse::Compensate);
                rule(!(owes && undoes), "a run ends with something to be undone")
            }
            _ => Err(format!("{outcome:?} with {compensation:?}")),
        }
    }

    /// Whether the step's undo failed, and nobody accepted that or gave its letter up.
    pub(super) fn is_left_undone(&self, step: StepIndex) -> bool {
        let undo = self.steps[step.at()].undo.as_ref();
        undo.is_some_and(|own| own.status == UndoStatus::Failed)
            && self.has_open_letter(LetterSubject::Undo(step))
    }

    /// Whether anything calls for an undo that was never begun.
    fn anything_stands(&self) -> bool {
        self.places().any(|step| self.wants_undo(step) && self.steps[step.at()].undo.is_none())
    }

    pub(super) fn controlled(&mut self, event: &ControlEvent) -> Verdict {
        match event {
            ControlEvent::Paused { .. } => {
                rule(self.phase == Phase::Forward, "only a run that goes forward is paused")?;
                self.paused = true;
                Ok(())
            }
            ControlEvent::Resumed { .. } => {
                if self.part.is_some() {
                    rule(self.paused, "a run of which a part is undone is resumed")?;
                    self.paused = false;
                    return Ok(());
                }
                let by_policy = self.recourse.is_some();
                let fatal = self.places().any(|step| self.fatal(step));
                rule(!(by_policy && fatal), "a run with failed steps is not resumed")?;
                (self.paused, self.recourse) = (false, None);
                self.move_run(&[Phase::Forward, Phase::Suspended, Phase::Failing], Phase::Forward)
            }
            ControlEvent::StepOverridden { step, output, .. } => {
                rule(self.phase == Phase::Suspended, "steps are settled in suspended runs")?;
                rule(!self.done(*step), "a settled step is settled again")?;
                let to = if output.is_some() { S::Succeeded } else { S::Skipped };
                let open = [S::Pending, S::Ready, S::Waiting, S::Retrying, S::Failed];
                self.close_letters(LetterSubject::Step(*step));
                self.standing.remove(step);
                self.own(*step).by_hand = true;
                self.move_step(*step, &open, to)
            }
            ControlEvent::RollbackRequested { to: Some(step), .. } => self.roll_back_to(*step),
            ControlEvent::RollbackRequested { .. } if self.phase == Phase::Ended => {
                self.recourse = Some(Recourse::Compensate);
                self.phase = Phase::Failing;
                Ok(())
            }
            ControlEvent::CancelForced { .. } => {
                self.undos_forced |= self.phase == Phase::Unwinding;
                Ok(())
            }
            ControlEvent::RollbackRequested { .. } | ControlEvent::SignalReceived { .. } => Ok(()),
        }
    }

    pub(super) fn lettered(&mut self, event: &RunEvent) -> Verdict {
        match event {
            RunEvent::LetterOpened { letter, subject, .. } => {
                rule(*letter as usize == self.letters.len(), "letters count up")?;
                let failed = match *subject {
                    LetterSubject::Step(step) => self.fatal(step),
                    LetterSubject::Undo(step) => {
                        let undo = self.own(step).undo.as_ref();
                        undo.is_some_and(|own| own.status == UndoStatus::Failed)
                    }
                    LetterSubject::Callback(own) => {
                        self.deliveries.get(own as usize) == Some(&DeliveryStatus::Failed)
                    }
                };
                rule(failed, "a letter of something that did not fail")?;
                self.letters.push((*subject, true));
                Ok(())
            }
            RunEvent::LetterRetried { letter, linked, .. } => {
                let subject = self.close(*letter)?;
                match subject {
                    LetterSubject::Step(_) if linked.is_some() => Ok(()),
                    LetterSubject::Step(step) => self.reopen(step),
                    LetterSubject::Undo(step) => self.reopen_undo(step),
                    LetterSubject::Callback(own) => {
                        self.deliver(own, DeliveryStatus::Failed, DeliveryStatus::Owed)
                    }
                }
            }
            RunEvent::LetterDiscarded { letter, .. } => {
                if let LetterSubject::Undo(_) = self.close(*letter)? {
                    self.look_again();
                }
                Ok(())
            }
            other => Err(format!("{other:?} is not about a letter")),
        }
    }

    fn close(&mut self, letter: u32) -> Result<LetterSubject, String> {
        let own = self.letters.get_mut(letter as usize).ok_or("no such letter")?;
        rule(own.1, "a letter is settled twice")?;
        own.1 = false;
        Ok(own.0)
    }

    pub(super) fn has_open_letter(&self, subject: LetterSubject) -> bool {
        self.letters.iter().any(|own| own.0 == subject && own.1)
    }

    pub(super) fn close_letters(&mut self, subject: LetterSubject) {
        self.letters.iter_mut().filter(|own| own.0 == subject).for_each(|own| own.1 = false);
    }

    /// The last failed step that is tried again takes the run with it, unless it is paused.
    fn reopen(&mut self, step: StepIndex) -> Verdict {
        rule(self.part.is_none(), "a step is tried again while a part is being undone")?;
        self.own(step).tries = 0;
        self.standing.remove(&step);
        self.move_step(step, &[S::Failed], S::Pending)?;
        if self.paused || self.places().any(|step| self.fatal(step)) {
            return Ok(());
        }
        self.recourse = None;
        self.move_run(&[Phase::Suspended, Phase::Ended], Phase::Forward)?;
        for own in self.steps.iter_mut().filter(|own| own.status == S::Cancelled) {
            (own.status, own.tries) = (S::Pending, 0);
        }
        Ok(())
    }

    pub(super) fn told(&mut self, event: &RunEvent) -> Verdict {
        use DeliveryStatus as D;
        match event {
            RunEvent::CallbackScheduled { delivery, .. }
            | RunEvent::Delivery(
                DeliveryEvent::Scheduled { delivery, .. }
                | DeliveryEvent::AlertScheduled { delivery, .. },
            ) => {
                rule(*delivery as usize == self.deliveries.len(), "deliveries count up")?;
                self.deliveries.push(D::Owed);
                Ok(())
            }
            RunEvent::CallbackDelivered { delivery, .. } => {
                self.deliver(*delivery, D::Owed, D::Delivered)
            }
            RunEvent::CallbackAttemptFailed { delivery, retry_at, .. } => {
                let to = if retry_at.is_some() { D::Owed } else { D::Faulted };
                self.deliver(*delivery, D::Owed, to)
            }
            RunEvent::CallbackFailed { delivery, .. } => {
                self.deliver(*delivery, D::Faulted, D::Failed)
            }
            RunEvent::Delivery(DeliveryEvent::SentAgain { delivery, .. }) => {
                self.deliver(*delivery, D::Delivered, D::Owed)
            }
            RunEvent::Delivery(
                DeliveryEvent::Targeted { .. } | DeliveryEvent::AlertsPinned { .. },
            ) => Ok(()),
            other => Err(format!("{other:?} tells nobody")),
        }
    }

    fn deliver(&mut self, number: u32, from: DeliveryStatus, to: DeliveryStatus) -> Verdict {
        let own = self.deliveries.get_mut(number as usize).ok_or("no such delivery")?;
        rule(*own == from, "a delivery was elsewhere")?;
        *own = to;
        Ok(())
    }
}
