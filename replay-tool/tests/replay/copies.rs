//! Backups, restores, salvage: what is copied is what was there, and what is lost is said.

use std::fs;

use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_journal::{Journal, Options, Record};
use serde_json::{Value, json};

use crate::directory::{Printed, ask};
use crate::runs::{Day, day};

fn json_of(printed: &Printed) -> Value {
    serde_json::from_str(&printed.out).unwrap_or_else(|_| panic!("{printed:?}"))
}

#[test]
fn a_backup_verifies_and_restores_to_the_same() {
    let Day { written, undone, .. } = day();
    let beside = tempfile::tempdir().unwrap();
    let backup = beside.path().join("backup");
    let restored = beside.path().join("restored");
    let to = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let text = written.text(&["backup", &to(&backup)]);
    assert!(text.contains("backed up to") && text.contains("copied"), "{text}");
    // Again, onto what is there.
    let again = written.json(&["backup", &to(&backup)]);
    assert_eq!(again["files_removed"], 0, "{again}");
    let verified = ask(&backup, &["verify"]);
    assert_eq!((verified.code, verified.complaints.as_str()), (0, ""), "{}", verified.out);
    assert!(verified.out.contains("backup of "), "{}", verified.out);

    let dry = ask(&backup, &["restore", &to(&restored), "--dry-run"]);
    assert!(dry.out.contains("a dry run: nothing was written"), "{dry:?}");
    assert!(!restored.exists());
    let done = ask(&backup, &["restore", &to(&restored)]);
    assert_eq!((done.code, done.complaints.as_str()), (0, ""), "{done:?}");
    assert_eq!(ask(&restored, &["verify"]).code, 0);
    let show = ["--json", "show", undone.as_str()];
    assert_eq!(ask(&restored, &show).out, written.text(&show));
    // Where something is already nothing is put.
    let taken = ask(&backup, &["restore", &to(&restored)]);
    assert_eq!((taken.code, taken.out.as_str()), (1, ""), "{taken:?}");
}

#[test]
fn a_place_that_cannot_be_written_is_told_from_a_directory_that_cannot_be_read() {
    let Day { written, .. } = day();
    let beside = tempfile::tempdir().unwrap();
    let file = beside.path().join("file");
    fs::write(&file, "somebody's").unwrap();
    let below = file.join("below");
    let below = below.to_str().unwrap();
    for arguments in [
        vec!["restore", below],
        vec!["salvage", below],
        vec!["backup", below],
        vec!["export", "-o", below],
        vec!["verify", "--scratch", below],
    ] {
        let printed = written.ask(&arguments);
        assert_eq!((printed.code, printed.out.as_str()), (1, ""), "{arguments:?} {printed:?}");
    }
    // What is mistyped is not made.
    let missing = beside.path().join("missing");
    let scratch = missing.join("scratch");
    let printed = written.ask(&["verify", "--scratch", scratch.to_str().unwrap()]);
    assert_eq!(printed.code, 1, "{printed:?}");
    assert!(printed.complaints.contains("make it first") && !missing.exists(), "{printed:?}");
    let nowhere = ask(&missing, &["restore", below]);
    assert_eq!(nowhere.code, 3, "{nowhere:?}");
}

#[test]
fn nobody_restores_or_cuts_up_to_the_future() {
    let Day { written, .. } = day();
    let target = written.path().join("target");
    for arguments in [
        vec!["restore", target.to_str().unwrap(), "--at", "2999-01-01T00:00:00Z"],
        vec!["cut", "plan", "--before", "2999-01-01T00:00:00Z"],
    ] {
        let printed = written.ask(&arguments);
        assert_eq!((printed.code, printed.out.as_str()), (1, ""), "{printed:?}");
        assert!(printed.complaints.contains("is in the future"), "{printed:?}");
    }
}

