//! Questions without an answer: one line on stderr that says what to do, and an exit code.

use std::fs;

use backstitch_core::ids::Digest;
use backstitch_journal::{Journal, Options};

use crate::directory::{Printed, Writing, ask};
use crate::runs::day;

/// Nothing is printed, and one line is complained.
fn refused(printed: &Printed, code: u8, words: &[&str]) {
    assert_eq!((printed.code, printed.out.as_str()), (code, ""), "{printed:?}");
    assert_eq!(printed.complaints.matches('\n').count(), 1, "{printed:?}");
    assert!(printed.complaints.starts_with("replay-tool: "), "{printed:?}");
    for word in words {
        assert!(printed.complaints.contains(word), "`{word}` in {printed:?}");
    }
}

const ALL: [&[&str]; 6] = [
    &["list"],
    &["show", "exec_0001"],
    &["timeline", "exec_0001"],
    &["events", "exec_0001"],
    &["state", "exec_0001", "--version", "1"],
    &["verify"],
];

#[test]
fn a_run_that_is_not_there() {
    let day = day();
    for command in &ALL[1..5] {
        let mut arguments = command.to_vec();
        arguments[1] = "exec_0009";
        let printed = day.written.ask(&arguments);
        refused(&printed, 1, &["no run whose id begins with `exec_0009`", "list"]);
        for bad in ["", "exec_000g", "order", "EXEC_0001", &"0".repeat(37), "\u{1b}[2J"] {
            arguments[1] = bad;
            refused(&day.written.ask(&arguments), 2, &["is not the beginning of a run's id"]);
        }
    }
}

#[test]
fn a_version_that_is_not_there() {
    let day = day();
    let last = day.written.json(&["show", &day.fulfilled])["version"].as_u64().unwrap();
    for version in [0, last + 1, u64::MAX] {
        let version = version.to_string();
        let printed = day.written.ask(&["state", &day.fulfilled, "--at-version", &version]);
        let words = format!("has no version {version}; choose one from 1 to {last}");
        refused(&printed, 1, &[&words]);
    }
}

#[test]
fn a_version_that_does_not_fold() {
    let mut writing = Writing::new();
    let (_, _, plan) = writing.define(crate::runs::ORDER, crate::directory::MORNING);
    let orphan = crate::runs::orphan(&mut writing, &plan).to_string();
    let printed = writing.close().ask(&["state", &orphan, "--at-version", "2"]);
    refused(&printed, 1, &["the first 2 events", "do not fold", "replay-tool events"]);
}

#[test]
fn a_command_line_that_is_wrong() {
    let day = day();
    for (arguments, words) in [
        (vec!["lst"], "'lst'; a similar subcommand exists: 'list'"),
        (vec!["list", "--statsu", "failed"], "a similar argument exists: '--status'"),
        (vec!["list", "--status", "broken"], "quarantined"),
        (vec!["list", "--limit", "many"], "--limit <N>"),
        (vec!["state", "exec_0001"], "--version <N>"),
        (vec!["restore", "there", "--reason", " "], "it stays on record"),
        (vec!["show"], "<ID>"),
        (vec![], "no command was given"),
    ] {
        refused(&day.written.ask(&arguments), 2, &[words, "`replay-tool --help`"]);
    }
}

#[test]
fn a_directory_that_is_missing_or_foreign() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "no directory").unwrap();
    for arguments in ALL {
        let missing = directory.path().join("nowhere");
        refused(&ask(&missing, arguments), 3, &["there is no directory", "--data-dir"]);
        refused(&ask(&file, arguments), 3, &["is no Backstitch data directory", "a file"]);
        refused(&ask(directory.path(), arguments), 3, &["is no Backstitch data directory"]);
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_directory_that_a_server_has() {
    let day = day();
    let server = Journal::open(day.written.path(), Options::default()).unwrap();
    for arguments in ALL {
        refused(&day.written.ask(arguments), 3, &["in use by a running server", "stop it first"]);
    }
    server.journal.close().unwrap();
    drop(server);
    assert_eq!(day.written.ask(&["verify"]).code, 0);
}

#[test]
fn a_directory_of_a_newer_format_or_with_a_damaged_identity() {
    let day = day();
    let path = day.written.path().join("identity");
    let mut identity = fs::read(&path).unwrap();
    // It is written twice; this becomes one copy.
    identity.truncate(identity.len() / 2);
    identity[8] = 200;
    let covered = identity.len() - 32;
    let hash = Digest::of(&identity[..covered]);
    identity[covered..].copy_from_slice(&hash.0);
    fs::write(&path, identity.repeat(2)).unwrap();
    for arguments in ALL {
        refused(&day.written.ask(arguments), 3, &["format 200", "newer version"]);
    }
    identity[30] ^= 1;
    fs::write(&path, identity.repeat(2)).unwrap();
    for arguments in ALL {
        refused(&day.written.ask(arguments), 3, &["identity", "damaged", "from a copy"]);
    }
}

#[test]
fn an_output_that_cannot_be_written() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let day = day();
    let directory = day.written.path().to_str().unwrap();
    let screen = replay_tool::Screen::default();
    let mut complaints = Vec::new();
    let line = ["replay-tool", "--data-dir", directory, "list"];
    let code = replay_tool::run(line, screen, &mut Full, &mut complaints);
    assert_eq!(code, 1);
    assert!(String::from_utf8(complaints).unwrap().contains("the output cannot be written"));
}
