//! Redrives over a real journal: every letter once, at no more than was asked, stopped by its
//! canaries and its rules, and gone on with after a stop.

mod edits;

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstitch_core::failure::Failure;
use backstitch_core::ids::{DEFAULT_NAMESPACE, RedriveId};
use backstitch_core::payload::Payload;
use backstitch_core::redrives::{
    Canary, LetterChoice, RedriveCommand, RedriveState, RedriveStatus, StopWhen, Terms,
};
use backstitch_core::summary::LetterStatus;
use backstitch_executors::{Answer, Executor, HttpConfig, InputProblem, Registry, Task};
use backstitch_journal::{LetterFilter, Options};
use backstitch_saga::handle::{Handle, RedriveWish, Request};
use backstitch_saga::{Config, Engine, Error};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// A service that refuses what it is told to, for the cause it is told, and counts the rest.
#[derive(Default)]
struct Books {
    down: Vec<String>,
    /// Effects by the number of the order.
    done: BTreeMap<u64, u32>,
}

type Service = Arc<Mutex<Books>>;

struct Counter(Service);

impl Executor for Counter {
    fn run(&self, task: Task) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let service = self.0.clone();
        Box::pin(async move {
            let input = task.input.value();
            let cause = input["cause"].as_str().unwrap_or_default().to_owned();
            let mut books = service.lock().expect("no panic");
            if books.down.contains(&cause) {
                return Err(Failure::permanent("REFUSED", format!("{cause} is down")));
            }
            let order = input["n"].as_u64().expect("a number");
            *books.done.entry(order).or_default() += 1;
            Ok(Payload::null())
        })
    }

    fn check(&self, with: &Value) -> Vec<InputProblem> {
        let wrong = !with["n"].is_u64() && !with["n"].is_string();
        wrong.then(|| ("n".to_owned(), "must be a number".to_owned())).into_iter().collect()
    }
}

struct Node {
    handle: Handle,
    stop: oneshot::Sender<()>,
    running: tokio::task::JoinHandle<Result<(), String>>,
}

impl Node {
    fn start(directory: &Path, service: &Service) -> Self {
        let mut registry = Registry::builtin(HttpConfig::default()).expect("executors");
        registry.add("counter", Arc::new(Counter(service.clone())));
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
            attempts_max: 64,
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
        Self { handle, stop, running }
    }

    async fn stop(self) {
        drop(self.stop);
        self.running.await.expect("no panic").expect("a clean stop");
    }

