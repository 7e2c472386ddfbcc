//! The engine over a real journal: what is answered, what survives, what a stop leaves.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use backstitch_core::failure::Failure;
use backstitch_core::ids::{DEFAULT_NAMESPACE, ExecutionId, LetterId};
use backstitch_core::payload::Payload;
use backstitch_core::summary::RunStatus;
use backstitch_executors::Registry;
use backstitch_executors::http::HttpConfig;
use backstitch_executors::{Answer, Executor, InputProblem, Task};
use backstitch_journal::{Options, RunFilter};
use backstitch_saga::engine::Recovered;
use backstitch_saga::handle::{Handle, Request};
use backstitch_saga::{Config, Engine, Error};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// An executor whose attempts wait until the test lets them go.
struct Gate {
    open: Arc<Semaphore>,
    entered: mpsc::UnboundedSender<Task>,
}

impl Executor for Gate {
    fn run(&self, task: Task) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let (open, entered) = (self.open.clone(), self.entered.clone());
        Box::pin(async move {
            let panics = task.input.value()["panic"] == json!(true);
            let fails = task.input.value()["fail"] == json!(true);
            entered.send(task).expect("the test listens");
            open.acquire().await.expect("never closed").forget();
            assert!(!panics, "told to panic");
            if fails { Err(Failure::permanent("NO", "told to fail")) } else { Ok(Payload::null()) }
        })
    }

    fn check(&self, _: &Value) -> Vec<InputProblem> {
        Vec::new()
    }
}

/// Attempts that the engines of these tests allow at a time.
const ATTEMPTS_MAX: usize = 64;

struct Node {
    handle: Handle,
    recovered: Recovered,
    open: Arc<Semaphore>,
    entered: mpsc::UnboundedReceiver<Task>,
    stop: oneshot::Sender<()>,
    running: tokio::task::JoinHandle<Result<(), String>>,
}

