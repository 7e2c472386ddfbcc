//! What a run waits for that its state does not know: turns and slots, which all runs share.

use backstitch_core::ids::ExecutionId;
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;
use backstitch_core::why::Blocker;

use super::Shared;
use crate::slots::{Claim, Limit};
use crate::turns::{Class, Usage};

/// Holders of a limit that one sentence names.
const HOLDERS_NAMED_MAX: usize = 8;

/// The slot or the turn that the run waits for, if it waits for one.
pub(super) fn blocker(shared: &Shared, state: &State, now: Timestamp) -> Option<Blocker> {
    if state.waits_to_begin() {
        let claim = Claim::of(state);
        let (limit, before) = shared.slots.waits_for(&claim)?;
        let runs_max = shared.slots.limits().runs_max;
        return Some(slot(&claim, &limit, before, runs_max));
    }
    let class = Class::of(state.wants_turn(now)?, state.priority());
    let (usage, before) = (shared.turns.usage(), shared.turns.before(state.id, class));
    (usage.used >= usage.size).then(|| turn(usage, class, before))
}

fn slot(claim: &Claim, limit: &Limit, before: usize, runs_max: Option<usize>) -> Blocker {
    let workflow = &limit.workflow;
    let sentence = match (claim.max_runs, runs_max) {
        (Some(max), _) if limit.running >= max => format!(
            "waits for a slot of workflow `{workflow}`, which has {max} run(s) at a time{}; \
             {before} before it",
            held_by(&limit.holders, limit.running)
        ),
        (_, Some(max)) => format!(
            "waits for a slot of the node, which lets {max} run(s) go on at a time; \
             {before} of workflow `{workflow}` before it"
        ),
        (_, None) => format!("waits for a slot of workflow `{workflow}`; {before} before it"),
    };
    let (subject, since) = (Some(workflow.to_string()), Some(claim.submitted_at));
    Blocker { kind: "slot", subject, since, until: None, sentence }
}

fn held_by(holders: &[ExecutionId], running: usize) -> String {
    let named: Vec<_> = holders.iter().take(HOLDERS_NAMED_MAX).map(ToString::to_string).collect();
    let more = match running.saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(", held by {}{more}", named.join(", "))
}

fn turn(usage: Usage, class: Class, before: Option<usize>) -> Blocker {
    let waiting: usize = usage.waiting.iter().sum();
    let place = before.map(|before| match class {
        Class::Undo => format!("; {before} of the undos before it"),
        Class::Forward(_) => format!("; {before} of priority {} before it", class.word()),
    });
    let sentence = format!(
        "waits for a turn: {} of {} workers are in use, and {waiting} run(s) wait{}",
        usage.used,
        usage.size,
        place.unwrap_or_default()
    );
    Blocker { kind: "turn", subject: None, since: None, until: None, sentence }
}
