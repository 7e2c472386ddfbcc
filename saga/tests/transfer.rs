//! Runs from one store to another: whole, once, and never a part of one.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::export::{REDACTED, Redaction};
use backstitch_core::ids::{DEFAULT_NAMESPACE, ExecutionId, PartitionId, StreamId};
use backstitch_core::summary::RunStatus;
use backstitch_executors::{HttpConfig, Registry};
use backstitch_journal::{Batch, Fit, Journal, Options, RunFilter};
use backstitch_saga::handle::{Handle, ImportReport, Request};
use backstitch_saga::{Config, Engine, Error};
use serde_json::{Value, json};
use tokio::sync::oneshot;

struct Node {
    handle: Handle,
    stop: oneshot::Sender<()>,
    running: tokio::task::JoinHandle<Result<(), String>>,
}

fn options(partitions: u16) -> Options {
    Options { partitions, segment_bytes: 1024 * 1024, ballast_bytes: 0, ..Options::default() }
}

impl Node {
    fn start(directory: &Path, partitions: u16) -> Self {
        let config = Config {
            data_dir: directory.to_owned(),
            journal: options(partitions),
            registry: Arc::new(Registry::builtin(HttpConfig::default()).expect("executors")),
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
        Self { handle, stop, running }
    }

    async fn define(&self, text: &str) {
        let definition = json!({ "id": "w", "steps": [
            { "id": "a", "type": "noop", "undo": { "type": "noop" } },
            { "id": "b", "needs": ["a"], "type": "transform",
              "with": { "n": "{{ input.n }}", "text": text, "long": "{{ input.long }}" } },
        ]});
        self.handle.define(&DEFAULT_NAMESPACE.into(), &definition, "test").await.expect("right");
    }

    async fn run(&self, input: Value) -> ExecutionId {
        let request =
            Request::new(DEFAULT_NAMESPACE.into(), "w".to_owned(), input, "test".to_owned());
        let limit = Duration::from_secs(60);
        let (accepted, ended) = self.handle.submit_and_wait(request, limit).await.expect("taken");
        assert_eq!(ended.expect("it ends")["status"], "completed");
        accepted.execution
    }

    async fn export(&self, runs: &[ExecutionId], redact: Option<&str>) -> String {
        let redaction = redact.map(|text| Redaction::read(text).expect("places"));
        let (mut export, mut text) = self.handle.export(redaction.unwrap_or_default());
        for run in runs {
            let lines;
            (export, lines) = export.run(*run).await.expect("it is there");
            text += &lines;
        }
        text + &export.end()
    }

    async fn import(&self, text: &str) -> (ImportReport, Result<(), Error>) {
        let mut import = self.handle.import("ann".to_owned());
        for line in text.split_inclusive('\n') {
            if let Err(error) = import.line(line.as_bytes()).await {
                return (import.report().clone(), Err(error));
            }
        }
        (import.report().clone(), import.finish())
    }

    async fn listed(&self) -> usize {
        let filter = RunFilter {
            namespace: DEFAULT_NAMESPACE.to_owned(),
            status: Some(RunStatus::Completed),
            workflow: Some("w".to_owned()),
            ..RunFilter::default()
        };
        self.handle.runs(filter, None, 100).await.expect("a list").rows.len()
    }

    async fn stop(self) {
        drop(self.stop);
        self.running.await.expect("no panic").expect("a clean stop");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_arrive_whole_and_once_and_no_definition_changes() {
    let folders = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let source = Node::start(folders[0].path(), 4);
    source.define("here").await;
    let mut runs = Vec::new();
    for n in 0..3 {
        let long = "x".repeat(if n == 1 { 50_000 } else { 10 });
        runs.push(source.run(json!({ "n": n, "long": long })).await);
    }
    let text = source.export(&runs, None).await;
    let target = Node::start(folders[1].path(), 4);
    target.define("there").await;
    let (report, done) = target.import(&text).await;
    done.expect("a whole file");
    assert_eq!((report.imported, report.skipped, report.conflicts, report.refused), (3, 0, 0, 0));
    for run in &runs {
        let (there, here) =
            (source.handle.execution(*run).await, target.handle.execution(*run).await);
        assert_eq!(there.expect("it is there"), here.expect("it is here"));
    }
    assert_eq!(target.listed().await, 3);
    let own = target.run(json!({ "n": 7, "long": "" })).await;
    assert_eq!(target.handle.execution(own).await.expect("here")["output"]["b"]["text"], "there");
    let (report, _) = target.import(&text).await;
    assert_eq!((report.imported, report.skipped), (0, 3));
    let changed = text.replacen("\"actor\":\"test\"", "\"actor\":\"tess\"", 1);
    let (report, done) = target.import(&changed).await;
    assert_eq!((report.conflicting, report.skipped), (vec![runs[0]], 2));
    assert!(matches!(done, Err(Error::BadExport(_))), "the hash does not fit: {done:?}");
    target.stop().await;
    let target = Node::start(folders[1].path(), 4);
    assert_eq!(target.export(&runs, None).await.lines().count(), text.lines().count());
    assert_eq!(target.listed().await, 4);
    for node in [source, target] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_imported_is_refused_with_its_reason() {
    let folders = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let source = Node::start(folders[0].path(), 64);
    source.define("here").await;
    let mut run = source.run(json!({ "n": 1, "long": "" })).await;
    while run.partition < PartitionId(4) {
        run = source.run(json!({ "n": 1, "long": "" })).await;
    }
    let target = Node::start(folders[1].path(), 4);
    let text = source.export(&[run], None).await;
    let (report, done) = target.import(&text).await;
    done.expect("a whole file");
    assert!(report.refusals[0].1.contains("this store has 4"), "{report:?}");
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let cut: String = lines[..lines.len() - 2].concat();
    let (report, done) = target.import(&cut).await;
    assert_eq!(report, ImportReport::default());
    assert!(matches!(done, Err(Error::BadExport(_))), "{done:?}");
    // Without its last event the run is not closed.
    let events = lines.len() - 4;
    let live = text.replace(&format!("\"events\":{events}"), &format!("\"events\":{}", events - 1));
    let mut live: Vec<_> = live.split_inclusive('\n').map(str::to_owned).collect();
    live.remove(lines.len() - 2);
    let live = live.concat().replace(&format!("exec_{:04x}", run.partition.0), "exec_0001");
    let (report, done) = target.import(&live).await;
    assert!(matches!(done, Err(Error::BadExport(_))), "{done:?}");
    assert!(report.refusals[0].1.contains("it is not closed"), "{report:?}");
    for node in [source, target] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redacted_run_is_closed_history_and_marked() {
    let folders = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let source = Node::start(folders[0].path(), 4);
    source.define("here").await;
    let run = source.run(json!({ "n": 4711, "long": "" })).await;
    let text = source.export(&[run], Some("n")).await;
    assert!(!text.contains("4711"), "{text}");
    let target = Node::start(folders[1].path(), 4);
    let (report, done) = target.import(&text).await;
    done.expect("a whole file");
    assert_eq!(report.imported, 1);
    let shown = target.handle.execution(run).await.expect("it is here");
    assert_eq!((&shown["input"]["n"], &shown["status"]), (&json!(REDACTED), &json!("completed")));
    let own = target.handle.journal().history(&StreamId::Partition(run.partition));
    let own = own.expect("readable").expect("there");
    let Event::Partition(PartitionEvent::RunsImported { runs, source: from, .. }) = &own[0].event
    else {
        panic!("{own:?}")
    };
    assert_eq!(runs, &[run]);
    assert!(from.ends_with(", redacted"), "{from}");
    for node in [source, target] {
        node.stop().await;
    }
}

/// What a crash leaves that comes between two commits of an import.
fn crash_in_the_middle(directory: &Path, from: &Journal, run: ExecutionId, events: usize) {
    let opened = Journal::open(directory, options(4)).expect("it opens");
    let journal = opened.journal;
    let records = from.history(&StreamId::Execution(run)).expect("readable").expect("there");
    let head = opened.heads[usize::from(run.partition.0)];
    let mut builder = journal.commit_builder(run.partition, 1, &head);
    let at = records.last().expect("events").recorded_at;
    let (source, actor) = ("ab".to_owned(), "ann".to_owned());
    let imported = PartitionEvent::RunsImported { runs: vec![run], source, actor };
    let stream = StreamId::Partition(run.partition);
    assert_eq!(builder.push(&stream, 1, at, &Event::Partition(imported)), Fit::Fits);
    for record in &records[..events] {
        let fit = builder.push(&record.stream, record.version, record.recorded_at, &record.event);
        assert_eq!(fit, Fit::Fits);
    }
    let (sender, answer) = mpsc::channel();
    let commit = builder.finish(at);
    let batch = Batch { commit, quiescent: Vec::new(), changes: Vec::new() };
    journal.append(batch, Box::new(move |result| sender.send(result).expect("the test waits")));
    answer.recv().expect("an answer").expect("it is durable");
    journal.close().expect("it closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_an_import_goes_no_step_further_and_is_imported_again() {
    let folder = tempfile::tempdir().expect("a directory");
    let source = Node::start(folder.path(), 4);
    source.define("here").await;
    let run = source.run(json!({ "n": 1, "long": "" })).await;
    let text = source.export(&[run], None).await;
    let count = source.handle.history(run).await.expect("there").0.len();
    for events in [0, 1, 3, count - 1, count] {
        let target = tempfile::tempdir().expect("a directory");
        {
            // The definition is known already: it comes before its runs.
            let node = Node::start(target.path(), 4);
            let beginning: String = text.split_inclusive('\n').take(2).collect();
            let (report, cut) = node.import(&beginning).await;
            assert_eq!(report, ImportReport::default());
            assert!(matches!(cut, Err(Error::BadExport(_))), "{cut:?}");
            node.stop().await;
        }
        crash_in_the_middle(target.path(), source.handle.journal(), run, events);
        let node = Node::start(target.path(), 4);
        let (report, done) = node.import(&text).await;
        done.expect("a whole file");
        let whole = events == count;
        assert_eq!((report.imported, report.skipped), (u64::from(!whole), u64::from(whole)));
        let shown = node.handle.execution(run).await.expect("whole now");
        assert_eq!(shown, source.handle.execution(run).await.expect("it is there"));
        assert_eq!(node.listed().await, 1, "{events}");
        node.stop().await;
        // It stays that way.
        let node = Node::start(target.path(), 4);
        assert_eq!(node.handle.history(run).await.expect("there").0.len(), count);
        assert_eq!(node.listed().await, 1, "{events}");
        node.stop().await;
    }
    source.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_does_not_fold_keeps_no_other_out_of_an_export() {
    let folders = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let source = Node::start(folders[0].path(), 2);
    source.define("here").await;
    let one = |n| source.run(json!({ "n": n, "long": "" }));
    let (broken, whole) = (one(1).await, one(2).await);
    let (mut export, mut text) = source.handle.export(Redaction::default());
    for run in [broken, whole] {
        let (mut records, plan) = source.handle.history(run).await.expect("it is there");
        if run == broken {
            records.remove(1);
        }
        let lines;
        (export, lines) = export.history(run, records, plan).await.expect("the export goes on");
        text += &lines;
    }
    text += &export.end();
    source.stop().await;
    let target = Node::start(folders[1].path(), 2);
    let (report, end) = target.import(&text).await;
    end.expect("the file is whole");
    assert_eq!((report.imported, report.refused), (1, 1));
    let (run, why) = &report.refusals[0];
    assert!(*run == broken && why.starts_with("the file leaves it out: "), "{run}: {why}");
    target.stop().await;
}
