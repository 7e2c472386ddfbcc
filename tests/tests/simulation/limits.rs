//! How much goes on at a time, checked against what is under way and what is durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstitch_core::effect::Effect;
use backstitch_core::event::{ControlEvent, Event, GraphEvent, LimitKey, RunEvent};
use backstitch_core::state::State;

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

/// Slots are what has begun and not ended, by the durable records alone: a start finds no more
/// of them than there may be, but for runs that a person has reopened.
pub fn slots(world: &World) {
    let seed = world.seed;
    let runs: Vec<_> = {
        let disk = world.disk.lock().expect("no thread panicked");
        disk.runs.keys().copied().collect()
    };
    let mut running: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    let mut of_the_node = 0;
    let mut limits: BTreeMap<Arc<str>, u32> = BTreeMap::new();
    for run in runs {
        let state = world.live_state(run);
        let by_hand = {
            let disk = world.disk.lock().expect("no thread panicked");
            goes_on_by_hand(disk.runs[&run].iter().map(|record| &record.event))
        };
        if !state.holds_slot() || by_hand {
            continue;
        }
        if is_within(world, &state) {
            continue;
        }
        of_the_node += usize::from(state.parent().is_none());
        // Revisions may have limits of their own, or none, which then counts for nothing.
        let Some(limit) = state.plan.concurrency else { continue };
        let workflow = state.submitted.workflow.clone();
        *running.entry(workflow.clone()).or_default() += 1;
        let most = limits.entry(workflow).or_insert(limit.max_runs);
        *most = limit.max_runs.max(*most);
    }
    for (workflow, max_runs) in limits {
        let running = running[&workflow];
        assert!(running <= max_runs as usize, "seed {seed}: {running} of `{workflow}`");
    }
    let max = world.slots.limits().runs_max.unwrap_or(usize::MAX);
    assert!(of_the_node <= max, "seed {seed}: {of_the_node} runs where {max} may be");
}

/// Whether a run of the same workflow that goes on is above it: then it takes no slot.
fn is_within(world: &World, state: &State) -> bool {
    let mut above = state.parent().map(|parent| parent.run);
    while let Some(run) = above {
        if !world.disk.lock().expect("no thread panicked").runs.contains_key(&run) {
            return false;
        }
        let own = world.live_state(run);
        if own.holds_slot() && own.submitted.workflow == state.submitted.workflow {
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
