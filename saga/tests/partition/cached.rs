//! The result cache as partitions fill it: with what is durable, and only as long as it is kept.

use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::Effect;
use backstitch_core::event::{Event, GraphEvent, RunEvent};
use backstitch_core::payload::Payload;
use backstitch_core::retention::Candidate;
use backstitch_core::time::Timestamp;
use backstitch_saga::cache::ResultCache;
use backstitch_saga::partition::{Input, Order, Removal};
use serde_json::json;

use super::bench::{Bench, OTHER, RUN, START, plan, submission};

fn answer(order: &Order) -> Command {
    let result = AttemptResult::Answered(Ok(Payload::of(&json!({ "rate": 7 }))));
    let Effect::RunStep { step, attempt } = order.effect else { panic!("only steps here") };
    Command::ReportStep { step, attempt, result, retry_delay_ms: 0 }
}

#[test]
fn an_answer_counts_once_it_is_durable_and_as_long_as_its_run_is_kept() {
    let cache = ResultCache::new(1_000_000);
    let plan = plan(json!({ "id": "w", "steps": [{ "id": "a", "type": "task", "cache": true }] }));
    let mut bench = Bench::new(START, &[&plan]).caching(cache.clone());
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.flush();
    let order = bench.orders.pop().expect("nobody has answered");
    bench.take(Input::Command(RUN, answer(&order), None), START);
    assert_eq!(cache.usage().entries, 0, "it is staged, not durable");
    bench.flush();
    let usage = cache.usage();
    assert_eq!((usage.entries, usage.hits, usage.misses), (1, 0, 1));

    bench.take(Input::Submit(submission(OTHER, &plan, None), ()), START);
    bench.flush();
    assert!(bench.orders.is_empty(), "no service is asked");
    let hit = bench.records.iter().find_map(|record| match &record.event {
        Event::Run(RunEvent::Graph(GraphEvent::StepCacheHit { source, output, .. })) => {
            Some((*source, output.value()))
        }
        _ => None,
    });
    assert_eq!(hit, Some((RUN, json!({ "rate": 7 }))));
    assert_eq!(bench.partition.turns(), (0, 0), "no turn is held");
    let usage = cache.usage();
    assert_eq!((usage.entries, usage.hits), (1, 1), "a hit is no new answer");

    let version = bench.records.iter().filter(|own| own.stream.to_string() == RUN.to_string());
    let version = version.count() as u64;
    let candidate = Candidate { execution: RUN, version, not_before: Timestamp(0) };
    let (rule, actor) = ("old".to_owned(), "op".to_owned());
    let removal = Removal { runs: vec![candidate], rule, actor };
    bench.take(Input::Remove(Box::new(removal), ()), START);
    assert_eq!(cache.usage().entries, 1, "its run is there until that is durable");
    bench.flush();
    assert_eq!(cache.usage().entries, 0, "{:?}", bench.answers);
}

#[test]
fn a_step_that_failed_teaches_nothing_and_a_cache_without_room_neither() {
    let plan = plan(json!({ "id": "w", "on_failure": "halt", "steps": [
        { "id": "a", "type": "task", "cache": true },
    ]}));
    for (cache, fails) in [(ResultCache::new(1_000_000), true), (ResultCache::new(0), false)] {
        let mut bench = Bench::new(START, &[&plan]).caching(cache.clone());
        bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
        bench.flush();
        let order = bench.orders.pop().expect("nobody has answered");
        let command = match fails {
            true => {
                let failure = backstitch_core::failure::Failure::permanent("NO", "no");
                super::report(&order, failure)
            }
            false => answer(&order),
        };
        bench.take(Input::Command(RUN, command, None), START);
        bench.flush();
        bench.take(Input::Submit(submission(OTHER, &plan, None), ()), START);
        bench.flush();
        assert_eq!(bench.orders.len(), 1, "the service is asked");
        assert_eq!(cache.usage().entries, 0);
    }
}
