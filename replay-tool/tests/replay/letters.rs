//! Dead letters of a directory: looked at, retried and given up, so that a server goes on.

use backstitch_core::command::{Command, Submission};
use backstitch_core::event::{
    CallbackEvent, CallbackForm, Event, Origin, Priority, RunEvent, Target,
};
use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_core::machine;
use backstitch_core::plan::Plan;
use backstitch_core::time::Moment;
use backstitch_journal::{Journal, Options, Reader, verify};
use insta::assert_snapshot;
use serde_json::json;
use std::sync::Arc;

use crate::directory::{MORNING, Writing, Written};
use crate::runs::{Day, ORDER, Run, day, id, ok, refused, submission};

/// The letters' ids: of the run that was undone, and the two of the one that is stuck.
fn letters(day: &Day) -> [String; 3] {
    let id = |run: &str, number: u32| format!("dlq_{}_{number}", &run["exec_".len()..]);
    [id(&day.undone, 0), id(&day.stuck, 0), id(&day.stuck, 1)]
}

/// What the last event of a run is.
fn last_event(written: &Written, run: &str) -> serde_json::Value {
    let events = written.json(&["events", run]);
    events["events"].as_array().unwrap().last().unwrap().clone()
}

#[test]
fn letters_are_listed_counted_and_shown() {
    let day = day();
    let [undone, discarded, stuck] = letters(&day);
    assert_snapshot!("letters", day.written.text(&["dlq", "list", "--status", "all"]));
    assert_snapshot!("letters_json", day.written.text(&["--json", "dlq", "list"]));
    assert_snapshot!("letter", day.written.text(&["dlq", "show", &discarded]));
    assert_snapshot!("letter_stats", day.written.text(&["dlq", "stats"]));
    assert_snapshot!("letter_groups", day.written.text(&["dlq", "groups", "--status", "all"]));
    let groups = day.written.json(&["dlq", "groups", "--step", "ship"]);
    assert_eq!((&groups["count"], &groups["groups"][0]["letters"]), (&json!(1), &json!(2)));
    let shown = day.written.json(&["dlq", "show", &stuck]);
    assert_eq!((&shown["kind"], &shown["subject"]), (&json!("undo"), &json!("charge")));
    let ids = |arguments: &[&str]| {
        let list = day.written.json(&[&["dlq", "list"], arguments].concat());
        let rows = list["letters"].as_array().unwrap().clone();
        rows.iter().map(|row| row["letter_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[]), [stuck.clone(), undone.clone()]);
    assert_eq!(ids(&["--kind", "undo"]), std::slice::from_ref(&stuck));
    assert_eq!(ids(&["--status", "discarded"]), [discarded]);
    assert_eq!(ids(&["--code", "HTTP_STATUS", "--limit", "1"]), std::slice::from_ref(&stuck));
    let opened = day.written.json(&["dlq", "show", &stuck])["opened_at"].clone();
    let opened = opened.as_str().unwrap();
    assert_eq!(ids(&["--opened-after", opened]), std::slice::from_ref(&stuck));
    assert_eq!(ids(&["--opened-before", opened]), std::slice::from_ref(&undone));
    assert_eq!(ids(&["--execution", &day.undone]), std::slice::from_ref(&undone));
    assert!(ids(&["--workflow", "returns"]).is_empty());
    assert_eq!(day.written.text(&["dlq", "list", "--code", "NONE"]), "no letters\n");
    assert_eq!(day.written.json(&["dlq", "stats", "--workflow", "returns"])["total"], 0);
}

#[test]
fn a_retry_in_place_is_recorded_and_the_machine_goes_on_from_it() {
    let day = day();
    let [.., stuck] = letters(&day);
    let before = day.written.json(&["show", &day.stuck]);
    let answered = day.written.json(&["dlq", "retry", &stuck, "--actor", "night shift"]);
    assert_eq!(answered["refused"], 0);
    let letter = &answered["letters"][0];
    assert_eq!((&letter["letter_id"], &letter["execution_id"]), (&json!(stuck), &json!(day.stuck)));
    assert_eq!(letter["new_execution"], false);
    let last = last_event(&day.written, &day.stuck);
    assert_eq!(last["type"], "DeadLetterRetried");
    assert_eq!(last["data"]["actor"], "night shift");
    // Only the fact: no attempt counts as begun before somebody makes it.
    assert_eq!(last["version"], json!(before["version"].as_u64().unwrap() + 1));
    assert!(verify(day.written.path()).unwrap().ok);
    let events = continued(&day.written, &day.stuck);
    assert!(
        events.iter().any(|event| matches!(event, RunEvent::UndoStarted { .. })),
        "the next start undoes again: {events:?}"
    );
}

/// What the engine would decide at its next start.
fn continued(written: &Written, run: &str) -> Vec<RunEvent> {
    let run: ExecutionId = run.parse().unwrap();
    let reader = Reader::open(written.path()).unwrap();
    let records = reader.history(&StreamId::Execution(run)).unwrap().unwrap();
    let definition =
        backstitch_core::yaml::parse(ORDER.as_bytes(), backstitch_core::yaml::Format::Yaml);
    let definition = backstitch_core::definition::Definition::read(&definition.unwrap()).unwrap();
    let plan = Arc::new(Plan::recompile(&definition.canonical_text()).unwrap());
    let events: Vec<(Event, _)> =
        records.into_iter().map(|record| (record.event, record.recorded_at)).collect();
    let events = events.iter().map(|(event, at)| (event, *at));
    let mut state = machine::replay(run, &plan, events).unwrap();
    let moment = Moment::at(state.updated_at.plus_ms(1));
    machine::handle(&mut state, Command::Continue, moment).unwrap().events
}

#[test]
fn the_step_of_a_run_that_was_undone_is_retried_by_a_new_run() {
    let day = day();
    let [undone, ..] = letters(&day);
    let answered = day.written.json(&["dlq", "retry", &undone]);
    let letter = &answered["letters"][0];
    assert_eq!(letter["new_execution"], true);
    let run = letter["execution_id"].as_str().unwrap();
    let shown = day.written.json(&["show", run]);
    assert_eq!((&shown["retry_of"], &shown["version"]), (&json!(day.undone), &json!(1)));
    assert_eq!(shown["input"], day.written.json(&["show", &day.undone])["input"]);
    assert_eq!(shown["submitted_by"], "operator");
    assert_eq!(last_event(&day.written, &day.undone)["data"]["execution_id"], json!(run));
    assert_eq!(day.written.json(&["list"])["count"], 6);
    // It was retried; that cannot be done again.
    let again = day.written.ask(&["dlq", "retry", &undone]);
    assert_eq!(again.code, 1);
    assert!(again.out.contains("refused:") && again.out.contains("not open"), "{again:?}");
    assert_eq!(again.complaints, "replay-tool: 1 of 1 could not be done\n");
    assert!(verify(day.written.path()).unwrap().ok);
}

#[test]
fn a_run_that_starts_over_keeps_its_priority_its_variant_and_its_tags() {
    let mut writing = Writing::new();
    let (_, digest, plan) = writing.define(ORDER, MORNING);
    let submitted = submission(&plan, digest, json!({ "order_id": "A-1", "amount": 42 }));
    let (execution, tags) = (id(1, 0xabd), vec!["vip".into()]);
    let origin = Origin { parent: None, priority: Priority::High, variant: Some("beta".into()) };
    let origin = Some(Box::new(origin));
    let target = Target {
        event: CallbackEvent::Completed,
        url: "https://example.com/cloud".to_owned(),
        form: CallbackForm::CloudEvents,
    };
    let (targets, faults) = (vec![target], Vec::new());
    let submission = Submission {
        execution,
        plan,
        submitted,
        tags,
        origin,
        targets,
        faults,
        alerts: Vec::new(),
        trace: None,
    };
    let mut run = Run::begin(&mut writing, submission, 0);
    run.step(&mut writing, 100, "reserve", refused());
    let letter = format!("dlq_{}_0", &execution.to_string()["exec_".len()..]);
    let written = writing.close();
    let answered = written.json(&["dlq", "retry", &letter]);
    assert_eq!(answered["letters"][0]["new_execution"], true, "{answered}");
    let new = answered["letters"][0]["execution_id"].as_str().unwrap();
    // Told the same of both, for the same lists and roll-outs.
    let told = |run: &str, kind: &str| {
        let events = written.json(&["events", run]);
        let events = events["events"].as_array().unwrap().clone();
        events.into_iter().find(|own| own["type"] == kind).unwrap()["data"].clone()
    };
    let old = execution.to_string();
    for kind in ["ExecutionTagged", "ExecutionOrigin", "CallbacksGiven"] {
        assert_eq!(told(new, kind), told(&old, kind), "{kind}");
    }
    assert_eq!(told(new, "ExecutionOrigin")["priority"], "high");
    assert_eq!(written.json(&["list", "--tag", "vip"])["count"], 2);
    let counted = written.json(&["dlq", "stats"]);
    assert_eq!(counted["by_status"], json!({ "retried": 1 }));
}

#[test]
fn each_letter_is_answered_for_itself() {
    let day = day();
    let [undone, discarded, stuck] = letters(&day);
    let missing = stuck.replace("_1", "_7");
    let arguments =
        ["dlq", "discard", "--reason", "by hand", &undone, &discarded, &missing, &stuck];
    let printed = day.written.ask(&[&["--json"], &arguments[..]].concat());
    assert_eq!(printed.code, 1);
    let answered: serde_json::Value = serde_json::from_str(&printed.out).unwrap();
    assert_eq!(answered["refused"], 2);
    let rows = answered["letters"].as_array().unwrap();
    let refused: Vec<bool> = rows.iter().map(|row| row["error"].is_string()).collect();
    assert_eq!(refused, [false, true, true, false]);
    let open = day.written.json(&["dlq", "list"]);
    assert_eq!(open["count"], 0);
    let last = last_event(&day.written, &day.undone);
    assert_eq!(
        (&last["type"], &last["data"]["reason"]),
        (&json!("DeadLetterDiscarded"), &json!("by hand"))
    );
}

/// A run that is suspended by what its second step was refused; its only letter.
fn suspended() -> (Written, String, String) {
    let mut writing = Writing::new();
    let text = ORDER.replace("on_failure: compensate", "on_failure: suspend");
    let (_, digest, plan) = writing.define(&text, MORNING);
    let submitted = submission(&plan, digest, json!({ "order_id": "A-1", "amount": 42 }));
    let mut run = Run::submit(&mut writing, id(2, 0xabc), &plan, submitted, 0);
    run.step(&mut writing, 100, "reserve", ok(json!({})));
    run.step(&mut writing, 100, "charge", refused());
    let run = run.state.id.to_string();
    let letter = format!("dlq_{}_0", &run["exec_".len()..]);
    (writing.close(), run, letter)
}

#[test]
fn a_letter_is_given_to_somebody_and_written_about() {
    let (written, run, letter) = suspended();
    let given = ["dlq", "assign", &letter, "--to", "bob", "--actor", "ann"];
    assert_eq!(written.text(&given), format!("{letter}  is open, given to bob, has 0 notes\n"));
    let answered = written.json(&["dlq", "note", &letter, "--text", "asked the bank"]);
    assert_eq!(answered["letters"][0], written.json(&["dlq", "show", &letter]), "as it is shown");
    let list = written.text(&["dlq", "list", "--assignee", "bob"]);
    assert!(list.contains("ASSIGNEE") && list.contains(" bob "), "{list}");
    assert_eq!(written.json(&["dlq", "list", "--assignee", "ann"])["count"], 0);
    let shown = written.text(&["dlq", "show", &letter]);
    assert!(shown.contains(" by operator: asked the bank\n"), "{shown}");
    let timeline = written.text(&["timeline", &run, "--all"]);
    for words in ["#0, to bob by ann", "#0, by operator: asked the bank"] {
        assert!(timeline.contains(words), "`{words}` in {timeline}");
    }
    let taken = written.json(&["dlq", "assign", &letter, "--nobody"]);
    assert_eq!(taken["letters"][0]["assignee"], json!(null));
    assert!(verify(written.path()).unwrap().ok);
    assert_eq!(written.ask(&["dlq", "assign", &letter]).code, 2, "to whom?");
}

#[test]
fn an_input_is_edited_where_nothing_may_have_happened() {
    let (written, run, letter) = suspended();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fixed.yaml");
    std::fs::write(&file, "url: http://payment/v2/charge").unwrap();
    let edited = ["--input", file.to_str().unwrap(), "--reason", "they moved"];
    let retry = [&["dlq", "retry", &letter], &edited[..]].concat();
    // The step's executor takes no such input, so nothing is recorded.
    let before = written.json(&["events", &run]);
    std::fs::write(&file, "uri: http://payment/v2/charge").unwrap();
    let printed = written.ask(&retry);
    assert_eq!(printed.code, 1);
    assert!(printed.out.contains("takes no such input: input."), "{printed:?}");
    assert_eq!(written.json(&["events", &run]), before);
    std::fs::write(&file, "url: http://payment/v2/charge").unwrap();
    assert_eq!(written.json(&retry)["letters"][0]["status"], "running");
    let events = written.json(&["events", &run]);
    let last: Vec<_> = events["events"].as_array().unwrap().iter().rev().take(2).collect();
    assert_eq!([&last[1]["type"], &last[0]["type"]], ["DeadLetterEdited", "DeadLetterRetried"]);
    let input = json!({ "url": "http://payment/v2/charge" });
    assert_eq!(last[1]["data"]["input"], input);
    assert_eq!(last[1]["data"]["reason"], "they moved");
    assert_eq!(written.json(&["dlq", "show", &letter])["edited_input"], input);
    // What is undone does not go on where it stands, so another input is refused, by name.
    let day = day();
    let [undone, ..] = letters(&day);
    let retry = [&["dlq", "retry", &undone], &edited[..]].concat();
    let printed = day.written.ask(&retry);
    assert_eq!(printed.code, 1);
    assert!(printed.out.contains("can't be edited"), "{printed:?}");
    assert_eq!(day.written.json(&["dlq", "list"])["count"], 2, "and it was not retried");
}

#[test]
fn a_directory_that_is_no_journal_does_not_become_one() {
    let day = day();
    let [.., stuck] = letters(&day);
    let empty = tempfile::tempdir().unwrap();
    let printed = crate::directory::ask(empty.path(), &["dlq", "retry", &stuck]);
    assert_eq!(printed.code, 3, "{printed:?}");
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_that_a_server_has_is_left_alone() {
    let day = day();
    let [.., stuck] = letters(&day);
    let server = Journal::open(day.written.path(), Options::default()).unwrap();
    let printed = day.written.ask(&["dlq", "retry", &stuck]);
    assert_eq!(printed.code, 3);
    assert!(printed.complaints.contains("--server URL"), "{printed:?}");
    server.journal.close().unwrap();
}

#[test]
fn a_letter_that_is_not_there() {
    let day = day();
    let missing = letters(&day)[2].replace("_1", "_9");
    let printed = day.written.ask(&["dlq", "show", &missing]);
    assert_eq!((printed.code, printed.out.as_str()), (1, ""));
    assert!(printed.complaints.contains("there is no dead letter"), "{printed:?}");
    let printed = day.written.ask(&["dlq", "show", "dlq_1"]);
    assert_eq!(printed.code, 2, "{printed:?}");
}
