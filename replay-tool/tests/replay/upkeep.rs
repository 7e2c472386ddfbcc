//! Views, statistics and the archive's place, in a directory without its server.

use std::fs;

use backstitch_core::statistics::RunStatistics;
use backstitch_core::summary::RunStatus;
use backstitch_journal::{Journal, Options, SEGMENT_BYTES_MIN, verify};
use serde_json::json;

use crate::directory::ask;
use crate::runs::day;

#[test]
fn views_are_rebuilt_without_a_server() {
    let day = day();
    assert_eq!(day.written.json(&["rebuild", "--view", "runs"])["views"][0]["view"], "runs");
    let all = day.written.text(&["rebuild"]);
    assert_eq!(all.matches("rebuilt").count(), 3, "{all}");
    assert!(verify(day.written.path()).unwrap().ok);
    let opened = Journal::open(day.written.path(), Options::default()).unwrap();
    let counted = opened.journal.run_statistics("default");
    let of = |own: &RunStatistics| {
        RunStatus::ALL.map(|status| own.of_status(status)).iter().sum::<u64>()
    };
    let runs: u64 = counted.values().map(of).sum::<u64>();
    assert_eq!(runs, 5, "{counted:?}");
    let missing = ask(&day.written.path().join("nowhere"), &["rebuild"]);
    assert_eq!(missing.code, 3);
    assert!(!day.written.path().join("nowhere").exists());
}

#[test]
fn statistics_of_the_database_are_shown() {
    let day = day();
    let plain = day.written.json(&["stats"]);
    assert!(plain["database"].is_null());
    let with = day.written.json(&["stats", "--database"]);
    assert_eq!(with["records"], plain["records"]);
    assert_eq!(with["database"]["log"]["records"], plain["records"]);
    assert!(with["database"].as_object().unwrap().contains_key("checkpoints_age_ms"));
    let text = day.written.text(&["stats", "--database"]);
    assert!(text.contains("DATABASE") && text.contains("checkpoints"), "{text}");
}

#[test]
fn an_archive_elsewhere_stays_where_it_is() {
    let (data, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = place.path().join("packed");
    let options = Options {
        partitions: 2,
        segment_bytes: SEGMENT_BYTES_MIN,
        ballast_bytes: 0,
        archive_directory: Some(archive.clone()),
        ..Options::default()
    };
    Journal::open(data.path(), options).unwrap().journal.close().unwrap();
    let note = || fs::read_to_string(data.path().join("archive-directory")).unwrap();
    let before = note();
    fs::create_dir_all(&archive).unwrap();
    fs::write(archive.join("kept"), "seven b").unwrap();
    for arguments in [vec!["rebuild"], vec!["stats", "--database"], vec!["verify", "--no-store"]] {
        ask(data.path(), &arguments);
        assert_eq!(note(), before, "{arguments:?}");
        assert!(!data.path().join("archive").exists(), "{arguments:?}");
    }
    let stats = ask(data.path(), &["--json", "stats"]);
    let stats: serde_json::Value = serde_json::from_str(&stats.out).unwrap();
    let there = fs::read_dir(&archive).unwrap().map(|own| own.unwrap().metadata().unwrap().len());
    let bytes: u64 = there.sum();
    assert!(bytes >= 7);
    assert_eq!(stats["bytes"]["archive"], bytes);
}

#[test]
fn what_a_server_does_not_archive_stays_in_the_log() {
    let data = tempfile::tempdir().unwrap();
    let options = || Options {
        partitions: 2,
        segment_bytes: SEGMENT_BYTES_MIN,
        ballast_bytes: 0,
        archive: false,
        ..Options::default()
    };
    Journal::open(data.path(), options()).unwrap().journal.close().unwrap();
    let archived = |arguments: &[&str]| {
        let asked = ask(data.path(), arguments);
        let names = fs::read_dir(data.path().join("archive")).map_or(0, Iterator::count);
        (asked.complaints, names)
    };
    let day = day();
    let file = data.path().with_extension("jsonl");
    day.written.text(&["export", "-o", file.to_str().unwrap()]);
    archived(&["import", file.to_str().unwrap()]);
    fs::remove_file(&file).unwrap();
    let (refused, names) = archived(&["cut", "plan", "--keep-for", "1d"]);
    assert!(refused.contains("`archive` is off"), "{refused}");
    assert_eq!(names, 0);
    // Once a server archives, the command line does too.
    let options = Options { archive: true, ..options() };
    Journal::open(data.path(), options).unwrap().journal.close().unwrap();
    assert_eq!(archived(&["cut", "plan", "--keep-for", "1d"]).0, "");
}

#[test]
fn lists_are_narrowed_and_turned_round() {
    let day = day();
    let ids = |arguments: &[&str]| {
        let list = day.written.json(&[&["list"], arguments].concat());
        let rows = list["executions"].as_array().unwrap().clone();
        rows.iter().map(|row| row["execution_id"].clone()).collect::<Vec<_>>()
    };
    let mut newest = ids(&[]);
    let oldest = ids(&["--order", "asc"]);
    newest.reverse();
    assert_eq!((oldest.len(), &oldest), (5, &newest));
    assert_eq!(ids(&["--order", "asc", "--limit", "2"]), oldest[..2]);
    let at = |run: &serde_json::Value| {
        let shown = day.written.json(&["show", run.as_str().unwrap()]);
        shown["submitted_at"].as_str().unwrap().to_owned()
    };
    let middle = at(&oldest[2]);
    assert_eq!(ids(&["--order", "asc", "--submitted-before", &middle]), oldest[..2]);
    assert_eq!(ids(&["--order", "asc", "--submitted-after", &middle]), oldest[2..]);
    let ended = ids(&["--ended-after", "2020-01-01T00:00:00Z"]);
    assert!(ended.contains(&json!(day.fulfilled)) && !ended.contains(&json!(day.running)));
    assert!(ids(&["--ended-before", "2020-01-01T00:00:00Z"]).is_empty());
    let basket = ids(&["--correlation-id", "basket-7"]);
    assert_eq!(basket.len(), 1, "{basket:?}");
    assert!(ids(&["--tag", "vip"]).is_empty());
    assert_eq!(day.written.ask(&["list", "--order", "random"]).code, 2);
}
