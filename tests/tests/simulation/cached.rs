//! The result cache: what it holds after a start, and what must hold of every hit.

use backstitch_core::cache::CacheKey;
use backstitch_core::event::{Event, GraphEvent, RunEvent};
use backstitch_core::ids::{ExecutionId, StepIndex};
use backstitch_core::machine::replay;
use backstitch_core::state::State;
use backstitch_core::template::Work;
use backstitch_core::time::Timestamp;
use backstitch_saga::cache::ResultCache;
use backstitch_saga::partition::answers;
use serde_json::{Value, json};

use super::disk::{Disk, events_of};
use super::random::Random;
use super::world::World;

/// Room for a few small answers, or one that is kept beside its record.
const BYTES_MAX: usize = 80_000;

/// The cache of a node that just started.
pub fn empty() -> ResultCache {
    ResultCache::new(BYTES_MAX)
}

/// What a cached step says.
pub fn policy(random: &mut Random) -> Value {
    match random.below(4) {
        0 => json!(true),
        1 => json!({ "ttl": "2s" }),
        2 => json!({ "ttl": "1d", "key": "{{ input.n }}" }),
        _ => json!({ "key": "{{ input.n }}-{{ input.missing }}" }),
    }
}

/// What runs on the disk answered comes back.
pub fn warm(world: &World) {
    let disk = world.disk.lock().expect("no thread panicked");
    for run in disk.runs.keys() {
        let events = events_of(&disk.runs[run]);
        let state = folded(&disk, (*run, &events));
        let own = events.iter().filter_map(|(event, at)| match event {
            Event::Run(event) => Some((event, *at)),
            _ => None,
        });
        answers(&state, own).into_iter().for_each(|answered| world.cache.remember(answered));
    }
}

/// Every hit names a run and a step that succeeded with that output, to the same question, and
/// not longer ago than both let it count. A removed run counts: what it answered was so; and so
/// does an answer of a round that was rolled back since.
pub fn hits_name_who_answered(world: &World, state: &State) {
    let disk = world.disk.lock().expect("no thread panicked");
    let events = events_of(&disk.runs[&state.id]);
    for (at, (event, _)) in events.iter().enumerate() {
        if let Event::Run(RunEvent::Graph(hit @ GraphEvent::StepCacheHit { step, .. })) = event
            && let Err(why) = answered(world.crashes, &disk, (state.id, &events[..=at]), hit)
        {
            panic!("seed {}: {}: step {}: {why}", world.seed, state.id, step.0);
        }
    }
}

/// A run's events up to one of them.
type Told<'a> = (ExecutionId, &'a [(Event, Timestamp)]);

/// Whether a success of the step that the hit names, in whichever round, answers what is asked
/// by who has come to the hit.
fn answered(crashes: u64, disk: &Disk, asker: Told<'_>, hit: &GraphEvent) -> Result<(), String> {
    let GraphEvent::StepCacheHit { step, source, source_step, output, .. } = hit else {
        unreachable!("only hits are asked about")
    };
    let records = disk.runs.get(source).or(disk.removed.get(source));
    let events = events_of(records.ok_or("nobody answered")?);
    let (asked, most_ms) = key(disk, asker, *step)?;
    let hit_at = asker.1.last().map_or(Timestamp(0), |(_, at)| *at);
    let mut verdict = Err("the step did not answer".to_owned());
    for (at, (event, answered_at)) in events.iter().enumerate() {
        let Event::Run(RunEvent::StepSucceeded { step, output: own, .. }) = event else { continue };
        let told = (*source, &events[..=at]);
        if folded(disk, told).plan.step(*step).id != *source_step {
            continue;
        }
        let (known, let_ms) = key(disk, told, *step)?;
        // A decision is made by the clock, and recorded no earlier than the one before it.
        let in_time = crashes > 0 || hit_at <= answered_at.plus_ms(most_ms.min(let_ms));
        verdict = match (own == output, asked == known, in_time) {
            (false, ..) => Err("the step answered something else".to_owned()),
            (_, false, _) => Err("it was another question".to_owned()),
            (.., false) => Err("the answer was too old".to_owned()),
            _ => return Ok(()),
        };
    }
    verdict
}

/// What the answer of a step is known by, and how long it counts.
fn key(disk: &Disk, told: Told<'_>, step: StepIndex) -> Result<(CacheKey, u64), String> {
    match folded(disk, told).cache_key(step, &mut Work::default()) {
        Ok(Some(known)) => Ok(known),
        other => Err(format!("it has no key: {other:?}")),
    }
}

/// A run as its events tell it.
fn folded(disk: &Disk, (run, events): Told<'_>) -> State {
    let events = events.iter().map(|(event, at)| (event, *at));
    replay(run, disk, events).expect("it was decided so")
}