#[test]
fn a_backup_that_was_interrupted_says_what_it_is_and_goes_on() {
    let Day { written, .. } = day();
    let beside = tempfile::tempdir().unwrap();
    let backup = beside.path().join("backup");
    written.text(&["backup", backup.to_str().unwrap()]);
    // As an interrupt leaves it: what says that it is whole comes last.
    fs::remove_file(backup.join("identity")).unwrap();
    fs::remove_file(backup.join("backup.json")).unwrap();
    let looked = ask(&backup, &["verify"]);
    assert_eq!((looked.code, looked.out.as_str()), (3, ""), "{looked:?}");
    assert!(looked.complaints.contains("is unfinished"), "{looked:?}");
    written.text(&["backup", backup.to_str().unwrap()]);
    assert_eq!(ask(&backup, &["verify"]).code, 0);
}

#[test]
fn a_restore_to_an_instant_says_what_is_lost_and_may_happen_twice() {
    let Day { written, fulfilled, undone, cancelled, .. } = day();
    let beside = tempfile::tempdir().unwrap();
    let target = beside.path().join("restored");
    let events = written.json(&["events", &undone]);
    let at = events["events"][20]["recorded_at"].as_str().unwrap().to_owned();
    let arguments = ["restore", target.to_str().unwrap(), "--at", &at];
    let plan = json_of(&written.ask(&[&["--json"], &arguments[..], &["--dry-run"]].concat()));
    let runs = plan["runs"].as_array().unwrap();
    let of = |id: &str| runs.iter().find(|run| run["execution"] == id).cloned();
    assert_eq!(of(&fulfilled), None);
    assert_eq!(of(&cancelled).unwrap()["last_version"], 0);
    let before = ["restore", target.to_str().unwrap(), "--dry-run", "--positions", "0,0,0,0"];
    let nothing = written.text(&before);
    assert!(nothing.contains("vanishes") && !nothing.contains("version 0"), "{nothing}");
    assert!(of(&undone).unwrap()["last_version"].as_u64().unwrap() > 0);
    assert!(plan["effect_count"].as_u64().unwrap() > 0);
    let text = written.text(&[&arguments[..], &["--dry-run"]].concat());
    assert!(text.contains("VANISH") && text.contains("THAT MAY HAPPEN TWICE"), "{text}");
    assert!(text.contains(&format!("{undone}/")), "the keys are shown: {text}");

    written.text(&arguments);
    let version = of(&undone).unwrap()["last_version"].to_string();
    let kept = written.json(&["state", &undone, "--version", &version]);
    let shown = json_of(&ask(&target, &["--json", "show", &undone]));
    assert_eq!((&shown["version"], &shown["steps"]), (&kept["version"], &kept["steps"]));
    assert_eq!(ask(&target, &["show", &cancelled]).code, 1);
    for bad in [["--at", "1990-01-01"], ["--positions", "many"]] {
        let printed = written.ask(&[&["restore", "nowhere"], &bad[..]].concat());
        assert_eq!(printed.code, 2, "{printed:?}");
    }
    let future = ["restore", "nowhere", "--at", "2999-01-01T00:00:00Z"];
    for arguments in [&future[..], &[&future[..], &["--dry-run"]].concat()] {
        let printed = written.ask(arguments);
        assert_eq!(printed.code, 1, "{printed:?}");
        assert!(printed.complaints.contains("is in the future"), "{printed:?}");
    }
}

#[test]
fn salvage_keeps_what_stands_and_names_what_is_lost() {
    let Day { written, fulfilled, .. } = day();
    let beside = tempfile::tempdir().unwrap();
    let whole = beside.path().join("whole");
    let printed = written.ask(&["--json", "salvage", whole.to_str().unwrap()]);
    assert_eq!((printed.code, json_of(&printed)["whole"].clone()), (0, json!(true)));
    assert_eq!(ask(&whole, &["list"]).out, written.text(&["list"]));

    let segment = written.segment();
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(3).position(|window| window == b"A-3").unwrap();
    bytes[at] ^= 0x10;
    fs::write(&segment, bytes).unwrap();
    fs::remove_dir_all(written.path().join("store")).unwrap();
    let before = written.fingerprint();
    let target = beside.path().join("salvaged");
    let printed = written.ask(&["salvage", target.to_str().unwrap()]);
    assert_eq!((printed.code, printed.complaints.as_str()), (1, ""), "{printed:?}");
    assert!(printed.out.contains("not whole"), "{}", printed.out);
    assert!(printed.out.contains("there is no store to look into"), "{}", printed.out);
    assert!(printed.out.contains("FROM BASE"), "{}", printed.out);
    assert_eq!(written.fingerprint(), before);
    assert_eq!(ask(&target, &["verify"]).code, 0);
    assert_eq!(ask(&target, &["show", &fulfilled]).code, 0);
}

