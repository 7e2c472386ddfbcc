//! Data directories to look into, and the command line as a function.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;

use backstitch_core::definition::Definition;
use backstitch_core::event::{Event, PartitionEvent, RunEvent, WorkflowEvent};
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StreamId};
use backstitch_core::plan::Plan;
use backstitch_core::time::Timestamp;
use backstitch_core::workflow;
use backstitch_core::yaml::{Format, parse};
use backstitch_journal::{Batch, CutPoint, Fit, Head, Journal, Opened, Options, SEGMENT_BYTES_MIN};
use replay_tool::{Screen, run};
use tempfile::TempDir;

/// 2025-11-20T11:46:17.123456Z.
pub const MORNING: Timestamp = Timestamp(1_763_639_177_123_456);

/// A data directory that is being written.
pub struct Writing {
    pub directory: TempDir,
    journal: Journal,
    heads: Vec<Head>,
    versions: BTreeMap<StreamId, u64>,
}

/// A data directory that is closed.
pub struct Written {
    directory: TempDir,
}

/// What the program printed.
#[derive(Debug, PartialEq, Eq)]
pub struct Printed {
    pub code: u8,
    pub out: String,
    pub complaints: String,
}

impl Writing {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            partitions: 4,
            segment_bytes: SEGMENT_BYTES_MIN,
            ballast_bytes: 0,
            ..Options::default()
        };
        let Opened { journal, heads, .. } = Journal::open(directory.path(), options).unwrap();
        Self { directory, journal, heads, versions: BTreeMap::new() }
    }

    /// Appends events of one stream that were decided together.
    pub fn append(&mut self, stream: &StreamId, events: &[Event], at: Timestamp) {
        let partition = match stream {
            StreamId::Execution(run) => run.partition,
            StreamId::Partition(partition) => *partition,
            _ => PartitionId(0),
        };
        let head = &mut self.heads[usize::from(partition.0)];
        let mut builder = self.journal.commit_builder(partition, 1, head);
        let version = self.versions.entry(stream.clone()).or_default();
        for event in events {
            *version += 1;
            assert!(matches!(builder.push(stream, *version, at, event), Fit::Fits));
        }
        let commit = builder.finish(at);
        *head = commit.head();
        let (answer, answered) = mpsc::channel();
        let batch = Batch { commit, quiescent: Vec::new(), changes: Vec::new() };
        self.journal.append(batch, Box::new(move |result| answer.send(result).unwrap()));
        answered.recv().unwrap().unwrap();
    }

    pub fn append_run(&mut self, run: ExecutionId, events: &[RunEvent], at: Timestamp) {
        let events: Vec<_> = events.iter().cloned().map(Event::Run).collect();
        self.append(&StreamId::Execution(run), &events, at);
    }

    /// Defines a workflow; answers its revision, digest and plan.
    pub fn define(&mut self, yaml: &str, at: Timestamp) -> (u32, Digest, Arc<Plan>) {
        let value = parse(yaml.as_bytes(), Format::Yaml).unwrap();
        let definition = Definition::read(&value).unwrap();
        let text = definition.canonical_text();
        let digest = Digest::of(text.as_bytes());
        let workflow = definition.id.as_str().into();
        let stream = StreamId::Workflow { namespace: "default".into(), workflow };
        let events = workflow::define(&None, &text, digest, "author");
        let events: Vec<_> = events.into_iter().map(Event::Workflow).collect();
        self.append(&stream, &events, at);
        let revision = events.iter().find_map(|event| match event {
            Event::Workflow(WorkflowEvent::Defined { revision, .. }) => Some(*revision),
            _ => None,
        });
        (revision.unwrap(), digest, Arc::new(Plan::recompile(&text).unwrap()))
    }

    /// A run is removed, as retention does it.
    pub fn remove(&mut self, run: ExecutionId, rule: &str) {
        let (runs, rule, actor) = (vec![run], rule.to_owned(), "operator".to_owned());
        let event = Event::Partition(PartitionEvent::RunsRemoved { runs, rule, actor });
        let at = self.heads[usize::from(run.partition.0)].committed_at.plus_ms(1);
        self.append(&StreamId::Partition(run.partition), &[event], at);
    }

    /// Everything that is sealed is cut off the chain, as the server does it.
    pub fn cut(&mut self) {
        let plan = loop {
            self.journal.store_now().unwrap();
            let plan = self.journal.plan_cut(&CutPoint::Everything).unwrap();
            if plan.segments > 0 {
                break plan;
            }
            std::thread::yield_now();
        };
        for anchor in plan.anchor.iter().filter(|anchor| anchor.moves) {
            let (sequence, hash, actor) = (anchor.sequence, anchor.hash, "operator".to_owned());
            let event = Event::Partition(PartitionEvent::LogCut { sequence, hash, actor });
            let at = self.heads[usize::from(anchor.partition)].committed_at.plus_ms(1);
            self.append(&StreamId::Partition(PartitionId(anchor.partition)), &[event], at);
        }
        self.journal.cut(&plan).unwrap();
    }

    pub fn close(self) -> Written {
        self.journal.close().unwrap();
        drop(self.journal);
        Written { directory: self.directory }
    }
}

impl Written {
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Asks in text, without colours.
    pub fn ask(&self, arguments: &[&str]) -> Printed {
        ask(self.path(), arguments)
    }

    /// What is printed in text, where all goes well.
    pub fn text(&self, arguments: &[&str]) -> String {
        let printed = self.ask(arguments);
        assert_eq!((printed.code, printed.complaints.as_str()), (0, ""), "{arguments:?}");
        printed.out
    }

    /// The same in JSON, read back.
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.text(&[&["--json"], arguments].concat())).unwrap()
    }

    /// The first segment of the log.
    pub fn segment(&self) -> PathBuf {
        let mut names: Vec<_> =
            fs::read_dir(self.path().join("log")).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        names.remove(0)
    }

    /// The hash of every file, and when it was last written.
    pub fn fingerprint(&self) -> BTreeMap<PathBuf, (Digest, std::time::SystemTime)> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let written_at = path.metadata().unwrap().modified().unwrap();
                    files.insert(path.clone(), (Digest::of(&fs::read(path).unwrap()), written_at));
                }
            }
        }
        files
    }
}

/// The program on any directory.
pub fn ask(directory: &Path, arguments: &[&str]) -> Printed {
    ask_on(Screen::default(), directory, arguments)
}

/// The same on a screen of one's own.
pub fn ask_on(screen: Screen, directory: &Path, arguments: &[&str]) -> Printed {
    let directory = directory.to_str().unwrap();
    let line = [&["replay-tool", "--data-dir", directory], arguments].concat();
    let (mut out, mut complaints) = (Vec::new(), Vec::new());
    let code = run(line, screen, &mut out, &mut complaints);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Printed { code, out: text(out), complaints: text(complaints) }
}
