//! Contents kept beside the records that name them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use backstitch_core::event::{Event, PartitionEvent, RunEvent};
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StepIndex, StreamId};
use backstitch_core::payload::{AbsentWhy, INLINE_BYTES_MAX, PAYLOAD_BYTES_MAX, Payload};
use backstitch_core::time::Timestamp;
use backstitch_journal::{
    BLOB_AGE_MIN, Batch, Fit, Head, Journal, Named, Opened, Reader, Record, RestorePoint,
    check_blobs, verify,
};
use serde_json::json;

use crate::archive::{archived_directory, small};
use crate::cut::cut_now;
use crate::damage::files_below;
use crate::removal::finished;
use crate::restore::restored;
use crate::workload::{Writer, options};

const PARTITION: PartitionId = PartitionId(0);

pub fn run(digits: u128) -> StreamId {
    StreamId::Execution(ExecutionId { partition: PARTITION, digits })
}

pub fn payload(letter: &str, bytes: usize) -> Payload {
    Payload::of(&json!(letter.repeat(bytes)))
}

pub fn answered(output: Payload) -> Event {
    Event::Run(RunEvent::StepSucceeded { step: StepIndex(0), attempt: 1, output })
}

/// A journal and where its first partition stands.
pub struct Life {
    pub journal: Journal,
    pub head: Head,
}

impl Life {
    fn begin(directory: &Path) -> Self {
        Self::of(Journal::open(directory, options()).expect("it works on a whole directory"))
    }

    pub fn of(opened: Opened) -> Self {
        Self { journal: opened.journal, head: opened.heads[0] }
    }

    /// Appends one record and waits until it is durable.
    pub fn record(&mut self, stream: &StreamId, version: u64, event: &Event) {
        let mut builder = self.journal.commit_builder(PARTITION, 1, &self.head);
        assert_eq!(builder.push(stream, version, Timestamp(1), event), Fit::Fits);
        let commit = builder.finish(Timestamp(1));
        self.head = commit.head();
        let (done, answer) = channel();
        let batch = Batch { commit, quiescent: Vec::new(), changes: Vec::new() };
        self.journal.append(batch, Box::new(move |told| done.send(told).expect("the test waits")));
        answer.recv().expect("it is answered").expect("it is durable");
    }

    pub fn erase(&mut self, version: u64, digest: Digest) {
        let (reason, actor) = ("asked for".to_owned(), "ann".to_owned());
        let erased = PartitionEvent::PayloadErased { digest, reason, actor };
        self.record(&StreamId::Partition(PARTITION), version, &Event::Partition(erased));
        self.journal.finish_erasures();
    }

    pub fn history(&self, stream: &StreamId) -> Vec<Record> {
        self.journal.history(stream).expect("it can be read").expect("it is there")
    }
}

pub fn why_absent(records: &[Record], at: usize) -> Option<AbsentWhy> {
    let mut why = None;
    records[at].event.for_each_payload(&mut |own| why = own.absent().map(|own| own.why));
    why
}

pub fn digest_of(payload: &Payload) -> Digest {
    payload.reference().expect("it is kept beside its record").0
}

pub fn file_of(directory: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.to_string();
    directory.join("blobs").join(&hex[..2]).join(&hex)
}

pub fn named(directory: &Path) -> Named {
    let mut named = Named::new();
    let reader = Reader::open(directory).expect("it works on a whole directory");
    reader
        .for_each_commit(|commit, _| {
            named.extend(commit.named());
            true
        })
        .expect("it works on a whole directory");
    named
}

