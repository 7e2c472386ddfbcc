//! What the log says of runs: that they begin, and how they end.
//!
//! One line each, once it is durable. Of most runs nobody wants to know: they are told of at `debug`,
//! those that fail at `info`.

use std::sync::Arc;

use backstitch_core::event::Outcome;
use backstitch_core::failure::Failure;
use backstitch_core::ids::ExecutionId;
use backstitch_core::report::outcome_word;

use crate::partition::Told;

/// Which run, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The run.
    pub execution: ExecutionId,
    /// Its workflow's id.
    pub workflow: Arc<str>,
    /// What it shares with all that belongs to it.
    pub correlation_id: Arc<str>,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What went wrong.
    pub failure: Failure,
    /// The id of the step at fault, if it was one.
    pub step: Option<Arc<str>>,
}

/// Logs what became durable.
pub(crate) fn told(told: &[Told]) {
    for own in told {
        match own {
            Told::RunBegan(about) => {
                let About { execution, workflow, correlation_id } = about;
                tracing::debug!(
                    execution_id = %execution,
                    workflow_id = &**workflow,
                    correlation_id = &**correlation_id,
                    "a run begins"
                );
            }
            Told::RunEnded { about, outcome, took_ms, cause, .. } => {
                ended(about, *outcome, *took_ms, cause.as_deref());
            }
            Told::TaskRetried { .. } | Told::TaskEnded { .. } => {}
        }
    }
}

fn ended(about: &About, outcome: Outcome, took_ms: u64, cause: Option<&Cause>) {
    let About { execution, workflow, correlation_id } = about;
    let (workflow_id, correlation_id) = (&**workflow, &**correlation_id);
    let outcome = outcome_word(outcome);
    let Some(Cause { failure, step }) = cause else {
        tracing::debug!(
            execution_id = %execution, workflow_id, correlation_id, outcome, took_ms, "a run ended"
        );
        return;
    };
    let (code, error, step) = (&*failure.code, &*failure.message, step.as_deref());
    tracing::info!(
        execution_id = %execution,
        workflow_id,
        correlation_id,
        outcome,
        took_ms,
        code,
        step,
        error,
        "a run failed"
    );
}
