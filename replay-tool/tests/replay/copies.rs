//! Backups, restores, salvage: what is copied is what was there, and what is lost is said.

use std::fs;

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
    assert_eq!((taken.code, taken.out.as_str()), (3, ""), "{taken:?}");
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
