//! Finding runs, and folding them as the engine does.

use backstitch_core::event::{Event, WorkflowEvent};
use backstitch_core::ids::StreamId;
use backstitch_core::machine::replay;
use backstitch_core::plan::Plan;
use backstitch_core::report::execution_json;
use backstitch_journal::Reader;
use std::sync::Arc;

use crate::directory::Writing;
use crate::runs::{day, day_in};

#[test]
fn an_id_may_be_shortened() {
    let day = day();
    let whole = day.written.json(&["show", &day.cancelled]);
    for given in [&day.cancelled[..9], &day.cancelled["exec_".len()..], "0003"] {
        assert_eq!(day.written.json(&["show", given]), whole, "{given}");
    }
}

#[test]
fn a_shortened_id_must_be_unique() {
    let day = day();
    let printed = day.written.ask(&["show", "exec_0001"]);
    assert_eq!((printed.code, printed.out.as_str()), (1, ""));
    let line = format!(
        "replay-tool: 2 runs begin with `exec_0001`: {}, {}; give more digits\n",
        day.fulfilled, day.undone
    );
    assert_eq!(printed.complaints, line);
    let printed = day.written.ask(&["timeline", "exec_"]);
    assert!(printed.complaints.contains("5 runs begin with `exec_`"), "{}", printed.complaints);
}

#[test]
fn more_candidates_than_fit_a_line_are_counted() {
    let mut writing = Writing::new();
    day_in(&mut writing);
    let (_, digest, plan) = {
        let text = crate::runs::ORDER.replace("id: order", "id: other");
        writing.define(&text, crate::directory::MORNING)
    };
    for number in 0..4 {
        let submitted = crate::runs::submission(&plan, digest, serde_json::json!({}));
        let run = crate::runs::id(3, 0x500 + number);
        crate::runs::Run::submit(&mut writing, run, &plan, submitted, 90_000);
    }
    let printed = writing.close().ask(&["events", "exec_00"]);
    assert!(printed.complaints.contains("9 runs begin with"), "{}", printed.complaints);
    assert!(
        printed.complaints.contains(", and 4 more; give more digits"),
        "{}",
        printed.complaints
    );
}

#[test]
fn a_fold_here_is_the_engines_fold() {
    let mut writing = Writing::new();
    let runs = day_in(&mut writing);
    let written = writing.close();
    let reader = Reader::open(written.path()).unwrap();
    let mut plan = None;
    reader
        .for_each_record(|record| {
            if let Event::Workflow(WorkflowEvent::Defined { text, .. }) = &record.event {
                plan = Some(Arc::new(Plan::recompile(text).unwrap()));
            }
            true
        })
        .unwrap();
    for run in runs {
        let records = reader.history(&StreamId::Execution(run)).unwrap().unwrap();
        let events = records.iter().map(|record| (&record.event, record.recorded_at));
        let state = replay(run, plan.as_ref().unwrap(), events).unwrap();
        let shown = written.json(&["show", &run.to_string()]);
        assert_eq!(shown, execution_json(&state), "{run}");
    }
}

#[test]
fn a_removed_run_is_no_more_in_lists_and_shown_with_a_word() {
    let mut writing = Writing::new();
    let [fulfilled, undone, ..] = day_in(&mut writing);
    writing.remove(undone, "old enough");
    let written = writing.close();
    assert_eq!(written.json(&["list"])["count"], 4);
    assert_eq!(written.json(&["dlq", "list"])["count"], 1);
    assert_eq!(written.json(&["stats"])["runs"]["total"], 4);
    let shown = written.ask(&["--json", "show", &undone.to_string()]);
    assert_eq!(shown.code, 0);
    assert_eq!(shown.out, day().written.text(&["--json", "show", &undone.to_string()]));
    assert!(shown.complaints.contains("was removed at"), "{shown:?}");
    assert!(shown.complaints.contains("by `old enough`"), "{shown:?}");
    assert_eq!(written.ask(&["show", &fulfilled.to_string()]).complaints, "");
    assert_eq!(written.json(&["verify"])["ok"], true);
}
