//! Loops over lists: chunks of items as runs of their own, driven with their parent.

use backstitch_core::command::{AttemptResult, Command, Rejection};
use backstitch_core::event::{Event, RunEvent};
use backstitch_core::ids::StepIndex;
use backstitch_core::machine::{self, replay};
use backstitch_core::payload::{PAYLOAD_BYTES_MAX, Payload};
use backstitch_core::plan::TaskKind;
use backstitch_core::time::Moment;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::loop_world::{Answer, World, done, refused};
use crate::stage::{self, RUN, START, plan_problems};

const LOOP: &str = "
id: loop
variables: { by: 2 }
steps:
  - { id: list, type: transform, with: { users: '{{ input.users }}', at: 'http://x' } }
  - id: all
    type: foreach
    needs: [list]
    with: { items: '{{ steps.list.output.users }}' }
    max_parallel: 3
    each:
      type: task
      with: { n: '{{ index }}', who: '{{ item.name }}', at: '{{ steps.list.output.at }}' }
      undo: { type: task, with: { back: '{{ steps.all.output.of }}', who: '{{ item.name }}' } }
  - { id: last, type: task, needs: [all] }
";

fn users(count: usize) -> Value {
    let users: Vec<_> = (0..count).map(|n| json!({ "name": format!("u{n}") })).collect();
    json!({ "users": users })
}

fn key(n: usize) -> String {
    format!("{RUN}/all/{n}/1")
}

#[test]
fn every_item_is_done_once_and_the_results_come_in_order() {
    let answer: Answer = Box::new(|key, input| {
        if input.get("who").is_some() {
            assert_eq!(input["at"], "http://x");
            assert!(key.ends_with(&format!("/all/{}/1", input["n"])), "{key}");
        }
        done(key)
    });
    let mut world = World::of(LOOP, 4, users(10), answer);
    world.run();
    assert_eq!(world.parent().status().word(), "completed");
    let mut calls = world.calls.clone();
    calls.sort();
    calls.dedup();
    assert_eq!(calls.len(), 11, "ten items and the last step: {calls:?}");
    let output = world.output("all");
    assert_eq!((&output["count"], &output["succeeded"]), (&json!(10), &json!(10)));
    let indexes: Vec<_> =
        output["results"].as_array().expect("a list").iter().map(|own| &own["index"]).collect();
    assert_eq!(indexes, (0..10).collect::<Vec<_>>());
    assert_eq!(output["results"][7]["output"]["of"], key(7));
    assert_eq!(world.chunks().count(), 3);
    assert_eq!(world.most, 3, "as many at a time as the loop says");
    // A chunk holds what its items read, and no more.
    for chunk in world.chunks() {
        let values = chunk.submitted.variables.value();
        assert_eq!(values["steps"]["list"]["output"]["at"], "http://x");
        assert!(values.get("input").is_none() && values.get("variables").is_none());
        assert!(chunk.letters.is_empty() && chunk.is_closed());
    }
}

#[test]
fn an_empty_list_is_done_at_once_and_what_is_no_list_fails() {
    let mut world = World::of(LOOP, 4, users(0), Box::new(|key, _| done(key)));
    world.run();
    assert_eq!(world.output("all")["count"], 0);
    assert_eq!(world.output("all")["results"], json!([]));
    let world = World::of(LOOP, 4, json!({ "users": "u1" }), Box::new(|key, _| done(key)));
    let failing = world.parent().failing.as_ref().expect("it fails");
    assert_eq!(failing.failure.code, "ITEMS_INVALID");
    assert!(failing.failure.message.contains("this is a text"), "{}", failing.failure.message);
}

#[test]
fn the_first_failure_stops_the_rest_and_what_was_done_is_undone_newest_first() {
    let sequential = LOOP.replace("max_parallel: 3", "max_parallel: 1");
    let failing = key(6);
    let answer: Answer = Box::new(move |key, _| if key == failing { refused() } else { done(key) });
    let mut world = World::of(&sequential, 4, users(10), answer);
    world.run();
    let forward: Vec<_> = (0..=6).map(key).collect();
    let back: Vec<_> = (0..6).rev().map(|n| format!("{}/undo", key(n))).collect();
    assert_eq!(world.calls, [forward, back].concat());
    assert_eq!(world.parent().status().word(), "compensated");
    let step = world.plan.index_of("all").expect("a step");
    let failure = world.parent().step(step).failure.as_ref().expect("it failed");
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("NO", "item 6: no"));
    // The step's letter is the only one.
    assert_eq!(world.parent().letters.len(), 1);
    assert!(world.chunks().all(|chunk| chunk.letters.is_empty()));
}

