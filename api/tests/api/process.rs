//! The binary: exit codes, messages, signals.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::server::TWO_STEPS;

pub fn backstitch(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstitch"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("BACKSTITCH_SERVER")
        .env_remove("ORCHESTRATOR_URL")
        .env_remove("PORT");
    command
}

pub fn output(arguments: &[&str]) -> Output {
    backstitch(arguments).output().expect("the program starts")
}

/// Runs a command that must fail, and answers what it said.
fn fails(arguments: &[&str], code: i32) -> String {
    let output = output(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// `serve` over a folder's data on a free port.
fn serve_fails(data_dir: &Path, code: i32) -> String {
    let data_dir = data_dir.to_str().expect("a path in UTF-8");
    fails(&["serve", "--data-dir", data_dir, "--listen", "127.0.0.1:0"], code)
}

/// A running server over nothing that goes on, and where it listens, as its own log says.
pub fn serve(data_dir: &Path) -> (Child, String) {
    let (server, url, recovered) = serve_again(data_dir);
    assert_eq!(recovered, 0);
    (server, url)
}

/// The same over whatever there is, with how many runs go on.
pub fn serve_again(data_dir: &Path) -> (Child, String, u64) {
    serve_at("127.0.0.1:0", data_dir, &[])
}

/// The same at an address, with further flags.
pub fn serve_at(address: &str, data_dir: &Path, flags: &[&str]) -> (Child, String, u64) {
    let data_dir = data_dir.to_str().expect("a path in UTF-8");
    let mut server = backstitch(&["serve", "--data-dir", data_dir, "--listen", address])
        .args(["--log-format", "json"])
        .args(flags)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let (url, recovered) = listening(&mut server);
    (server, url, recovered)
}

/// Where a server listens once it is ready, as its own log says, and how many runs go on.
pub fn listening(server: &mut Child) -> (String, u64) {
    let log = BufReader::new(server.stderr.take().expect("a pipe"));
    let mut lines = log.lines().map(|line| line.expect("text"));
    let ready = lines.find(|line| line.contains("is ready")).expect("it gets ready");
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("a JSON line");
    let fields = &ready["fields"];
    assert_eq!(fields["fsync"], "always");
    let recovered = fields["recovered"].as_u64().expect("a number");
    std::thread::spawn(move || lines.for_each(drop));
    let address = fields["address"].as_str().expect("an address").to_owned();
    (format!("http://{address}"), recovered)
}

#[test]
fn settings_that_are_wrong_end_with_2() {
    fails(&["serve", "--no-such-flag"], 2);
    fails(&["conjure"], 2);
    let said = fails(&["serve", "--fsync", "sometimes"], 2);
    assert!(said.contains("--fsync: `sometimes` must be always"), "{said}");
    let folder = folder();
    let file = folder.path().join("settings.yaml");
    fs::write(&file, "lisen: 127.0.0.1:1\n").expect("a file");
    let said = fails(&["serve", "--config", file.to_str().expect("UTF-8")], 2);
    assert!(said.contains("did you mean `listen`?"), "{said}");
    let said = fails(&["serve", "--config", "no-such-file.yaml"], 2);
    assert!(said.contains("no-such-file.yaml"), "{said}");
    // A secret is named and not said, or `/config/effective` would show it.
    let said = fails(&["serve", "--otlp-headers", "api-key=hush"], 2);
    assert!(said.contains("--otlp-headers") && !said.contains("hush"), "{said}");
}

#[test]
fn data_directories_that_cannot_be_used_end_with_3() {
    let folder = folder();
    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).expect("a folder");
    fs::write(foreign.join("thesis.txt"), "years of work").expect("a file");
    let said = serve_fails(&foreign, 3);
    assert!(said.contains("is no Backstitch data directory"), "{said}");
    assert_eq!(fs::read_dir(&foreign).expect("the folder").count(), 1, "it was left alone");
    let file = folder.path().join("file");
    fs::write(&file, "a file").expect("a file");
    let taken = format!("{} is a file; name a directory", file.display());
    for impossible in [file.clone(), file.join("below")] {
        let said = serve_fails(&impossible, 3);
        assert!(said.ends_with(&format!("{taken}\n")), "{said}");
    }

    let data_dir = folder.path().join("data");
    let (mut server, _) = serve(&data_dir);
    let said = serve_fails(&data_dir, 3);
    assert!(said.contains("is in use by another process"), "{said}");
    server.kill().expect("it runs");
    server.wait().expect("it ended");
}

#[test]
fn addresses_that_cannot_be_listened_on_end_with_4() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let data_dir = data_dir.to_str().expect("UTF-8");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let said = fails(&["serve", "--data-dir", data_dir, "--listen", &address], 4);
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
    let said = fails(&["serve", "--data-dir", data_dir, "--listen", "0.0.0.0:0"], 4);
    assert!(said.contains("--allow-unauthenticated"), "{said}");
    assert!(!Path::new(data_dir).exists(), "no data directory is made for nothing");
}