    /// Orders that leave a letter each: `recourse` is what their workflow does then.
    async fn fail(&self, recourse: &str, orders: impl Iterator<Item = (u64, &str)>) {
        let definition = json!({ "id": recourse, "on_failure": recourse, "steps": [
            { "id": "a", "type": "counter", "retry": "none",
              "with": { "n": "{{ input.n }}", "cause": "{{ input.cause }}" } },
        ]});
        let namespace: Arc<str> = DEFAULT_NAMESPACE.into();
        self.handle.define(&namespace, &definition, "test").await.expect("right");
        for (n, cause) in orders {
            let request = Request::new(
                namespace.clone(),
                recourse.to_owned(),
                json!({ "n": n, "cause": cause }),
                "test".to_owned(),
            );
            let accepted = self.handle.submit(request).await.expect("accepted");
            loop {
                let run = self.handle.execution(accepted.execution).await.expect("it is there");
                if run["dead_letters"].as_array().is_some_and(|letters| !letters.is_empty()) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    }

    async fn open_letters(&self) -> usize {
        let namespace = DEFAULT_NAMESPACE.to_owned();
        let status = Some(LetterStatus::Open);
        let filter = LetterFilter { namespace, status, ..LetterFilter::default() };
        self.handle.letters(filter, None, 1_000).await.expect("they are listed").rows.len()
    }

    async fn begin(&self, terms: Terms, rate_per_second: u32) -> RedriveId {
        self.ask(terms, rate_per_second).await.expect("a right wish")
    }

    async fn ask(&self, terms: Terms, rate_per_second: u32) -> Result<RedriveId, Error> {
        let wish = RedriveWish {
            namespace: DEFAULT_NAMESPACE.into(),
            terms,
            rate_per_second,
            reason: "it is back".to_owned(),
            actor: "ann".to_owned(),
        };
        self.handle.request_redrive(wish).await.map(|(id, _)| id)
    }

    /// The redrive, once it stands as wanted.
    async fn until(&self, id: RedriveId, holds: impl Fn(&RedriveState) -> bool) -> RedriveState {
        loop {
            let state = self.handle.redrive(id).await.expect("it is there");
            if holds(&state) {
                return state;
            }
            tokio::task::yield_now().await;
        }
    }
}

fn all_of(workflow: &str) -> Terms {
    let filter = LetterChoice { workflow: Some(workflow.to_owned()), ..LetterChoice::default() };
    Terms { filter, canary: None, stop_when: StopWhen::default(), edit: None }
}

fn set_down(service: &Service, causes: &[&str]) {
    service.lock().expect("no panic").down = causes.iter().map(|own| (*own).to_owned()).collect();
}

fn each_once(service: &Service, orders: u64) {
    let expected: BTreeMap<_, _> = (0..orders).map(|n| (n, 1)).collect();
    assert_eq!(service.lock().expect("no panic").done, expected);
}

fn settled(state: &RedriveState) -> bool {
    state.status != RedriveStatus::Running && state.pending.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_letter_that_matches_is_retried_once() {
    let (directory, service) = (tempfile::tempdir().expect("a directory"), Service::default());
    let node = Node::start(directory.path(), &service);
    set_down(&service, &["bank", "post"]);
    node.fail("suspend", (0..30).map(|n| (n, "bank"))).await;
    node.fail("halt", (30..40).map(|n| (n, "bank"))).await;
    node.fail("compensate", (40..50).map(|n| (n, "bank"))).await;
    node.fail("suspend", (90..95).map(|n| (n, "post"))).await;
    set_down(&service, &[]);
    let filter = LetterChoice { code: Some("NONE".to_owned()), ..LetterChoice::default() };
    let none = node.begin(Terms { filter, ..all_of("suspend") }, 1_000).await;
    assert_eq!(node.until(none, settled).await.counts.claimed, 0);
    // In place, going on where it was halted, and by new runs.
    for (workflow, count) in [("suspend", 35), ("halt", 10), ("compensate", 10)] {
        let id = node.begin(all_of(workflow), 1_000).await;
        let state = node.until(id, settled).await;
        assert_eq!(state.status, RedriveStatus::Completed, "{workflow}");
        assert_eq!((state.counts.claimed, state.counts.succeeded), (count, count), "{workflow}");
    }
    assert_eq!(node.open_letters().await, 0);
    let done = service.lock().expect("no panic").done.clone();
    assert_eq!((done.len(), done.values().max()), (55, Some(&1)));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_bad_group_stops_it_and_a_resume_goes_on() {
    let (directory, service) = (tempfile::tempdir().expect("a directory"), Service::default());
    let node = Node::start(directory.path(), &service);
    set_down(&service, &["bank", "post"]);
    let causes = ["bank", "post"];
    node.fail("suspend", (0..20).map(|n| (n, causes[n as usize % 2]))).await;
    set_down(&service, &["post"]);
    let canary = Some(Canary { count: 2, wait_ms: 600_000 });
    let id = node.begin(Terms { canary, ..all_of("suspend") }, 1_000).await;
    let state = node.until(id, settled).await;
    let RedriveStatus::Halted { reason, actor: None } = &state.status else {
        panic!("it goes on: {state:?}");
    };
    assert!(reason.starts_with("the canary of group ") && reason.contains("failed"), "{reason}");
    assert!(state.counts.claimed <= 4, "only canaries: {state:?}");
    assert!(state.counts.failed >= 1);
    // Each failed canary left a letter of its own, which is newer than the redrive.
    assert!(node.open_letters().await >= 16);
    set_down(&service, &[]);
    let (reason, actor) = ("mended".to_owned(), "ann".to_owned());
    let resume = RedriveCommand::Resume { reason, actor };
    node.handle.redrive_command(id, resume).await.expect("it was stopped");
    let state = node.until(id, settled).await;
    assert_eq!((&state.status, state.counts.claimed), (&RedriveStatus::Completed, 20));
    assert_eq!(state.counts.succeeded + state.counts.failed, 20);
    assert_eq!(node.open_letters().await as u64, state.counts.failed);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_failures_stop_it() {
    let (directory, service) = (tempfile::tempdir().expect("a directory"), Service::default());
    let node = Node::start(directory.path(), &service);
    set_down(&service, &["bank"]);
    node.fail("suspend", (0..40).map(|n| (n, "bank"))).await;
    let stop_when = StopWhen { failures: Some(3), ..StopWhen::default() };
    let id = node.begin(Terms { stop_when, ..all_of("suspend") }, 2).await;
    let state = node.until(id, |own| own.status != RedriveStatus::Running).await;
    assert_eq!(state.status.word(), "stopped");
    assert!((3..40).contains(&state.counts.failed), "{state:?}");
    // What was claimed and not retried stays open, and is given up with the redrive.
    let (reason, actor) = ("leave it".to_owned(), "ann".to_owned());
    let cancel = RedriveCommand::Cancel { reason, actor };
    node.handle.redrive_command(id, cancel.clone()).await.expect("it was stopped");
    let state = node.until(id, settled).await;
    assert_eq!((state.status.word(), state.counts.claimed), ("cancelled", 40));
    assert_eq!(state.counts.failed + state.counts.refused, 40);
    assert_eq!(node.open_letters().await, 40);
    node.handle.redrive_command(id, cancel).await.expect("twice is once");
    let (reason, actor) = (String::new(), "ann".to_owned());
    let resumed = node.handle.redrive_command(id, RedriveCommand::Resume { reason, actor }).await;
    assert!(matches!(resumed, Err(Error::RedriveRejected(_))), "{resumed:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_goes_on_after_pauses_and_stops() {
    let (directory, service) = (tempfile::tempdir().expect("a directory"), Service::default());
    let mut node = Node::start(directory.path(), &service);
    set_down(&service, &["bank"]);
    node.fail("suspend", (0..60).map(|n| (n, "bank"))).await;
    set_down(&service, &[]);
    let id = node.begin(all_of("suspend"), 30).await;
    let done = |least| move |own: &RedriveState| own.counts.succeeded >= least;
    node.until(id, done(5)).await;
    node.stop().await;
    node = Node::start(directory.path(), &service);
    node.until(id, done(15)).await;
    let said = || ("lunch".to_owned(), "ann".to_owned());
    let (reason, actor) = said();
    let pause = RedriveCommand::Halt { reason, actor: Some(actor) };
    // It may be done by then, on a slow machine.
    let paused = node.handle.redrive_command(id, pause).await.map(|(_, own)| own.status.word());
    assert!(matches!(paused, Ok("paused") | Err(Error::RedriveRejected(_))), "{paused:?}");
    node.stop().await;
    node = Node::start(directory.path(), &service);
    if paused.is_ok() {
        assert_eq!(node.handle.redrive(id).await.expect("it is there").status.word(), "paused");
        let (reason, actor) = said();
        let resume = RedriveCommand::Resume { reason, actor };
        node.handle.redrive_command(id, resume).await.expect("it is paused");
    }
    let state = node.until(id, settled).await;
    assert_eq!((&state.status, state.counts.succeeded), (&RedriveStatus::Completed, 60));
    assert_eq!((state.counts.failed, state.counts.refused), (0, 0));
    each_once(&service, 60);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_wishes_are_refused_in_every_place() {
    let (directory, service) = (tempfile::tempdir().expect("a directory"), Service::default());
    let node = Node::start(directory.path(), &service);
    let wish = RedriveWish {
        namespace: DEFAULT_NAMESPACE.into(),
        terms: Terms {
            filter: LetterChoice::default(),
            canary: Some(Canary { count: 0, wait_ms: 0 }),
            stop_when: StopWhen {
                failures: Some(0),
                failure_ratio: Some(1.5),
                ..StopWhen::default()
            },
            edit: None,
        },
        rate_per_second: 0,
        reason: String::new(),
        actor: "ann".to_owned(),
    };
    let Err(Error::InvalidSubmission(problems)) = node.handle.request_redrive(wish).await else {
        panic!("it is wrong");
    };
    let paths: Vec<_> = problems.iter().map(|own| own.path.as_str()).collect();
    let expected = [
        "filter",
        "rate_per_second",
        "canary.count",
        "canary.wait",
        "stop_when.failures",
        "stop_when.failure_ratio",
    ];
    assert_eq!(paths, expected);
    let unknown = node.handle.redrive(RedriveId(7)).await;
    assert!(matches!(unknown, Err(Error::RedriveNotFound(_))));
    node.stop().await;
}