#[test]
fn collecting_goes_through_all_and_a_later_failure_undoes_what_succeeded() {
    let collect = LOOP.replace("max_parallel: 3", "on_item_failure: collect");
    let answer: Answer = Box::new(|key, input| match input["n"].as_u64() {
        Some(n) if n % 3 == 1 => refused(),
        Some(_) => done(key),
        None if input.get("back").is_some() => done(key),
        None => refused(),
    });
    let mut world = World::of(&collect, 4, users(10), answer);
    world.run();
    let output = world.output("all");
    assert_eq!((&output["succeeded"], &output["failed"]), (&json!(7), &json!(3)));
    assert_eq!(output["results"][4]["status"], "failed");
    assert_eq!(output["results"][4]["error"]["error_code"], "NO");
    assert_eq!(world.parent().status().word(), "compensated", "the last step failed");
    let undone = world.calls.iter().filter(|key| key.ends_with("/undo")).count();
    assert_eq!(undone, 7);
    assert!(!world.calls.contains(&format!("{}/undo", key(1))));
}

#[test]
fn a_chunk_that_is_not_undone_whole_leaves_a_letter_and_the_older_ones_go_on() {
    let failing = format!("{}/undo", key(5));
    let mut first = true;
    let answer: Answer = Box::new(move |key, input| {
        if key == failing && std::mem::take(&mut first) || input == &json!({}) {
            return refused();
        }
        done(key)
    });
    let mut world = World::of(LOOP, 4, users(10), answer);
    world.run();
    assert_eq!(world.parent().status().word(), "compensation_failed");
    let undone = world.calls.iter().filter(|key| key.ends_with("/undo")).count();
    assert_eq!(undone, 10, "each was tried once");
    // The chunk's letter, then its parent's.
    let chunk = world.chunks().find(|own| !own.letters.is_empty()).expect("one has it").id;
    world.act(chunk, stage::retry(0)).expect("it is open");
    world.run();
    assert_eq!(world.runs[&chunk].0.status().word(), "compensated");
    let undo = world.parent().letters.iter().position(|own| own.failure.code == "CHILD_NOT_UNDONE");
    let undo = u32::try_from(undo.expect("the undo's")).expect("few");
    world.act(RUN, stage::retry(undo)).expect("it is open");
    world.run();
    assert_eq!(world.parent().status().word(), "compensated");
    let undone = world.calls.iter().filter(|key| key.ends_with("/undo")).count();
    assert_eq!(undone, 11, "nothing is undone twice");
}

#[test]
fn a_cancelled_loop_begins_no_more_and_ends_as_its_run_says() {
    let mut world = World::of(LOOP, 4, users(10), Box::new(|key, _| done(key)));
    while world.calls.len() < 5 {
        assert!(world.one());
    }
    world.act(RUN, stage::cancel(Some(true))).expect("it runs");
    world.run();
    assert_eq!(world.parent().status().word(), "cancelled");
    assert!(world.parent().letters.is_empty());
    let done: Vec<_> = world.calls.iter().filter(|own| !own.ends_with("/undo")).collect();
    let undone = world.calls.iter().filter(|own| own.ends_with("/undo")).count();
    assert!(done.len() < 9, "the last chunk never began: {done:?}");
    assert_eq!(undone, done.len());
}

#[test]
fn a_forced_loop_gives_up_what_its_items_have_under_way() {
    let halt = LOOP.replace("id: loop", "id: loop\non_failure: halt");
    let mut world = World::of(&halt, 4, users(10), Box::new(|key, _| done(key)));
    while world.most == 0 && world.one() {}
    world.act(RUN, stage::cancel(None)).expect("it runs");
    world.talk();
    assert_eq!(world.parent().status().word(), "running", "its items are waited for");
    world.act(RUN, stage::force()).expect("it stops");
    world.talk();
    assert_eq!(world.parent().status().word(), "cancelled");
    assert!(world.chunks().all(|own| own.status().word() == "cancelled"));
    let failed = world.parent().step(StepIndex(1)).failure.as_ref().expect("it was given up");
    assert_eq!(failed.effect, backstitch_core::failure::EffectKnown::Unknown);
}

#[test]
fn a_paused_loop_begins_no_chunk_until_it_goes_on() {
    let mut world = World::of(LOOP, 4, users(10), Box::new(|key, _| done(key)));
    while world.calls.is_empty() {
        assert!(world.one());
    }
    world.act(RUN, stage::pause()).expect("it runs");
    world.run();
    assert_eq!(world.chunks().count(), 1);
    assert_eq!(world.parent().status().word(), "suspended");
    world.act(RUN, stage::resume()).expect("it is paused");
    world.run();
    assert_eq!(world.parent().status().word(), "completed");
}

