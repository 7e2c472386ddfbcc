//! What keeps the calls of a run from being made, in words.

use super::Blocker;
use crate::event::HoldReason;
use crate::state::HeldCall;

/// A call that waits for its service, or for the budget of its retries. What was recorded may be
/// old: the shell adds how the circuit stands now.
pub(super) fn waits(what: &str, subject: &str, held: &HeldCall) -> Blocker {
    let (key, since) = (&held.hold.key, held.since);
    let until = held.hold.until.map(|at| format!(" until {at}")).unwrap_or_default();
    let (kind, because) = match held.hold.why {
        HoldReason::Open => ("circuit", format!("circuit open for `{key}`{until}")),
        HoldReason::Probing => {
            ("circuit", format!("circuit half open for `{key}`: other calls are tried first"))
        }
        HoldReason::Forced => {
            ("circuit", format!("an operator keeps the circuit for `{key}` open"))
        }
        HoldReason::RetryBudget => {
            ("retry_budget", format!("too many of the calls to `{key}` are retries"))
        }
    };
    let sentence = format!("{what} waits since {since}: {because}; that uses up no attempt");
    Blocker::of(kind, Some(subject.to_owned()), sentence).since(Some(since)).until(held.hold.until)
}
