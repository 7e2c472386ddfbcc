//! Restoring to points of the past: what is kept is what a plain model keeps, byte for byte.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use backstitch_core::event::{Event, PartitionEvent, RunEvent, WorkflowEvent};
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StepIndex, StreamId};
use backstitch_core::payload::Payload;
use backstitch_core::time::Timestamp;
use backstitch_journal::{
    Batch, Commit, EffectKind, Error, Fit, Head, Journal, Options, Reader, RestorePoint,
    RestoreReport, RestoreRequest, restore, unheard, verify,
};

use crate::crash::count_from_environment;
use crate::damage::copy;
use crate::life::{check_open, quiet_directory, quiet_directory_with};
use crate::workload::{Dice, options};

/// Points restored to in one run of the tests; `JOURNAL_POINTS` asks for more.
const POINTS: u64 = 12;

pub fn request(from: &Path, to: &Path, point: RestorePoint) -> RestoreRequest {
    RestoreRequest {
        from: from.to_owned(),
        to: to.to_owned(),
        point,
        dry_run: false,
        at: Timestamp(5_000_000),
        reason: "a test".to_owned(),
        actor: "ann".to_owned(),
    }
}

pub fn restored(from: &Path, to: &Path, point: RestorePoint) -> RestoreReport {
    restore(&request(from, to, point), &mut unheard()).expect("it is restored")
}

pub fn commits(directory: &Path) -> Vec<Commit> {
    let mut found = Vec::new();
    let reader = Reader::open(directory).expect("it is a data directory");
    let read = reader.for_each_commit(|commit, _| {
        found.push(commit.clone());
        true
    });
    read.expect("it is whole");
    found
}

/// Every file below a directory with its content.
pub fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    crate::damage::files_below(directory, &mut files);
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).expect("it is there"))).collect()
}

/// A life whose log stays where it is.
pub fn unarchived() -> Options {
    Options { archive: false, ..options() }
}

/// What a point keeps, in plain words: of each partition the commits before the first that
/// lies behind the point.
fn model(all: &[Commit], keeps: impl Fn(&Commit) -> bool) -> Vec<Commit> {
    let mut passed = HashMap::new();
    all.iter()
        .filter(|commit| {
            let passed = passed.entry(commit.partition()).or_insert(false);
            *passed |= !keeps(commit);
            !*passed
        })
        .cloned()
        .collect()
}

/// Per partition, in order: what a restored directory must hold.
fn by_partition(commits: &[Commit]) -> HashMap<PartitionId, Vec<Commit>> {
    let mut sorted: HashMap<PartitionId, Vec<Commit>> = HashMap::new();
    for commit in commits {
        sorted.entry(commit.partition()).or_default().push(commit.clone());
    }
    sorted
}

/// The restored chains are the model's, each with one commit of the new generation behind.
fn check_chains(directory: &Path, kept: &[Commit], generation: u32) {
    let mut expected = by_partition(kept);
    let found = by_partition(&commits(directory));
    assert_eq!(found.len(), usize::from(options().partitions), "each partition says so");
    for (partition, mut found) in found {
        let last = found.pop().expect("at least the record of the restore");
        assert_eq!(last.origin().generation, generation);
        let records = last.records();
        assert_eq!(records[0].stream, StreamId::Partition(partition));
        let kept = expected.remove(&partition).unwrap_or_default();
        let before = kept.last().map_or(0, Commit::sequence);
        let Event::Partition(PartitionEvent::Restored { sequence, .. }) = &records[0].event else {
            panic!("{records:?}")
        };
        assert_eq!(*sequence, before);
        assert_eq!(found, kept, "what is kept is the same to the byte");
    }
    assert!(expected.is_empty());
}

fn acknowledged(commits: &[Commit]) -> Vec<(u16, u64, String)> {
    let line =
        |commit: &Commit| (commit.partition().0, commit.sequence(), commit.head().hash.to_string());
    commits.iter().map(line).collect()
}

