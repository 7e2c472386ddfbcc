//! What each question is answered with, in text and as JSON.

use insta::assert_snapshot;
use replay_tool::Screen;
use serde_json::json;

use crate::directory::{MORNING, Writing, ask_on};
use crate::runs::{ORDER, Run, day, day_in, id, ok, orphan, submission};

#[test]
fn a_list_is_newest_first() {
    let day = day();
    assert_snapshot!("list", day.written.text(&["list"]));
    assert_snapshot!("list_json", day.written.text(&["--json", "list", "--limit", "2"]));
}

#[test]
fn a_list_can_be_narrowed() {
    let day = day();
    let ids = |arguments: &[&str]| {
        let list = day.written.json(&[&["list"], arguments].concat());
        let rows = list["executions"].as_array().unwrap();
        let ids = rows.iter().map(|row| row["execution_id"].as_str().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), list["count"].as_u64().unwrap())
    };
    assert_eq!(ids(&["--status", "completed"]), (vec![day.fulfilled.clone()], 1));
    assert_eq!(
        ids(&["--status", "running", "--workflow", "order"]),
        (vec![day.running.clone()], 1)
    );
    assert_eq!(ids(&["--workflow", "returns"]), (vec![], 0));
    assert_eq!(ids(&["--limit", "1"]), (vec![day.cancelled.clone()], 5));
    assert_eq!(day.written.text(&["list", "--status", "suspended"]), "no runs\n");
    assert_eq!(day.written.text(&["list", "--limit", "0"]), "5 runs, none shown\n");
    let shown = day.written.text(&["list", "--limit", "2"]);
    assert!(shown.ends_with("2 of 5 runs; --limit 5 shows all\n"), "{shown}");
}

#[test]
fn a_run_that_went_well() {
    let day = day();
    assert_snapshot!("fulfilled_show", day.written.text(&["show", &day.fulfilled]));
    assert_snapshot!("fulfilled_timeline", day.written.text(&["timeline", &day.fulfilled]));
    assert_snapshot!("fulfilled_events", day.written.text(&["events", &day.fulfilled]));
    let json = |command| day.written.text(&["--json", command, &day.fulfilled]);
    assert_snapshot!("fulfilled_show_json", json("show"));
    assert_snapshot!("fulfilled_timeline_json", json("timeline"));
    assert_snapshot!("fulfilled_events_json", json("events"));
}

#[test]
fn a_run_that_was_undone() {
    let day = day();
    assert_snapshot!("undone_show", day.written.text(&["show", &day.undone]));
    assert_snapshot!("undone_timeline", day.written.text(&["timeline", &day.undone]));
    assert_snapshot!(
        "undone_timeline_json",
        day.written.text(&["timeline", "--json", &day.undone])
    );
}

#[test]
fn a_run_that_could_not_be_undone() {
    let day = day();
    assert_snapshot!("stuck_show", day.written.text(&["show", &day.stuck]));
    assert_snapshot!("stuck_timeline", day.written.text(&["timeline", &day.stuck]));
}

#[test]
fn a_run_that_goes_on() {
    let day = day();
    assert_snapshot!("running_show", day.written.text(&["show", &day.running]));
    assert_snapshot!("running_why", day.written.text(&["why", &day.running]));
    assert_snapshot!("running_timeline", day.written.text(&["timeline", &day.running]));
}

#[test]
fn a_run_that_was_cancelled() {
    let day = day();
    assert_snapshot!("cancelled_show", day.written.text(&["show", &day.cancelled]));
    assert_snapshot!("cancelled_timeline", day.written.text(&["timeline", &day.cancelled]));
}

#[test]
fn a_state_is_the_fold_of_the_first_events() {
    let day = day();

    assert_snapshot!(
        "undone_state_at_9",
        day.written.text(&["state", &day.undone, "--at-version", "9"])
    );
    let state = |version: u64| {
        let version = version.to_string();
        let mut state = day.written.json(&["state", &day.undone, "--at-version", &version]);
        let as_of = state.as_object_mut().unwrap().remove("as_of").unwrap();
        assert_eq!(as_of["version"], state["version"]);
        state
    };
    let whole = day.written.json(&["show", &day.undone]);
    let last = whole["version"].as_u64().unwrap();
    assert_eq!(state(last), whole);
    assert_eq!(state(1)["status"], "pending");
    for version in 1..=last {
        assert_eq!(state(version)["version"], version);
    }
}

#[test]
fn colours_mark_what_the_words_already_say() {
    let day = day();
    let plain = Screen::default();
    let coloured = Screen { colour: true, ..Screen::default() };
    for command in ["show", "timeline", "events"] {
        let on = |screen| ask_on(screen, day.written.path(), &[command, &day.undone]).out;
        assert!(!on(plain).contains('\u{1b}'));
        let (mut stripped, coloured) = (String::new(), on(coloured));
        assert!(coloured.contains("\u{1b}[1m"));
        for (at, piece) in coloured.split('\u{1b}').enumerate() {
            stripped.push_str(if at == 0 { piece } else { piece.split_once('m').unwrap().1 });
        }
        assert_eq!(stripped, on(plain));
    }
}

