//! What is counted and logged of a run's events, once they are durable: tasks that ended, tasks that
//! are tried again, runs that began and ended.

use std::sync::Arc;

use backstitch_core::event::{Outcome, RunEvent};
use backstitch_core::failure::codes;
use backstitch_core::ids::{ExecutionId, StepIndex};
use backstitch_core::plan::TaskKind;
use backstitch_core::state::{Failing, State};
use backstitch_core::time::Timestamp;

use super::life::SHUTDOWN;
use crate::runs::{About, Cause};

/// Something that is counted or logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A task is tried again.
    TaskRetried {
        /// The step's id.
        task: Arc<str>,
    },
    /// A task succeeded or failed for good.
    TaskEnded {
        /// The step's id.
        task: Arc<str>,
        /// What performs it.
        task_type: Arc<str>,
        /// Whether it failed.
        failed: bool,
        /// Since its first attempt began.
        took_ms: u64,
    },
    /// A run was submitted.
    RunBegan(About),
    /// A run has its final word.
    RunEnded {
        /// Which.
        about: About,
        /// The word.
        outcome: Outcome,
        /// Why it was stopped before its end, if it was: `user`, `timeout`, `shutdown`, `policy`,
        /// `other`.
        stopped: Option<&'static str>,
        /// Since its submission.
        took_ms: u64,
        /// Why it failed, if it did.
        cause: Option<Box<Cause>>,
    },
}

/// Notes what there is to count of events that a run was just folded with.
pub(super) fn tell(state: &State, events: &[RunEvent], at: Timestamp, told: &mut Vec<Told>) {
    for event in events {
        match event {
            RunEvent::StepRetryScheduled { step, .. } => {
                told.push(Told::TaskRetried { task: state.plan.step(*step).id.clone() });
            }
            RunEvent::StepSucceeded { step, .. } => told.push(task(state, *step, false, at)),
            RunEvent::StepFailed { step, .. } => told.push(task(state, *step, true, at)),
            RunEvent::RunEnded { outcome, .. } if !state.is_chunk() => told.push(Told::RunEnded {
                about: about(state),
                outcome: *outcome,
                stopped: stopped(state, *outcome),
                took_ms: at.ms_since(state.submitted_at),
                cause: cause(state, *outcome),
            }),
            RunEvent::Submitted(_) if !state.is_chunk() => told.push(Told::RunBegan(about(state))),
            _ => {}
        }
    }
}

fn about(state: &State) -> About {
    About {
        execution: state.id,
        workflow: state.submitted.workflow.clone(),
        correlation_id: state.submitted.correlation_id.clone(),
    }
}

fn cause(state: &State, outcome: Outcome) -> Option<Box<Cause>> {
    let has_failed = !matches!(outcome, Outcome::Completed | Outcome::Cancelled);
    let failing = state.failing.as_ref().filter(|_| has_failed)?;
    let step = failing.step.map(|step| state.plan.step(step).id.clone());
    Some(Box::new(Cause { failure: failing.failure.clone(), step }))
}

fn task(state: &State, step: StepIndex, failed: bool, at: Timestamp) -> Told {
    let plan = state.plan.step(step);
    let began = state.step(step).started_at;
    Told::TaskEnded {
        task: plan.id.clone(),
        task_type: match &plan.task {
            TaskKind::Effect(task_type) => task_type.clone(),
            TaskKind::Transform => "transform".into(),
            TaskKind::Wait => "wait".into(),
            TaskKind::Router => "router".into(),
            TaskKind::Workflow => "workflow".into(),
            TaskKind::Signal => "signal".into(),
            TaskKind::Foreach => "foreach".into(),
        },
        failed,
        took_ms: began.map_or(0, |began| at.ms_since(began)),
    }
}

fn stopped(state: &State, outcome: Outcome) -> Option<&'static str> {
    let timed_out = |own: &Failing| own.failure.code == codes::WORKFLOW_TIMEOUT;
    let Some(cancel) = state.cancel.as_ref().filter(|cancel| cancel.in_force) else {
        let late = outcome != Outcome::Completed && state.failing.as_ref().is_some_and(timed_out);
        return late.then_some("timeout");
    };
    Some(match cancel.actor.parse::<ExecutionId>() {
        _ if cancel.actor == SHUTDOWN => "shutdown",
        // Its parent stopped it.
        _ if state.parent().is_some() => "other",
        // A newer run of the same key took its place.
        Ok(_) => "policy",
        Err(_) => "user",
    })
}
