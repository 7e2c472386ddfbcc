//! What a run waits for that its state does not know: turns, slots and keyed limits, which all
//! runs share.

use backstitch_core::ids::{ExecutionId, StepIndex};
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;
use backstitch_core::why::Blocker;

use super::Shared;
use crate::keys::KeyShown;
use crate::slots::{Claim, KeyedRuns, Waits};
use crate::turns::{Class, Usage};

/// Holders of a limit that one sentence names.
const HOLDERS_NAMED_MAX: usize = 8;

/// Steps that wait for keyed limits and are named.
const KEYED_NAMED_MAX: usize = 20;

/// The slot, the keyed limits and the turn that the run waits for, whatever it waits for.
pub(super) fn shared_blockers(shared: &Shared, state: &State, now: Timestamp) -> Vec<Blocker> {
    if state.waits_to_begin() {
        let claim = Claim::of(state);
        let found = shared.slots.waits_for(&claim);
        let runs_max = shared.slots.limits().runs_max;
        return found.map(|found| slots(&claim, &found, runs_max)).unwrap_or_default();
    }
    let keyed = || state.keyed.iter().flat_map(|own| own.wanted()).map(|(step, _)| step);
    let limits = keyed().flat_map(|step| {
        let found = shared.keys.waits_for((state.id, step));
        found.into_iter().map(move |(key, before)| limit(state, step, &key, before))
    });
    let mut found: Vec<_> = limits.take(KEYED_NAMED_MAX).collect();
    let held = keyed().filter(|step| shared.keys.is_held((state.id, *step))).collect();
    if let Some(wanted) = state.wants_turn(now, &held) {
        let class = Class::of(wanted, state.priority());
        let (usage, before) = (shared.turns.usage(), shared.turns.before(state.id, class));
        found.extend((usage.used >= usage.size).then(|| turn(usage, class, before)));
    }
    found
}

fn limit(state: &State, step: StepIndex, key: &KeyShown, before: usize) -> Blocker {
    let named = key.holders.iter().take(HOLDERS_NAMED_MAX);
    let named: Vec<_> =
        named.map(|(run, step, at)| format!("{run} (`{step}`) since {at}")).collect();
    let more = match key.running.saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let held = match named.is_empty() {
        true => String::new(),
        false => format!(": held by {}{more}", named.join(", ")),
    };
    let id = &state.plan.step(step).id;
    let sentence = format!(
        "step `{id}` waits for limit `{}`, of which {} may be under way at a time{held}; {before} before it",
        key.key, key.max
    );
    let since = state.wanted(step).map(|own| own.since);
    Blocker { kind: "limit", subject: Some(id.to_string()), since, until: None, sentence }
}

/// One sentence for each limit that has no room, and one for the line if all have.
fn slots(claim: &Claim, found: &Waits, runs_max: Option<usize>) -> Vec<Blocker> {
    let Waits { limit, keys, before } = found;
    let workflow = &limit.workflow;
    let mut sentences = Vec::new();
    if let Some(max) = claim.max_runs.filter(|max| limit.running >= *max) {
        let held = held_by(&limit.holders, limit.running);
        sentences.push(format!(
            "waits for a slot of workflow `{workflow}`, which has {max} run(s) at a time{held}; \
             {before} before it"
        ));
    }
    for KeyedRuns { key, holders, running, .. } in keys {
        let own = claim.keys.iter().find(|own| own.key == *key);
        let max = own.map(|own| own.max_runs).unwrap_or_default();
        let held = held_by(holders, *running);
        sentences.push(format!(
            "waits for a slot of workflow `{workflow}`, which has {max} run(s) with key `{key}` \
             at a time{held}; {before} before it"
        ));
    }
    if sentences.is_empty() {
        sentences.push(match runs_max {
            Some(max) => format!(
                "waits for a slot of the node, which lets {max} run(s) go on at a time; \
                 {before} of workflow `{workflow}` before it"
            ),
            None => format!("waits for a slot of workflow `{workflow}`; {before} before it"),
        });
    }
    let blocker = |sentence| {
        let (subject, since) = (Some(workflow.to_string()), Some(claim.submitted_at));
        Blocker { kind: "slot", subject, since, until: None, sentence }
    };
    sentences.into_iter().map(blocker).collect()
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
