//! The laws of a log, as one suite that every form of it passes.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StreamId};
use backstitch_core::time::Timestamp;
use backstitch_journal::log::memory::MemoryLog;
use backstitch_journal::log::wal::Wal;
use backstitch_journal::log::{AppendError, Log};
use backstitch_journal::{Commit, CommitBuilder, Fit, Head, Origin};

use crate::workload::{event_of, options};

/// A form of the log, as the suite sees it.
trait Subject {
    /// The log as a start finds it, with every commit that is readable.
    fn open(&self) -> (Box<dyn Log>, Vec<Commit>);
    /// What its commits are made for.
    fn origin(&self) -> Origin;
    /// A start after the process died; what was answered must be readable.
    fn die(&self, log: Box<dyn Log>);
}

const PARTITIONS: u16 = 3;

fn commit(origin: Origin, partition: u16, head: &Head) -> Commit {
    let run = ExecutionId { partition: PartitionId(partition), digits: 7 };
    let mut builder = CommitBuilder::new(origin, run.partition, 1, head);
    let version = head.position + 1;
    let stream = StreamId::Execution(run);
    for version in [version, version + 1] {
        let fit = builder.push(&stream, version, Timestamp(5), &event_of(&run, version));
        assert_eq!(fit, Fit::Fits);
    }
    builder.finish(Timestamp(5))
}

type Answer = Result<u64, AppendError>;

/// Appends; the answer says which sequence it was.
fn append(log: &dyn Log, commit: Commit) -> Receiver<Answer> {
    let (sender, answer) = channel();
    let done = move |answer: Result<&Commit, AppendError>| {
        sender.send(answer.map(Commit::sequence)).expect("the test waits");
    };
    log.append(commit, Box::new(done));
    answer
}

fn wait(answer: &Receiver<Answer>) -> Answer {
    answer.recv().expect("every append is answered")
}

fn laws(subject: &dyn Subject) {
    chain_is_kept(subject);
    answers_come_in_order(subject);
    a_refused_commit_takes_those_on_it_along(subject);
    what_was_answered_survives(subject);
    poison_stops_everything(subject);
    a_closed_log_takes_nothing(subject);
}

fn is_conflict(answer: &Answer) -> bool {
    matches!(answer, Err(AppendError::Conflict { .. }))
}

fn chain_is_kept(subject: &dyn Subject) {
    let (log, _) = subject.open();
    let before = log.heads();
    let origin = subject.origin();
    let good = commit(origin, 0, &before[0]);
    assert_eq!(wait(&append(&*log, good.clone())), Ok(before[0].sequence + 1));
    assert!(is_conflict(&wait(&append(&*log, good.clone()))), "the same again");
    let other = Head { hash: Digest::of(b"another"), ..good.head() };
    assert!(is_conflict(&wait(&append(&*log, commit(origin, 0, &other)))), "another hash");
    let mut skipping = good.head();
    skipping.sequence += 1;
    assert!(is_conflict(&wait(&append(&*log, commit(origin, 0, &skipping)))), "a gap");
    let mut moved = good.head();
    moved.position += 1;
    assert!(is_conflict(&wait(&append(&*log, commit(origin, 0, &moved)))), "a hole in positions");
    let stranger = Origin { store: [0xEE; 16], generation: 1 };
    assert!(is_conflict(&wait(&append(&*log, commit(stranger, 0, &good.head())))));
    assert!(is_conflict(&wait(&append(&*log, commit(origin, PARTITIONS, &Head::default())))));
    assert_eq!(log.heads()[0], good.head(), "refused commits change nothing");
    assert_eq!(wait(&append(&*log, commit(origin, 0, &good.head()))), Ok(good.sequence() + 1));
    assert_eq!(log.heads()[1..], before[1..]);
    log.close();
}

fn answers_come_in_order(subject: &dyn Subject) {
    let (log, _) = subject.open();
    let mut heads = log.heads();
    let order = Arc::new(Mutex::new(vec![Vec::new(); usize::from(PARTITIONS)]));
    let mut expected = vec![Vec::new(); usize::from(PARTITIONS)];
    for round in 0..200_u16 {
        let partition = usize::from(round % PARTITIONS);
        let next = commit(subject.origin(), round % PARTITIONS, &heads[partition]);
        heads[partition] = next.head();
        expected[partition].push(next.sequence());
        let order = Arc::clone(&order);
        let done = move |answer: Result<&Commit, AppendError>| {
            let commit = answer.expect("it follows");
            order.lock().expect("nobody panics")[usize::from(commit.partition().0)]
                .push(commit.sequence());
        };
        log.append(next, Box::new(done));
    }
    log.sync().expect("nothing failed");
    assert_eq!(*order.lock().expect("nobody panics"), expected);
    assert_eq!(log.heads(), heads);
    log.close();
}

