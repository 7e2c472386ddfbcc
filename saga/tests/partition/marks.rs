//! Which records say that they came of a request: what it did, and nothing else.

use std::sync::Arc;

use backstitch_core::audit::Mark;
use backstitch_core::command::Command;
use backstitch_core::event::PartitionEvent;
use backstitch_core::report::event_type;
use backstitch_saga::partition::Input;
use serde_json::json;

use crate::bench::{Bench, RUN, START, plan, submission};

fn marked(bench: &mut Bench, input: Input<()>, id: &str) {
    let mark = Arc::new(Mark::new(id, None));
    bench.take_marked(input, Some(&mark), START);
    bench.flush();
}

fn said() -> (String, String) {
    ("a reason".to_owned(), "op".to_owned())
}

/// Each record that has a mark.
fn marks(bench: &Bench) -> Vec<(&'static str, &str)> {
    let with = bench.records.iter().filter_map(|own| Some((&own.event, own.mark.as_ref()?)));
    with.map(|(event, mark)| (event_type(event), mark.request_id())).collect()
}

#[test]
fn deeds_say_which_request_did_them_and_nothing_else_does() {
    let plan = plan(json!({ "id": "w", "steps": [
        { "id": "a", "type": "task", "undo": { "type": "task" } },
    ]}));
    let mut bench = Bench::new(START, &[&plan]);
    marked(&mut bench, Input::Submit(submission(RUN, &plan, None), ()), "submits");
    assert!(marks(&bench).is_empty(), "a submission is no row of the audit");
    let (reason, actor) = said();
    marked(&mut bench, Input::Command(RUN, Command::Pause { reason, actor }, Some(())), "pauses");
    let (reason, actor) = said();
    let again = Command::Pause { reason, actor };
    let records = bench.records.len();
    marked(&mut bench, Input::Command(RUN, again, Some(())), "pauses again");
    assert_eq!(bench.records.len(), records, "no request is recorded that did nothing");
    let (reason, actor) = said();
    let emptied = PartitionEvent::CacheEmptied { reason, actor };
    marked(&mut bench, Input::Record(Box::new(emptied), ()), "empties");
    let (reason, actor) = said();
    let cancel = Command::Cancel { reason, actor, compensate: None, force: true };
    marked(&mut bench, Input::Command(RUN, cancel, Some(())), "cancels");
    let wanted = [
        ("ExecutionPaused", "pauses"),
        ("CacheEmptied", "empties"),
        ("CancelRequested", "cancels"),
        ("CancelForced", "cancels"),
    ];
    assert_eq!(marks(&bench), wanted);
    assert!(bench.records.len() > records + 3, "what follows of a deed has none");
    // What nobody asked for has none, whatever was asked before.
    bench.take(Input::CancelAll(()), START);
    bench.flush();
    assert_eq!(marks(&bench), wanted);
}
