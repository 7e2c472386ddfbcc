//! The benches run, measure every row, and count what adds up. How fast it is, is no test.

use std::collections::BTreeMap;
use std::process::Command;

use backstitch_tests::binaries;
use serde_json::Value;

/// Rows of each group: cases times concurrencies.
const ROWS: [(&str, usize); 10] = [
    ("floors", 1 + 4),
    ("journal", 4),
    ("engine", 8),
    ("http", 8),
    ("graph", 2),
    ("load", 5),
    ("many", 6),
    ("letters", 2),
    ("cache", 2),
    ("scale", 5 + 8 + 1 + 1),
];

#[test]
fn a_smoke_run_measures_every_row() {
    let folder = tempfile::tempdir().expect("a folder for figures and data");
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--quick", "--json", "--folder"])
        .arg(folder.path())
        .env("BACKSTITCH_BIN", binaries::backstitch())
        .output()
        .expect("the bench starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).expect("lines of text");
    let mut lines = text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON"));
    let first: Value = lines.next().expect("the machine is the first line");
    assert_eq!(first["machine"]["fsync"], "always", "{first}");
    let mut rows: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines {
        let group = line["group"].as_str().expect("a figure has a group").to_owned();
        adds_up(&group, &line);
        *rows.entry(group).or_default() += 1;
    }
    let expected = ROWS.map(|(group, count)| (group.to_owned(), count));
    assert_eq!(rows, BTreeMap::from(expected));
    for (group, count) in ROWS {
        let file = folder.path().join(format!("{group}.jsonl"));
        let kept = std::fs::read_to_string(&file).expect("each group has its file");
        assert_eq!(kept.lines().count(), count + 1, "{}", file.display());
    }
}

fn adds_up(group: &str, line: &Value) {
    let median = |name: &str| line[name]["median"].as_f64().unwrap_or(-1.0);
    assert!(line["counted"].as_u64() > Some(0), "nothing was counted: {line}");
    assert!(median("per_second") > 0.0 && median("p50_us") <= median("p99_us"), "{line}");
    let shares = line["of_floor"].as_object().expect("an object");
    match group {
        "floors" | "graph" | "cache" | "many" | "letters" | "scale" => {
            assert!(shares.is_empty(), "{line}")
        }
        "load" => {
            let bad = ["errors", "closed"].map(|name| line[name]["max"].as_f64());
            assert!(bad.iter().flatten().all(|count| *count == 0.0), "{line}");
        }
        "journal" => {
            assert!(shares.contains_key("sync"), "{line}");
            // One commit in flight: each group is one commit, and each has its own sync.
            assert!((median("syncs_per_commit") - 1.0).abs() < 0.01, "{line}");
        }
        "engine" => assert!(shares.contains_key("sync"), "{line}"),
        _ => {
            assert_eq!(shares.keys().collect::<Vec<_>>(), ["echo", "engine", "sync"], "{line}");
            // A lone run cannot be durable without at least one sync for it and one for its end.
            let alone = line["concurrency"] == 1;
            assert!(!alone || median("syncs_per_run") >= 2.0, "{line}");
        }
    }
}