impl Node {
    fn start(directory: &Path) -> Self {
        let open = Arc::new(Semaphore::new(0));
        let (enter, entered) = mpsc::unbounded_channel();
        let mut registry = Registry::builtin(HttpConfig::default()).expect("executors");
        registry.add("gate", Arc::new(Gate { open: open.clone(), entered: enter }));
        let journal = Options {
            partitions: 4,
            segment_bytes: 1024 * 1024,
            ballast_bytes: 0,
            ..Options::default()
        };
        let config = Config {
            data_dir: directory.to_owned(),
            journal,
            registry: Arc::new(registry),
            signer: Default::default(),
            secrets: Default::default(),
            attempts_max: ATTEMPTS_MAX,
            slots: backstitch_saga::slots::Settings::default(),
            breakers: backstitch_saga::breakers::Settings::default(),
            fault_injection: false,
            hold: backstitch_saga::hold::Hold::default(),
            cache_bytes_max: backstitch_saga::cache::CACHE_BYTES_DEFAULT,
            drain: Duration::from_secs(60),
            shutdown: backstitch_saga::Shutdown::Drain,
            policies: backstitch_saga::policies::Settings::default(),
            retention: backstitch_saga::retention::Settings::default(),
        };
        let engine = Engine::open(config).expect("the journal opens");
        let (handle, recovered) = (engine.handle(), engine.recovered().clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(engine.run(async move {
            // Dropped counts as told.
            drop(stopped.await);
        }));
        Self { handle, recovered, open, entered, stop, running }
    }

    async fn define(&self, definition: Value) {
        self.handle
            .define(&DEFAULT_NAMESPACE.into(), &definition, "test")
            .await
            .expect("a right definition");
    }

    async fn stop(self) {
        drop(self.stop);
        self.running.await.expect("no panic").expect("a clean stop");
    }

    async fn ended(&self, run: ExecutionId) -> Arc<Value> {
        let limit = Duration::from_secs(60);
        self.handle.wait(run, limit).await.expect("a run").expect("it ends")
    }
}

fn request(workflow: &str, input: Value) -> Request {
    Request::new(DEFAULT_NAMESPACE.into(), workflow.to_owned(), input, "test".to_owned())
}

fn keyed(workflow: &str, input: Value, key: &str) -> Request {
    Request { idempotency_key: Some(key.to_owned()), ..request(workflow, input) }
}

fn gated() -> Value {
    json!({ "id": "gated", "steps": [
        { "id": "a", "type": "gate", "with": { "fail": "{{ input.fail }}" } },
        { "id": "b", "needs": ["a"], "type": "noop" },
    ]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_and_is_found_again_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path());
    node.define(json!({ "id": "w", "steps": [{ "id": "a", "type": "noop" }] })).await;
    let limit = Duration::from_secs(60);
    let (accepted, ended) =
        node.handle.submit_and_wait(request("w", json!({})), limit).await.expect("accepted");
    let before = ended.expect("it ends");
    assert_eq!(before["status"], "completed");
    node.stop().await;
    let node = Node::start(directory.path());
    let after = node.handle.execution(accepted.execution).await.expect("it is still there");
    assert_eq!(before, after);
    let filter = RunFilter {
        namespace: DEFAULT_NAMESPACE.to_owned(),
        status: Some(RunStatus::Completed),
        workflow: Some("w".to_owned()),
        ..RunFilter::default()
    };
    let page = node.handle.runs(filter, None, 10).await.expect("a list");
    assert_eq!(page.rows.len(), 1);
    node.handle.submit(request("w", json!({}))).await.expect("the workflow is still there");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_what_is_in_flight_and_starts_nothing_more() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut node = Node::start(directory.path());
    node.define(gated()).await;
    let run = node.handle.submit(request("gated", json!({ "fail": false }))).await.expect("in");
    node.entered.recv().await.expect("a is under way");
    let (handle, open) = (node.handle.clone(), node.open.clone());
    let stopping = tokio::spawn(node.stop());
    while handle.is_ready() {
        tokio::task::yield_now().await;
    }
    let refused = handle.submit(request("gated", json!({ "fail": false }))).await;
    assert!(matches!(refused, Err(Error::Draining | Error::Stopped)), "{refused:?}");
    open.add_permits(1);
    stopping.await.expect("it stops once a has answered");
    let node = Node::start(directory.path());
    let ended = node.ended(run.execution).await;
    assert_eq!(ended["status"], "completed");
    assert_eq!(ended["steps"]["a"]["attempts"], 1, "a was not run again");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_the_same_run_also_when_it_has_left_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path());
    node.define(json!({ "id": "w", "steps": [{ "id": "a", "type": "noop" }] })).await;
    let first = node.handle.submit(keyed("w", json!({ "n": 1 }), "k")).await.expect("new");
    node.ended(first.execution).await;
    let again = node.handle.submit(keyed("w", json!({ "n": 1 }), "k")).await.expect("repeat");
    assert_eq!((again.execution, again.repeated), (first.execution, true));
    let other = node.handle.submit(keyed("w", json!({ "n": 2 }), "k")).await;
    assert!(matches!(other, Err(Error::KeyConflict(run)) if run == first.execution));
    node.stop().await;
    let node = Node::start(directory.path());
    let again = node.handle.submit(keyed("w", json!({ "n": 1 }), "k")).await.expect("repeat");
    assert!(again.repeated);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retrying_the_step_of_a_compensated_run_starts_one_linked_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path());
    node.define(json!({ "id": "w", "steps": [
        { "id": "a", "type": "noop", "undo": { "type": "noop" } },
        { "id": "b", "needs": ["a"], "type": "noop", "with": { "fail": { "permanent": true } } },
    ]}))
    .await;
    let run = node.handle.submit(request("w", json!({}))).await.expect("in").execution;
    assert_eq!(node.ended(run).await["status"], "compensated");
    let letter = LetterId { execution: run, number: 0 };
    let retried = node.handle.retry_letter(letter, "op").await.expect("a new run");
    assert!(retried.new_run && retried.execution != run);
    assert_eq!(node.ended(retried.execution).await["retry_of"], run.to_string());
    let again = node.handle.retry_letter(letter, "op").await;
    assert!(matches!(again, Err(Error::Rejected(_))), "{again:?}");
    let missing = LetterId { execution: run, number: 7 };
    assert!(matches!(
        node.handle.discard_letter(missing, "op".into(), "x".into()).await,
        Err(Error::LetterNotFound(_))
    ));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_panics_fails_its_step_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path());
    node.open.add_permits(10);
    node.define(json!({ "id": "p", "steps": [
        { "id": "a", "type": "gate", "retry": "none", "with": { "panic": true } },
    ]}))
    .await;
    node.define(gated()).await;
    let bad = node.handle.submit(request("p", json!({}))).await.expect("in").execution;
    let ended = node.ended(bad).await;
    assert_eq!(ended["status"], "failed");
    assert_eq!(ended["steps"]["a"]["error"]["error_code"], "EXECUTOR_PANICKED");
    let good = node.handle.submit(request("gated", json!({ "fail": false }))).await.expect("in");
    assert_eq!(node.ended(good.execution).await["status"], "completed");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_definition_is_one_revision_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path());
    let steps: Vec<_> = (0..5_000)
        .map(|at| json!({ "id": format!("step_{at}"), "type": "transform", "with": { "n": at } }))
        .collect();
    let definition = json!({ "id": "large", "steps": steps });
    assert!(definition.to_string().len() > 256 * 1024);
    node.define(definition.clone()).await;
    node.stop().await;
    let node = Node::start(directory.path());
    let namespace = DEFAULT_NAMESPACE.into();
    let again = node.handle.define(&namespace, &definition, "test").await.expect("known");
    assert_eq!((again.revision, again.created), (1, false));
    let run = node.handle.submit(request("large", json!({}))).await.expect("in").execution;
    let ended = node.ended(run).await;
    assert_eq!(ended["status"], "completed");
    assert_eq!(ended["output"]["step_4999"]["n"], 4_999, "its output is kept beside its record");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_submission_names_every_problem_and_records_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path());
    node.define(json!({
        "id": "w",
        "input_schema": { "type": "object", "required": ["n"] },
        "steps": [{ "id": "a", "type": "noop" }],
    }))
    .await;
    let heads = node.handle.journal().info();
    let mut wrong = request("w", json!({}));
    wrong.variables = json!([]);
    wrong.callbacks = vec![backstitch_core::event::Target {
        event: backstitch_core::event::CallbackEvent::Completed,
        url: "ftp://h/x".to_owned(),
        form: Default::default(),
    }];
    match node.handle.submit(wrong).await {
        Err(Error::InvalidSubmission(problems)) => {
            let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
            assert!(paths.contains(&"variables") && paths.contains(&"callbacks[0].url"));
            assert_eq!(problems.len(), 3, "{problems:?}");
        }
        answer => panic!("{answer:?}"),
    }
    let large = request("w", json!({ "n": "x".repeat(4_200_000) }));
    assert!(matches!(node.handle.submit(large).await, Err(Error::SubmissionTooLarge { .. })));
    let after = node.handle.journal().info();
    assert_eq!(format!("{:?}", heads.heads), format!("{:?}", after.heads));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_content_defined_again_is_current_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path());
    let version = |n: u64| json!({ "id": "w", "steps": [{ "id": "a", "type": "transform", "with": { "v": n } }] });
    for (n, revision) in [(1, 1), (2, 2), (2, 2), (1, 3)] {
        let namespace = DEFAULT_NAMESPACE.into();
        let defined = node.handle.define(&namespace, &version(n), "test").await.expect("right");
        assert_eq!(defined.revision, revision);
    }
    let run = node.handle.submit(request("w", json!({}))).await.expect("in").execution;
    assert_eq!(node.ended(run).await["output"], json!({ "a": { "v": 1 } }));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_known_also_when_the_workflow_has_changed() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path());
    node.define(json!({ "id": "w", "steps": [{ "id": "a", "type": "noop" }] })).await;
    let first = node.handle.submit(keyed("w", json!({ "n": 1 }), "k")).await.expect("new");
    node.define(json!({
        "id": "w",
        "input_schema": { "type": "object", "required": ["m"] },
        "steps": [{ "id": "a", "type": "noop" }],
    }))
    .await;
    let again = node.handle.submit(keyed("w", json!({ "n": 1 }), "k")).await.expect("known");
    assert_eq!((again.execution, again.repeated), (first.execution, true));
    let new = node.handle.submit(keyed("w", json!({ "n": 1 }), "other")).await;
    assert!(matches!(new, Err(Error::InvalidSubmission(_))), "{new:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_attempts_are_under_way_than_allowed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut node = Node::start(directory.path());
    let steps: Vec<_> =
        (0..200).map(|at| json!({ "id": format!("s{at}"), "type": "gate" })).collect();
    node.define(json!({ "id": "wide", "steps": steps })).await;
    let run = node.handle.submit(request("wide", json!({}))).await.expect("in").execution;
    for _ in 0..ATTEMPTS_MAX {
        node.entered.recv().await.expect("an attempt");
    }
    assert!(node.entered.try_recv().is_err(), "more than {ATTEMPTS_MAX} at a time");
    node.open.add_permits(200);
    assert_eq!(node.ended(run).await["status"], "completed");
    node.stop().await;
}

