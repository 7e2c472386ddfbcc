//! Replays over a real journal: everything once and in order, marked, resumable, and without
//! a trace in any run.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstitch_core::failure::Failure;
use backstitch_core::history::EventFilter;
use backstitch_core::ids::{DEFAULT_NAMESPACE, ExecutionId, ReplayId, StreamId};
use backstitch_core::payload::Payload;
use backstitch_core::replays::{ReplayState, ReplayStatus};
use backstitch_executors::{Answer, Executor, HttpConfig, InputProblem, Registry, Task};
use backstitch_journal::{Options, Record, RunFilter, ViewName};
use backstitch_saga::handle::{Handle, ReplayTarget, ReplayWish, Request};
use backstitch_saga::{Config, Engine, Error};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};

/// Stands in for the network: remembers what it was asked to send, and refuses when told to.
#[derive(Default)]
struct Hook {
    taken: Mutex<Vec<(String, Value)>>,
    refused: Mutex<u32>,
    /// Attempts that may still answer; without it all may.
    turns: Option<Semaphore>,
}

struct Http(Arc<Hook>);

impl Executor for Http {
    fn run(&self, task: Task) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let hook = self.0.clone();
        Box::pin(async move {
            if let Some(turns) = &hook.turns {
                turns.acquire().await.expect("never closed").forget();
            }
            let mut refused = hook.refused.lock().expect("no panic");
            if *refused > 0 {
                *refused -= 1;
                return Err(Failure::retryable("HTTP_STATUS", "503"));
            }
            let taken = (task.idempotency_key, task.input.value());
            hook.taken.lock().expect("no panic").push(taken);
            Ok(Payload::null())
        })
    }

    fn check(&self, _: &Value) -> Vec<InputProblem> {
        Vec::new()
    }
}

struct Node {
    handle: Handle,
    hook: Arc<Hook>,
    stop: oneshot::Sender<()>,
    running: tokio::task::JoinHandle<Result<(), String>>,
}

impl Node {
    fn start(directory: &Path, hook: Hook) -> Self {
        let hook = Arc::new(hook);
        let mut registry = Registry::builtin(HttpConfig::default()).expect("executors");
        registry.add("http", Arc::new(Http(hook.clone())));
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
            attempts_max: 8,
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
        let handle = engine.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(engine.run(async move {
            // Dropped counts as told.
            drop(stopped.await);
        }));
        Self { handle, hook, stop, running }
    }

    async fn runs(&self, count: usize) -> Vec<ExecutionId> {
        let definition = json!({ "id": "w", "steps": [
            { "id": "a", "type": "noop", "undo": { "type": "noop" } },
            { "id": "b", "needs": ["a"], "type": "transform", "with": { "n": "{{ input.n }}" } },
        ]});
        let namespace: Arc<str> = DEFAULT_NAMESPACE.into();
        self.handle.define(&namespace, &definition, "test").await.expect("right");
        let mut runs = Vec::new();
        for n in 0..count {
            let request = Request::new(
                namespace.clone(),
                "w".to_owned(),
                json!({ "n": n }),
                "test".to_owned(),
            );
            let limit = Duration::from_secs(60);
            let (accepted, ended) =
                self.handle.submit_and_wait(request, limit).await.expect("accepted");
            assert_eq!(ended.expect("it ends")["status"], "completed");
            runs.push(accepted.execution);
        }
        runs
    }

    async fn stop(self) {
        drop(self.stop);
        self.running.await.expect("no panic").expect("a clean stop");
    }

