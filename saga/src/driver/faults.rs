//! Attempts that meet a fault on purpose: what a service, a network or a crash would do to them.

use std::time::Duration;

use backstitch_core::command::AttemptResult;
use backstitch_core::event::FaultKind;
use backstitch_core::failure::{Failure, codes};

use super::{Means, attempt, call, within};
use crate::metrics;
use crate::partition::Order;

/// One attempt with its fault, within its timeout.
pub(super) async fn spoilt(means: &Means, order: &Order, fault: &FaultKind) -> AttemptResult {
    let (run, step, number) = (order.execution, &*order.step, order.effect.attempt());
    let (word, correlation_id) = (fault.word(), &*order.correlation_id);
    tracing::warn!(execution_id = %run, correlation_id, step, attempt = number, fault = word, "a fault on purpose");
    metrics::fault_met(word);
    match fault {
        FaultKind::Fail { permanent } => AttemptResult::Answered(Err(failure(*permanent))),
        FaultKind::Delay { ms } => {
            let late = async {
                let answer = call(means, order).await;
                tokio::time::sleep(Duration::from_millis(*ms)).await;
                answer
            };
            within(order.timeout_ms, late).await
        }
        FaultKind::CrashBeforeAck => {
            drop(attempt(means, order).await);
            AttemptResult::Lost
        }
        FaultKind::Duplicate => {
            let twice = async {
                // Whoever repeats a call whose answer was lost knows only the second one.
                drop(call(means, order).await);
                call(means, order).await
            };
            within(order.timeout_ms, twice).await
        }
        FaultKind::AtCheck(kind) => Box::pin(spoilt(means, order, kind)).await,
    }
}

fn failure(permanent: bool) -> Failure {
    let message = "failed on purpose, without a call: the run was submitted with this fault";
    match permanent {
        true => Failure::permanent(codes::FAULT_INJECTED, message),
        false => Failure::retryable(codes::FAULT_INJECTED, message),
    }
}