#[test]
fn large_contents_are_kept_once_and_come_back_everywhere() {
    let directory = tempfile::tempdir().unwrap();
    let mut life = Life::begin(directory.path());
    let sizes = [INLINE_BYTES_MAX - 2, INLINE_BYTES_MAX - 1, PAYLOAD_BYTES_MAX - 2];
    let events: Vec<_> = sizes.iter().map(|&bytes| answered(payload("x", bytes))).collect();
    for stream in [run(1), run(2)] {
        for (version, event) in (1..).zip(&events) {
            life.record(&stream, version, event);
        }
    }
    let same = |records: Vec<Record>| {
        let read: Vec<Event> = records.into_iter().map(|record| record.event).collect();
        assert!(read == events, "what is read is what was written");
    };
    same(life.history(&run(1)));
    life.journal.store_now().unwrap();
    same(life.history(&run(2)));
    assert_eq!(life.journal.info().blobs, 2, "the smallest is in its records");
    life.journal.close().unwrap();
    let reader = Reader::open(directory.path()).unwrap();
    same(reader.history(&run(1)).unwrap().unwrap());
    let mut seen = 0;
    reader
        .for_each_record(|record| {
            seen += 1;
            why_absent(&[record], 0).is_none()
        })
        .unwrap();
    assert_eq!(seen, 6);
    drop(reader);
    let opened = Journal::open(directory.path(), options()).unwrap();
    assert_eq!(opened.streams, [run(1), run(2)]);
    let StreamId::Execution(first) = run(1) else { panic!("a run") };
    same(opened.journal.recoverable(&first).unwrap().unwrap().records);
}

#[test]
fn a_damaged_or_missing_content_is_said_and_never_served() {
    let directory = tempfile::tempdir().unwrap();
    let mut life = Life::begin(directory.path());
    let (damaged, missing) = (payload("d", 70_000), payload("m", 70_000));
    life.record(&run(1), 1, &answered(damaged.clone()));
    life.record(&run(1), 2, &answered(missing.clone()));
    let path = file_of(directory.path(), &digest_of(&damaged));
    let mut bytes = std::fs::read(&path).unwrap();
    assert_eq!(blake3::hash(&bytes).to_string(), digest_of(&damaged).to_string());
    bytes[40_000] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    std::fs::remove_file(file_of(directory.path(), &digest_of(&missing))).unwrap();
    let records = life.history(&run(1));
    assert_eq!(why_absent(&records, 0), Some(AbsentWhy::Damaged));
    assert_eq!(why_absent(&records, 1), Some(AbsentWhy::Missing));
    life.journal.close().unwrap();
    let report = check_blobs(directory.path(), &named(directory.path()), &BTreeSet::new()).unwrap();
    assert_eq!(report.damaged, [digest_of(&damaged).to_string()]);
    assert_eq!(report.missing, [digest_of(&missing).to_string()]);
    // Written again, it is whole again.
    let mut life = Life::begin(directory.path());
    life.record(&run(2), 1, &answered(damaged.clone()));
    assert_eq!(why_absent(&life.history(&run(1)), 0), None);
}

#[test]
fn an_erased_content_is_gone_and_stays_gone() {
    let directory = tempfile::tempdir().unwrap();
    let mut life = Life::begin(directory.path());
    let mut small = payload("s", 10);
    small.keep_beside();
    life.record(&run(1), 1, &answered(small.clone()));
    let digest = digest_of(&small);
    let StreamId::Execution(id) = run(1) else { panic!("a run") };
    assert_eq!(life.journal.runs_naming(&digest).unwrap(), [id]);
    assert_eq!(life.journal.kept_beside(&digest), Some(12));
    life.erase(1, digest);
    assert!(!file_of(directory.path(), &digest).exists());
    assert_eq!(why_absent(&life.history(&run(1)), 0), Some(AbsentWhy::Erased));
    life.journal.close().unwrap();
    let named = named(directory.path());
    let report = check_blobs(directory.path(), &named, &BTreeSet::from([digest])).unwrap();
    assert_eq!((report.erased.len(), report.missing.len()), (1, 0));
    assert!(backstitch_journal::verify(directory.path()).unwrap().ok);
    let reader = Reader::open(directory.path()).unwrap();
    let records = reader.history(&run(1)).unwrap().unwrap();
    assert_eq!(why_absent(&records, 0), Some(AbsentWhy::Erased));
    drop(reader);
    // The same text given anew is new data, and no later start takes it away.
    let mut life = Life::begin(directory.path());
    assert_eq!(why_absent(&life.history(&run(1)), 0), Some(AbsentWhy::Erased));
    life.record(&run(2), 1, &answered(small.clone()));
    life.journal.close().unwrap();
    let life = Life::begin(directory.path());
    assert_eq!(why_absent(&life.history(&run(2)), 0), None);
}

