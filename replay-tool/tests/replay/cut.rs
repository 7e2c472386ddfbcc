//! A log that was cut: what is kept of it is read like the rest.

use crate::directory::{MORNING, Writing};
use crate::runs::{day, day_in};

/// Definitions that fill more than one segment of the smallest size.
const FILLING: usize = 100;
const FILLING_CHARACTERS: usize = 4_000;

#[test]
fn what_was_cut_and_kept_is_read_as_before() {
    let whole = day();
    let mut writing = Writing::new();
    let runs = day_in(&mut writing).map(|run| run.to_string());
    for number in 0..FILLING {
        let text = "x".repeat(FILLING_CHARACTERS);
        let definition = format!(
            "{{id: filling-{number}, description: {text}, steps: [{{id: a, type: noop}}]}}"
        );
        writing.define(&definition, MORNING.plus_ms(3_600_000));
    }
    writing.cut();
    let cut = writing.close();
    assert!(cut.path().join("archive/base.arc").is_file());

    assert_eq!(cut.json(&["list"]), whole.written.json(&["list"]));
    assert_eq!(
        cut.json(&["dlq", "list", "--status", "all"]),
        whole.written.json(&["dlq", "list", "--status", "all"])
    );
    for run in &runs {
        for command in ["show", "events", "timeline"] {
            assert_eq!(cut.json(&[command, run]), whole.written.json(&[command, run]), "{command}");
        }
    }
    let verified = cut.json(&["verify"]);
    assert_eq!((&verified["ok"], &verified["folds"]["runs"]), (&true.into(), &runs.len().into()));
}
