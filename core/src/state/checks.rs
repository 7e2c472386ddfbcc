//! Undos whose service is asked first whether there is anything to undo.

use std::sync::Arc;

use super::State;
use crate::arrows::StepStatus;
use crate::breaker::BreakerPolicy;
use crate::ids::StepIndex;
use crate::plan::PlanCheck;

impl State {
    /// Whether nobody knows if the step took effect.
    #[must_use]
    pub fn outcome_is_unknown(&self, step: StepIndex) -> bool {
        let own = self.step(step);
        own.unsure && own.status != StepStatus::Succeeded
    }

    /// How the step's service is asked whether there is anything to undo, if it is to be.
    #[must_use]
    pub fn to_ask(&self, step: StepIndex) -> Option<&PlanCheck> {
        let check = self.plan.step(step).undo.as_ref()?.check.as_deref()?;
        self.outcome_is_unknown(step).then_some(check)
    }

    /// Whether the service is being asked.
    #[must_use]
    pub fn is_asking(&self, step: StepIndex) -> bool {
        self.step(step).undo.as_ref().is_some_and(|undo| undo.asks())
    }

    /// How the service is asked, while it is.
    pub(crate) fn asking(&self, step: StepIndex) -> Option<&PlanCheck> {
        self.plan.step(step).undo.as_ref()?.check.as_deref().filter(|_| self.is_asking(step))
    }

    /// The task type of the undo's attempts: while its service is asked, the check's.
    #[must_use]
    pub fn undo_type(&self, step: StepIndex) -> Option<&Arc<str>> {
        let undo = self.plan.step(step).undo.as_ref()?;
        Some(self.asking(step).map_or(&undo.task_type, |check| &check.task_type))
    }

    /// What is said of the breaker before the service of the undo's attempts.
    pub(crate) fn undo_breaker(&self, step: StepIndex) -> Option<&BreakerPolicy> {
        let undo = self.plan.step(step).undo.as_ref()?;
        self.asking(step).map_or(undo.breaker.as_deref(), |check| check.breaker.as_deref())
    }
}