/// A chain long enough to be worth a checkpoint, that sleeps at its end.
fn long_chain() -> Value {
    let mut steps: Vec<_> = (0..40)
        .map(|at: usize| {
            let needs: Vec<_> = at.checked_sub(1).map(|n| format!("s{n}")).into_iter().collect();
            json!({ "id": format!("s{at}"), "type": "transform", "needs": needs, "with": at })
        })
        .collect();
    let with = json!({ "duration": "30d" });
    steps.push(json!({ "id": "sleep", "type": "wait", "needs": ["s39"], "with": with }));
    json!({ "id": "long", "steps": steps })
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_shorten_a_start_and_change_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path());
    node.define(long_chain()).await;
    let run = node.handle.submit(request("long", json!({}))).await.expect("submitted").execution;
    let shown = node.handle.execution(run).await.expect("a run");
    assert_eq!(shown["steps"]["sleep"]["status"], "waiting");
    node.stop().await;
    let marks = directory.path().join("checkpoints.marks");
    // With its checkpoint, without the files, with damaged ones, and with those made anew.
    for (round, used, dropped) in [(1, 1, false), (2, 0, false), (3, 0, true), (4, 1, false)] {
        if round == 2 {
            std::fs::remove_dir_all(directory.path().join("checkpoints")).expect("it is there");
        } else if round == 3 {
            std::fs::write(&marks, [7; 100]).expect("it can be written");
        }
        let node = Node::start(directory.path());
        let again = node.handle.execution(run).await.expect("a run");
        assert_eq!(again, shown, "round {round}");
        let report = &node.recovered.journal;
        assert_eq!(report.checkpoints_dropped.is_some(), dropped, "round {round}");
        assert_eq!((node.recovered.live, node.recovered.checkpoints), (1, used), "round {round}");
        node.stop().await;
    }
}