#[test]
fn a_halted_loop_is_tried_again_under_the_same_keys() {
    let halt = LOOP.replace("id: loop", "id: loop\non_failure: halt");
    let mut refusals = 1;
    let failing = key(5);
    let answer: Answer = Box::new(move |own, _| {
        if own == failing && refusals > 0 {
            refusals -= 1;
            return refused();
        }
        done(own)
    });
    let mut world = World::of(&halt, 4, users(6), answer);
    world.run();
    assert_eq!(world.parent().status().word(), "failed");
    world.act(RUN, stage::retry(0)).expect("it is open");
    world.run();
    assert_eq!(world.parent().status().word(), "completed");
    assert_eq!(world.calls.iter().filter(|own| **own == key(0)).count(), 2);
    assert_eq!(world.chunks().count(), 4, "two for each attempt");
}

#[test]
fn a_chunk_is_a_part_of_its_parent() {
    let mut world = World::of(LOOP, 4, users(2), Box::new(|key, _| done(key)));
    while world.chunks().count() == 0 {
        assert!(world.one());
    }
    let chunk = world.chunks().next().expect("it began").id;
    for command in [stage::cancel(None), stage::force(), stage::pause(), stage::roll_back()] {
        let refused = world.act(chunk, command);
        assert_eq!(refused, Err(Rejection::PartOfRun { run: RUN }));
    }
}

#[test]
fn an_item_may_be_pure_or_left_out() {
    let pure = "
id: pure
steps:
  - id: all
    type: foreach
    with: { items: [1, 2, 3] }
    each: { type: transform, when: 'item != 2', with: '{{ item * 10 + index }}' }
outputs: { all: '{{ steps.all.output }}' }
";
    let mut world = World::of(pure, 1_000, json!({}), Box::new(|key, _| done(key)));
    world.run();
    let output = world.output("all");
    assert_eq!(output["skipped"], 1);
    assert_eq!(output["results"][2]["output"], 32);
    assert_eq!(output["results"][1], json!({ "index": 1, "status": "skipped" }));
}

#[test]
fn results_that_are_too_much_stay_where_they_are() {
    let large = "
id: large
steps:
  - id: all
    type: foreach
    with: { items: '{{ input.items }}' }
    each: { type: task, with: {} }
";
    let answer: Answer =
        Box::new(|_, _| AttemptResult::Answered(Ok(Payload::of(&json!("x".repeat(500_000))))));
    let input = json!({ "items": (0..12).collect::<Vec<_>>() });
    let mut world = World::of(large, 4, input, answer);
    world.run();
    let output = world.output("all");
    assert_eq!((&output["succeeded"], output.get("results")), (&json!(12), None));
    let runs: Vec<_> = output["results_in"].as_array().expect("where").clone();
    assert_eq!(runs.len(), 3);
    let kept = world.parent().payload_bytes;
    assert!(kept < PAYLOAD_BYTES_MAX + 64 * 1024, "{kept} bytes");
}

