//! Runs are pinned to what policies made of their revisions when they began.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backstitch_core::event::{Event, ObjectKind, RunEvent, WorkflowEvent};
use backstitch_core::ids::{DEFAULT_NAMESPACE, Digest, ExecutionId, StreamId};
use backstitch_executors::Registry;
use backstitch_executors::http::HttpConfig;
use backstitch_journal::Options;
use backstitch_saga::handle::{Handle, MigrationWish, ObjectChange, Request};
use backstitch_saga::partition::Expected;
use backstitch_saga::policies::Settings;
use backstitch_saga::{Config, Engine, Error};
use serde_json::{Value, json};
use tokio::sync::oneshot;

const LIMIT: Duration = Duration::from_secs(60);

struct Node {
    handle: Handle,
    stop: oneshot::Sender<()>,
    running: tokio::task::JoinHandle<Result<(), String>>,
}

fn config(directory: &Path, policies: Settings) -> Config {
    Config {
        data_dir: directory.to_owned(),
        journal: Options { partitions: 4, ballast_bytes: 0, ..Options::default() },
        registry: Arc::new(Registry::builtin(HttpConfig::default()).expect("executors")),
        signer: Default::default(),
        secrets: Default::default(),
        attempts_max: 8,
        slots: backstitch_saga::slots::Settings::default(),
        breakers: backstitch_saga::breakers::Settings::default(),
        fault_injection: false,
        hold: backstitch_saga::hold::Hold::default(),
        cache_bytes_max: backstitch_saga::cache::CACHE_BYTES_DEFAULT,
        drain: LIMIT,
        shutdown: backstitch_saga::Shutdown::Drain,
        policies,
        retention: backstitch_saga::retention::Settings::default(),
    }
}

impl Node {
    fn start(directory: &Path) -> Self {
        Self::start_in(directory, Settings::default())
    }

    fn start_in(directory: &Path, policies: Settings) -> Self {
        let engine = Engine::open(config(directory, policies)).expect("the journal opens");
        let handle = engine.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        // Dropped counts as told.
        let running = tokio::spawn(engine.run(async move { drop(stopped.await) }));
        Self { handle, stop, running }
    }

    async fn stop(self) {
        drop(self.stop);
        self.running.await.expect("no panic").expect("a clean stop");
    }

    async fn define(&self, definition: Value) {
        let defined = self.handle.define(&DEFAULT_NAMESPACE.into(), &definition, "test").await;
        defined.expect("a right definition");
    }

    async fn set(&self, kind: ObjectKind, name: &str, content: Value) {
        self.handle.set_object(change(kind, name), &content).await.expect("a right object");
    }

    async fn remove(&self, kind: ObjectKind, name: &str) {
        self.handle.remove_object(change(kind, name)).await.expect("it is there");
    }

    /// A run that has ended, and the content that it is pinned to.
    async fn run(&self, workflow: &str, input: Value) -> (ExecutionId, Digest) {
        let ended = self.handle.submit_and_wait(request(workflow, input), LIMIT).await;
        let (accepted, ended) = ended.expect("it is accepted");
        assert_eq!(ended.expect("it ends")["status"], "completed");
        (accepted.execution, self.digest(accepted.execution).await)
    }

    async fn digest(&self, run: ExecutionId) -> Digest {
        let (records, _) = self.handle.history(run).await.expect("a history");
        match &records[0].event {
            Event::Run(RunEvent::Submitted(own)) => own.digest,
            other => panic!("a run begins with {other:?}"),
        }
    }

    fn revision(&self, workflow: &str) -> Digest {
        self.handle.catalog().latest(DEFAULT_NAMESPACE, workflow).expect("it is there").plan.digest
    }

    /// What a run is pinned to says of its first step's timeout.
    async fn timeout(&self, run: ExecutionId) -> Value {
        let shown = self.handle.effective_of_run(DEFAULT_NAMESPACE, run).await.expect("a run").2;
        shown["steps"][0]["timeout"].clone()
    }

    /// How often it was recorded what policies make of a workflow.
    fn adapted(&self, workflow: &str) -> usize {
        let stream =
            StreamId::Workflow { namespace: DEFAULT_NAMESPACE.into(), workflow: workflow.into() };
        let records = self.handle.journal().history(&stream).expect("it reads").expect("a stream");
        let adapted =
            |event: &Event| matches!(event, Event::Workflow(WorkflowEvent::Adapted { .. }));
        records.iter().filter(|own| adapted(&own.event)).count()
    }
}