fn a_refused_commit_takes_those_on_it_along(subject: &dyn Subject) {
    let (log, _) = subject.open();
    let head = log.heads()[1];
    let mut skipping = head;
    skipping.sequence += 5;
    let refused = commit(subject.origin(), 1, &skipping);
    let child = commit(subject.origin(), 1, &refused.head());
    let answers = [append(&*log, refused), append(&*log, child)];
    assert!(answers.iter().all(|answer| is_conflict(&wait(answer))));
    assert_eq!(log.heads()[1], head);
    log.close();
}

fn what_was_answered_survives(subject: &dyn Subject) {
    let (log, _) = subject.open();
    let mut answered = Vec::new();
    let mut head = log.heads()[2];
    for _ in 0..20 {
        let next = commit(subject.origin(), 2, &head);
        head = next.head();
        wait(&append(&*log, next.clone())).expect("it follows");
        answered.push(next);
    }
    subject.die(log);
    let (log, readable) = subject.open();
    assert!(answered.iter().all(|commit| readable.contains(commit)));
    assert_eq!(log.heads()[2], head);
    for partition in 0..PARTITIONS {
        let mut expected = Head::default();
        for commit in readable.iter().filter(|commit| commit.partition().0 == partition) {
            assert_eq!(commit.previous(), expected.hash, "the chain has no hole");
            assert_eq!(commit.first_position(), expected.position + 1);
            expected = commit.head();
        }
        assert_eq!(log.heads()[usize::from(partition)], expected);
    }
    log.close();
}

fn poison_stops_everything(subject: &dyn Subject) {
    let (log, _) = subject.open();
    let head = log.heads()[0];
    assert_eq!(log.poisoned(), None);
    log.poison("the disk is gone");
    log.poison("a later reason");
    assert_eq!(log.poisoned().as_deref(), Some("the disk is gone"));
    let answer = wait(&append(&*log, commit(subject.origin(), 0, &head)));
    assert!(matches!(answer, Err(AppendError::Poisoned { .. })), "{answer:?}");
    assert!(matches!(log.sync(), Err(AppendError::Poisoned { .. })));
    assert_eq!(log.heads()[0], head);
    log.close();
}

fn a_closed_log_takes_nothing(subject: &dyn Subject) {
    let (log, _) = subject.open();
    let head = log.heads()[0];
    log.close();
    log.close();
    let answer = wait(&append(&*log, commit(subject.origin(), 0, &head)));
    assert_eq!(answer, Err(AppendError::Closed));
}

struct Files {
    directory: tempfile::TempDir,
    origin: Origin,
}

impl Subject for Files {
    fn open(&self) -> (Box<dyn Log>, Vec<Commit>) {
        let mut readable = Vec::new();
        let opened =
            Wal::open_alone(self.directory.path(), self.origin, &log_options(), &mut |c| {
                readable.push(c.clone());
            });
        (Box::new(opened.expect("the log is whole")), readable)
    }

    fn origin(&self) -> Origin {
        self.origin
    }

    fn die(&self, log: Box<dyn Log>) {
        // A poisoned log writes nothing more, no marker either: what a killed process leaves.
        log.poison("the process dies");
        log.close();
    }
}

#[test]
fn write_ahead_log_keeps_the_laws() {
    let directory = tempfile::tempdir().unwrap();
    let origin = Origin { store: [3; 16], generation: 2 };
    Wal::create_alone(directory.path(), origin, &log_options()).unwrap();
    laws(&Files { directory, origin });
}

fn log_options() -> backstitch_journal::Options {
    backstitch_journal::Options { partitions: PARTITIONS, ..options() }
}

struct Memory(Mutex<MemoryLog>);

impl Subject for Memory {
    fn open(&self) -> (Box<dyn Log>, Vec<Commit>) {
        let mut log = self.0.lock().expect("nobody panics");
        *log = log.crash(0);
        (Box::new(log.clone()), log.durable())
    }

    fn origin(&self) -> Origin {
        self.0.lock().expect("nobody panics").origin()
    }

    fn die(&self, _: Box<dyn Log>) {}
}

#[test]
fn memory_log_keeps_the_laws() {
    laws(&Memory(Mutex::new(MemoryLog::automatic(PARTITIONS))));
}

#[test]
fn manual_memory_log_loses_what_a_crash_takes() {
    let log = MemoryLog::manual(1);
    let (mut head, mut answers) = (Head::default(), Vec::new());
    for _ in 0..5 {
        let next = commit(log.origin(), 0, &head);
        head = next.head();
        answers.push(append(&log, next));
    }
    assert_eq!((log.waiting(), log.heads()[0].sequence), (5, 0));
    assert_eq!(log.complete(2), 2);
    assert_eq!((wait(&answers[0]), wait(&answers[1])), (Ok(1), Ok(2)));
    let next = log.crash(1);
    assert_eq!(next.heads()[0].sequence, 3, "written, though nobody was told");
    assert!(answers[2].recv().is_err(), "the answer went with the process");
    let fourth = commit(next.origin(), 0, &next.heads()[0]);
    next.conflict_next(0);
    let refused = append(&next, fourth.clone());
    next.complete(1);
    assert!(is_conflict(&wait(&refused)));
    let taken = append(&next, fourth);
    next.complete(1);
    assert_eq!(wait(&taken), Ok(4));
}