#[test]
fn validate_tells_every_problem() {
    let folder = folder();
    let good = folder.path().join("good.yaml");
    fs::write(&good, TWO_STEPS).expect("a file");
    let good = output(&["validate", good.to_str().expect("UTF-8")]);
    assert_eq!(good.status.code(), Some(0));
    let bad = folder.path().join("bad.yaml");
    fs::write(&bad, "id: w\nsteps: [{id: a, type: noop, neds: [], timeout: soon}]")
        .expect("a file");
    let bad = bad.to_str().expect("UTF-8");
    let lines = output(&["validate", bad]);
    let lines = (lines.status.code(), String::from_utf8_lossy(&lines.stdout).into_owned());
    assert_eq!((lines.0, lines.1.lines().count()), (Some(1), 2), "{}", lines.1);
    assert!(lines.1.contains("steps[0].timeout: "), "{}", lines.1);
    let json = output(&["validate", "--json", bad]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(
        (&json["valid"], json["problems"].as_array().map(Vec::len)),
        (&false.into(), Some(2))
    );
    fails(&["validate", "no-such-file.yaml"], 2);
    let said = fails(&["validate", "-"], 1);
    assert!(said.contains("- has 1 problem\n"), "{said}");
}

#[test]
fn submit_follows_a_run_and_a_signal_ends_the_server() {
    let folder = folder();
    let (mut server, url) = serve(&folder.path().join("data"));
    let file = folder.path().join("two.yaml");
    fs::write(&file, TWO_STEPS).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let run =
        output(&["submit", file, "--input", "{\"name\":\"Ada\"}", "--follow", "--server", &url]);
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert_eq!(run.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&run.stderr));
    assert!(said.starts_with("exec_"), "{said}");
    for words in ["first", "second", "attempt 1 done in", "COMPLETED"] {
        assert!(said.contains(words), "{said}");
    }
    let said = fails(&["submit", file, "--input", "{", "--server", &url], 2);
    assert!(said.contains("--input is not JSON"), "{said}");
    let said = fails(&["submit", file, "--input", "@no-such-file.json", "--server", &url], 2);
    assert!(said.contains("no-such-file.json"), "{said}");
    for wrong in ["localhost:8080", "127.0.0.1:8080", "ftp://localhost", "localhost"] {
        let said = fails(&["submit", file, "--server", wrong], 2);
        assert!(said.contains("http://HOST:PORT"), "{said}");
    }
    let said = fails(&["submit", file, "--server", &format!("{url}/elsewhere")], 1);
    assert!(said.contains("NOT_FOUND"), "{said}");
    let wrong = folder.path().join("wrong.yaml");
    fs::write(&wrong, "id: w\nsteps: []").expect("a file");
    let said = fails(&["submit", wrong.to_str().expect("UTF-8"), "--server", &url], 1);
    assert!(said.contains("INVALID_WORKFLOW_DEFINITION") && said.contains("NO_STEPS"), "{said}");

    let signalled = Command::new("kill").args(["-TERM", &server.id().to_string()]).status();
    assert!(signalled.expect("kill is there").success());
    assert_eq!(server.wait().expect("it ended").code(), Some(0));
    let said = fails(&["submit", file, "--server", &url], 1);
    assert!(said.contains("is a server running there?"), "{said}");
}

#[test]
fn the_demo_balances_its_books() {
    let output = output(&["demo", "--exit"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for words in ["kill -9", "The books balance", "was lost with the process", "undo charge"] {
        assert!(said.contains(words), "{words} is missing in {said}");
    }
}

#[test]
fn views_are_rebuilt_from_the_command_line() {
    let folder = folder();
    let data = folder.path().join("data");
    let data_dir = data.to_str().expect("a path in UTF-8");
    let missing = fails(&["admin", "rebuild-views", "--data-dir", data_dir], 3);
    assert!(!data.exists(), "{missing}");
    let (mut server, url) = serve(&data);
    let rebuilt = |arguments: &[&str]| {
        let output = output(&[&["admin", "rebuild-views"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
        said.lines().filter(|line| line.ends_with("made anew")).count()
    };
    assert_eq!(rebuilt(&["--server", &url]), 3);
    assert_eq!(rebuilt(&["--server", &url, "--view", "audit"]), 1);
    fails(&["admin", "rebuild-views", "--data-dir", data_dir], 3);
    server.kill().expect("it runs");
    server.wait().expect("it ends");
    assert_eq!(rebuilt(&["--data-dir", data_dir]), 3);
    fails(&["admin", "rebuild-views", "--view", "everything"], 2);
}