#[test]
fn any_point_is_what_a_plain_model_says() {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("source");
    quiet_directory(&source, 500);
    let all = commits(&source);
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let before = contents(&source);
    for number in 0..count_from_environment("JOURNAL_POINTS", POINTS) {
        let middle = &all[dice.below(all.len() as u64) as usize];
        let (point, kept) = match number % 4 {
            0 => (RestorePoint::End, all.clone()),
            1 | 2 => {
                let at = middle.head().committed_at;
                let kept = model(&all, |commit| commit.head().committed_at <= at);
                (RestorePoint::Instant(at), kept)
            }
            _ => {
                let heads = last_positions(&all);
                let positions: Vec<u64> = heads.iter().map(|end| dice.below(end + 1)).collect();
                let kept = model(&all, |commit| {
                    commit.head().position <= positions[usize::from(commit.partition().0)]
                });
                (RestorePoint::Positions(positions), kept)
            }
        };
        let target = work.path().join(format!("restored-{number}"));
        let dry = RestoreRequest { dry_run: true, ..request(&source, &target, point.clone()) };
        let said = restore(&dry, &mut unheard()).unwrap();
        assert!(!target.exists(), "a dry run writes nothing");
        let report = restored(&source, &target, point);
        assert_eq!(RestoreReport { dry_run: true, ..report.clone() }, said);
        assert_eq!(report.commits_kept, kept.len() as u64);
        assert_eq!(report.commits_kept + report.commits_lost, all.len() as u64);
        check_lost_runs(&report, &all, &kept);
        check_chains(&target, &kept, 2);
        assert!(verify(&target).unwrap().ok);
        check_open(&target, options(), &acknowledged(&kept)).unwrap();
        fs::remove_dir_all(&target).unwrap();
    }
    assert!(contents(&source) == before, "the source is as it was");
}

fn last_positions(all: &[Commit]) -> Vec<u64> {
    let mut ends = vec![0; usize::from(options().partitions)];
    for commit in all {
        ends[usize::from(commit.partition().0)] = commit.head().position;
    }
    ends
}

fn last_versions(commits: &[Commit]) -> HashMap<String, u64> {
    let records = commits.iter().flat_map(Commit::records);
    records.map(|record| (record.stream.to_string(), record.version)).collect()
}

/// The report names exactly the runs that end earlier, with the versions they keep.
fn check_lost_runs(report: &RestoreReport, all: &[Commit], kept: &[Commit]) {
    let (before, after) = (last_versions(all), last_versions(kept));
    let lost: HashMap<String, (u64, u64)> = before
        .into_iter()
        .map(|(run, version)| (run.clone(), (after.get(&run).copied().unwrap_or(0), version)))
        .filter(|(_, (kept, version))| kept < version)
        .collect();
    let said: HashMap<String, (u64, u64)> = report
        .runs
        .iter()
        .map(|run| (run.execution.clone(), (run.last_version, run.lost_version)))
        .collect();
    assert_eq!(said, lost);
    assert_eq!(report.runs_vanished + report.runs_gone_back, lost.len() as u64);
}

#[test]
fn a_restored_store_is_restored_again_at_any_point() {
    let work = tempfile::tempdir().unwrap();
    let path = |number: u32| work.path().join(number.to_string());
    quiet_directory(&path(1), 200);
    let mut dice = Dice(9);
    for generation in 2..=5 {
        let all = commits(&path(generation - 1));
        let at = all[all.len() / 2 + dice.below(all.len() as u64 / 2) as usize].head().committed_at;
        restored(&path(generation - 1), &path(generation), RestorePoint::Instant(at));
        let kept = model(&all, |commit| commit.head().committed_at <= at);
        check_chains(&path(generation), &kept, generation);
        // It lives on, and what it writes is of its own generation.
        check_open(&path(generation), options(), &acknowledged(&kept)).unwrap();
        assert_eq!(verify(path(generation)).unwrap().generation, generation);
    }
}

#[test]
fn what_an_earlier_generation_wrote_cannot_follow_a_later_one() {
    let work = tempfile::tempdir().unwrap();
    let (old, new) = (work.path().join("old"), work.path().join("new"));
    quiet_directory_with(&old, 600, unarchived());
    restored(&old, &new, RestorePoint::Positions(vec![3; 4]));
    assert!(old.join("log/0000000002.seg").exists(), "the workload fills several segments");
    fs::copy(old.join("log/0000000002.seg"), new.join("log/0000000002.seg")).unwrap();
    let report = verify(&new).unwrap();
    let named =
        |detail: &str| report.problems.iter().any(|problem| problem.damage.detail.contains(detail));
    assert!(named("generation goes back"), "{:?}", report.problems.first());
    let error = Journal::open(&new, options()).err().expect("it is refused");
    assert!(error.to_string().contains("generation"), "{error}");
}

