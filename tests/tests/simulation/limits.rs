//! How much goes on at a time, checked against what is under way and what is durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstitch_core::effect::Effect;
use backstitch_core::event::{Event, GraphEvent, LimitKey, RunEvent};
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

/// Slots are what has begun and not ended: none forgotten, none kept by a partition that went, and
/// nobody waits to begin while there is room. That there are never too many is the model's to say.
pub fn slots(world: &World) {
    let seed = world.seed;
    assert!(!world.slots.is_idle_for_somebody(), "seed {seed}: somebody may begin");
    for partition in &world.partitions {
        let (held, known) = (partition.slots_held(), partition.slotted());
        for run in held.difference(&known) {
            // It was let in a moment ago, and the partition is not told yet.
            let waits = partition.waits_to_begin(*run);
            assert!(waits, "seed {seed}: {run} neither goes on nor may begin, and has a slot");
        }
        for run in known.difference(&held) {
            let slots = &world.watch.slots;
            let own = slots.goes_on(*run) && slots.is_bound(*run);
            assert!(!own, "seed {seed}: {run} goes on without its slots");
        }
    }
}
