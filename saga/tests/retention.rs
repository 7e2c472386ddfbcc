//! Retention over a real journal: the sweep, what a live child holds back, a cut that a crash
//! left undone.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use backstitch_core::api_keys::ApiKeyWish;
use backstitch_core::event::{BreakerOrder, PartitionEvent};
use backstitch_core::failure::Failure;
use backstitch_core::ids::{DEFAULT_NAMESPACE, ExecutionId, LetterId, PartitionId};
use backstitch_core::retention::{Asked, Held, Plan, Policy};
use backstitch_executors::http::HttpConfig;
use backstitch_executors::{Answer, Executor, InputProblem, Registry, Task};
use backstitch_journal::{CutPoint, Options, SEGMENT_BYTES_MIN};
use backstitch_saga::handle::{Handle, Request};

use backstitch_saga::retention::{Settings, Stage};
use backstitch_saga::{Config, Engine, Error, clock};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// An executor that fails once and hangs from then on.
#[derive(Default)]
struct Once(AtomicBool);

impl Executor for Once {
    fn run(&self, _: Task) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let again = self.0.swap(true, Ordering::SeqCst);
        Box::pin(async move {
            if again {
                std::future::pending::<()>().await;
            }
            Err(Failure::permanent("NO", "told to fail"))
        })
    }

    fn check(&self, _: &Value) -> Vec<InputProblem> {
        Vec::new()
    }
}

struct Node {
    handle: Handle,
    stop: oneshot::Sender<()>,
    running: tokio::task::JoinHandle<Result<(), String>>,
}

impl Node {
    fn start(directory: &Path, retention: Settings) -> Self {
        Self::start_ticking(directory, retention, 10)
    }

    fn start_ticking(directory: &Path, retention: Settings, tick_ms: u64) -> Self {
        let journal = Options {
            partitions: 4,
            segment_bytes: SEGMENT_BYTES_MIN,
            log_segments_kept: 1,
            tick_ms,
            ballast_bytes: 0,
            ..Options::default()
        };
        let mut registry = Registry::builtin(HttpConfig::default()).expect("executors");
        registry.add("once", Arc::<Once>::default());
        let config = Config {
            data_dir: directory.to_owned(),
            journal,
            registry: Arc::new(registry),
            signer: Default::default(),
            secrets: Default::default(),
            attempts_max: 16,
            slots: backstitch_saga::slots::Settings::default(),
            breakers: backstitch_saga::breakers::Settings::default(),
            fault_injection: false,
            hold: backstitch_saga::hold::Hold::default(),
            cache_bytes_max: backstitch_saga::cache::CACHE_BYTES_DEFAULT,
            drain: Duration::from_millis(1),
            shutdown: backstitch_saga::Shutdown::Drain,
            policies: backstitch_saga::policies::Settings::default(),
            retention,
        };
        let engine = Engine::open(config).expect("the journal opens");
        let handle = engine.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(engine.run(async move { drop(stopped.await) }));
        Self { handle, stop, running }
    }

    async fn define(&self, definition: Value) {
        self.define_in(DEFAULT_NAMESPACE, definition).await;
    }

    async fn define_in(&self, namespace: &str, definition: Value) {
        let namespace = namespace.into();
        self.handle.define(&namespace, &definition, "test").await.expect("a right definition");
    }

    async fn run(&self, workflow: &str, input: Value) -> ExecutionId {
        self.run_in(DEFAULT_NAMESPACE, workflow, input).await
    }

    async fn run_in(&self, namespace: &str, workflow: &str, input: Value) -> ExecutionId {
        let request = Request::new(namespace.into(), workflow.to_owned(), input, "test".to_owned());
        let limit = Duration::from_secs(60);
        let accepted = self.handle.submit_and_wait(request, limit).await.expect("it is taken");
        assert!(accepted.1.is_some(), "it ends");
        accepted.0.execution
    }

    async fn plan(&self, policy: &Policy) -> Plan {
        let (namespace, policy) = (DEFAULT_NAMESPACE.into(), policy.clone());
        let asked = Asked { namespace, policy, at: clock::now(), after: None, limit: 1_000 };
        self.handle.plan_retention(asked).await.expect("the journal is whole")
    }

    async fn stop(self) {
        drop(self.stop);
        self.running.await.expect("no panic").expect("a clean stop");
    }
}

fn at_once() -> Policy {
    Policy::read(&json!({ "rules": [{ "name": "at once", "keep_for": "0s" }] })).expect("right")
}

