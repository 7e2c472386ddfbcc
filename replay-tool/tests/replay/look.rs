//! How things look: many steps, narrow and plain terminals, manual pages.

use backstitch_core::ids::Digest;
use backstitch_core::plan::Plan;
use insta::assert_snapshot;
use replay_tool::{LANES_UNFOLDED_MAX, Screen};
use serde_json::json;
use std::sync::Arc;

use crate::directory::{MORNING, Writing, Written, ask_on};
use crate::runs::{Run, busy, day, id, ok, refused, submission};

const STEPS: usize = 240;

/// A run of many steps: all but a few go well, one only at the second try, one never.
fn wide() -> (Written, String) {
    let mut writing = Writing::new();
    let mut text = "id: wide\non_failure: compensate\n\
                    defaults: { retry: { max_attempts: 2, backoff: fixed, initial: 400ms, jitter: false } }\n\
                    steps:\n"
        .to_owned();
    for step in 0..STEPS {
        text.push_str(&format!(
            "  - {{ id: s{step:03}, type: http, with: {{ method: POST, url: 'http://x/{step}' }} }}\n"
        ));
    }
    text.push_str("  - { id: last, type: noop, needs: [s000, s100, s200], with: {} }\n");
    let (_, digest, plan) = writing.define(&text, MORNING);
    let run = played(&mut writing, &plan, digest);
    (writing.close(), run)
}

fn played(writing: &mut Writing, plan: &Arc<Plan>, digest: Digest) -> String {
    let mut run = Run::submit(writing, id(1, 0xabc), plan, submission(plan, digest, json!({})), 0);
    for step in 0..STEPS {
        let answer = match step {
            100 => busy(),
            200 => refused(),
            _ => ok(json!({})),
        };
        run.step(writing, 5, &format!("s{step:03}"), answer);
    }
    run.state.id.to_string()
}

#[test]
fn a_run_of_many_steps_fits_a_screen() {
    let (written, run) = wide();
    let folded = written.text(&["timeline", &run]);
    assert_snapshot!("wide_timeline", folded);
    assert!(folded.lines().count() < LANES_UNFOLDED_MAX, "{folded}");
    let every = written.text(&["timeline", "--all", &run]);
    assert!(every.lines().count() > STEPS);
    // A program gets all of it.
    let rows = written.json(&["timeline", &run])["rows"].as_array().unwrap().len();
    assert_eq!(rows, STEPS + 1);
}

#[test]
fn a_plain_terminal_gets_ascii() {
    let day = day();
    let plain = Screen { ascii: true, ..Screen::default() };
    let drawn = ask_on(plain, day.written.path(), &["timeline", &day.undone]).out;
    assert!(drawn.is_ascii());
    assert_snapshot!("ascii_timeline", drawn);
    assert_eq!(day.written.text(&["--ascii", "timeline", &day.undone]), drawn);
    // A program reads UTF-8 whatever the terminal shows.
    let json = ask_on(plain, day.written.path(), &["--json", "show", &day.running]).out;
    assert_eq!(json, day.written.text(&["--json", "show", &day.running]));
}

#[test]
fn width_and_colour_can_be_chosen() {
    let day = day();
    let wide = day.written.text(&["--width", "180", "timeline", &day.undone]);
    let chart = wide.lines().skip(2).take_while(|line| !line.is_empty());
    assert_eq!(chart.map(|line| line.chars().count()).max(), Some(180));
    let coloured = Screen { colour: true, ..Screen::default() };
    let on = |screen, when| {
        ask_on(screen, day.written.path(), &["--color", when, "list"]).out.contains('\u{1b}')
    };
    assert_eq!([on(coloured, "auto"), on(coloured, "never")], [true, false]);
    assert_eq!([on(Screen::default(), "auto"), on(Screen::default(), "always")], [false, true]);
}

#[test]
fn the_state_at_an_instant_is_that_of_the_version_recorded_by_then() {
    let day = day();
    let events = day.written.json(&["events", &day.undone]);
    for event in events["events"].as_array().unwrap() {
        let at = event["recorded_at"].as_str().unwrap();
        let same = |other: &&serde_json::Value| other["recorded_at"] == event["recorded_at"];
        let last = events["events"].as_array().unwrap().iter().rfind(same).unwrap();
        let version = last["version"].to_string();
        assert_eq!(
            day.written.json(&["state", &day.undone, "--at", at]),
            day.written.json(&["state", &day.undone, "--version", &version])
        );
    }
    let early = day.written.ask(&["state", &day.undone, "--at", "2001-01-01T00:00:00Z"]);
    assert_eq!((early.code, early.out.as_str()), (1, ""));
    assert!(early.complaints.contains("submitted at 2025-11-20T"), "{early:?}");
    let bad = day.written.ask(&["state", &day.undone, "--at", "yesterday"]);
    assert_eq!(bad.code, 2);
    assert!(bad.complaints.contains("write it as 2026-01-31T03:00:00Z"), "{bad:?}");
}

#[test]
fn a_journal_is_measured() {
    let day = day();
    let stats = day.written.json(&["stats"]);
    assert_eq!(stats["runs"]["total"], 5);
    assert_eq!(stats["runs"]["by_status"]["completed"], 1);
    assert_eq!(stats["dead_letters"], json!({ "discarded": 1, "open": 2 }));
    assert!(stats["bytes"]["log"].as_u64().unwrap() > 0);
    let text = day.written.text(&["stats"]);
    assert!(text.contains("\nRUNS\n") && text.contains("\nBYTES\n"), "{text}");
}

#[test]
fn every_command_has_a_manual_page_and_examples() {
    let written = Writing::new().close();
    let main = written.text(&["man"]);
    assert!(main.starts_with(".ie") && main.contains(".TH replay-tool 1"), "{main}");
    let pages = written.path().join("man");
    let listed = written.text(&["man", "--directory", pages.to_str().unwrap()]);
    let names: Vec<_> = listed.lines().collect();
    assert_eq!(names.len(), std::fs::read_dir(&pages).unwrap().count());
    assert!(names.contains(&"replay-tool.1") && names.contains(&"replay-tool-dlq-retry.1"));
    for name in names {
        let page = std::fs::read_to_string(pages.join(name)).unwrap();
        assert!(page.contains(".SH \"EXAMPLES\"\n  "), "{name} has no examples");
        assert!(!page.contains("EXTRA") && !page.contains("Examples:"), "{name}: {page}");
    }
    assert!(main.contains(".SH \"EXIT STATUS\"\n  0  done\n"), "{main}");
    let restore = std::fs::read_to_string(pages.join("replay-tool-restore.1")).unwrap();
    let form = "[\\-\\-at INSTANT] [\\-\\-positions N,N,...]";
    assert!(restore.contains(form) && restore.contains("DIR\n.SH DESCRIPTION"), "{restore}");
    let missing = written.path().join("none").join("man");
    let printed = written.ask(&["man", "--directory", missing.to_str().unwrap()]);
    assert_eq!(printed.code, 1);
    assert!(printed.complaints.contains("make it first"), "{printed:?}");
    assert!(!missing.parent().unwrap().exists());
}