#[test]
fn segments_are_listed_with_the_oldest_point() {
    let Day { written, .. } = day();
    let text = written.text(&["archive"]);
    assert!(text.contains("segments, 0 of them archived"), "{text}");
    assert!(text.contains("every point can be restored"), "{text}");
    let listed = written.json(&["archive"]);
    assert_eq!(listed["segments"][0]["segment"], 1);
    assert_eq!(listed["oldest"]["at"], Value::Null);
}

#[test]
fn what_works_on_files_alone_is_not_asked_of_a_server() {
    for arguments in [vec!["archive"], vec!["restore", "there"], vec!["salvage", "there"]] {
        let line = [&["replay-tool", "--server", "http://127.0.0.1:9"], &arguments[..]].concat();
        let (mut out, mut complaints) = (Vec::new(), Vec::new());
        let code =
            replay_tool::run(line, replay_tool::Screen::default(), &mut out, &mut complaints);
        assert_eq!(code, 2, "{arguments:?}");
        assert!(String::from_utf8(complaints).unwrap().contains("reads the files themselves"));
    }
}

#[test]
fn a_copy_inside_of_its_source_is_refused_by_a_dry_run_too() {
    let Day { written, .. } = day();
    let inside = written.path().join("inside");
    let above = written.path().parent().unwrap().to_owned();
    let name = written.path().file_name().unwrap();
    let roundabout = above.join("missing/..").join(name).join("inside");
    let before = written.fingerprint();
    for command in ["restore", "salvage"] {
        for to in [&inside, &roundabout, &written.path().to_owned()] {
            for dry_run in [&["--dry-run"][..], &[]] {
                let arguments = [&[command, to.to_str().unwrap()], dry_run].concat();
                let printed = written.ask(&arguments);
                assert_eq!((printed.code, printed.out.as_str()), (1, ""), "{printed:?}");
                assert!(printed.complaints.contains("cannot write to"), "{printed:?}");
            }
        }
    }
    assert_eq!(written.fingerprint(), before);
}

#[test]
fn an_event_keeps_the_generation_it_was_written_under() {
    let Day { written, stuck, .. } = day();
    let beside = tempfile::tempdir().unwrap();
    let restored = beside.path().join("restored");
    let before = positions(&written.json(&["events", &stuck]));
    assert!(before.iter().all(|at| at.starts_with("1:")), "{before:?}");
    written.text(&["restore", restored.to_str().unwrap()]);
    let letter = written.json(&["dlq", "list"])["letters"][0]["letter_id"].clone();
    let letter = letter.as_str().unwrap().to_owned();
    let run = format!("exec_{}", &letter["dlq_".len()..letter.rfind('_').unwrap()]);
    let before = positions(&written.json(&["events", &run]));
    let given_up = ask(&restored, &["dlq", "discard", &letter, "--reason", "by hand"]);
    assert_eq!(given_up.code, 0, "{given_up:?}");
    let after = positions(&json_of(&ask(&restored, &["--json", "events", &run])));
    assert_eq!(after[..before.len()], before, "what was written stays what it was");
    assert!(after.len() > before.len());
    assert!(after[before.len()..].iter().all(|at| at.starts_with("2:")), "{after:?}");

    // A server says the same, whatever it is asked.
    let opened = Journal::open(&restored, Options::default()).unwrap();
    let run: ExecutionId = run.parse().unwrap();
    let generations = opened.journal.generations(run.partition).unwrap();
    let records = opened.journal.history(&StreamId::Execution(run)).unwrap().unwrap();
    let of = |record: &Record| {
        format!("{}:{}:{}", generations.of(record.position), run.partition, record.position)
    };
    assert_eq!(records.iter().map(of).collect::<Vec<_>>(), after);
}

fn positions(events: &Value) -> Vec<String> {
    let events = events["events"].as_array().unwrap().iter();
    events.map(|event| event["position"].as_str().unwrap().to_owned()).collect()
}