fn short() -> Value {
    json!({ "id": "short", "steps": [{ "id": "a", "type": "noop" }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_applies_the_policy_of_the_settings() {
    let directory = tempfile::tempdir().expect("a folder");
    let sweep_every = Some(Duration::from_millis(20));
    let settings = Settings { policy: Some(at_once()), sweep_every, ..Settings::default() };
    let node = Node::start(directory.path(), settings.clone());
    node.define(short()).await;
    let run = node.run("short", json!({})).await;
    // Also in a namespace that nobody serves.
    node.define_in("elsewhere", short()).await;
    let other = node.run_in("elsewhere", "short", json!({})).await;
    while node.handle.execution(other).await.is_ok() {}
    let gone = loop {
        match node.handle.execution(run).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(&gone, Error::ExecutionRemoved { rule, .. } if rule == "at once"), "{gone}");
    // One that somebody sets is stronger, and stays so.
    node.handle.set_retention_policy(Policy::default(), "op").await.expect("it is recorded");
    node.stop().await;
    let node = Node::start(directory.path(), settings);
    assert_eq!(node.handle.retention_policy().policy, Policy::default());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_letter_lives_on_is_held() {
    let directory = tempfile::tempdir().expect("a folder");
    let node = Node::start(directory.path(), Settings::default());
    node.define(json!({ "id": "done", "steps": [{ "id": "a", "type": "noop" }] })).await;
    // The first try fails; the run that starts over hangs.
    node.define(json!({ "id": "w", "steps": [
        { "id": "done", "type": "noop", "undo": { "type": "noop" } },
        { "id": "bad", "type": "once", "needs": ["done"], "retry": "none" },
    ]}))
    .await;
    let failed = node.run("w", json!({})).await;
    let policy = at_once();
    assert_eq!(node.plan(&policy).await.held, [(failed, 0, Held::OpenLetter)]);
    let letter = LetterId { execution: failed, number: 0 };
    let retried = node.handle.retry_letter(letter, "op").await.expect("it starts over");
    assert!(retried.new_run);
    let plan = node.plan(&policy).await;
    assert_eq!(plan.held, [(failed, 0, Held::LiveChild(retried.execution))]);
    assert!(plan.runs.is_empty());
    let short_lived = node.run("done", json!({})).await;
    let (namespace, at) = (DEFAULT_NAMESPACE.into(), clock::now());
    let asked = Asked { namespace, policy, at, after: None, limit: 1 };
    node.handle.apply_retention(asked, "op", 10).expect("nothing else is applied");
    let progress = loop {
        let progress = node.handle.retention_progress().expect("it was begun");
        if progress.stage != Stage::Running {
            break progress;
        }
    };
    assert_eq!((progress.stage, progress.removed), (Stage::Done, 1));
    assert_eq!(progress.held.get("live_child"), Some(&1));
    assert!(node.handle.execution(short_lived).await.is_err());
    assert!(node.handle.execution(failed).await.is_ok());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_cut_is_finished_by_the_next_start() {
    let directory = tempfile::tempdir().expect("a folder");
    let node = Node::start(directory.path(), Settings::default());
    node.define(short()).await;
    let input = json!({ "text": "x".repeat(30_000) });
    for _ in 0..24 {
        node.run("short", input.clone()).await;
    }
    let plan = loop {
        let plan = node.handle.plan_cut(CutPoint::Everything).await.expect("there is an archive");
        if plan.through_segment.is_some() {
            break plan;
        }
    };
    for anchor in plan.anchor.iter().filter(|anchor| anchor.moves) {
        let (sequence, hash) = (anchor.sequence, anchor.hash);
        let event = PartitionEvent::LogCut { sequence, hash, actor: "op".to_owned() };
        node.handle.record(PartitionId(anchor.partition), event).await.expect("it is recorded");
    }
    // The process dies here: recorded, and not done.
    node.stop().await;
    let node = Node::start(directory.path(), Settings::default());
    loop {
        let begins = node.handle.journal().beginning().expect("the archive is whole");
        let done = |(head, anchor): (&backstitch_journal::Head, &backstitch_journal::Anchor)| {
            !anchor.moves || head.sequence == anchor.sequence
        };
        if begins.iter().zip(&plan.anchor).all(done) {
            break;
        }
    }
    node.stop().await;
    assert!(backstitch_journal::verify(directory.path()).expect("it is there").ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_does_not_wait_for_ticks() {
    let directory = tempfile::tempdir().expect("a folder");
    let hour_ms = 3_600_000;
    let node = Node::start_ticking(directory.path(), Settings::default(), hour_ms);
    node.define(short()).await;
    let input = json!({ "text": "x".repeat(30_000) });
    for _ in 0..24 {
        node.run("short", input.clone()).await;
    }
    // What is sealed is archived soon; no tick comes within the hour.
    let done = loop {
        let done = node.handle.cut(CutPoint::Everything, "op").await.expect("there is an archive");
        if done.through_segment.is_some() {
            break done;
        }
        tokio::task::yield_now().await;
    };
    assert!(done.records > 0);
    node.stop().await;
    assert!(backstitch_journal::verify(directory.path()).expect("it is there").ok);
}

/// Asks, and goes away before there is an answer.
async fn abandon<T>(asking: impl Future<Output = T>) {
    let mut asking = Box::pin(asking);
    let asked = std::future::poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx)));
    assert!(asked.await.is_pending(), "nothing is durable at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_durable_counts_although_whoever_asked_has_gone() {
    let directory = tempfile::tempdir().expect("a folder");
    let node = Node::start(directory.path(), Settings::default());
    let policy = Policy::read(&json!({ "rules": [{ "name": "day", "keep_for": "1d" }] }));
    let policy = policy.expect("a right policy");
    abandon(node.handle.set_retention_policy(policy.clone(), "op")).await;
    let (breaker, said) = (("default".into(), "svc".into()), ("down".to_owned(), "op".to_owned()));
    abandon(node.handle.order_breaker(breaker, BreakerOrder::Open, said)).await;
    let wish = ApiKeyWish {
        name: "ci".to_owned(),
        namespace: "default".into(),
        permissions: vec!["*".to_owned()],
        expires_at: None,
    };
    abandon(node.handle.create_api_key(wish, "op".to_owned())).await;
    let all_count = || {
        node.handle.retention_policy().policy == policy
            && node.handle.breakers().forced() == 1
            && node.handle.api_keys("default").len() == 1
    };
    let waiting = async {
        while !all_count() {
            tokio::task::yield_now().await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    assert!(seen.is_ok(), "what is durable counts only after the next start");
    node.stop().await;
}
