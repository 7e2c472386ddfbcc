//! Time travel over whole lives: any version, what changed, and where two runs part.

use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::{Effect, owed};
use backstitch_core::event::{Event, RunEvent};
use backstitch_core::failure::Failure;
use backstitch_core::ids::ExecutionId;
use backstitch_core::machine::replay;
use backstitch_core::payload::Payload;
use backstitch_core::report::execution_json;
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;
use backstitch_core::travel::{
    AsOf, Comparison, Told, apply, compare, execution_json_at, run_diff, state_at,
};
use proptest::prelude::*;
use serde_json::json;

use crate::laws::{definition, drive};
use crate::stage::{Life, RUN};

/// A life as it would be read from a journal, under another id and at another time.
struct Read {
    state: State,
    events: Vec<(Event, Timestamp)>,
}

impl Read {
    fn of(life: &Life, id: ExecutionId, shift_us: i64) -> Self {
        let events: Vec<_> = (0..)
            .zip(&life.events)
            .map(|(n, event)| (Event::Run(renamed(event, id)), Timestamp(shift_us + n)))
            .collect();
        let told = events.iter().map(|(event, at)| (event, *at));
        let state = replay(id, &life.state.plan, told).expect("it folds");
        Self { state, events }
    }

    fn told(&self) -> Told<'_> {
        Told { state: &self.state, events: &self.events }
    }
}

/// The event as the run would have recorded it under another id.
fn renamed(event: &RunEvent, id: ExecutionId) -> RunEvent {
    let mut event = event.clone();
    if let RunEvent::StepReady { input, .. } = &mut event {
        let text = input.text().replace(&RUN.to_string(), &id.to_string());
        *input = Payload::of(&serde_json::from_str(&text).expect("JSON still"));
    }
    event
}

fn mirrored(mut own: Comparison) -> Comparison {
    if let Some(first) = &mut own.first_divergence {
        std::mem::swap(&mut first.left, &mut first.right);
        first.events.reverse();
        first.versions.reverse();
    }
    for row in &mut own.steps {
        row.status.reverse();
        row.attempts.reverse();
        row.duration_ms.reverse();
    }
    own
}

const OTHER: ExecutionId = ExecutionId { digits: 0xfeed, ..RUN };

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_version_is_a_state_and_differences_lead_from_one_to_another(
        definition in definition(),
        answers in prop::collection::vec(any::<u8>(), 0..40),
        places in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let mut life = Life::begin(&definition, json!({}));
        drive(&mut life, &answers);
        let read = Read::of(&life, RUN, 1_000);
        let state = |place: prop::sample::Index| {
            let version = place.index(read.events.len()) as u64 + 1;
            let as_of = AsOf { version, at: Timestamp(999 + version as i64) };
            let state = state_at(RUN, &life.state.plan, &read.events, as_of).expect("it folds");
            assert_eq!((state.version, state.updated_at), (version, as_of.at));
            assert_eq!(execution_json_at(&state, as_of)["as_of"]["version"], version);
            state
        };
        let (before, after) = (state(places.0), state(places.1));
        let mut moved = execution_json(&before);
        let changes = run_diff(&before, &after);
        apply(&mut moved, &changes).expect("it fits");
        prop_assert_eq!(moved, execution_json(&after));
        prop_assert!(run_diff(&after, &after).is_empty());
    }

    #[test]
    fn the_same_thing_run_again_does_not_diverge_and_comparing_is_symmetric(
        definition in definition(),
        answers in prop::collection::vec(any::<u8>(), 0..40),
        others in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut life = Life::begin(&definition, json!({ "n": 1 }));
        drive(&mut life, &answers);
        let (one, again) = (Read::of(&life, RUN, 0), Read::of(&life, OTHER, 7_777_777));
        let same = compare(one.told(), again.told());
        prop_assert!(same.first_divergence.is_none(), "{:?}", same.first_divergence);
        prop_assert!(same.steps.iter().all(|row| row.same && row.output_equal));
        let mut other = Life::begin(&definition, json!({ "n": 1 }));
        drive(&mut other, &others);
        let other = Read::of(&other, OTHER, 0);
        let (ours, theirs) = (compare(one.told(), other.told()), compare(other.told(), one.told()));
        prop_assert_eq!(mirrored(ours), theirs);
    }
}

/// Two steps beside each other and one behind both; steps end in the order asked for.
fn three(order: [u32; 2], output_of_b: serde_json::Value) -> Life {
    let definition = "{ id: w, steps: [
        { id: a, type: task }, { id: b, type: task },
        { id: c, type: task, needs: [a, b], with: { key: '{{ workflow.execution_id }}' } } ] }";
    let mut life = Life::begin(definition, json!({}));
    for step in order.into_iter().chain([2]) {
        life.later(1_000);
        let effect = owed(&life.state, life.now)
            .into_iter()
            .find(|effect| matches!(effect, Effect::RunStep { step: own, .. } if own.0 == step));
        let Some(Effect::RunStep { step, attempt }) = effect else { panic!("{step} is not owed") };
        let output = if step.0 == 1 { output_of_b.clone() } else { json!({ "ok": true }) };
        let result = if output.is_null() {
            AttemptResult::Answered(Err(Failure::permanent("NO", "no")))
        } else {
            AttemptResult::Answered(Ok(Payload::of(&output)))
        };
        let retry_delay_ms = 1_000;
        life.act(Command::ReportStep { step, attempt, result, retry_delay_ms }).expect("taken");
        if output.is_null() {
            break;
        }
    }
    life
}

#[test]
fn steps_that_took_turns_otherwise_do_not_diverge() {
    let at = |text: &str| json!({ "total": 7, "at": text });
    let one = three([0, 1], at("2026-01-02T03:04:05.000000Z"));
    let other = three([1, 0], at("2027-01-02T03:04:05.000000Z"));
    let (one, other) = (Read::of(&one, RUN, 0), Read::of(&other, OTHER, 50));
    let compared = compare(one.told(), other.told());
    assert_eq!(compared.first_divergence, None);
    assert!(compared.same_definition);
}

#[test]
fn the_first_divergence_names_the_step_the_field_and_both_values() {
    let (one, other) = (three([0, 1], json!({ "total": 7 })), three([0, 1], json!({ "total": 8 })));
    let (one, other) = (Read::of(&one, RUN, 0), Read::of(&other, OTHER, 0));
    let compared = compare(one.told(), other.told());
    let first = compared.first_divergence.expect("they differ");
    assert_eq!(first.step.as_deref(), Some("b"));
    assert_eq!(first.field, "output.total");
    assert_eq!((first.left, first.right), (Some(json!(7)), Some(json!(8))));
    assert_eq!(first.events, [Some("StepSucceeded"); 2]);
    let rows: Vec<_> =
        compared.steps.iter().map(|row| (&*row.step, row.output_equal, row.same)).collect();
    assert_eq!(rows, [("a", true, true), ("b", false, false), ("c", true, true)]);
}

#[test]
fn a_step_that_failed_in_one_run_is_where_they_part() {
    let (one, other) = (three([0, 1], json!({ "total": 7 })), three([0, 1], json!(null)));
    let (one, other) = (Read::of(&one, RUN, 0), Read::of(&other, OTHER, 0));
    let first = compare(one.told(), other.told()).first_divergence.expect("they differ");
    assert_eq!((first.step.as_deref(), first.field.as_str()), (Some("b"), "type"));
    assert_eq!(first.events, [Some("StepSucceeded"), Some("StepAttemptFailed")]);
}
