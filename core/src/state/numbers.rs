//! Numbers as they are in one run: the definition's, or what its templates came to.

use super::State;
use crate::definition::problem::Problem;
use crate::event::{Number, Submitted};
use crate::ids::{ExecutionId, StepIndex};
use crate::plan::Plan;
use crate::retry_policy::{Retries, RetryPolicy};
use crate::template::Work;
use crate::time::Timestamp;

/// The number, where a template came to one.
pub(crate) fn find_number(numbers: &[(Number, u64)], number: Number) -> Option<u64> {
    numbers.iter().find(|(own, _)| *own == number).map(|(_, value)| *value)
}

impl State {
    pub(crate) fn number(&self, step: StepIndex, number: Number) -> Option<u64> {
        let numbers = self.flow.as_ref()?.numbers.get(&step)?;
        find_number(numbers, number)
    }

    pub(crate) fn own_number(&self, number: Number) -> Option<u64> {
        find_number(&self.flow.as_ref()?.own_numbers, number)
    }

    /// Whether templates of the run's own numbers were rendered.
    pub(crate) fn has_own_numbers(&self) -> bool {
        self.flow.as_ref().is_some_and(|flow| !flow.own_numbers.is_empty())
    }

    /// How long an attempt of the step may take.
    #[must_use]
    pub fn timeout_ms(&self, step: StepIndex) -> u64 {
        self.number(step, Number::Timeout).unwrap_or(self.plan.step(step).timeout_ms)
    }

    /// How long all attempts of the step may take.
    #[must_use]
    pub fn total_timeout_ms(&self, step: StepIndex) -> Option<u64> {
        self.number(step, Number::TotalTimeout).or(self.plan.step(step).total_timeout_ms)
    }

    /// What was agreed for the step.
    #[must_use]
    pub fn sla_ms(&self, step: StepIndex) -> Option<u64> {
        self.number(step, Number::Sla).or(self.plan.step(step).sla_ms)
    }

    /// How the step is retried.
    #[must_use]
    pub fn retries(&self, step: StepIndex) -> Retries {
        let kinds = [Number::MaxAttempts, Number::RetryInitial, Number::RetryMax];
        self.with_numbers(self.plan.step(step).retry.clone(), step, kinds)
    }

    /// How long an attempt of the step's undo may take; while its service is asked, of its check.
    #[must_use]
    pub fn undo_timeout_ms(&self, step: StepIndex) -> u64 {
        if let Some(check) = self.asking(step) {
            return check.timeout_ms;
        }
        let own = self.plan.step(step).undo.as_ref().map_or(0, |undo| undo.timeout_ms);
        self.number(step, Number::UndoTimeout).unwrap_or(own)
    }

    /// How the step's undo is retried; while its service is asked, its check.
    #[must_use]
    pub fn undo_retries(&self, step: StepIndex) -> Retries {
        if let Some(check) = self.asking(step) {
            return check.retry.clone();
        }
        let kinds = [Number::UndoMaxAttempts, Number::UndoRetryInitial, Number::UndoRetryMax];
        let own = self.plan.step(step).undo.as_ref();
        let own = own.map_or(RetryPolicy::CRITICAL.into(), |undo| undo.retry.clone());
        self.with_numbers(own, step, kinds)
    }

    /// How long the run may take.
    #[must_use]
    pub fn run_timeout_ms(&self) -> Option<u64> {
        self.own_number(Number::Timeout).or(self.plan.timeout_ms)
    }

    /// What was agreed for the run.
    #[must_use]
    pub fn run_sla_ms(&self) -> Option<u64> {
        self.own_number(Number::Sla).or(self.plan.sla_ms)
    }

    /// When the run has had its time.
    #[must_use]
    pub fn deadline_at(&self) -> Option<Timestamp> {
        let own = self.own_number(Number::Timeout);
        let own = own.map(|timeout_ms| self.submitted_at.plus_ms(timeout_ms));
        own.or(self.submitted.deadline_at)
    }

    fn with_numbers(
        &self,
        mut retries: Retries,
        step: StepIndex,
        [attempts, initial, max]: [Number; 3],
    ) -> Retries {
        if self.plan.step(step).numbers.is_empty() {
            return retries;
        }
        let policy = &mut retries.policy;
        let attempts = self.number(step, attempts).and_then(|own| u16::try_from(own).ok());
        policy.max_attempts = attempts.unwrap_or(policy.max_attempts);
        policy.initial_ms = self.number(step, initial).unwrap_or(policy.initial_ms);
        let max_ms = self.number(step, max).unwrap_or(policy.max_ms);
        policy.max_ms = max_ms.max(policy.initial_ms);
        retries
    }
}

/// What is wrong with the numbers of a run that is about to be submitted, as far as they read
/// no step.
#[must_use]
pub fn number_problems(
    plan: &std::sync::Arc<Plan>,
    execution: ExecutionId,
    submitted: &Submitted,
    at: Timestamp,
) -> Vec<Problem> {
    let steps = plan.steps.iter().flat_map(|step| &step.numbers);
    let mut early = plan.numbers.iter().chain(steps).filter(|own| own.is_early).peekable();
    if early.peek().is_none() {
        return Vec::new();
    }
    let state = State::begin(execution, plan.clone(), Box::new(submitted.clone()), at);
    let mut work = Work::default();
    early.filter_map(|own| own.problem(&state, &mut work)).collect()
}
