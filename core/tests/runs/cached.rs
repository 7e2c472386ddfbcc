//! Steps that are answered from the cache: they make no attempt, use no turn, and say who
//! answered.

use backstitch_core::arrows::StepStatus;
use backstitch_core::cache::{CacheKey, CacheSource, Recalled};
use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::failure::codes;
use backstitch_core::ids::{ExecutionId, PartitionId, StepIndex};
use backstitch_core::machine;
use backstitch_core::payload::{PAYLOAD_BYTES_MAX, Payload};
use backstitch_core::report::execution_json;
use backstitch_core::room::{Attempt, Room};
use backstitch_core::state::Wanted;
use backstitch_core::time::Moment;
use serde_json::{Value, json};

use crate::stage::{CHAIN, Life, plan_problems};

/// `b` to `d` ask the same.
const CACHED: &str = "
id: cached
steps:
  - { id: a, type: task }
  - { id: b, type: task, needs: [a], with: { of: '{{ steps.a.output.of }}' }, cache: true }
  - { id: c, type: task, needs: [a], with: { of: a }, cache: { ttl: 5m } }
  - { id: d, type: task, needs: [a], with: { of: a } }
  - { id: e, type: task, needs: [b] }
";
const SOURCE: ExecutionId = ExecutionId { partition: PartitionId(3), digits: 99 };

/// Knows one answer to everything, or none, and has so many turns.
struct Memory {
    known: Option<Value>,
    turns: usize,
    asked: Vec<(CacheKey, u64)>,
}

impl Room for Memory {
    fn holds(&mut self, _: StepIndex, _: &Wanted) -> bool {
        true
    }

    fn starts(&mut self, _: Attempt) -> bool {
        let free = self.turns > 0;
        self.turns = self.turns.saturating_sub(1);
        free
    }

    fn begins(&mut self) -> bool {
        true
    }

    fn recalls(&mut self, key: &CacheKey, ttl_ms: u64) -> Option<Recalled> {
        self.asked.push((*key, ttl_ms));
        let source = CacheSource { run: SOURCE, step: "first".into() };
        self.known.as_ref().map(|known| Recalled { source, output: Payload::of(known) })
    }
}

fn memory(known: Option<Value>, turns: usize) -> Memory {
    Memory { known, turns, asked: Vec::new() }
}

/// The first step of a run succeeds; what follows is decided in this room.
fn first_succeeds(life: &mut Life, room: &mut Memory) {
    let result = AttemptResult::Answered(Ok(Payload::of(&json!({ "of": "a" }))));
    let command = Command::ReportStep { step: StepIndex(0), attempt: 1, result, retry_delay_ms: 0 };
    let moment = Moment::at(life.now);
    let decision = machine::handle_within(&mut life.state, command, moment, room);
    life.add(decision.expect("legal").events);
    life.check_replay();
}

#[test]
fn a_known_answer_stands_for_an_attempt_and_names_its_source() {
    let mut life = Life::begin(CACHED, json!({}));
    let before = life.events.len();
    let mut room = memory(Some(json!({ "rate": 7 })), 1);
    first_succeeds(&mut life, &mut room);
    assert_eq!(life.words(), "succeeded succeeded succeeded running ready");
    let told = life.told(before);
    let hits: Vec<_> = told.iter().filter(|own| own.starts_with("StepCacheHit")).collect();
    assert_eq!(hits, ["StepCacheHit b", "StepCacheHit c"], "{told:?}");
    let own = &execution_json(&life.state)["steps"]["b"];
    assert_eq!((&own["output"], &own["attempts"]), (&json!({ "rate": 7 }), &json!(0)));
    let source = json!({ "execution_id": SOURCE.to_string(), "step": "first" });
    assert_eq!(own["cached_from"], source);
    assert_eq!(execution_json(&life.state)["steps"]["d"]["cached_from"], Value::Null);
    let [(b, hour), (c, minutes)] = room.asked[..] else { panic!("two ask: {:?}", room.asked) };
    assert_eq!(b, c, "they ask the same");
    assert_eq!((hour, minutes), (3_600_000, 300_000));
}

#[test]
fn what_nobody_answered_is_asked() {
    let mut life = Life::begin(CACHED, json!({}));
    let mut room = memory(None, 3);
    first_succeeds(&mut life, &mut room);
    assert_eq!(life.words(), "succeeded running running running pending");
    assert_eq!(room.asked.len(), 2);
}

