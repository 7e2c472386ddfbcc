//! Runs of a file taken in without a server.

use std::path::{Path, PathBuf};

use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::export::{ImportedRun, Importer, Item};
use backstitch_core::ids::StreamId;
use serde_json::json;

use crate::directory::{MORNING, Writing, ask};
use crate::runs::{Day, day};

/// Every run of the day in a file.
fn exported(day: &Day, folder: &Path) -> PathBuf {
    let file = folder.join("day.jsonl");
    day.written.text(&["export", "-o", file.to_str().unwrap()]);
    file
}

fn runs_of(text: &str) -> Vec<ImportedRun> {
    let mut importer = Importer::default();
    let taken =
        text.split_inclusive('\n').filter_map(|line| importer.take(line.as_bytes()).unwrap());
    let run = |item| match item {
        Item::Run(run) => Some(run),
        Item::Definition(_) | Item::Skipped(_) => None,
    };
    taken.filter_map(run).collect()
}

#[test]
fn closed_runs_are_taken_in_whole_and_once() {
    let (day, folder) = (day(), tempfile::tempdir().unwrap());
    let file = exported(&day, folder.path());
    let file = file.to_str().unwrap();
    let written = Writing::new().close();
    let printed = written.ask(&["--json", "import", file, "--actor", "night shift"]);
    let report: serde_json::Value = serde_json::from_str(&printed.out).unwrap();
    // Some of the day's runs are not closed.
    assert_eq!((printed.code, printed.complaints.as_str()), (1, ""));
    let [imported, refused] = ["imported", "refused"].map(|name| report[name].as_u64().unwrap());
    assert!(imported >= 1 && refused >= 1 && imported + refused == 5, "{report}");
    assert!(report["refusals"][0]["reason"].as_str().unwrap().contains("is not closed"));
    for arguments in [["show", &day.fulfilled], ["timeline", &day.fulfilled]] {
        assert_eq!(written.json(&arguments), day.written.json(&arguments));
    }
    assert_eq!(written.json(&["list"])["count"], imported);
    assert!(written.text(&["verify"]).contains("whole"));
    let again = written.ask(&["import", file]);
    let words = format!("0 runs imported, {imported} here already, {refused} refused\n");
    assert!(again.out.starts_with(&words), "{again:?}");
    assert_eq!(written.json(&["list"])["count"], imported);
}

#[test]
fn nothing_is_taken_of_a_file_that_was_cut_off_or_changed() {
    let (day, folder) = (day(), tempfile::tempdir().unwrap());
    let file = folder.path().join("one.jsonl");
    let path = file.to_str().unwrap();
    day.written.text(&["export", &day.fulfilled, "-o", path]);
    let text = std::fs::read_to_string(&file).unwrap();
    let trailer = text.trim_end().rfind('\n').unwrap() + 1;
    let written = Writing::new().close();
    for (bad, why) in [
        (text[..trailer].to_owned(), "it was cut off"),
        (text.replace("A-1", "A-7"), "something was changed"),
        ("no export\n".to_owned(), "line 1: it is no line of an export"),
    ] {
        std::fs::write(&file, bad).unwrap();
        let printed = written.ask(&["import", path]);
        assert_eq!((printed.code, printed.out.as_str()), (1, ""));
        assert!(printed.complaints.contains(why), "{printed:?}");
        assert!(printed.complaints.contains("nothing of it was taken"), "{printed:?}");
        assert_eq!(written.json(&["list"])["count"], 0);
    }
    std::fs::write(&file, text).unwrap();
    assert_eq!(written.text(&["import", path]), "1 run imported\n");
    assert_eq!(written.json(&["show", &day.fulfilled])["status"], "completed");
    assert_eq!(written.ask(&["import", "nowhere.jsonl"]).code, 1);
    let printed = written.ask(&["import", folder.path().to_str().unwrap()]);
    assert_eq!(printed.code, 1);
    assert!(printed.complaints.contains("write it to a file first"), "{printed:?}");
}

#[test]
fn what_a_crash_left_of_an_import_is_removed_and_taken_again() {
    let (day, folder) = (day(), tempfile::tempdir().unwrap());
    let file = exported(&day, folder.path());
    let text = std::fs::read_to_string(&file).unwrap();
    let run = runs_of(&text).into_iter().find(|run| run.execution.to_string() == day.fulfilled);
    let run = run.unwrap();
    let mut writing = Writing::new();
    let (runs, source) = (vec![run.execution], "elsewhere".to_owned());
    let fact = PartitionEvent::RunsImported { runs, source, actor: "operator".to_owned() };
    let partition = StreamId::Partition(run.execution.partition);
    writing.append(&partition, &[Event::Partition(fact)], MORNING);
    let begun: Vec<_> = run.events[..5].iter().map(|(event, _)| event.clone()).collect();
    writing.append(&StreamId::Execution(run.execution), &begun, MORNING);
    let written = writing.close();
    written.ask(&["import", file.to_str().unwrap()]);
    for arguments in [["show", &day.fulfilled], ["timeline", &day.fulfilled]] {
        assert_eq!(written.json(&arguments), day.written.json(&arguments));
    }
    assert!(written.text(&["verify"]).contains("whole"));
}

#[test]
fn a_run_that_is_here_with_another_history_is_left_as_it_is() {
    let (day, folder) = (day(), tempfile::tempdir().unwrap());
    let file = folder.path().join("redacted.jsonl");
    let path = file.to_str().unwrap();
    day.written.text(&["export", &day.fulfilled, "-o", path, "--redact", "order_id"]);
    let before = day.written.json(&["show", &day.fulfilled]);
    let printed = day.written.ask(&["import", path]);
    assert_eq!(printed.code, 1);
    assert!(printed.out.contains("0 runs imported, 1 here with another history"), "{printed:?}");
    assert_eq!(day.written.json(&["show", &day.fulfilled]), before);
    assert_eq!(before["status"], json!("completed"));
}

#[test]
fn a_place_without_a_store_is_told_how_to_get_one() {
    let (day, folder) = (day(), tempfile::tempdir().unwrap());
    let file = exported(&day, folder.path());
    let empty = tempfile::tempdir().unwrap();
    for place in [empty.path().to_owned(), empty.path().join("missing")] {
        let printed = ask(&place, &["import", file.to_str().unwrap()]);
        assert_eq!((printed.code, printed.out.as_str()), (3, ""), "{printed:?}");
        assert!(printed.complaints.contains("start a server on it once"), "{printed:?}");
    }
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}