#[test]
fn targets_that_are_not_free_are_refused_and_half_made_ones_are_made_anew() {
    let work = tempfile::tempdir().unwrap();
    let (source, target) = (work.path().join("source"), work.path().join("target"));
    quiet_directory(&source, 60);
    let attempt = || restore(&request(&source, &target, RestorePoint::End), &mut unheard());
    fs::create_dir(&target).unwrap();
    fs::write(target.join("thesis.txt"), "mine").unwrap();
    assert!(matches!(attempt(), Err(Error::Target { .. })));
    fs::remove_file(target.join("thesis.txt")).unwrap();
    // Somebody else's directory beside it.
    let beside = work.path().join("target.restoring");
    fs::create_dir(&beside).unwrap();
    fs::write(beside.join("thesis.txt"), "mine").unwrap();
    assert!(matches!(attempt(), Err(Error::Target { .. })));
    assert!(beside.join("thesis.txt").exists());
    fs::remove_dir_all(&beside).unwrap();
    // A restore that was stopped at any moment.
    let mut heard = 0;
    loop {
        let mut left = heard;
        let stopped = restore(&request(&source, &target, RestorePoint::End), &mut |_| {
            left -= 1;
            if left < 0 {
                return std::ops::ControlFlow::Break(());
            }
            std::ops::ControlFlow::Continue(())
        });
        match stopped {
            Err(Error::Cancelled) => heard += 25,
            other => {
                other.unwrap();
                break;
            }
        }
        assert!(!target.join("identity").exists(), "what is not whole is not named");
    }
    assert!(heard > 0 && !beside.exists());
    assert!(verify(&target).unwrap().ok);
    assert!(matches!(attempt(), Err(Error::Target { .. })), "it is in use now");
}

#[test]
fn damage_behind_the_point_does_not_matter_and_before_it_is_refused() {
    let work = tempfile::tempdir().unwrap();
    let (source, target) = (work.path().join("source"), work.path().join("target"));
    quiet_directory_with(&source, 600, unarchived());
    let all = commits(&source);
    let segment = source.join("log/0000000002.seg");
    let mut content = fs::read(&segment).unwrap();
    let last = content.iter().rposition(|&byte| byte != 0).unwrap();
    content[last / 2 + 4_096] ^= 1;
    fs::write(&segment, &content).unwrap();
    let early = RestorePoint::Positions(vec![20; 4]);
    let report = restored(&source, &target, early);
    assert!(report.damage_behind.is_some());
    let kept = model(&all, |commit| commit.head().position <= 20);
    check_chains(&target, &kept, 2);
    let late = request(&source, &work.path().join("late"), RestorePoint::End);
    assert!(matches!(restore(&late, &mut unheard()), Err(Error::Damaged { .. })));
}

const RUN: ExecutionId = ExecutionId { partition: PartitionId(0), digits: 7 };

pub fn append(journal: &Journal, head: &mut Head, records: &[(StreamId, u64, Event)], at: i64) {
    let mut builder = journal.commit_builder(PartitionId(0), 1, head);
    for (stream, version, event) in records {
        assert_eq!(builder.push(stream, *version, Timestamp(at), event), Fit::Fits);
    }
    let commit = builder.finish(Timestamp(at));
    *head = commit.head();
    let (sender, answer) = std::sync::mpsc::channel();
    let batch = Batch { commit, quiescent: Vec::new(), changes: Vec::new() };
    journal.append(batch, Box::new(move |done| sender.send(done).expect("we wait")));
    answer.recv().expect("it is answered").expect("it is taken");
}

