//! `backstitch follow` and `backstitch run`: what a person sees while it happens.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;

use crate::process::{backstitch, folder, output, serve, serve_at};

/// Waits for a signal, after a step that says something to a terminal.
const WAITING: &str = "
id: waiting
steps:
  - { id: odd, type: noop, retry: none, allow_failure: true, with: { fail: { permanent: true, message: \"\\e[2Jgone\" } } }
  - { id: go, type: wait, needs: [odd], with: { signal: go, timeout: 2d } }
";

/// A command that goes on, and what it prints.
struct Following {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

impl Following {
    fn start(url: &str, arguments: &[&str]) -> Self {
        let mut command = backstitch(arguments);
        let mut process =
            command.args(["--server", url]).stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { process, lines, said: Vec::new() }
    }

    fn until(&mut self, words: &str) {
        while !self.said.last().is_some_and(|line| line.contains(words)) {
            let line = self.lines.next().unwrap_or_else(|| panic!("no {words}: {:?}", self.said));
            self.said.push(line.expect("text"));
        }
    }

    /// Everything that it printed, and its exit code.
    fn ended(mut self) -> (Vec<String>, Option<i32>) {
        self.said.extend(self.lines.by_ref().map(|line| line.expect("text")));
        (std::mem::take(&mut self.said), self.process.wait().expect("it ended").code())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn tell(url: &str, arguments: &[&str]) -> String {
    let said = output(&[arguments, &["--server", url]].concat());
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).expect("UTF-8").trim().to_owned()
}

#[test]
fn following_goes_on_over_a_kill_of_the_server_and_tells_each_event_once() {
    let folder = folder();
    let (data, file) = (folder.path().join("data"), folder.path().join("waiting.yaml"));
    fs::write(&file, WAITING).expect("a file");
    let (mut server, url) = serve(&data);
    let file = file.to_str().expect("UTF-8");
    tell(&url, &["submit", file]);
    let mut everything = Following::start(&url, &["follow", "--workflow", "waiting"]);
    std::thread::scope(|scope| {
        let hears = scope.spawn(|| everything.until("accepted"));
        while !hears.is_finished() {
            tell(&url, &["submit", file]);
        }
    });
    let run = tell(&url, &["submit", file]);
    let mut person = Following::start(&url, &["follow", &run]);
    let mut program = Following::start(&url, &["follow", &run, "--json"]);
    person.until("waits for the signal `go`");
    program.until("StepAwaitsSignal");
    server.kill().expect("it can be killed");
    server.wait().expect("it ends");
    let (mut server, ..) = serve_at(url.trim_start_matches("http://"), &data, &[]);
    tell(&url, &["signal", &run, "go"]);

    let (said, code) = person.ended();
    assert_eq!(code, Some(0), "{said:?}");
    assert!(said.last().is_some_and(|line| line.contains("COMPLETED")), "{said:?}");
    for words in ["accepted", "gone", "waits for the signal", "signal `go` by", "COMPLETED"] {
        let count = said.iter().filter(|line| line.contains(words)).count();
        assert_eq!(count, 1, "{words}: {said:?}");
    }
    assert!(!said.concat().contains('\u{1b}'), "{said:?}");

    let (said, code) = program.ended();
    let events = said.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let versions: Vec<_> = events.map(|event| event["version"].as_u64()).collect();
    let whole: Vec<_> = (1..=versions.len() as u64).map(Some).collect();
    assert_eq!((versions, code), (whole, Some(0)));

    everything.until("COMPLETED");
    assert!(everything.said.last().is_some_and(|line| line.contains(&run)), "{run}");
    server.kill().expect("it can be killed");
    server.wait().expect("it ends");
}

#[test]
fn a_run_is_begun_and_followed_to_an_end_that_the_exit_code_tells() {
    let folder = folder();
    let (mut server, url) = serve(&folder.path().join("data"));
    let file = folder.path().join("one.yaml");
    let path = file.to_str().expect("UTF-8");
    for (with, code, words) in
        [("{}", 0, "COMPLETED"), ("{ fail: { permanent: true } }", 1, "FAILED")]
    {
        let steps = format!("[{{ id: a, type: noop, retry: none, with: {with} }}]");
        fs::write(&file, format!("id: one\nsteps: {steps}")).expect("a file");
        let (said, ended) = Following::start(&url, &["run", path]).ended();
        assert_eq!(ended, Some(code), "{said:?}");
        assert!(said[0].starts_with("exec_"), "{said:?}");
        assert!(said.last().is_some_and(|line| line.contains(words)), "{said:?}");
        let (only, ended) =
            Following::start(&url, &["follow", &said[0], "--type", "ExecutionEnded"]).ended();
        assert_eq!((&only[..], ended), (&said[said.len() - 1..], Some(code)));
    }
    let none = output(&["follow", "exec_0000000000000000000000000", "--server", &url]);
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    assert_eq!(none.status.code(), Some(1), "{said}");
    assert!(said.contains("NOT_FOUND"), "{said}");
    server.kill().expect("it can be killed");
    server.wait().expect("it ends");
}

#[test]
fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let said = output(&["completion", shell]);
        let script = String::from_utf8(said.stdout).expect("UTF-8");
        assert_eq!(said.status.code(), Some(0));
        for command in ["follow", "submit", "breakers"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}
