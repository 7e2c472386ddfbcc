//! What a run waits for that its state does not know: turns, slots, keyed limits and breakers,
//! which all runs share.

use std::collections::BTreeSet;
use std::sync::Arc;

use backstitch_core::ids::StepIndex;
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;
use backstitch_core::why::{Blocker, first_without_turn};

use super::Shared;
use crate::breakers::{CircuitShown, Forced};
use crate::clock;
use crate::driver::UnderWay;
use crate::holders::Holders;
use crate::keys::KeyShown;
use crate::slots::{Claim, KeyedRuns, SlotHolder, Waits};
use crate::turns::{Class, Usage};

/// Holders of a limit that one sentence names.
const HOLDERS_NAMED_MAX: usize = 8;

/// Steps that wait for keyed limits and are named.
const KEYED_NAMED_MAX: usize = 20;

/// What the run waits for by its state, and what of the shared: whoever waits for a limit or a turn
/// is ready, which says nothing more.
pub(super) fn with_shared(shared: &Shared, state: &State, own: Vec<Blocker>) -> Vec<Blocker> {
    let mut found = shared_blockers(shared, state, clock::now());
    let turn = found.iter().any(|shared| shared.kind == "turn");
    let limited: Vec<_> = found.iter().filter(|shared| shared.kind == "limit").collect();
    let said = |own: &Blocker| {
        own.kind == "ready" && (turn || limited.iter().any(|shared| shared.subject == own.subject))
    };
    let rest: Vec<_> = own.into_iter().filter(|own| !said(own)).collect();
    found.extend(rest);
    found
}

/// The slot, the keyed limits and the turn that the run waits for, whatever it waits for.
fn shared_blockers(shared: &Shared, state: &State, now: Timestamp) -> Vec<Blocker> {
    if state.waits_to_begin() {
        let claim = Claim::of(state);
        let found = shared.limits.slots.waits_for(&claim);
        let namespace = &state.submitted.namespace;
        let of_node = || {
            let slots = &shared.limits.slots;
            (slots.runs_max(), slots.of_node(namespace, HOLDERS_NAMED_MAX))
        };
        return found.map(|found| slots(&claim, &found, of_node())).unwrap_or_default();
    }
    let keyed = || state.keyed.iter().flat_map(|own| own.wanted()).map(|(step, _)| step);
    let limits = keyed().flat_map(|step| {
        let found = shared.limits.keys.waits_for((state.id, step));
        found.into_iter().map(move |(key, before)| limit(state, step, &key, before))
    });
    let mut found: Vec<_> = limits.take(KEYED_NAMED_MAX).collect();
    let held = keyed().filter(|step| shared.limits.keys.is_held((state.id, *step))).collect();
    found.extend(circuits(shared, state, now));
    if let Some(wanted) = state.wants_turn(now, &held, &BTreeSet::new()) {
        let class = Class::of(wanted, state.priority());
        let (usage, before) =
            (shared.limits.pool.usage(), shared.limits.pool.before(state.id, class));
        let first = first_without_turn(state, wanted, now);
        let first = first.map(|(step, since)| (state.plan.step(step).id.clone(), since));
        let held = || {
            let flights = &shared.limits.flights;
            under_way(&flights.shown(&state.submitted.namespace, HOLDERS_NAMED_MAX))
        };
        found.extend(
            (usage.used >= usage.size).then(|| turn(first, usage, held(), (class, before))),
        );
    }
    found
}

/// How the circuits stand now that calls of the run wait for.
fn circuits(shared: &Shared, state: &State, now: Timestamp) -> Vec<Blocker> {
    let keys: BTreeSet<_> = state.held_calls().map(|(_, own)| own.hold.key.clone()).collect();
    let namespace = &state.submitted.namespace;
    let found = keys.into_iter().take(KEYED_NAMED_MAX).filter_map(|key| {
        let shown = shared.limits.breakers.find(&(namespace.clone(), key), now)?;
        Some(circuit(&shown))
    });
    found.collect()
}

fn circuit(own: &CircuitShown) -> Blocker {
    let stands = match (own.forced, own.state) {
        (Some(Forced::Open), _) => "held open by an operator".to_owned(),
        (Some(Forced::Closed), _) => "held closed by an operator".to_owned(),
        (None, "open") => {
            format!("open until {}", own.until.map(|at| at.to_string()).unwrap_or_default())
        }
        (None, "half_open") => {
            format!("half open: {} of {} calls try it now", own.probing.len(), own.probes)
        }
        (None, _) if own.retries_waiting > 0 => {
            "closed, and its budget of retries is spent: first calls go on".to_owned()
        }
        (None, _) => "closed: calls go on".to_owned(),
    };
    let waiting = own.waiting + own.retries_waiting;
    let last = own.last_failure.as_ref();
    let last = last.map(|(at, why)| format!("; last failure at {at}: {why}")).unwrap_or_default();
    let sentence =
        format!("the circuit of `{}` is {stands}; {waiting} call(s) wait for it{last}", own.key);
    let (subject, until) = (Some(own.key.to_string()), own.until);
    Blocker { kind: "breaker", subject, since: own.opened_at, until, sentence }
}