/// Erasing counts each time it is recorded, also for a text that was erased and given anew.
#[test]
fn a_content_that_came_back_is_erased_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut life = Life::begin(directory.path());
    let large = payload("c", 70_000);
    let (digest, path) = (digest_of(&large), file_of(directory.path(), &digest_of(&large)));
    life.record(&run(1), 1, &answered(large.clone()));
    life.erase(1, digest);
    life.record(&run(2), 1, &answered(large.clone()));
    assert!(path.exists());
    life.erase(2, digest);
    assert!(!path.exists(), "the second erasure was recorded and must take place");
    assert_eq!(why_absent(&life.history(&run(2)), 0), Some(AbsentWhy::Erased));
    life.journal.close().unwrap();
    // A crash may have cut the second one off: the next start makes it good, and once only.
    std::fs::write(path.with_extension("erased"), "").unwrap();
    std::fs::write(&path, large.text()).unwrap();
    let mut life = Life::begin(directory.path());
    assert!(!path.exists());
    life.record(&run(3), 1, &answered(large));
    life.journal.close().unwrap();
    let life = Life::begin(directory.path());
    assert_eq!(why_absent(&life.history(&run(3)), 0), None);
}

/// A crash between the record and the erasing: the next start erases.
#[test]
fn an_erasure_that_a_crash_cut_off_is_made_good() {
    let directory = tempfile::tempdir().unwrap();
    let mut life = Life::begin(directory.path());
    let large = payload("c", 70_000);
    life.record(&run(1), 1, &answered(large.clone()));
    let (digest, path) = (digest_of(&large), file_of(directory.path(), &digest_of(&large)));
    let content = std::fs::read(&path).unwrap();
    life.erase(1, digest);
    life.journal.close().unwrap();
    std::fs::write(&path, content).unwrap();
    std::fs::remove_file(path.with_extension("erased")).unwrap();
    let life = Life::begin(directory.path());
    assert!(!path.exists());
    assert_eq!(why_absent(&life.history(&run(1)), 0), Some(AbsentWhy::Erased));
}

#[test]
fn only_old_contents_that_nothing_names_are_collected() {
    let directory = tempfile::tempdir().unwrap();
    let mut life = Life::begin(directory.path());
    let (kept, old, young) = (payload("k", 70_000), payload("o", 70_000), payload("y", 70_000));
    life.record(&run(1), 1, &answered(kept.clone()));
    let written = file_of(directory.path(), &digest_of(&kept)).metadata().unwrap();
    let before = written.modified().unwrap() - BLOB_AGE_MIN - Duration::from_secs(60);
    let age = |path: &Path| {
        std::fs::File::options().append(true).open(path).unwrap().set_modified(before).unwrap();
    };
    let write = |payload: &Payload| {
        let path = file_of(directory.path(), &digest_of(payload));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, payload.text()).unwrap();
        path
    };
    let (old_path, young_path) = (write(&old), write(&young));
    let unfinished = young_path.with_extension("new");
    std::fs::write(&unfinished, "half").unwrap();
    for path in [&old_path, &unfinished, &file_of(directory.path(), &digest_of(&kept))] {
        age(path);
    }
    let found = life.journal.collect_blobs(true).unwrap();
    assert_eq!((found.contents, found.bytes, found.unfinished, found.young), (1, 70_002, 1, 1));
    assert!(old_path.exists() && unfinished.exists());
    assert_eq!(life.journal.collect_blobs(false).unwrap(), found);
    assert!(!old_path.exists() && !unfinished.exists() && young_path.exists());
    assert_eq!(why_absent(&life.history(&run(1)), 0), None);
    // What is taken as it is counts as young: its commit may be on its way.
    age(&young_path);
    life.record(&run(2), 1, &answered(young));
    assert!(young_path.metadata().unwrap().modified().unwrap() > before);
}

/// Commits that leave nothing beside them do not overtake those that do.
#[test]
fn commits_of_a_partition_keep_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut life = Life::begin(directory.path());
    let (done, answers) = channel();
    for version in 1..=40_u64 {
        let bytes = if version % 3 == 0 { 200_000 } else { 10 };
        let letter = char::from(b'a' + u8::try_from(version % 26).unwrap()).to_string();
        let event = answered(payload(&letter, bytes));
        let mut builder = life.journal.commit_builder(PARTITION, 1, &life.head);
        assert_eq!(builder.push(&run(1), version, Timestamp(1), &event), Fit::Fits);
        let commit = builder.finish(Timestamp(1));
        life.head = commit.head();
        let batch = Batch { commit, quiescent: Vec::new(), changes: Vec::new() };
        let done = done.clone();
        life.journal.append(batch, Box::new(move |told| done.send((version, told)).unwrap()));
    }
    for version in 1..=40 {
        assert_eq!(answers.recv().unwrap(), (version, Ok(())));
    }
    assert_eq!(life.history(&run(1)).len(), 40);
}

