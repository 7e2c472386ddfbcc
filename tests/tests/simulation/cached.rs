//! The result cache: what it holds after a start, and what must hold of every hit.

use backstitch_core::event::{Event, GraphEvent, RunEvent};
use backstitch_core::ids::ExecutionId;
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
        let state = folded(*run, &disk, &events);
        let own = events.iter().filter_map(|(event, at)| match event {
            Event::Run(event) => Some((event, *at)),
            _ => None,
        });
        answers(&state, own).into_iter().for_each(|answered| world.cache.remember(answered));
    }
}

/// A run as its events tell it.
fn folded(run: ExecutionId, disk: &Disk, events: &[(Event, Timestamp)]) -> State {
    let events = events.iter().map(|(event, at)| (event, *at));
    replay(run, disk, events).expect("it was decided so")
}

/// Every hit names a run and a step that succeeded with that output, to the same question, and
/// not longer ago than both let it count. A removed run counts: what it answered was so.
pub fn hits_name_who_answered(world: &World, state: &State) {
    let disk = world.disk.lock().expect("no thread panicked");
    for (event, at) in events_of(&disk.runs[&state.id]) {
        let Event::Run(RunEvent::Graph(GraphEvent::StepCacheHit {
            step,
            source,
            source_step,
            output,
            ..
        })) = event
        else {
            continue;
        };
        let fail = |why: &str| panic!("seed {}: {}: step {}: {why}", world.seed, state.id, step.0);
        let records = disk.runs.get(&source).or(disk.removed.get(&source));
        let Some(records) = records else { fail("nobody answered") };
        let events = events_of(records);
        let answerer = folded(source, &disk, &events);
        let Some(index) = answerer.plan.index_of(&source_step) else { fail("no such step") };
        let answered = events.iter().find_map(|(event, at)| match event {
            Event::Run(RunEvent::StepSucceeded { step, output: own, .. }) if *step == index => {
                Some((own.clone(), *at))
            }
            _ => None,
        });
        let Some((own, answered_at)) = answered else { fail("the step did not answer") };
        if own != output {
            fail("the step answered something else");
        }
        let key = |state: &State, step| match state.cache_key(step, &mut Work::default()) {
            Ok(Some(known)) => known,
            other => fail(&format!("it has no key: {other:?}")),
        };
        let ((asked, most_ms), (known, let_ms)) = (key(state, step), key(&answerer, index));
        if asked != known {
            fail("it was another question");
        }
        // A decision is made by the clock, and recorded no earlier than the one before it.
        if world.crashes == 0 && at > answered_at.plus_ms(most_ms.min(let_ms)) {
            fail("the answer was too old");
        }
    }
}
