//! What the system sees of a commit: one write, one fdatasync, and only then the answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use backstitch_tests::binaries;
use backstitch_tests::http::{Connection, request};
use backstitch_tests::server::Server;
use serde_json::{Value, json};

use super::clients::{JSON, get};

/// Runs that are traced, one after the other.
const RUNS: usize = 20;
/// A run of one step makes its submission durable, and its start with it, and then its end.
const GROUPS_PER_RUN: u64 = 2;
/// How an answer of 200 looks in the trace.
const ANSWER: &str = "\"HTTP/1.1 200";
/// Answers of 200 beside those of the runs: that it is ready, and twice what it has done.
const OTHER_ANSWERS: usize = 3;
/// How long strace may take to write its file once the server is gone.
const TRACED_WITHIN: Duration = Duration::from_secs(60);

/// What a line of the trace says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// A group written to the log.
    Write,
    /// The log synced.
    Sync,
    /// A run's answer written to its client.
    Answer,
}

#[test]
fn one_sync_a_group_before_its_answer() {
    let folder = tempfile::tempdir().expect("a folder for the data");
    let trace = folder.path().join("trace");
    let traced = can_trace();
    let program = match traced {
        true => strace(&trace),
        false => Command::new(binaries::backstitch()),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let (groups, syncs) = runtime.block_on(runs(program, folder.path()));
    assert_eq!(groups, syncs, "groups and syncs of groups differ");
    assert_eq!(groups, RUNS as u64 * GROUPS_PER_RUN, "groups of lone runs of one step");
    if !traced {
        println!("skipped: strace does not work here; only the journal's counters were compared");
        return;
    }
    let mut reading = Trace::default();
    let text = whole(&trace);
    let calls: Vec<Call> = text.lines().filter_map(|line| reading.read(line)).collect();
    judge(&calls);
}

/// Whether strace is there and may trace.
fn can_trace() -> bool {
    let mut program = Command::new("strace");
    program.args(["-D", "-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    program.status().is_ok_and(|status| status.success())
}

/// The trace, once strace has written it up to the last answer; it goes on writing for a
/// moment after the server is gone.
fn whole(trace: &Path) -> String {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(trace).expect("strace made its file");
        if text.matches(ANSWER).count() >= RUNS + OTHER_ANSWERS {
            return text;
        }
        assert!(begun.elapsed() < TRACED_WITHIN, "the trace lacks answers");
        std::thread::yield_now();
    }
}

/// The server under strace. `-D` keeps the server our own child, so that killing it ends both.
fn strace(trace: &Path) -> Command {
    let mut program = Command::new("strace");
    program
        .args(["-D", "-f", "-y", "-s", "16", "-e", "signal=none"])
        .args(["-e", "trace=pwrite64,fdatasync,sendto,write,writev", "-o"])
        .arg(trace)
        .arg(binaries::backstitch());
    program
}

/// Some runs one after the other; answers how many groups and syncs of groups they made.
async fn runs(program: Command, folder: &Path) -> (u64, u64) {
    let words = folder.join("server.log");
    let mut server =
        Server::spawn(program, &folder.join("data"), &words).expect("the server starts");
    server.ready().await.expect("the server is ready");
    let mut connection = Connection::open(server.address()).await.expect("the server is up");
    let definition = json!({ "id": "lone", "steps": [{ "id": "only", "type": "noop" }] });
    let body = definition.to_string();
    let define = request("POST", "/api/v1/workflows", &[JSON], body.as_bytes());
    assert_eq!(connection.send(&define).await.expect("an answer").status, 201);
    let before = get(&mut connection, "/info").await;
    let body = json!({ "wait_seconds": 60 }).to_string();
    let execute = request("POST", "/api/v1/workflows/lone/execute", &[JSON], body.as_bytes());
    for _ in 0..RUNS {
        assert_eq!(connection.send(&execute).await.expect("an answer").status, 200);
    }
    let after = get(&mut connection, "/info").await;
    server.kill().expect("a child of ours can be killed");
    let counter = |info: &Value, name: &str| {
        info["journal"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {info}"))
    };
    let grown = |name| counter(&after, name) - counter(&before, name);
    (grown("groups"), grown("syncs"))
}

/// Reads a trace line by line. With `-f` a call may be two lines; its end is what counts for a
/// write and a sync, its beginning for an answer, which is the harder way round for each.
#[derive(Debug, Default)]
struct Trace {
    /// Calls on the log that have begun and not ended, by thread.
    begun: BTreeMap<String, Call>,
}

impl Trace {
    fn read(&mut self, line: &str) -> Option<Call> {
        let (thread, rest) = line.split_once(' ')?;
        let rest = rest.trim_start();
        if rest.contains(ANSWER) {
            return Some(Call::Answer);
        }
        let call = match rest.split_once('(') {
            Some(("pwrite64", arguments)) if on_log(arguments) => Some(Call::Write),
            Some(("fdatasync", arguments)) if on_log(arguments) => Some(Call::Sync),
            _ if rest.starts_with("<... ") => self.begun.remove(thread),
            _ => None,
        }?;
        if rest.ends_with("<unfinished ...>") {
            self.begun.insert(thread.to_owned(), call);
            return None;
        }
        assert!(!rest.contains(" = -1 "), "a call failed: {line}");
        Some(call)
    }
}

/// Whether a call's first argument is a segment of the log.
fn on_log(arguments: &str) -> bool {
    let path = arguments.split_once('>').map_or("", |(path, _)| path);
    path.contains("/log/") && path.ends_with(".seg")
}

/// Writes and syncs take turns, and no answer goes out between a write and its sync.
fn judge(calls: &[Call]) {
    let mut unsynced = 0;
    let (mut writes, mut answers) = (0, 0);
    for (at, call) in calls.iter().enumerate() {
        let around = || &calls[at.saturating_sub(8)..calls.len().min(at + 3)];
        match call {
            Call::Write => {
                writes += 1;
                unsynced += 1;
                assert!(unsynced == 1, "two groups before a sync: {:?}", around());
            }
            Call::Sync => unsynced = 0,
            Call::Answer => {
                answers += 1;
                assert!(unsynced == 0, "an answer before the sync: {:?}", around());
            }
        }
    }
    assert_eq!(answers, RUNS + OTHER_ANSWERS, "answers in the trace");
    assert!(writes as u64 >= RUNS as u64 * GROUPS_PER_RUN, "{writes} writes in the trace");
}

#[test]
fn the_trace_is_read() {
    let lines = [
        ("7 pwrite64(9</d/log/1.seg>, \"\"..., 512, 4096) = 512", Some(Call::Write)),
        ("7 fdatasync(9</d/log/1.seg>) = 0", Some(Call::Sync)),
        ("7 fdatasync(9</d/log/1.seg> <unfinished ...>", None),
        ("8 fdatasync(4</d/store/db> <unfinished ...>", None),
        ("8 <... fdatasync resumed>) = 0", None),
        ("7 <... fdatasync resumed>) = 0", Some(Call::Sync)),
        ("7 write(9</d/log/2.seg.new>, \"\"..., 512) = 512", None),
        ("8 sendto(5<socket:[1]>, \"HTTP/1.1 200 OK\"..., 9, 0, NULL, 0) = 9", Some(Call::Answer)),
        ("8 sendto(5<socket:[1]>, \"HTTP/1.1 201 Cr\"..., 9, 0, NULL, 0) = 9", None),
    ];
    let mut trace = Trace::default();
    for (line, expected) in lines {
        assert_eq!(trace.read(line), expected, "{line}");
    }
}
