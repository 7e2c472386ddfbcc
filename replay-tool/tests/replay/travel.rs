//! What changed in a run, and where two runs parted.

use insta::assert_snapshot;
use serde_json::json;

use crate::runs::day;

#[test]
fn what_changed_between_two_points() {
    let day = day();
    let points = ["diff", &day.undone, "--from", "12", "--to", "14"];
    assert_snapshot!("diff", day.written.text(&points));
    assert_snapshot!("diff_json", day.written.text(&[&["--json"], &points[..]].concat()));
    let whole = day.written.json(&["diff", &day.undone]);
    let last = day.written.json(&["show", &day.undone])["version"].clone();
    assert_eq!((&whole["from"]["version"], &whole["to"]["version"]), (&json!(1), &last));
    assert_eq!(whole["events"].as_array().unwrap().len() as u64, last.as_u64().unwrap() - 1);
    // An instant is a point as well.
    let at = whole["to"]["at"].as_str().unwrap();
    assert_eq!(day.written.json(&["diff", &day.undone, "--to", at]), whole);
    let same = ["diff", &day.undone, "--from", "5", "--to", "5"];
    assert!(day.written.text(&same).ends_with("\nnothing changed\n"));
}

#[test]
fn where_two_runs_parted() {
    let day = day();
    let pair = ["compare", &day.fulfilled, &day.undone];
    assert_snapshot!("compare", day.written.text(&pair));
    let compared = day.written.json(&pair);
    assert_eq!(compared["same_definition"], true);
    assert!(compared["first_divergence"].is_object());
    let itself = day.written.text(&["compare", &day.stuck, &day.stuck]);
    assert!(itself.contains("none: both did the same"), "{itself}");
}

#[test]
fn points_that_are_not_there() {
    let day = day();
    for (arguments, code, words) in [
        (vec!["diff", &day.undone, "--from", "900"], 1, "has no version 900"),
        (vec!["diff", &day.undone, "--to", "0"], 1, "has no version 0"),
        (vec!["diff", &day.undone, "--to", "1999-01-01T00:00:00Z"], 1, "was submitted at"),
        (vec!["diff", &day.undone, "--to", "9999-01-01T00:00:00Z"], 1, "still to come"),
        (vec!["diff", &day.undone, "--to", "later"], 2, "write a version such as 12"),
        (vec!["compare", &day.undone, "exec_0009"], 1, "there is no run"),
        (vec!["compare", &day.undone], 2, "<RIGHT>"),
    ] {
        let printed = day.written.ask(&arguments);
        assert_eq!((printed.code, printed.out.as_str()), (code, ""), "{arguments:?}");
        assert!(printed.complaints.contains(words), "{printed:?}");
    }
}
