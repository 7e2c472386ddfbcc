//! How much goes on at a time, checked against what is under way and what is durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstitch_core::effect::Effect;
use backstitch_core::event::{ControlEvent, Event, GraphEvent, LimitKey, RunEvent};
use backstitch_core::state::State;
use serde_json::{Value, json};

use super::random::Random;
use super::services::Flight;
use super::world::World;

/// Turns are what is under way: never more than there are, none forgotten, none kept by a
/// partition that went, and nobody waits while one is free.
pub fn turns(world: &World) {
    let usage = world.pool.usage();
    let seed = world.seed;
    assert!(usage.used <= usage.size, "seed {seed}: {usage:?}");
    let mut held = 0;
    for partition in &world.partitions {
        let (own, granted) = partition.turns();
        let attempts = partition.attempts();
        assert_eq!(own, attempts + granted, "seed {seed}: of partition {}", partition.id());
        held += own;
    }
    assert_eq!(held, usage.used, "seed {seed}: turns are forgotten: {usage:?}");
    let waits = usage.waiting.iter().any(|&waiting| waiting > 0);
    assert!(!waits || usage.used == usage.size, "seed {seed}: somebody waits: {usage:?}");
    let flying = |flight: &&Flight| !matches!(flight.order.effect, Effect::DeliverCallback { .. });
    let flying = world.flights.iter().filter(flying).count();
    assert!(flying <= usage.size, "seed {seed}: {flying} attempts at a time: {usage:?}");
}

/// Places of keyed limits are what is under way: never more than there may be, none forgotten,
/// none kept by a partition that went, and nobody waits while there is room.
pub fn keys(world: &World) {
    let seed = world.seed;
    for partition in &world.partitions {
        let held: Vec<_> = partition.keyed().into_iter().collect();
        let id = partition.id();
        assert_eq!(held, partition.keys_held(), "seed {seed}: of partition {id}");
    }
    let (shown, _) = world.keys.shown("default", usize::MAX);
    for key in &shown {
        assert!(key.running <= key.max as usize, "seed {seed}: {key:?}");
    }
    assert!(!world.keys.is_idle_for_somebody(), "seed {seed}: somebody waits for what is free");
    let mut flying: BTreeMap<Arc<str>, u32> = BTreeMap::new();
    for flight in &world.flights {
        let Effect::RunStep { step, .. } = flight.order.effect else { continue };
        let disk = world.disk.lock().expect("no thread panicked");
        let Some(records) = disk.runs.get(&flight.order.execution) else { continue };
        let keyed = records.iter().rev().find_map(|record| match &record.event {
            Event::Run(RunEvent::Graph(GraphEvent::StepKeyed { step: own, keys }))
                if *own == step =>
            {
                Some(keys.clone())
            }
            _ => None,
        });
        for LimitKey { key, max } in keyed.into_iter().flatten() {
            let count = flying.entry(key.clone()).or_default();
            *count += 1;
            assert!(*count <= max, "seed {seed}: {count} attempts with key `{key}`");
        }
    }
}

/// How many runs at a time: of the whole workflow, of those with a key, or both.
pub fn concurrency(random: &mut Random) -> Value {
    let mut limit = |key: Option<&str>| {
        let on_limit = *random.pick(&["queue", "queue", "reject", "cancel_running"]);
        let mut own = json!({ "max_runs": 1 + random.below(3), "on_limit": on_limit });
        if let Some(key) = key {
            own["key"] = json!(key);
        }
        own
    };
    let whole = limit(None);
    let of_input = limit(Some("n-{{ input.n }}"));
    let few = limit(Some("{% if input.n > 8 %}{% else %}of-{{ input.n % 3 }}{% endif %}"));
    match random.below(5) {
        0 | 1 => whole,
        2 => of_input,
        3 => json!([of_input, whole]),
        _ => json!([few, of_input]),
    }
}

/// Nobody waits to begin while there is room.
pub fn lines(world: &World) {
    assert!(!world.slots.is_idle_for_somebody(), "seed {}: somebody may begin", world.seed);
}

/// A limit of runs: of a workflow, or of those of it with a key.
type Limit = (Arc<str>, Option<Arc<str>>);

/// Slots are what has begun and not ended, by the durable records alone: a start finds no more
/// of them than there may be, but for runs that a person has reopened.
pub fn slots(world: &World) {
    let seed = world.seed;
    let runs: Vec<_> = {
        let disk = world.disk.lock().expect("no thread panicked");
        disk.runs.keys().copied().collect()
    };
    let mut running: BTreeMap<Limit, (usize, u32)> = BTreeMap::new();
    let mut of_the_node = 0;
    for run in runs {
        let state = world.live_state(run);
        let by_hand = {
            let disk = world.disk.lock().expect("no thread panicked");
            goes_on_by_hand(disk.runs[&run].iter().map(|record| &record.event))
        };
        if !state.holds_slot() || by_hand {
            continue;
        }
        of_the_node += usize::from(state.parent().is_none());
        for ((workflow, key), max_runs) in limits_of(&state) {
            if !is_within(world, &state, key.as_deref()) {
                let (count, most) = running.entry((workflow, key)).or_default();
                (*count, *most) = (*count + 1, max_runs.max(*most));
            }
        }
    }
    for (limit, (running, max_runs)) in running {
        assert!(running <= max_runs as usize, "seed {seed}: {running} of {limit:?}");
    }
    let max = world.slots.limits().runs_max.unwrap_or(usize::MAX);
    assert!(of_the_node <= max, "seed {seed}: {of_the_node} runs where {max} may be");
}

/// The limits that a run counts against. Revisions may have limits of their own, or none, which
/// then counts for nothing.
fn limits_of(state: &State) -> Vec<(Limit, u32)> {
    let workflow = || state.submitted.workflow.clone();
    let whole = state.plan.concurrency.map(|own| ((workflow(), None), own.max_runs));
    let keyed = state.run_keys().iter();
    let keyed = keyed.map(|own| ((workflow(), Some(own.key.clone())), own.max_runs));
    whole.into_iter().chain(keyed).collect()
}

/// Whether a run that goes on and has the same limit is above it: then it takes no slot.
fn is_within(world: &World, state: &State, key: Option<&str>) -> bool {
    let mut above = state.parent().map(|parent| parent.run);
    while let Some(run) = above {
        if !world.disk.lock().expect("no thread panicked").runs.contains_key(&run) {
            return false;
        }
        let own = world.live_state(run);
        let keyed = |key: &str| own.run_keys().iter().any(|known| *known.key == *key);
        let same = own.submitted.workflow == state.submitted.workflow && key.is_none_or(keyed);
        if own.holds_slot() && same && !own.is_chunk() {
            return true;
        }
        above = own.parent().map(|parent| parent.run);
    }
    false
}

/// Whether a person has the run go on, whatever the limits say: it ended and was reopened, or
/// it began with a step that was settled by hand.
fn goes_on_by_hand<'a>(events: impl Iterator<Item = &'a Event>) -> bool {
    let mut begun = false;
    for event in events {
        let Event::Run(event) = event else { continue };
        match event {
            RunEvent::RunEnded { .. } => return true,
            RunEvent::Control(ControlEvent::StepOverridden { .. }) if !begun => return true,
            RunEvent::StepReady { .. }
            | RunEvent::StepSkipped { .. }
            | RunEvent::StepFailed { .. }
            | RunEvent::StepsPruned { .. } => begun = true,
            _ => {}
        }
    }
    false
}
