//! Redrives that came to rest long ago leave the partition, its journal and the next start.

use backstitch_core::event::{Event, PartitionEvent, RedriveRequest};
use backstitch_core::ids::{RedriveId, StreamId};
use backstitch_core::redrives::{KEPT_MS, LetterChoice, RedriveCommand, StopWhen, Terms};
use backstitch_core::time::Timestamp;
use backstitch_saga::partition::{Answer, Input, StagedRecord};

use crate::bench::{Bench, START};

fn act(bench: &mut Bench, id: u128, command: RedriveCommand, now: Timestamp) {
    bench.take(Input::Redrive(RedriveId(id), command, Some(())), now);
    bench.flush();
    let answer = bench.answers.pop();
    assert!(matches!(answer, Some(Answer::Redrive(..))), "{answer:?}");
}

fn request() -> RedriveCommand {
    let (filter, stop_when) = (LetterChoice::default(), StopWhen::default());
    RedriveCommand::Request(Box::new(RedriveRequest {
        namespace: "default".into(),
        until: START,
        terms: Terms { filter, canary: None, stop_when, edit: None }.payload(),
        rate_per_second: 10,
        reason: String::new(),
        actor: "ann".to_owned(),
    }))
}

fn listed(bench: &mut Bench) -> Vec<u128> {
    bench.take(Input::ShowRedrives(None, ()), START);
    bench.flush();
    match bench.answers.pop() {
        Some(Answer::Redrives(all)) => all.into_iter().map(|(id, _)| id.0).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_next_request_lets_old_ones_go() {
    let mut bench = Bench::new(START, &[]);
    act(&mut bench, 1, request(), START);
    act(&mut bench, 1, RedriveCommand::Complete, START);
    act(&mut bench, 2, request(), START);
    // Stamps run a little ahead of a clock that stands still.
    let last = START.plus_ms(KEPT_MS + 1_000);
    act(&mut bench, 3, request(), last);
    assert_eq!(listed(&mut bench), [3, 2], "one that goes on stays");
    let removed = bench.records.iter().find_map(|record| match &record.event {
        Event::Partition(PartitionEvent::RedrivesRemoved { redrives, .. }) => Some(redrives),
        _ => None,
    });
    assert_eq!(removed, Some(&vec![RedriveId(1)]));
    assert_eq!(bench.partition.own().version, 1);
    // A start finds no history of it, and nothing of it comes back.
    let mut again = Bench::new(last, &[]);
    let own = |record: &&StagedRecord| record.stream == StreamId::Redrive(RedriveId(2));
    let events: Vec<_> =
        bench.records.iter().filter(own).map(|own| (own.event.clone(), own.at)).collect();
    again.partition.adopt_redrive(RedriveId(2), &events).expect("it is whole");
    assert_eq!(listed(&mut again), [2]);
}

#[test]
fn removal_is_no_record() {
    let mut bench = Bench::new(START, &[]);
    let (rule, actor) = (String::new(), String::new());
    let event = PartitionEvent::RedrivesRemoved { redrives: vec![RedriveId(1)], rule, actor };
    bench.take(Input::Record(Box::new(event), ()), START);
    bench.flush();
    assert!(matches!(bench.answers.last(), Some(Answer::Quarantined(_))));
}