    /// Waits until a replay does not run any more.
    async fn rest(&self, id: ReplayId) -> ReplayState {
        loop {
            let state = self.handle.replay(id).await.expect("it is there");
            if state.status != ReplayStatus::Running {
                return state;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Every record of every run.
    fn histories(&self, runs: &[ExecutionId]) -> Vec<Vec<Record>> {
        let read = |run: &ExecutionId| {
            let stream = StreamId::Execution(*run);
            self.handle.journal().history(&stream).expect("readable").expect("there")
        };
        runs.iter().map(read).collect()
    }
}

/// Where the events go.
const URL: &str = "http://receiver.example/hook";

fn wish() -> ReplayWish {
    ReplayWish {
        namespace: DEFAULT_NAMESPACE.into(),
        target: ReplayTarget::Webhook(URL.to_owned()),
        after: None,
        until: None,
        filter: EventFilter::default(),
        rate_per_second: 1_000,
        attempts_max: 1,
        actor: "ann".to_owned(),
    }
}

/// The bodies of what was taken, by partition, which must come in order.
fn in_order(taken: &[(String, Value)]) -> usize {
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for (id, _) in taken {
        let (partition, position) = id.rsplit_once(':').expect("generation:partition:position");
        let position: u64 = position.parse().expect("a number");
        let before = last.insert(partition.to_owned(), position);
        assert!(before.is_none_or(|before| before < position), "{id} after {before:?}");
    }
    taken.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_delivers_everything_once_in_order_marked_and_touches_no_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path(), Hook::default());
    let runs = node.runs(6).await;
    let before = node.histories(&runs);
    let heads = node.handle.newest_cursor();
    let (id, _) = node.handle.request_replay(wish()).await.expect("taken");
    let state = node.rest(id).await;
    assert_eq!(
        (&state.status, state.positions == heads.positions),
        (&ReplayStatus::Completed, true)
    );
    let taken = std::mem::take(&mut *node.hook.taken.lock().expect("no panic"));
    assert_eq!(in_order(&taken) as u64, heads.positions.iter().sum::<u64>());
    assert_eq!(state.delivered, taken.len() as u64);
    for (key, request) in &taken {
        assert_eq!(request["headers"]["backstitch-replay"], id.to_string());
        assert_eq!((&request["method"], &request["url"]), (&json!("POST"), &json!(URL)));
        let body = &request["body"];
        assert_eq!((&body["event_id"], &body["position"]), (&json!(key), &json!(key)));
        assert_eq!(body["replay"]["replay_id"], id.to_string());
    }
    assert_eq!(before, node.histories(&runs), "no run has a trace of it");

    let types = ["StepSucceeded".to_owned()].into();
    let filter = EventFilter { types, workflow: Some("w".to_owned()), ..EventFilter::default() };
    let one = EventFilter { execution: Some(runs[2].to_string()), ..filter.clone() };
    for (filter, count) in [(filter, 12), (one, 2)] {
        let (id, _) =
            node.handle.request_replay(ReplayWish { filter, ..wish() }).await.expect("in");
        assert_eq!(node.rest(id).await.delivered, count);
        let taken = std::mem::take(&mut *node.hook.taken.lock().expect("no panic"));
        assert_eq!(taken.len() as u64, count);
        assert!(taken.iter().all(|(_, request)| request["body"]["type"] == "StepSucceeded"));
    }
    assert_eq!(node.handle.replays().await.expect("a list").len(), 3);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_stops_after_its_last_attempt_and_goes_on_where_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path(), Hook::default());
    node.runs(2).await;
    *node.hook.refused.lock().expect("no panic") = 3;
    let (id, _) = node.handle.request_replay(wish()).await.expect("taken");
    let ReplayStatus::Stopped { reason, actor } = node.rest(id).await.status else {
        panic!("it was refused")
    };
    assert!(reason.contains("in 1 attempt(s): HTTP_STATUS: 503"), "{reason}");
    assert_eq!(actor, None);
    // Two attempts, and the second is refused too; then one that is taken after a wait.
    node.handle.resume_replay(id, "ann".to_owned()).await.expect("it goes on");
    assert!(matches!(node.rest(id).await.status, ReplayStatus::Stopped { .. }));
    let twice = ReplayWish { attempts_max: 2, ..wish() };
    let (other, _) = node.handle.request_replay(twice).await.expect("taken");
    assert_eq!(node.rest(other).await.status, ReplayStatus::Completed);
    in_order(&std::mem::take(&mut *node.hook.taken.lock().expect("no panic")));
    node.handle.resume_replay(id, "ann".to_owned()).await.expect("it goes on");
    let state = node.rest(id).await;
    assert_eq!(state.status, ReplayStatus::Completed);
    let taken = in_order(&node.hook.taken.lock().expect("no panic"));
    assert_eq!(state.delivered, taken as u64);
    let late = node.handle.resume_replay(id, "ann".to_owned()).await;
    assert!(matches!(late, Err(Error::ReplayRejected(_))), "{late:?}");
    let missing = node.handle.stop_replay(ReplayId(1), "x".to_owned(), "ann".to_owned()).await;
    assert!(matches!(missing, Err(Error::ReplayNotFound(_))), "{missing:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_under_way_goes_on_after_a_restart_and_repeats_little() {
    let directory = tempfile::tempdir().expect("a directory");
    let hook = Hook { turns: Some(Semaphore::new(7)), ..Hook::default() };
    let node = Node::start(directory.path(), hook);
    node.runs(5).await;
    let wanted: u64 = node.handle.newest_cursor().positions.iter().sum();
    let (id, _) = node.handle.request_replay(wish()).await.expect("taken");
    while node.hook.taken.lock().expect("no panic").len() < 7 {
        tokio::task::yield_now().await;
    }
    let first = std::mem::take(&mut *node.hook.taken.lock().expect("no panic"));
    node.stop().await;
    let node = Node::start(directory.path(), Hook::default());
    let state = node.rest(id).await;
    assert_eq!(state.status, ReplayStatus::Completed);
    let second = std::mem::take(&mut *node.hook.taken.lock().expect("no panic"));
    in_order(&second);
    let mut all: Vec<_> = first.into_iter().chain(second).map(|(id, _)| id).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len() as u64, wanted, "every event came at least once");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_stopped_by_hand_and_wrong_wishes_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let hook = Hook { turns: Some(Semaphore::new(0)), ..Hook::default() };
    let node = Node::start(directory.path(), hook);
    node.runs(1).await;
    let (id, _) = node.handle.request_replay(wish()).await.expect("taken");
    let stopped = node.handle.stop_replay(id, "enough".to_owned(), "bob".to_owned()).await;
    let status = ReplayStatus::Stopped { reason: "enough".into(), actor: Some("bob".into()) };
    assert_eq!(stopped.expect("it runs").status, status);
    let target = ReplayTarget::Webhook("ftp://x/".to_owned());
    let wrong = ReplayWish { target, rate_per_second: 0, attempts_max: 0, ..wish() };
    match node.handle.request_replay(wrong).await {
        Err(Error::InvalidSubmission(problems)) => assert_eq!(problems.len(), 3, "{problems:?}"),
        answer => panic!("{answer:?}"),
    }
    let mut outdated = node.handle.newest_cursor();
    outdated.generation += 1;
    let wish = ReplayWish { after: Some(outdated), ..wish() };
    let refused = node.handle.request_replay(wish).await;
    assert!(matches!(refused, Err(Error::CursorOutdated { .. })), "{refused:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_into_a_view_makes_it_anew_also_behind_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path(), Hook::default());
    node.runs(3).await;
    let tree = |node: &Node| {
        let views = node.handle.journal().views();
        views.into_iter().find(|own| own.view == ViewName::Runs).expect("there").tree
    };
    let before = tree(&node);
    let into = || ReplayWish { target: ReplayTarget::View(ViewName::Runs), ..wish() };
    let (id, state) = node.handle.request_replay(into()).await.expect("taken");
    assert_eq!(state.into_view().as_deref(), Some("runs"));
    let ended = node.rest(id).await;
    assert_eq!(ended.status, ReplayStatus::Completed);
    assert_eq!(ended.positions, ended.request.until);
    assert!(tree(&node) > before, "a new tree is in force");
    assert!(node.hook.taken.lock().expect("no panic").is_empty(), "nobody was called");
    let filter = RunFilter { namespace: DEFAULT_NAMESPACE.to_owned(), ..RunFilter::default() };
    let listed = node.handle.runs(filter, None, 10).await.expect("a list").rows.len();
    assert_eq!(listed, 3);
    // Whether it comes to its end before the stop or not: it has, behind the next start.
    let (id, _) = node.handle.request_replay(into()).await.expect("taken");
    node.stop().await;
    let node = Node::start(directory.path(), Hook::default());
    assert_eq!(node.rest(id).await.status, ReplayStatus::Completed);
    node.stop().await;
}