#[test]
fn effects_behind_the_point_are_listed_with_their_keys_and_erasures_stay() {
    let work = tempfile::tempdir().unwrap();
    let (source, target) = (work.path().join("source"), work.path().join("target"));
    let opened = Journal::open(&source, options()).unwrap();
    let mut head = opened.heads[0];
    let text = r#"{"steps":[{"id":"pay"},{"id":"ship"}]}"#.to_owned();
    let defined = WorkflowEvent::Defined {
        revision: 1,
        digest: Digest::of(text.as_bytes()),
        text,
        actor: "ann".to_owned(),
    };
    let workflow = StreamId::Workflow { namespace: "default".into(), workflow: "order".into() };
    let run = StreamId::Execution(RUN);
    let (step, input) = (StepIndex(1), Payload::null());
    let digest = Digest::of(b"a secret");
    let erased = PartitionEvent::PayloadErased {
        digest,
        reason: "asked for".to_owned(),
        actor: "ann".to_owned(),
    };
    let kept = [
        (workflow, 1, Event::Workflow(defined)),
        (run.clone(), 1, crate::workload::event_of(&RUN, 1)),
        (run.clone(), 2, Event::Run(RunEvent::StepReady { step, round: 3, input: input.clone() })),
        (
            run.clone(),
            3,
            Event::Run(RunEvent::StepReady { step: StepIndex(0), round: 1, input: input.clone() }),
        ),
        (run.clone(), 4, Event::Run(RunEvent::StepStarted { step: StepIndex(0), attempt: 1 })),
    ];
    append(&opened.journal, &mut head, &kept, 10);
    let lost = [
        (run.clone(), 5, Event::Run(RunEvent::StepStarted { step, attempt: 4 })),
        (StreamId::Partition(PartitionId(0)), 1, Event::Partition(erased)),
        (StreamId::Partition(PartitionId(0)), 2, crate::golden_api_keys::revoked()),
        // Under way at the point; the other one began behind it.
        (
            run.clone(),
            6,
            Event::Run(RunEvent::StepSucceeded {
                step: StepIndex(0),
                attempt: 1,
                output: input.clone(),
            }),
        ),
        (run.clone(), 7, Event::Run(RunEvent::StepSucceeded { step, attempt: 4, output: input })),
        (run.clone(), 8, Event::Run(RunEvent::UndoStarted { step, attempt: 1 })),
        (
            run.clone(),
            9,
            Event::Run(RunEvent::CallbackDelivered { delivery: 2, attempt: 1, status: 200 }),
        ),
    ];
    append(&opened.journal, &mut head, &lost, 20);
    opened.journal.close().unwrap();
    drop(opened);
    let report = restored(&source, &target, RestorePoint::Instant(Timestamp(10)));
    let effects: Vec<(EffectKind, Option<String>)> =
        report.effects.iter().map(|effect| (effect.kind, effect.idempotency_key.clone())).collect();
    let key = |rest: &str| Some(format!("{RUN}/{rest}"));
    assert_eq!(
        effects,
        [
            (EffectKind::Step, key("ship/3")),
            (EffectKind::Step, key("pay/1")),
            (EffectKind::Undo, key("ship/3/undo")),
            (EffectKind::Callback, key("callback/2")),
        ]
    );
    assert_eq!(report.effect_count, 4);
    assert_eq!(report.erasures_kept, [digest.to_string()]);
    let own: Vec<Event> = commits(&target)
        .iter()
        .flat_map(Commit::records)
        .filter(|record| record.stream == StreamId::Partition(PartitionId(0)))
        .map(|record| record.event)
        .collect();
    assert!(matches!(own[0], Event::Partition(PartitionEvent::Restored { .. })), "{own:?}");
    assert!(matches!(own[1], Event::Partition(PartitionEvent::PayloadErased { .. })), "{own:?}");
    assert_eq!(own[2], crate::golden_api_keys::revoked());
}

#[test]
fn points_that_are_not_there_are_refused() {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("source");
    quiet_directory(&source, 40);
    for positions in [vec![1; 3], vec![u64::MAX; 4]] {
        let asked = request(&source, &work.path().join("to"), RestorePoint::Positions(positions));
        let refused = restore(&asked, &mut unheard());
        assert!(matches!(refused, Err(Error::Point { .. })), "{refused:?}");
    }
    let copied = work.path().join("copied");
    copy(&source, &copied);
    let opened = Journal::open(&copied, options()).unwrap();
    let busy =
        restore(&request(&copied, &work.path().join("to"), RestorePoint::End), &mut unheard());
    assert!(matches!(busy, Err(Error::Locked { .. })), "{busy:?}");
    drop(opened);
}