/// A content that cannot be kept stops its commit, and the journal with it.
#[test]
fn a_content_that_cannot_be_written_stops_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let life = Life::begin(directory.path());
    std::fs::write(directory.path().join("blobs"), "in the way").unwrap();
    let mut builder = life.journal.commit_builder(PARTITION, 1, &life.head);
    let event = answered(payload("x", 70_000));
    assert_eq!(builder.push(&run(1), 1, Timestamp(1), &event), Fit::Fits);
    let (done, answer) = channel();
    let commit = builder.finish(Timestamp(1));
    let batch = Batch { commit, quiescent: Vec::new(), changes: Vec::new() };
    life.journal.append(batch, Box::new(move |told| done.send(told).unwrap()));
    assert!(answer.recv().unwrap().is_err());
    assert!(life.journal.poisoned().is_some_and(|why| why.contains("blobs")));
    drop(life);
    std::fs::remove_file(directory.path().join("blobs")).unwrap();
    let life = Life::begin(directory.path());
    assert_eq!(life.journal.history(&run(1)).unwrap(), None, "its commit is not there");
}

#[test]
fn a_journal_in_memory_keeps_contents_too() {
    let mut life = Life::of(Journal::memory(1));
    let event = answered(payload("x", 70_000));
    life.record(&run(1), 1, &event);
    assert!(life.history(&run(1))[0].event == event);
    life.erase(1, digest_of(&payload("x", 70_000)));
    assert_eq!(why_absent(&life.history(&run(1)), 0), Some(AbsentWhy::Erased));
}

/// Behind a cut too; and what only the base names is kept, for going back to before a removal.
#[test]
fn contents_that_the_base_names_are_not_collected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    archived_directory(path, 500);
    let mut writer = Writer::take_over(Journal::open(path, small()).unwrap(), 11);
    cut_now(&mut writer);
    let mut files = Vec::new();
    files_below(&path.join("blobs"), &mut files);
    for file in &files {
        let old = file.metadata().unwrap().modified().unwrap() - 2 * BLOB_AGE_MIN;
        std::fs::File::options().append(true).open(file).unwrap().set_modified(old).unwrap();
    }
    for row in finished(&writer.journal) {
        writer.remove(&[row.execution]).unwrap();
    }
    writer.journal.store_now().unwrap();
    let found = writer.journal.collect_blobs(false).unwrap();
    assert_eq!((found.contents, found.young), (0, 0), "of {} files", files.len());
    writer.journal.close().unwrap();
    drop(writer);
    let report = verify(path).unwrap();
    assert!(report.ok && files.len() > 5, "{report:?}");
}

/// The backup ends before the record of the erasure, and yet has to say where the content went.
#[test]
fn what_is_erased_while_a_backup_runs_is_erased_in_the_backup() {
    let work = tempfile::tempdir().unwrap();
    let mut life = Life::begin(&work.path().join("data"));
    let mut large = [payload("a", 70_000), payload("b", 70_000)];
    large.sort_by_key(|payload| digest_of(payload).0);
    for (digits, payload) in (1..).zip(&large) {
        life.record(&run(digits), 1, &answered(payload.clone()));
    }
    let (journal, mut erased) = (life.journal.clone(), false);
    let to = work.path().join("backup");
    let mut heard = |_| {
        // The first content is being copied, and the second is on the list.
        if !std::mem::replace(&mut erased, true) {
            life.erase(1, digest_of(&large[1]));
        }
        ControlFlow::Continue(())
    };
    journal.backup(&to, Timestamp(1), &mut heard).unwrap();
    let report = verify(&to).unwrap();
    assert!(report.ok, "{report:?}");
    let target = work.path().join("restored");
    restored(&to, &target, RestorePoint::End);
    let life = Life::begin(&target);
    assert_eq!(why_absent(&life.history(&run(1)), 0), None);
    assert_eq!(why_absent(&life.history(&run(2)), 0), Some(AbsentWhy::Erased));
}