#[test]
fn a_step_that_failed_and_is_retried_does_not_ask_the_cache_in_between() {
    let mut life = Life::begin(CACHED, json!({}));
    first_succeeds(&mut life, &mut memory(None, 3));
    life.stumbles("b");
    let mut room = memory(Some(json!(1)), 9);
    life.now = life.now.plus_ms(10_000);
    let moment = Moment::at(life.now);
    let decision = machine::handle_within(&mut life.state, Command::Continue, moment, &mut room);
    life.add(decision.expect("legal").events);
    assert_eq!(life.state.step(StepIndex(1)).status, StepStatus::Running);
    assert!(room.asked.is_empty(), "its service knows more than the cache");
}

#[test]
fn a_key_of_ones_own_is_rendered_and_must_render() {
    let keyed = |key: &str| {
        format!(
            "{{ id: w, steps: [{{ id: a, type: task }}, {{ id: b, type: task, needs: [a],
                with: {{ now: '{{{{ input.now }}}}' }}, cache: {{ key: '{key}' }} }}] }}"
        )
    };
    let mut asked = Vec::new();
    for now in [1, 2] {
        let mut life = Life::begin(&keyed("{{ steps.a.output.of }}"), json!({ "now": now }));
        let mut room = memory(None, 1);
        first_succeeds(&mut life, &mut room);
        asked.extend(room.asked);
    }
    assert_eq!(asked[0], asked[1], "the input is no part of it");
    let mut life = Life::begin(&keyed("{{ steps.a.output.gone.x }}"), json!({ "now": 1 }));
    first_succeeds(&mut life, &mut memory(Some(json!(1)), 1));
    assert_eq!(life.words(), "succeeded failed");
    let failure = life.state.step(StepIndex(1)).failure.as_ref().expect("it failed");
    assert_eq!(failure.code, codes::EXPRESSION_FAILED);
    assert!(failure.message.contains("steps.b.cache.key"), "{}", failure.message);
}

#[test]
fn an_answer_that_does_not_fit_fails_the_step() {
    let mut life = Life::begin(CACHED, json!({}));
    life.state.payload_bytes = 24 * 1024 * 1024 - 2_000;
    let mut room = memory(Some(json!("x".repeat(PAYLOAD_BYTES_MAX / 2))), 3);
    let result = AttemptResult::Answered(Ok(Payload::of(&json!({ "of": "a" }))));
    let command = Command::ReportStep { step: StepIndex(0), attempt: 1, result, retry_delay_ms: 0 };
    let moment = Moment::at(life.now);
    machine::handle_within(&mut life.state, command, moment, &mut room).expect("legal");
    let failure = life.state.step(StepIndex(1)).failure.as_ref().expect("it failed");
    assert_eq!(failure.code, codes::PAYLOAD_TOO_LARGE);
}

#[test]
fn only_steps_that_ask_and_undo_nothing_have_a_cache() {
    assert_eq!(plan_problems(CACHED), Vec::<String>::new());
    let of = |step: &str| plan_problems(&format!("{{ id: w, steps: [{{ id: a, {step} }}] }}"));
    assert_eq!(of("type: task, cache: true, undo: { type: task }"), ["steps[0].cache"]);
    assert_eq!(of("type: transform, with: 1, cache: true"), ["steps[0].cache"]);
    assert_eq!(of("type: workflow, with: { workflow: x }, cache: true"), ["steps[0].cache"]);
    assert_eq!(of("type: task, cache: { ttl: 31d }"), ["steps[0].cache.ttl"]);
    assert_eq!(of("type: task, cache: { ttl: 0s }"), ["steps[0].cache.ttl"]);
    assert_eq!(of("type: task, cache: { key: '{{ steps.a.output }}' }"), ["steps[0].cache.key"]);
    assert_eq!(of("type: task, cache: 5m"), ["steps[0].cache"]);
    assert_eq!(of("type: task, cache: { tll: 5m }"), ["steps[0].cache.tll"]);
    assert!(of("type: task, cache: false, undo: { type: task }").is_empty());
    assert!(!plan_problems(CHAIN).iter().any(|path| path.contains("cache")));
}
