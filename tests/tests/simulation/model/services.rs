//! The rules of calls that are not made when their time has come.

use backstitch_core::arrows::{DeliveryStatus, Phase, StepStatus as S, UndoStatus as U};
use backstitch_core::breaker::{BreakerPolicy, OnOpen};
use backstitch_core::event::{Fault, ServiceEvent};
use backstitch_core::faults::Struck;
use backstitch_core::plan::TaskKind;
use backstitch_core::time::Timestamp;

use super::{Model, Verdict, rule};

impl Model {
    /// Where a call stands does not change by its waiting, nor do its attempts.
    pub(super) fn served(&mut self, event: &ServiceEvent, at: Timestamp) -> Verdict {
        let fails =
            |policy: Option<&BreakerPolicy>| policy.is_some_and(|own| own.on_open == OnOpen::Fail);
        match event {
            ServiceEvent::CallHeld { step, undo: true, .. } => {
                rule(self.phase == Phase::Unwinding, "an undo waits that is not due")?;
                let asks = self.undo(*step)?.asks;
                let undo = self.plan.step(*step).undo.as_ref();
                let check = undo.and_then(|own| own.check.as_ref()).filter(|_| asks);
                let policy = match check {
                    Some(check) => check.breaker.clone(),
                    None => undo.and_then(|own| own.breaker.clone()),
                };
                rule(!fails(policy.as_deref()), "an undo waits that is not to")?;
                let own = self.undo(*step)?;
                let ready = matches!(own.status, U::Ready | U::Retrying);
                rule(ready && own.due_at.is_none_or(|due| due <= at), "an undo waits too early")?;
                own.due_at = None;
                Ok(())
            }
            ServiceEvent::CallHeld { step, .. } | ServiceEvent::CallRefused { step, .. } => {
                self.goes_forward()?;
                self.on_time(*step, at)?;
                let plan = self.plan.step(*step);
                let calls = matches!(plan.task, TaskKind::Effect(_)) && !plan.exclusive;
                rule(calls, "a step waits for a service that it does not call")?;
                let refused = matches!(event, ServiceEvent::CallRefused { .. });
                rule(
                    refused == fails(plan.breaker.as_deref()),
                    "a call waits, or fails, by policy",
                )?;
                let to = if refused { S::Faulted } else { self.status(*step) };
                self.move_step(*step, &[S::Ready, S::Retrying], to)
            }
            ServiceEvent::CallbackHeld { delivery, .. } => {
                let own = self.deliveries.get(*delivery as usize);
                rule(own == Some(&DeliveryStatus::Owed), "a callback waits that nobody owes")
            }
            ServiceEvent::FaultsPlanned { faults } => {
                let calls = |own: &Fault| {
                    let plan = self.plan.step(own.step);
                    let undo = plan.undo.as_ref().filter(|undo| !undo.rolls_back());
                    match own.strikes() {
                        Struck::Step => matches!(plan.task, TaskKind::Effect(_)),
                        Struck::Undo => undo.is_some(),
                        Struck::Check => undo.is_some_and(|undo| undo.check.is_some()),
                    }
                };
                rule(faults.iter().all(calls), "a fault is planned for what calls nobody")
            }
        }
    }
}