#[test]
fn what_is_wrong_with_a_loop_is_said_where_it_is() {
    let problems =
        |step: &str| plan_problems(&format!("{{ id: p, steps: [{{ id: a, {step} }}] }}"));
    let with = "with: { items: [1] }";
    let body = "each: { type: task, with: { x: '{{ item }}' } }";
    assert_eq!(problems(&format!("type: foreach, {with}, {body}")), [""; 0]);
    assert_eq!(problems(&format!("type: foreach, {with}")), ["steps[0].each"]);
    assert_eq!(problems(&format!("type: foreach, {body}")), ["steps[0].with"]);
    assert_eq!(
        problems(&format!("type: foreach, with: {{ items: 3 }}, {body}")),
        ["steps[0].with.items"]
    );
    let wrong = format!("type: foreach, {with}, {body}, max_parallel: 0, timeout: 5s");
    assert_eq!(problems(&wrong), ["steps[0].max_parallel", "steps[0].timeout"]);
    assert_eq!(problems("type: task, max_parallel: 3"), ["steps[0].max_parallel"]);
    assert_eq!(problems("type: task, with: { x: '{{ item }}' }"), ["steps[0].with.x"]);
    let nested = format!("type: foreach, {with}, each: {{ type: foreach, {with} }}");
    assert!(problems(&nested).contains(&"steps[0].each.type".to_owned()));
    let own =
        format!("type: foreach, {with}, each: {{ type: task, with: '{{{{ steps.a.output }}}}' }}");
    assert_eq!(problems(&own), ["steps[0].each.with"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever the sizes and whoever fails: every item is begun at most once, the counts add
    /// up, and what stands at the end is what the outcome says.
    #[test]
    fn loops_of_any_size_balance(
        items in 0..30_usize,
        chunk in 1..9_u32,
        parallel in 1..6_u32,
        collect in any::<bool>(),
        failing in prop::collection::btree_set(0..40_usize, 0..4),
        last_fails in any::<bool>(),
    ) {
        let policy = if collect { "collect" } else { "fail_fast" };
        let words = format!("max_parallel: {parallel}\n    on_item_failure: {policy}");
        let definition = LOOP.replace("max_parallel: 3", &words);
        let bad: Vec<_> = failing.iter().map(|n| key(*n)).collect();
        let answer: Answer = Box::new(move |key, input| {
            let last = input == &json!({});
            if bad.iter().any(|own| own == key) || last && last_fails { refused() } else { done(key) }
        });
        let mut world = World::of(&definition, chunk, users(items), answer);
        world.run();
        let (back, forward): (Vec<_>, Vec<_>) = world.calls.iter().filter(|key| key.contains("/all/"))
            .partition(|key| key.ends_with("/undo"));
        let mut once = forward.clone();
        once.sort();
        once.dedup();
        prop_assert_eq!(once.len(), forward.len());
        prop_assert!(world.most <= usize::try_from(parallel).unwrap_or(0));
        let hit = failing.iter().filter(|n| **n < items).count();
        let done = forward.len() - failing.iter().filter(|n| forward.contains(&&key(**n))).count();
        match world.parent().status().word() {
            "completed" => {
                prop_assert!(!last_fails && (collect || hit == 0));
                prop_assert_eq!((forward.len(), back.len()), (items, 0));
                prop_assert_eq!(world.output("all")["failed"].as_u64(), Some(hit as u64));
            }
            "compensated" => prop_assert_eq!(back.len(), done),
            "failed" => prop_assert_eq!((back.len(), done), (0, 0)),
            other => prop_assert!(false, "it ended {}", other),
        }
        // Any prefix of any run is a place to go on from.
        for (run, (_, events)) in &world.runs {
            for length in 1..=events.len() {
                let part = events[..length].iter().map(|event| (event, START));
                let mut state = replay(*run, &world.plan, part).expect("it folds");
                let decided = machine::handle(&mut state, Command::Continue, Moment::at(START));
                prop_assert!(decided.is_ok(), "{:?}", decided.err());
            }
        }
    }
}

#[test]
fn a_loop_takes_no_turn_and_its_items_do() {
    let mut world = World::of(LOOP, 4, users(2), Box::new(|key, _| done(key)));
    while world.chunks().count() == 0 {
        assert!(world.one());
    }
    let chunk = world.chunks().next().expect("it began");
    assert!(chunk.takes_turns(StepIndex(0)));
    let step = world.plan.index_of("all").expect("a step");
    assert!(!world.parent().takes_turns(step));
    assert_eq!(world.plan.step(step).task, TaskKind::Foreach);
    let begun = world.runs[&RUN].1.iter().any(|event| {
        matches!(event, Event::Run(RunEvent::StepStarted { step: own, .. }) if *own == step)
    });
    assert!(begun);
}

#[test]
fn what_a_parent_keeps_grows_with_its_chunks_and_not_with_its_items() {
    let pure = "
id: pure
steps:
  - id: all
    type: foreach
    with: { items: '{{ input.items }}' }
    max_parallel: 100
    each: { type: transform, with: '{{ item }}' }
";
    let kept = |items: usize| {
        let input = json!({ "items": (0..items).collect::<Vec<_>>() });
        let mut world = World::of(pure, 1_000, input, Box::new(|key, _| done(key)));
        world.run();
        assert_eq!(world.output("all")["succeeded"], items);
        let chunk = world.chunks().map(|chunk| chunk.steps.len()).max();
        assert!(chunk <= Some(1_000), "{chunk:?} items in one run");
        (world.runs[&RUN].1.len(), world.chunks().count())
    };
    let ((few, one), (many, five)) = (kept(1_000), kept(5_000));
    assert_eq!((one, five), (1, 5));
    // A start, its answer, and an end for each chunk.
    assert!(many - few <= 4 * 4, "{few} events of a parent with one chunk, {many} with five");
}
