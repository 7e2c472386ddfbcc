//! What a partition tells the result cache: answers once they are durable, and whose are gone.

use std::collections::BTreeSet;

use backstitch_core::arrows::StepStatus;
use backstitch_core::cache::CacheSource;
use backstitch_core::event::RunEvent;
use backstitch_core::ids::ExecutionId;
use backstitch_core::state::State;
use backstitch_core::template::Work;
use backstitch_core::time::Timestamp;

use super::cell::Cell;
use super::{Abandon, Partition};
use crate::cache::{Answered, ResultCache};

impl<T: Abandon> Partition<T> {
    /// Takes answers from where others take theirs, and brings its own there.
    #[must_use]
    pub fn caching(mut self, cache: ResultCache) -> Self {
        self.cache = cache;
        self
    }

    /// Notes what a decision answered that may stand for later attempts.
    pub(super) fn learn(&mut self, id: ExecutionId, events: &[RunEvent], at: Timestamp) {
        if self.cache.is_off() {
            return;
        }
        let Some(Cell::Run(run)) = self.runs.get(&id) else { return };
        let events = events.iter().map(|event| (event, at));
        let learned = answers(&run.state, events).into_iter();
        self.learned.extend(learned.map(|answered| (self.next_stage, answered)));
    }

    /// Brings what is durable to the cache, and takes out what `gone` runs brought.
    pub(super) fn pass_on(&mut self, gone: &BTreeSet<ExecutionId>) {
        while let Some((_, answered)) =
            self.learned.pop_front_if(|(stage, _)| *stage < self.committed_stages)
        {
            self.cache.remember(answered);
        }
        if !gone.is_empty() {
            self.cache.forget_runs(gone);
        }
    }
}

/// The answers of a run that may stand for later attempts, by its events and the state that
/// they led to.
#[must_use]
pub fn answers<'a>(
    state: &State,
    events: impl Iterator<Item = (&'a RunEvent, Timestamp)>,
) -> Vec<Answered> {
    let answer = |(event, at): (&RunEvent, Timestamp)| {
        let RunEvent::StepSucceeded { step, attempt, output } = event else { return None };
        let (plan, own) = (state.plan.steps.get(step.at())?, state.steps.get(step.at())?);
        plan.cache.as_ref()?;
        if own.status != StepStatus::Succeeded || own.attempt != *attempt {
            return None;
        }
        // What could not be rendered was no reason to fail when the step had its answer.
        let (key, ttl_ms) = state.cache_key(*step, &mut Work::default()).ok()??;
        let source = CacheSource { run: state.id, step: plan.id.clone() };
        Some(Answered { key, source, output: output.clone(), at, ttl_ms })
    };
    events.filter_map(answer).collect()
}
