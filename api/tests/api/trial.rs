//! `backstitch test`: what it finds, what it says, and how it ends.

use std::fs;
use std::path::Path;
use std::process::Output;

use backstitch_api::Settings;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{backstitch, folder, output};
use crate::server::{Server, settings};
use crate::service::Service;

/// A payment that nothing takes back, before a ticket.
fn booking(url: &str) -> String {
    booking_with(url, "")
}

/// The same, with more words for the payment.
fn booking_with(url: &str, more: &str) -> String {
    let with = |path: &str| format!("with: {{ method: POST, url: '{url}{path}' }}");
    let retry = "retry: { max_attempts: 3, initial: 1ms, max: 1ms }";
    let void = format!("undo: {{ type: http, {retry}, {} }}", with("void"));
    let pay = format!("{{ id: pay, type: http, {retry}, {more} {} }}", with("pay"));
    let ticket =
        format!("{{ id: ticket, type: http, needs: [pay], {retry}, {}, {void} }}", with("ticket"));
    format!("id: booking\nsteps:\n  - {pay}\n  - {ticket}\n")
}

fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let file = folder.path().join(name);
    fs::write(&file, text).expect("a file");
    file.to_str().expect("a path in UTF-8").to_owned()
}

/// What a test in JSON says, and how it ended.
fn told(arguments: &[&str], code: i32) -> Value {
    let output = output(&[&["test", "--json"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// What runs left behind, each as its fault, the step and what of it.
fn left(told: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let runs = told["runs"].as_array().expect("a list").iter();
    let of_run = |run: &Value| {
        let left = run["left"].as_array().expect("a list").clone();
        let words = text(&run["words"]);
        left.into_iter().map(move |own| (words.clone(), text(&own["step"]), text(&own["what"])))
    };
    runs.flat_map(of_run).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn an_undo_that_is_missing_and_one_that_repeats_are_found() {
    let folder = folder();
    let definition = file(&folder, "booking.yaml", &booking("http://127.0.0.1:9/"));
    let mocks = file(&folder, "mocks.yaml", "ticket/undo: { idempotent: false }");
    let told = told(&[&definition, "--every-fault", "--mocks", &mocks], 1);
    assert_eq!((&told["mocked"], &told["clean"]), (&json!(true), &json!(false)));
    assert_eq!(told["left_behind_by"], json!(["pay", "ticket"]), "{told:#}");
    let left = left(&told);
    let has = |words: &str, step: &str, what: &str| {
        let own = (words.to_owned(), step.to_owned(), what.to_owned());
        assert!(left.contains(&own), "{own:?} is missing in {left:#?}");
    };
    has("ticket fails", "pay", "not_undone");
    has("ticket acts, then fails", "pay", "not_undone");
    has("pay acts, then fails", "pay", "not_undone");
    has("undo of ticket is called twice; ticket acts, then fails", "ticket", "undone_again");
    let clean = |words: &str| left.iter().all(|own| own.0 != words);
    assert!(clean("no fault") && clean("pay fails") && clean("ticket is called twice"));
    let killed = |(words, step, _): &&(String, String, String)| {
        words.starts_with("killed") && step == "ticket" && words.contains("after what follows")
    };
    assert!(left.iter().any(|own| killed(&own)), "a kill repeats the undo: {left:#?}");
}

#[test]
fn a_service_that_acts_twice_is_found_and_runs_are_bounded() {
    let folder = folder();
    let definition = file(&folder, "booking.yaml", &booking("http://127.0.0.1:9/"));
    let text = "{ pay: { idempotent: false, acts: true }, ticket: { acts: false } }";
    let mocks = file(&folder, "mocks.yaml", text);
    let bounded = ["--every-fault", "--mocks", &mocks, "--runs-max", "4"];
    let told = told(&[&[&*definition], &bounded[..]].concat(), 1);
    let found = [
        ("pay acts, then fails".to_owned(), "pay".to_owned(), "not_undone".to_owned()),
        ("pay is called twice".to_owned(), "pay".to_owned(), "done_again".to_owned()),
    ];
    assert_eq!(left(&told), found);
    assert_eq!(told["runs"].as_array().map(Vec::len), Some(4));
    let stopped = told["stopped"].as_str().expect("it says so");
    assert!(stopped.contains("--runs-max"), "{stopped}");
    let table = output(&["test", &definition, "--mocks", &mocks]);
    let said = said(&table);
    assert_eq!(table.status.code(), Some(0), "{said}");
    assert!(said.contains("1 runs, and nothing is left behind"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn real_services_are_called_and_the_journal_says_what_is_left() {
    let (folder, service) = (folder(), Service::start().await);
    let definition = file(&folder, "booking.yaml", &booking(&service.url("")));
    let testing = tokio::task::spawn_blocking(move || {
        told(&[&definition, "--every-fault", "--runs-max", "8"], 1)
    });
    let told = testing.await.expect("no panic");
    let of_pay = |(_, step, what): &(String, String, String)| step == "pay" && what == "not_undone";
    let left = left(&told);
    assert!(left.iter().any(|own| own.0 == "ticket fails" && of_pay(own)), "{left:#?}");
    let late = ("pay acts, then fails".to_owned(), "pay".to_owned(), "unknown".to_owned());
    assert!(left.contains(&late), "{left:#?}");
    assert!(!service.calls().is_empty(), "the service was called");
    assert_eq!(told["mocked"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_runs_tests_a_definition_if_it_takes_faults() {
    let (folder, service) = (folder(), Service::start().await);
    let definition = file(&folder, "booking.yaml", &booking(&service.url("")));
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let settings = Settings { fault_injection: true, ..settings(&temporary) };
    let (takes, refuses) = (Server::start_with(settings, temporary).await, Server::start().await);
    let (url, other) = (takes.url.clone(), refuses.url.clone());
    let testing = tokio::task::spawn_blocking(move || {
        let refused = output(&["test", &definition, "--every-fault", "--server", &other]);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        assert!(said(&refused).contains("takes no runs with faults"), "{}", said(&refused));
        // Twice: what an earlier test left there is another test's.
        [(); 2].map(|()| told(&[&definition, "--every-fault", "--server", &url], 1))
    });
    for told in testing.await.expect("no panic") {
        let runs = told["runs"].as_array().expect("a list");
        assert!(runs.len() >= 8, "{told:#}");
        assert!(runs.iter().all(|run| run["fault"]["kind"] != "killed"), "{told:#}");
        assert_eq!((&told["stopped"], &told["mocked"]), (&Value::Null, &json!(false)));
        assert!(left(&told).iter().any(|own| own.0 == "ticket fails"), "{told:#}");
    }
    let (_, known) = refuses.get("/api/v1/workflows/booking").await;
    assert_eq!(known["error_code"], "WORKFLOW_NOT_FOUND", "nothing was defined there");
    let (_, known) = takes.get("/api/v1/workflows/booking").await;
    assert_eq!(known["revision"], 1, "the same text is the same revision");
    takes.stop().await;
    refuses.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_does_not_end_is_left_with_what_it_waits_for() {
    let folder = folder();
    let text = "id: asks\nsteps:\n  - { id: ask, type: wait, with: { signal: yes-please } }\n";
    let definition = file(&folder, "asks.yaml", text);
    let testing = tokio::task::spawn_blocking(move || {
        let output = output(&["test", &definition, "--every-fault", "--run-timeout", "200ms"]);
        (output.status.code(), said(&output))
    });
    let (code, said) = testing.await.expect("no panic");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("did not end within 0.2 s"), "{said}");
    assert!(said.contains("yes-please"), "{said}");
}

#[test]
fn signals_come_from_mocks_and_every_run_has_its_number() {
    let folder = folder();
    let text = "\
id: asks
input_schema: { type: object, properties: { order: { type: string, pattern: '^o-[0-9]+$' } } }
steps:
  - { id: ask, type: wait, with: { signal: 'yes-{{ input.order }}' } }
  - id: pay
    type: http
    needs: [ask]
    with: { method: POST, url: 'http://127.0.0.1:9/{{ steps.ask.output.payload.by }}' }
    undo: { type: http, with: { method: POST, url: 'http://127.0.0.1:9/refund' } }
";
    let definition = file(&folder, "asks.yaml", text);
    let mocks = file(&folder, "mocks.yaml", "ask: { output: { by: ada } }");
    let input = json!({ "order": "o-{{ run }}" }).to_string();
    let told = told(&[&definition, "--every-fault", "--mocks", &mocks, "--input", &input], 0);
    let runs = told["runs"].as_array().expect("a list");
    let killed = runs.iter().filter(|run| run["fault"]["kind"] == "killed").count();
    assert!(killed >= 8, "{told:#}");
    assert_eq!((&told["clean"], &told["never_undone"]), (&json!(true), &json!([])));
}

#[test]
fn a_check_is_answered_by_the_books_of_the_mocks() {
    let example = |name: &str| format!("{}/../examples/{name}", env!("CARGO_MANIFEST_DIR"));
    let (definition, mocks) = (example("payment.yaml"), example("mocks/payment.yaml"));
    let input = json!({ "guest": "ada", "amount": 5 }).to_string();
    let every = ["--every-fault", "--input", &input, "--mocks"];
    let told = told(&[&[&*definition], &every[..], &[&*mocks]].concat(), 0);
    let runs = told["runs"].as_array().expect("a list");
    let late = runs.iter().find(|run| run["words"] == "pay acts, then fails").expect("a run");
    assert_eq!(late["status"], "compensated", "{late:#}");
    for words in ["check of pay is called twice", "answer of the check of pay is lost"] {
        let words = format!("{words}; pay acts, then fails");
        let run = runs.iter().find(|run| run["words"] == words).expect("a run");
        assert_eq!((&run["status"], &run["met"]), (&json!("compensated"), &json!(true)), "{run:#}");
    }
    assert_eq!(told["never_asked"], json!([]));
    assert_eq!((&told["clean"], &told["never_undone"]), (&json!(true), &json!([])));
    // A bank that cannot say leaves the payment to a person.
    let folder = folder();
    let silent = file(&folder, "silent.yaml", "pay/check: { error: { status: 422 } }");
    let told = self::told(&[&[&*definition], &every[..], &[&*silent]].concat(), 1);
    assert!(told["left_behind_by"].as_array().expect("a list").contains(&json!("pay")), "{told:#}");
}

#[test]
fn what_cannot_be_tested_is_said_with_its_place() {
    let folder = folder();
    let bad = file(&folder, "bad.yaml", "id: w\nsteps: [{id: a, type: noop, timeout: soon}]");
    let refused = output(&["test", &bad]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("steps[0].timeout: "), "{}", said(&refused));
    let good = file(&folder, "good.yaml", &booking("http://127.0.0.1:9/"));
    let text = "{ pya: {}, pay: { idempotent: 7 }, ticket/undo: { acts: true }, 'leg:book': {} }";
    let mocks = file(&folder, "mocks.yaml", text);
    let problems = told(&[&good, "--mocks", &mocks], 1)["problems"].clone();
    let paths: Vec<_> =
        problems.as_array().expect("a list").iter().map(|own| own["path"].clone()).collect();
    for path in ["mocks.pya", "mocks.pay.idempotent", "mocks.ticket/undo.acts", "mocks.leg:book"] {
        assert!(paths.contains(&json!(path)), "{path} is missing in {problems:#}");
    }
    for (flag, value) in [("--run-timeout", "soon"), ("--balance", "ftp://x"), ("--input", "{")] {
        let refused = output(&["test", &good, flag, value]);
        assert_eq!(refused.status.code(), Some(2), "{flag}: {}", said(&refused));
    }
}

#[test]
fn a_step_that_needs_no_undo_leaves_nothing() {
    let folder = folder();
    let text = booking_with("http://127.0.0.1:9/", "undo: none,");
    let definition = file(&folder, "booking.yaml", &text);
    let mocks = file(&folder, "mocks.yaml", "{}");
    let bounded = ["--every-fault", "--mocks", &mocks, "--runs-max", "8"];
    let told = told(&[&[&*definition], &bounded[..]].concat(), 1);
    assert_eq!(told["left_behind_by"], json!([]), "{told:#}");
}

#[test]
fn a_fault_that_names_something_twice_is_refused() {
    let folder = folder();
    let good = file(&folder, "good.yaml", &booking("http://127.0.0.1:9/"));
    let refused = output(&["submit", &good, "--fault", "step=pay,kind=fail,step=ticket"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("`step` is given twice"), "{}", said(&refused));
}

#[test]
fn nothing_of_a_test_stays() {
    let folder = folder();
    let definition = file(&folder, "booking.yaml", &booking("http://127.0.0.1:9/"));
    let mocks = file(&folder, "mocks.yaml", "{}");
    let temporary = folder.path().join("temporary");
    fs::create_dir(&temporary).expect("a folder");
    let mut command = backstitch(&["test", &definition, "--mocks", &mocks]);
    let output = command.env("TMPDIR", &temporary).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let left = |folder: &Path| fs::read_dir(folder).expect("the folder").count();
    assert_eq!(left(&temporary), 0);
}