#[test]
fn a_timeline_fits_its_screen() {
    let day = day();
    for width in [80, 100, 180] {
        let screen = Screen { width, ..Screen::default() };
        let printed = ask_on(screen, day.written.path(), &["timeline", &day.undone]).out;
        let chart = printed.lines().skip(2).take_while(|line| !line.is_empty());
        let widest = chart.map(|line| line.chars().count()).max();
        assert_eq!(widest, Some(width), "{printed}");
    }
    let narrow = Screen { width: 10, ..Screen::default() };
    assert_snapshot!("narrow", ask_on(narrow, day.written.path(), &["timeline", &day.undone]).out);
}

#[test]
fn what_a_service_answered_does_not_drive_the_terminal() {
    let day = day();
    for command in ["show", "timeline", "events", "list"] {
        let arguments = if command == "list" { vec![command] } else { vec![command, &day.running] };
        let controls = |c: char| c.is_control() && c != '\n';
        assert!(!day.written.text(&arguments).contains(controls), "{command}");
    }
}

#[test]
fn a_run_that_does_not_fold_is_shown_by_its_events() {
    let mut writing = Writing::new();
    let (_, digest, plan) = writing.define(ORDER, MORNING);
    let orphan = orphan(&mut writing, &plan).to_string();
    let torn = id(0, 0x77);
    let submitted = submission(&plan, digest, json!({"order_id": "A-7", "amount": 1}));
    let mut run = Run::submit(&mut writing, torn, &plan, submitted, 40_000);
    run.step(&mut writing, 10, "reserve", ok(json!({})));
    let again = [backstitch_core::event::RunEvent::UnwindingStarted];
    writing.append_run(torn, &again, MORNING.plus_ms(41_000));
    let (torn, written) = (torn.to_string(), writing.close());
    assert_snapshot!("quarantined_list", written.text(&["list"]));
    assert_snapshot!("quarantined_list_json", written.text(&["list", "--json"]));
    assert_snapshot!("quarantined_show", written.text(&["show", &orphan]));
    assert_snapshot!("quarantined_show_json", written.text(&["show", &orphan, "--json"]));
    assert_snapshot!("quarantined_timeline", written.text(&["timeline", &orphan]));
    let state = written.json(&["state", &torn, "--at-version", "3"]);
    assert_eq!(state["status"], "running");
    let verified = written.ask(&["verify"]);
    assert_eq!((verified.code, verified.complaints.as_str()), (1, ""));
    let store = backstitch_journal::Reader::open(written.path()).unwrap().store_id();
    assert_snapshot!("quarantined_verify", verified.out.replace(&store, "STORE"));
    let listed = written.json(&["list", "--status", "quarantined"]);
    assert_eq!(listed["count"], 2);
}

#[test]
fn a_whole_log_is_said_to_be_whole() {
    let day = day();
    let store = backstitch_journal::Reader::open(day.written.path()).unwrap().store_id();
    let text = day.written.text(&["verify"]).replace(&store, "STORE");
    // Groups and markers depend on how quickly the test wrote.
    let text: Vec<_> = text.lines().filter(|line| !line.contains("group")).collect();
    assert_snapshot!("verify", text.join("\n"));
    let report = day.written.json(&["verify"]);
    assert_eq!((&report["ok"], &report["store_id"]), (&json!(true), &json!(store)));
    assert_eq!(report["folds"], json!({ "runs": 5, "unfolded": [] }));
    assert_eq!((&report["problems"], &report["torn_tail"]), (&json!([]), &json!(null)));
    assert_eq!(report["streams"], 6);
}

#[test]
fn a_new_directory_has_no_runs() {
    let written = Writing::new().close();
    assert_eq!(written.text(&["list"]), "no runs\n");
    assert_eq!(written.json(&["list"]), json!({ "executions": [], "count": 0 }));
    assert_eq!(written.json(&["verify"])["ok"], true);
}

#[test]
fn the_help_has_examples_and_exit_codes() {
    let written = Writing::new().close();
    assert_snapshot!("help", written.text(&["--help"]));
    for shell in ["bash", "zsh", "fish"] {
        assert!(written.text(&["completions", shell]).contains("replay-tool"), "{shell}");
    }
}

#[test]
fn a_reopened_run_is_listed_as_it_stands() {
    let mut writing = Writing::new();
    let [_, _, stuck, ..] = day_in(&mut writing);
    let written = writing.close();
    let rows = written.json(&["list", "--status", "compensation_failed"]);
    let shown = written.json(&["show", &stuck.to_string()]);
    assert_eq!(rows["executions"][0]["version"], shown["version"]);
    assert_eq!(rows["count"], 1);
}
