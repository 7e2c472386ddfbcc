//! Damaged directories are named, never served, never changed, and never a panic.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use backstitch_core::ids::Digest;

use crate::directory::{MORNING, Writing, Written};
use crate::runs::{Day, ORDER, day, fulfilled, orphan};

/// Where the bytes of a run's event are in the first segment.
fn place_of(written: &Written, bytes: &[u8]) -> usize {
    let segment = fs::read(written.segment()).unwrap();
    segment.windows(bytes.len()).position(|window| window == bytes).unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_byte_is_named_with_its_place() {
    let Day { written, fulfilled, cancelled, .. } = day();
    flip(&written.segment(), place_of(&written, b"A-3"));
    let before = written.fingerprint();
    let printed = written.ask(&["verify"]);
    assert_eq!((printed.code, printed.complaints.as_str()), (1, ""));
    assert!(printed.out.contains("segment 1, byte "), "{}", printed.out);
    assert!(printed.out.contains("partition 2"), "{}", printed.out);
    let report: serde_json::Value =
        serde_json::from_str(&written.ask(&["verify", "--json"]).out).unwrap();
    assert_eq!((&report["ok"], &report["folds"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(report["problems"][0]["segment"], 1);
    for arguments in [vec!["list"], vec!["show", &fulfilled], vec!["events", &cancelled]] {
        let printed = written.ask(&arguments);
        assert_eq!((printed.code, printed.out.as_str()), (3, ""), "{arguments:?}");
        assert!(printed.complaints.contains("the log is damaged (segment 1, byte"), "{printed:?}");
    }
    assert_eq!(written.fingerprint(), before);
}

#[test]
fn what_stands_before_the_damage_can_be_read() {
    let Day { written, fulfilled, cancelled, .. } = day();
    let whole = written.text(&["--json", "show", &fulfilled]);
    flip(&written.segment(), place_of(&written, b"A-3"));
    let printed = written.ask(&["--json", "--before-damage", "show", &fulfilled]);
    assert_eq!((printed.code, printed.out), (0, whole));
    assert!(printed.complaints.contains("before the log's first damage"), "{}", printed.complaints);
    let printed = written.ask(&["--before-damage", "show", &cancelled]);
    assert_eq!((printed.code, printed.out.as_str()), (1, ""));
    let printed = written.ask(&["--before-damage", "list"]);
    assert!(printed.out.ends_with("\n2 runs\n"), "{}", printed.out);
}

#[test]
fn a_torn_tail_is_noted_and_is_no_problem() {
    let Day { written, .. } = day();
    let segment = written.segment();
    let mut bytes = fs::read(&segment).unwrap();
    let last = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    let tear = (last / 512 + 1) * 512;
    bytes[tear..tear + 9].copy_from_slice(b"half done");
    fs::write(&segment, bytes).unwrap();
    let text = written.text(&["verify"]);
    assert!(text.contains(&format!("torn tail: 9 bytes in segment 1 from byte {tear}")), "{text}");
    assert_eq!(written.json(&["verify"])["torn_tail"]["bytes"], 9);
    assert!(written.text(&["list"]).ends_with("5 runs\n"));
}

/// As behind a salvage that wrote partition 0, where revisions are, anew.
#[test]
fn a_run_that_stands_before_its_revision_is_whole() {
    let (_, digest, plan) = Writing::new().define(ORDER, MORNING);
    let mut writing = Writing::new();
    let run = fulfilled(&mut writing, &plan, digest).to_string();
    writing.define(ORDER, MORNING);
    let written = writing.close();
    assert!(written.text(&["verify"]).contains("whole: the log is as written, 1 run folded"));
    assert_eq!(
        written.json(&["list", "--workflow", "order"])["executions"][0]["status"],
        "completed"
    );
    assert_eq!(written.json(&["stats"])["runs"]["by_status"]["completed"], 1);
    assert_eq!(written.json(&["show", &run])["status"], "completed");

    let mut writing = Writing::new();
    let missing = orphan(&mut writing, &plan).to_string();
    writing.define(ORDER, MORNING);
    let written = writing.close();
    let row = &written.json(&["list"])["executions"][0];
    assert_eq!(
        (&row["execution_id"], &row["status"]),
        (&missing.as_str().into(), &"quarantined".into())
    );
    let events = written.json(&["events", &missing])["events"].as_array().unwrap().len();
    assert_eq!(row["version"], events, "every record of it is counted");
}

#[test]
fn no_damage_makes_it_panic() {
    let Day { written, fulfilled, .. } = day();
    let segment = written.segment();
    let whole = fs::read(&segment).unwrap();
    let used = whole.iter().rposition(|&byte| byte != 0).unwrap();
    let store = written.text(&["--json", "list"]);
    for seed in 0..120_u64 {
        let drawn = Digest::of(&seed.to_le_bytes()).0;
        let at = usize::from(u16::from_le_bytes([drawn[0], drawn[1]])) * used / 65_536;
        let mut bytes = whole.clone();
        match seed % 3 {
            0 => bytes[at] ^= 1 << (drawn[2] % 8),
            1 => bytes.truncate(at),
            _ => bytes[at..].iter_mut().zip(drawn).for_each(|(byte, drawn)| *byte = drawn),
        }
        fs::write(&segment, &bytes).unwrap();
        let verified = written.ask(&["verify"]);
        assert!(matches!(verified.code, 0 | 1 | 3), "seed {seed}: {verified:?}");
        for arguments in [vec!["list"], vec!["timeline", &fulfilled], vec!["show", &fulfilled]] {
            for before_damage in [false, true] {
                let flag = if before_damage { vec!["--before-damage"] } else { vec![] };
                let printed = written.ask(&[flag, arguments.clone()].concat());
                assert!(matches!(printed.code, 0 | 1 | 3), "seed {seed}: {printed:?}");
            }
        }
        let listed = written.ask(&["--json", "list"]);
        assert!(listed.code != 0 || verified.code == 0, "seed {seed}: served, yet not whole");
    }
    fs::write(&segment, &whole).unwrap();
    assert_eq!(written.text(&["--json", "list"]), store);
    for name in ["log", "LOCK", "identity"] {
        let (path, aside) = (written.path().join(name), written.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        let printed = written.ask(&["list"]);
        assert!(printed.code == 3 || name == "LOCK", "{name}: {printed:?}");
        fs::rename(&aside, &path).unwrap();
    }
}

#[test]
fn nothing_is_ever_changed() {
    let Day { written, fulfilled, undone, .. } = day();
    set_writable(written.path(), false);
    let before = written.fingerprint();
    for arguments in [
        vec!["list"],
        vec!["list", "--json"],
        vec!["show", &undone],
        vec!["timeline", &undone],
        vec!["events", &fulfilled],
        vec!["state", &fulfilled, "--at-version", "3"],
        vec!["verify"],
        vec!["verify", "--json"],
    ] {
        written.text(&arguments);
    }
    assert_eq!(written.fingerprint(), before);
    set_writable(written.path(), true);
}

fn set_writable(path: &Path, writable: bool) {
    let mode = match (path.is_dir(), writable) {
        (true, true) => 0o755,
        (true, false) => 0o555,
        (false, true) => 0o644,
        (false, false) => 0o444,
    };
    let children = || fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    if path.is_dir() && !writable {
        children().for_each(|child| set_writable(&child, writable));
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    if path.is_dir() && writable {
        children().for_each(|child| set_writable(&child, writable));
    }
}
