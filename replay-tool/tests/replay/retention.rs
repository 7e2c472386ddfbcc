//! Runs that go, and a chain that is cut, in a directory whose server does not run.

use std::fs;

use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::{PartitionId, StreamId};
use backstitch_journal::{Journal, Options, verify};
use serde_json::json;

use crate::directory::{MORNING, Writing, Written, ask};
use crate::runs::{day, day_in};

/// Definitions that fill more than one segment of the smallest size.
const FILLING: usize = 100;
const FILLING_CHARACTERS: usize = 4_000;

fn policy_file(folder: &tempfile::TempDir, text: &str) -> String {
    let path = folder.path().join("policy.yaml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn ids(list: &serde_json::Value) -> Vec<String> {
    let rows = list["executions"].as_array().unwrap();
    rows.iter().map(|row| row["execution_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_may_go_is_planned_and_removed_without_a_server() {
    let (day, folder) = (day(), tempfile::tempdir().unwrap());
    let policy = policy_file(&folder, "rules: [{ name: all, keep_for: 1s }]");
    let before = ids(&day.written.json(&["list"]));
    let plan = day.written.json(&["retention", "plan", "--policy", &policy]);
    let (going, held) = (ids(&plan), plan["held"].as_array().unwrap());
    assert!(going.contains(&day.fulfilled), "{plan}");
    assert!(!going.contains(&day.running), "{plan}");
    assert!(held.iter().any(|own| own["reason"] == "open_letter"), "{plan}");
    assert_eq!(ids(&day.written.json(&["list"])), before, "a plan changes nothing");
    assert_eq!(
        ids(&day.written.json(&["retention", "plan", "--policy", &policy, "--limit", "1"])).len(),
        1
    );

    let unsure = day.written.ask(&["retention", "apply", "--policy", &policy]);
    assert_eq!(unsure.code, 2, "{unsure:?}");
    let apply = ["retention", "apply", "--policy", &policy, "--confirm", "--actor", "night shift"];
    let done = day.written.json(&apply);
    assert_eq!((&done["status"], &done["removed"]), (&json!("done"), &json!(going.len())));
    let left: Vec<_> = before.into_iter().filter(|run| !going.contains(run)).collect();
    assert_eq!(ids(&day.written.json(&["list"])), left);
    let shown = day.written.ask(&["show", &day.fulfilled]);
    assert!(
        shown.complaints.contains("was removed at") && shown.complaints.contains("`all`"),
        "{shown:?}"
    );
    assert!(verify(day.written.path()).unwrap().ok);
    let again = day.written.json(&apply);
    assert_eq!(again["removed"], 0);

    // A server finds it as it would have done it itself.
    let opened = Journal::open(day.written.path(), Options::default()).unwrap();
    let removed = opened.journal.removed_run(&day.fulfilled.parse().unwrap()).unwrap().unwrap();
    assert_eq!(&*removed.rule, "all");
    let own = |partition| opened.journal.history(&StreamId::Partition(PartitionId(partition)));
    let records =
        (0..opened.journal.partition_count()).flat_map(|at| own(at).unwrap().unwrap_or_default());
    let by = |record: backstitch_journal::Record| match record.event {
        Event::Partition(PartitionEvent::RunsRemoved { actor, .. }) => Some(actor),
        _ => None,
    };
    assert!(records.filter_map(by).all(|actor| actor == "night shift"));
}

#[test]
fn the_policy_in_the_directory_counts_where_none_is_named() {
    let mut writing = Writing::new();
    day_in(&mut writing);
    let policy = r#"{"rules":[{"name":"long","keep_for":"3000d"}]}"#.to_owned();
    let event = PartitionEvent::RetentionPolicySet { policy, actor: "ann".to_owned() };
    let stream = StreamId::Partition(PartitionId(0));
    writing.append(&stream, &[Event::Partition(event)], MORNING.plus_ms(7_200_000));
    let written = writing.close();
    let shown = written.json(&["retention", "policy"]);
    assert_eq!((&shown["source"], &shown["set_by"]), (&json!("api"), &json!("ann")));
    let plan = written.json(&["retention", "plan"]);
    assert_eq!(plan["policy"]["rules"][0]["name"], "long");
    assert!(ids(&plan).is_empty());
}

#[test]
fn what_cannot_be_known_or_is_wrong_is_said() {
    let (day, folder) = (day(), tempfile::tempdir().unwrap());
    let said = |arguments: &[&str], code: u8, words: &str| {
        let printed = day.written.ask(arguments);
        assert_eq!((printed.code, printed.out.as_str()), (code, ""), "{printed:?}");
        assert!(printed.complaints.contains(words), "{printed:?}");
    };
    for command in ["policy", "plan"] {
        said(&["retention", command], 1, "one of a server's settings");
    }
    let policy = policy_file(&folder, "rules: [{ name: all, keep_for: soon }]");
    said(&["retention", "plan", "--policy", &policy], 1, "rules[0].keep_for");
    let policy = policy_file(&folder, "rules: [{ name: all, keep_for: 1s }]");
    let future = ["retention", "plan", "--policy", &policy, "--at", "2999-01-01T00:00:00Z"];
    said(&future, 1, "is in the future");
    let paced = ["retention", "apply", "--policy", &policy, "--confirm", "--runs-per-second", "5"];
    said(&paced, 2, "works online only");
    said(&["cut", "plan"], 2, "--keep-for");
    said(&["cut", "apply", "--keep-for", "1d"], 2, "--confirm");
    said(&["replays", "list"], 2, "is carried out by a running server");
    let nowhere = ask(&folder.path().join("nowhere"), &["cut", "plan", "--keep-for", "1d"]);
    assert_eq!(nowhere.code, 3);
}

/// The day, and enough behind it that segments are sealed.
fn long() -> (Written, Vec<String>) {
    let mut writing = Writing::new();
    let runs = day_in(&mut writing).map(|run| run.to_string());
    for number in 0..FILLING {
        let text = "x".repeat(FILLING_CHARACTERS);
        let definition = format!(
            "{{id: filling-{number}, description: {text}, steps: [{{id: a, type: noop}}]}}"
        );
        writing.define(&definition, MORNING.plus_ms(3_600_000));
    }
    (writing.close(), runs.to_vec())
}

#[test]
fn a_chain_is_cut_without_a_server_and_what_is_kept_is_read_as_before() {
    let (written, runs) = long();
    let before = runs.iter().map(|run| written.json(&["show", run])).collect::<Vec<_>>();
    let plan = written.json(&["cut", "plan", "--keep-for", "1d"]);
    assert_eq!(plan["dry_run"], true);
    assert!(plan["segments"].as_u64().unwrap() >= 1, "{plan}");
    assert!(!written.path().join("archive/base.arc").exists());
    let done = written.json(&["cut", "apply", "--keep-for", "1d", "--confirm"]);
    for name in ["segments", "records", "anchor"] {
        assert_eq!(done[name], plan[name], "{name}");
    }
    assert!(written.path().join("archive/base.arc").is_file());
    let after = runs.iter().map(|run| written.json(&["show", run])).collect::<Vec<_>>();
    assert_eq!(before, after);
    assert!(written.text(&["verify"]).contains("whole"));
    let again = written.text(&["cut", "apply", "--before", "2025-01-01T00:00:00Z", "--confirm"]);
    assert!(again.starts_with("nothing was cut\n"), "{again}");
    assert!(again.contains("the oldest instant that can be restored: 20"), "{again}");
    Journal::open(written.path(), Options::default()).unwrap().journal.close().unwrap();
}

#[test]
fn an_export_takes_every_filter_of_a_list() {
    let (day, folder) = (day(), tempfile::tempdir().unwrap());
    let of = |name: &str, arguments: &[&str]| {
        let file = folder.path().join(name);
        let file = file.to_str().unwrap();
        day.written.json(&[&["export", "-o", file], arguments].concat())["executions"].clone()
    };
    for (name, filter) in [
        ("basket", vec!["--correlation-id", "basket-7"]),
        ("vip", vec!["--tag", "vip"]),
        ("ended", vec!["--ended-after", "2020-01-01T00:00:00Z"]),
        ("early", vec!["--submitted-before", "2020-01-01T00:00:00Z"]),
    ] {
        let listed = day.written.json(&[&["list"], &filter[..]].concat());
        assert_eq!(of(name, &filter), listed["count"], "{name}");
    }
    let both = day.written.ask(&["export", &day.fulfilled, "-o", "x", "--tag", "vip"]);
    assert_eq!(both.code, 2, "{both:?}");
}