fn change(kind: ObjectKind, name: &str) -> ObjectChange {
    ObjectChange {
        id: (DEFAULT_NAMESPACE.into(), kind, name.into()),
        expected: Expected::Anything,
        reason: String::new(),
        actor: "test".to_owned(),
    }
}

fn request(workflow: &str, input: Value) -> Request {
    Request::new(DEFAULT_NAMESPACE.into(), workflow.to_owned(), input, "test".to_owned())
}

fn small() -> Value {
    json!({ "id": "w", "tags": ["money"], "steps": [{ "id": "a", "type": "noop" }] })
}

fn timeout(timeout: &str) -> Value {
    json!({ "applies_to": { "tags": ["money"] }, "defaults": { "timeout": timeout } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_stays_on_what_it_began_with_and_a_change_counts_for_new_ones() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path());
    node.define(small()).await;
    let (_, plain) = node.run("w", json!({})).await;
    assert_eq!((plain, node.adapted("w")), (node.revision("w"), 0), "nobody says anything");

    node.set(ObjectKind::Policy, "house", timeout("5s")).await;
    let (first, of_first) = node.run("w", json!({})).await;
    assert_ne!(of_first, plain);
    assert_eq!(node.run("w", json!({})).await.1, of_first);
    assert_eq!(node.adapted("w"), 1, "it is recorded once");
    node.set(ObjectKind::Policy, "house", timeout("7s")).await;
    let (second, of_second) = node.run("w", json!({})).await;
    assert_ne!(of_second, of_first);
    node.remove(ObjectKind::Policy, "house").await;
    assert_eq!(node.run("w", json!({})).await.1, plain);
    node.set(ObjectKind::Policy, "again", timeout("5s")).await;
    assert_eq!(node.run("w", json!({})).await.1, of_first);
    assert_eq!(node.adapted("w"), 2, "the same content is recorded once");

    node.stop().await;
    let node = Node::start(directory.path());
    let said = |value: &str| json!({ "value": value, "origin": "policy:house" });
    assert_eq!((node.digest(first).await, node.timeout(first).await), (of_first, said("5s")));
    assert_eq!((node.digest(second).await, node.timeout(second).await), (of_second, said("7s")));
    assert_eq!(node.run("w", json!({})).await.1, of_first, "the policy has outlived the restart");
    assert_eq!(node.adapted("w"), 2);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_and_loops_begin_under_policies_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path());
    node.define(small()).await;
    node.define(json!({ "id": "parent", "steps": [
        { "id": "child", "type": "workflow", "with": { "workflow": "w" } },
        { "id": "each", "needs": ["child"], "type": "foreach", "with": { "items": [1, 2] },
          "each": { "type": "workflow", "with": { "workflow": "w" } } },
    ] }))
    .await;
    node.set(ObjectKind::Policy, "house", timeout("5s")).await;
    let (parent, _) = node.run("parent", json!({})).await;
    let (_, expected) = node.run("w", json!({})).await;
    assert_ne!(expected, node.revision("w"));
    let filter = backstitch_journal::RunFilter {
        namespace: DEFAULT_NAMESPACE.to_owned(),
        workflow: Some("w".to_owned()),
        ..Default::default()
    };
    let page = node.handle.runs(filter, None, 10).await.expect("a list");
    assert_eq!(page.rows.len(), 4, "a child, two items and one of its own");
    for row in page.rows {
        assert_eq!(node.digest(row.execution).await, expected, "{}", row.execution);
    }
    assert_eq!(node.digest(parent).await, node.revision("parent"), "it has no such tag");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_migrated_onto_what_policies_make_of_the_revision() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path());
    node.define(json!({ "id": "w", "tags": ["money"], "steps": [
        { "id": "go", "type": "wait", "with": { "signal": "go" } },
        { "id": "a", "needs": ["go"], "type": "noop" },
    ] }))
    .await;
    let run = node.handle.submit(request("w", json!({}))).await.expect("accepted").execution;
    node.set(ObjectKind::Policy, "house", timeout("5s")).await;
    let before = node.handle.effective_of_run(DEFAULT_NAMESPACE, run).await.expect("a run").2;
    assert_eq!(before["steps"][1]["timeout"]["origin"], "built_in");
    let wish = MigrationWish { revision: Some(1), ..MigrationWish::default() };
    assert!(node.handle.migrate(run, wish).await.expect("it can").migrated);
    let after = node.handle.effective_of_run(DEFAULT_NAMESPACE, run).await.expect("a run").2;
    assert_eq!(after["steps"][1]["timeout"]["origin"], "policy:house");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_does_not_begin_under_policies_that_make_no_definition() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path());
    let callbacks = |host: &str| -> Value {
        let one =
            |at: usize| json!({ "event": "workflow.failed", "url": format!("http://{host}/{at}") });
        (0..12).map(one).collect()
    };
    let mut own = small();
    own["callbacks"] = callbacks("own");
    node.define(own).await;
    node.set(ObjectKind::Policy, "told", json!({ "callbacks": callbacks("house") })).await;
    let refused = node.handle.submit(request("w", json!({}))).await.expect_err("24 are too many");
    let Error::InvalidSubmission(problems) = refused else { panic!("{refused}") };
    assert_eq!(problems[0].path, "callbacks");
    assert!(problems[0].message.contains("policies"), "{problems:?}");
    node.remove(ObjectKind::Policy, "told").await;
    node.run("w", json!({})).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_names_what_policies_hold() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path());
    let named = json!({ "id": "w", "steps": [
        { "id": "a", "type": "noop", "retry": "gentle" }, { "id": "b", "type": "crm" },
    ] });
    let refused = node.handle.compile(DEFAULT_NAMESPACE, &named).expect_err("there is none");
    let Error::InvalidDefinition(problems) = refused else { panic!("{refused}") };
    assert_eq!((problems.len(), &*problems[0].path), (1, "steps[0].retry"));
    let gentle = json!({ "retry_policies": { "gentle": { "max_attempts": 2 } } });
    node.set(ObjectKind::Policy, "house", gentle).await;
    let compiled = node.handle.compile(DEFAULT_NAMESPACE, &named).expect("it is known");
    assert_eq!(compiled.warnings.len(), 1, "nobody performs `crm`");
    node.set(ObjectKind::Adapter, "crm", json!({ "url": "http://crm.example/" })).await;
    let compiled = node.handle.compile(DEFAULT_NAMESPACE, &named).expect("it is known");
    assert_eq!(compiled.warnings, []);
    assert!(node.handle.compile("elsewhere", &named).is_err(), "policies are a tenant's own");
    node.define(named).await;
    let shown = node.handle.effective(DEFAULT_NAMESPACE, "w", 1).await.expect("a revision");
    assert_eq!(shown["steps"][0]["retry"]["policy"]["max_attempts"], 2);
    assert_eq!(shown["steps"][1]["url"]["origin"], "adapter:crm");
    node.remove(ObjectKind::Policy, "house").await;
    node.stop().await;
    let node = Node::start(directory.path());
    let shown = node.handle.effective(DEFAULT_NAMESPACE, "w", 1).await.expect("it still reads");
    assert_eq!(shown["steps"][0]["retry"]["policy"]["max_attempts"], 3, "it means `standard`");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_the_environment_of_its_name_and_a_tenants_own_counts_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let content = json!({ "retry-attempts": 3, "timeout": "10s" });
    let of_file = backstitch_core::policy::environment(&content).expect("an environment");
    let environments = [(Arc::from("staging"), of_file)].into();
    let settings = Settings { environment: Some("staging".into()), environments };
    let node = Node::start_in(directory.path(), settings.clone());
    node.define(small()).await;
    let (run, _) = node.run("w", json!({})).await;
    let said = |value: &str| json!({ "value": value, "origin": "environment:staging" });
    assert_eq!(node.timeout(run).await, said("10s"));
    node.set(ObjectKind::Environment, "staging", json!({ "timeout": "20s" })).await;
    let (run, _) = node.run("w", json!({})).await;
    assert_eq!(node.timeout(run).await, said("20s"));
    node.stop().await;

    let unnamed = Settings { environments: Default::default(), ..settings.clone() };
    let node = Node::start_in(directory.path(), unnamed);
    assert_eq!(node.timeout(node.run("w", json!({})).await.0).await, said("20s"));
    node.stop().await;
    let wrong = Settings { environment: Some("stagin".into()), ..settings };
    let refused = Engine::open(config(directory.path(), wrong)).err().expect("nobody knows it");
    assert!(matches!(refused, Error::UnknownEnvironment { .. }), "{refused}");
}
