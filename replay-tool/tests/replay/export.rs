//! Runs as a file, written without a server and read back by the core.

use backstitch_core::export::{Importer, Item};
use serde_json::json;

use crate::directory::Writing;
use crate::runs::{ORDER, day, day_in};

#[test]
fn what_is_exported_reads_back_without_loss() {
    let day = day();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.jsonl");
    let path = file.to_str().unwrap();
    let written = day.written.json(&["export", "--output", path]);
    assert_eq!((&written["executions"], &written["skipped"]), (&json!(5), &json!([])));
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(written["bytes"], text.len());
    let mut importer = Importer::default();
    let mut runs = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some(Item::Run(run)) = importer.take(line.as_bytes()).unwrap() {
            runs.push(run);
        }
    }
    importer.finish().unwrap();
    assert_eq!(runs.len(), 5);
    // What is there is not written over.
    let again = day.written.ask(&["export", "--output", path]);
    assert_eq!((again.code, again.out.as_str()), (1, ""));
    assert!(again.complaints.contains("name another file, or remove it first"), "{again:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn exports_are_narrowed_and_redacted() {
    let day = day();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let one = path("one");
    let arguments = ["export", &day.undone, "-o", &one, "--redact", "order_id,order"];
    assert!(day.written.text(&arguments).starts_with("1 run with 35 events in "));
    let text = std::fs::read_to_string(&one).unwrap();
    assert!(text.contains("[redacted]") && !text.contains("A-2"), "{text}");
    let failed = day.written.json(&["export", "-o", &path("two"), "--status", "completed"]);
    assert_eq!(failed["executions"], 1);
    let missing = day.written.ask(&["export", "exec_0009", "-o", &path("three")]);
    assert_eq!(missing.code, 1);
    assert!(missing.complaints.contains("there is no run"), "{missing:?}");
    assert!(!folder.path().join("three").exists());
}

#[test]
fn a_run_that_does_not_fold_is_left_out_with_a_word() {
    let mut writing = Writing::new();
    day_in(&mut writing);
    let (_, _, plan) =
        writing.define(&ORDER.replace("id: order", "id: other"), crate::directory::MORNING);
    let orphan = crate::runs::orphan(&mut writing, &plan).to_string();
    let written = writing.close();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.jsonl");
    let printed = written.ask(&["export", "-o", file.to_str().unwrap()]);
    assert_eq!(printed.code, 1);
    assert!(printed.out.contains(&format!("left out: {orphan} does not fold")), "{printed:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    let line = text.lines().find(|line| line.starts_with("{\"skipped\":")).unwrap();
    assert!(line.contains(&orphan), "{line}");
}