fn limit(state: &State, step: StepIndex, key: &KeyShown, before: usize) -> Blocker {
    let holders = key.holders.iter().take(HOLDERS_NAMED_MAX);
    let named = holders.map(|(run, step, at)| format!("{run} (`{step}`) since {at}")).collect();
    let held = held_by(": held by ", named, key.running);
    let id = &state.plan.step(step).id;
    let sentence = format!(
        "step `{id}` waits for limit `{}`, of which {} may be under way at a time{held}; {before} before it",
        key.key, key.max
    );
    let since = state.wanted(step).map(|own| own.since);
    Blocker { kind: "limit", subject: Some(id.to_string()), since, until: None, sentence }
}

/// One sentence for each limit that has no room, and one for the line if all have. `of_node` is
/// the node's own limit, and those that hold a slot of it.
fn slots(
    claim: &Claim,
    found: &Waits,
    (runs_max, of_node): (Option<usize>, Holders<SlotHolder>),
) -> Vec<Blocker> {
    let Waits { limit, keys, before, waiting } = found;
    let workflow = &limit.workflow;
    let mut sentences = Vec::new();
    if let Some(max) = claim.max_runs.filter(|max| limit.running >= *max) {
        let held = held_by(", held by ", runs(&limit.holders), limit.running);
        sentences.push(format!(
            "waits for a slot of workflow `{workflow}`, which has {max} run(s) at a time{held}; \
             {before} before it"
        ));
    }
    for KeyedRuns { key, holders, running, .. } in keys {
        let own = claim.keys.iter().find(|own| own.key == *key);
        let max = own.map(|own| own.max_runs).unwrap_or_default();
        let held = held_by(", held by ", runs(holders), *running);
        sentences.push(format!(
            "waits for a slot of workflow `{workflow}`, which has {max} run(s) with key `{key}` \
             at a time{held}; {before} before it"
        ));
    }
    if sentences.is_empty() {
        let held = of_node.sentence(", held by ", run);
        sentences.push(match runs_max {
            Some(max) => format!(
                "waits for a slot of the node, which lets {max} run(s) go on at a time{held}; \
                 {waiting} run(s) wait for one, {before} of workflow `{workflow}` before it"
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

fn run(own: &SlotHolder) -> String {
    match own.since {
        Some(since) => format!("{} since {since}", own.run),
        None => own.run.to_string(),
    }
}

fn runs(holders: &[SlotHolder]) -> Vec<String> {
    holders.iter().take(HOLDERS_NAMED_MAX).map(run).collect()
}

/// The attempts that hold turns.
fn under_way(holders: &Holders<UnderWay>) -> String {
    holders.sentence(", held by ", |own| {
        let of = if own.undo { "undo of " } else { "" };
        format!("{} ({of}`{}`) since {}", own.run, own.step, own.since)
    })
}

/// Those that are named, and how many more of all there are.
fn held_by(word: &str, named: Vec<String>, of: usize) -> String {
    match of.saturating_sub(named.len()) {
        _ if named.is_empty() => String::new(),
        0 => format!("{word}{}", named.join(", ")),
        more => format!("{word}{} and {more} more", named.join(", ")),
    }
}

/// The run's line at the pool; `first` is the step that has waited longest.
fn turn(
    first: Option<(Arc<str>, Timestamp)>,
    usage: Usage,
    held: String,
    (class, before): (Class, Option<usize>),
) -> Blocker {
    let waiting: usize = usage.waiting.iter().sum();
    let place = before.map(|before| match class {
        Class::Undo => format!("; {before} of the undos before it"),
        Class::Forward(_) => format!("; {before} of priority {} before it", class.word()),
    });
    let (subject, since) = first.map(|(step, since)| (step.to_string(), since)).unzip();
    let who = match (&subject, class) {
        (Some(step), Class::Undo) => format!("the undo of step `{step}` "),
        (Some(step), Class::Forward(_)) => format!("step `{step}` "),
        (None, _) => String::new(),
    };
    let at = since.map(|at| format!(" since {at}")).unwrap_or_default();
    let sentence = format!(
        "{who}waits for a turn{at}: {} of {} workers are in use{held}, and {waiting} run(s) wait{}",
        usage.used,
        usage.size,
        place.unwrap_or_default()
    );
    Blocker { kind: "turn", subject, since, until: None, sentence }
}
