//! Cutting the chain: what goes, what stays, and every crash on the way.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;

use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::{ExecutionId, PartitionId, StreamId};
use backstitch_core::time::Timestamp;
use backstitch_journal::{
    Batch, CutPlan, CutPoint, Error, Fit, Head, Journal, Options, Reader, Record, verify,
};

use crate::archive::{archived_directory, lose_store, names, settle, small};
use crate::child::CUTTING;
use crate::crash::{count_from_environment, live_and_die_with};
use crate::damage::copy;
use crate::life::check_open;
use crate::workload::{Dice, Writer, length_of, nobody};

/// Kills in one run of the tests; `JOURNAL_KILLS` asks for more.
const KILLS: u64 = 4;
/// Bits flipped in a base in one run of the tests; `JOURNAL_FLIPS` asks for more.
const FLIPS: u64 = 30;

type Histories = BTreeMap<StreamId, Vec<Record>>;

fn histories(journal: &Journal) -> Histories {
    let mut found = Histories::new();
    journal
        .for_each_history(|stream, records| {
            found.insert(stream, records);
        })
        .expect("the store can be read");
    found
}

/// Records an event in a partition's own stream.
pub fn record(journal: &Journal, heads: &mut [Head], partition: u16, event: PartitionEvent) {
    let stream = StreamId::Partition(PartitionId(partition));
    let version = journal.history(&stream).expect("it is read").map_or(0, |all| all.len());
    let head = &mut heads[usize::from(partition)];
    let mut builder = journal.commit_builder(PartitionId(partition), 1, head);
    let event = Event::Partition(event);
    assert_eq!(builder.push(&stream, version as u64 + 1, Timestamp(1), &event), Fit::Fits);
    let commit = builder.finish(Timestamp(1));
    *head = commit.head();
    let (sender, answer) = channel();
    let batch = Batch { commit, quiescent: Vec::new(), changes: Vec::new() };
    journal.append(batch, Box::new(move |done| sender.send(done).expect("we wait")));
    answer.recv().expect("it is answered").expect("it is taken");
}

fn record_anchor(journal: &Journal, heads: &mut [Head], plan: &CutPlan) {
    for anchor in plan.anchor.iter().filter(|anchor| anchor.moves) {
        let (sequence, hash, actor) = (anchor.sequence, anchor.hash, "test".to_owned());
        record(journal, heads, anchor.partition, PartitionEvent::LogCut { sequence, hash, actor });
    }
}

/// Plans, records and carries out; the plan must say what then happens.
fn cut(writer: &mut Writer, directory: &Path, point: &CutPoint) -> CutPlan {
    settle(&writer.journal, directory, 1);
    let plan = writer.journal.plan_cut(point).expect("it is planned");
    record_anchor(&writer.journal, &mut writer.heads, &plan);
    let done = writer.journal.cut(&plan).expect("it is cut");
    // What the anchors filled up may have left the log in between by itself.
    assert!(done.bytes_removed <= plan.bytes_removed, "{done:?} {plan:?}");
    assert_eq!(CutPlan { bytes_removed: plan.bytes_removed, ..done }, plan);
    plan
}

/// Bytes of the base and of the archive's files up to a segment.
fn archive_bytes(directory: &Path, through: Option<u64>) -> u64 {
    let number = |name: &String| name.strip_suffix(".arc").and_then(|n| n.parse::<u64>().ok());
    names(directory, "archive")
        .iter()
        .filter(|name| *name == "base.arc" || number(name).is_some_and(|n| Some(n) <= through))
        .map(|name| fs::metadata(directory.join("archive").join(name)).map_or(0, |m| m.len()))
        .sum()
}

/// Cuts as far as can be just now, as an engine would.
pub fn cut_now(writer: &mut Writer) {
    cut_all(&writer.journal, &mut writer.heads);
}

/// The same; answers what was cut.
pub fn cut_all(journal: &Journal, heads: &mut [Head]) -> CutPlan {
    journal.store_now().expect("there is space");
    let plan = journal.plan_cut(&CutPoint::Everything).expect("it is planned");
    record_anchor(journal, heads, &plan);
    journal.cut(&plan).expect("it is cut")
}

/// kill -9 at any moment of writing, archiving and cutting.
#[test]
fn nothing_acknowledged_is_lost_by_kill_while_the_chain_is_cut() {
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 2));
    let directory = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut cut) = (Vec::new(), 0);
    for kill in 0..count_from_environment("JOURNAL_KILLS", KILLS) {
        let after = 100 + dice.below(300);
        let cutting = |command: &mut Command| {
            command.env(CUTTING, "1");
        };
        acknowledged.extend(live_and_die_with(directory.path(), dice.next(), after, &cutting));
        if kill % 2 == 0 {
            check_open(directory.path(), small(), &acknowledged).unwrap_or_else(|error| {
                panic!("after kill {kill}: {error}");
            });
        }
        let reader = Reader::open(directory.path()).unwrap();
        let now = reader.beginning().unwrap().iter().map(|head| head.sequence).sum();
        assert!(now >= cut, "a cut does not come back");
        cut = now;
    }
    assert!(cut > 0, "some cuts were done");
}

#[test]
fn after_a_cut_everything_kept_is_there_and_the_store_can_be_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    archived_directory(path, 400);
    let mut writer = Writer::take_over(Journal::open(path, small()).unwrap(), 11);
    for round in 0..3 {
        writer.write(250, &nobody()).unwrap();
        settle(&writer.journal, path, 1);
        let before = (histories(&writer.journal), names(path, "archive"));
        let plan = writer.journal.plan_cut(&CutPoint::Everything).unwrap();
        assert!(plan.segments > 1 && plan.commits > 50 && plan.records > plan.commits, "{plan:?}");
        assert_eq!(names(path, "archive"), before.1, "planning changes nothing");
        assert_eq!(plan.oldest_before.is_some(), round > 0);
        record_anchor(&writer.journal, &mut writer.heads, &plan);
        let of_the_cut = |path: &Path| archive_bytes(path, plan.through_segment);
        assert_eq!(of_the_cut(path), plan.bytes_removed);
        assert_eq!(writer.journal.cut(&plan).unwrap(), plan);
        assert_eq!(of_the_cut(path), plan.base_bytes);
        assert_eq!(histories(&writer.journal), before.0);
        let beginning = writer.journal.beginning().unwrap();
        for anchor in &plan.anchor {
            let partition = usize::from(anchor.partition);
            assert_eq!(beginning[partition].hash, anchor.hash);
            let read = |after: u64| {
                let partition = PartitionId(anchor.partition);
                writer.journal.commits_after(partition, after, &mut |_| ControlFlow::Break(()))
            };
            assert!(
                matches!(read(0), Err(Error::Cut { position, .. }) if position == anchor.position)
            );
            read(anchor.position).unwrap();
        }
        writer.journal.close().unwrap();
        assert!(verify(path).unwrap().ok, "{:?}", verify(path).unwrap());
        let reader = Reader::open(path).unwrap();
        for (stream, records) in before.0.iter().step_by(29) {
            assert_eq!(reader.history(stream).unwrap().as_ref(), Some(records));
        }
        let mut read = 0;
        reader
            .for_each_record(|_| {
                read += 1;
                true
            })
            .unwrap();
        assert_eq!(read, writer.heads.iter().map(|head| head.position).sum::<u64>());
        drop(reader);
        lose_store(path);
        let opened = Journal::open(path, small()).unwrap();
        assert!(opened.report.store_rebuilt.is_some());
        writer = Writer::take_over(opened, 12 + round);
        assert_eq!(histories(&writer.journal), before.0);
    }
    writer.journal.close().unwrap();
    drop(writer);
    assert!(!names(path, "archive").contains(&"0000000001.arc".to_owned()));
    check_open(path, small(), &[]).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn runs_removed_before_the_anchor_are_gone_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut writer = Writer::take_over(Journal::open(path, small()).unwrap(), 13);
    writer.write(400, &nobody()).unwrap();
    let all = histories(&writer.journal);
    let ended = |(stream, records): (&StreamId, &Vec<Record>)| match stream {
        StreamId::Execution(run) if records.len() as u64 == length_of(run) => Some(*run),
        _ => None,
    };
    let removed: Vec<ExecutionId> = all.iter().filter_map(ended).step_by(3).collect();
    let records: usize = removed.iter().map(|run| all[&StreamId::Execution(*run)].len()).sum();
    for partition in 0..4 {
        let runs = removed.iter().filter(|run| run.partition.0 == partition).copied().collect();
        let (rule, actor) = ("a rule".to_owned(), "test".to_owned());
        record(
            &writer.journal,
            &mut writer.heads,
            partition,
            PartitionEvent::RunsRemoved { runs, rule, actor },
        );
    }
    // The removals must be below the anchor.
    writer.write(300, &nobody()).unwrap();
    let expected: Histories = histories(&writer.journal)
        .into_iter()
        .filter(|(stream, _)| !removed.iter().any(|run| StreamId::Execution(*run) == *stream))
        .collect();
    let plan = cut(&mut writer, path, &CutPoint::Everything);
    assert_eq!(plan.runs_dropped, removed.len() as u64);
    assert_eq!(plan.records_dropped, records as u64);
    assert_eq!(
        plan.records_kept + plan.records_dropped,
        plan.anchor.iter().map(|a| a.position).sum::<u64>()
    );
    writer.journal.close().unwrap();
    drop(writer);
    lose_store(path);
    let opened = Journal::open(path, small()).unwrap();
    let writer = Writer::take_over(opened, 14);
    assert_eq!(histories(&writer.journal), expected);
}

#[test]
fn a_cut_needs_its_anchor_recorded_and_a_plan_that_still_holds() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    archived_directory(path, 500);
    let mut writer = Writer::take_over(Journal::open(path, small()).unwrap(), 15);
    let plan = writer.journal.plan_cut(&CutPoint::Everything).unwrap();
    let refused = |writer: &Writer, plan: &CutPlan| match writer.journal.cut(plan) {
        Err(Error::CutRefused { detail }) => detail,
        other => panic!("{other:?}"),
    };
    assert!(refused(&writer, &plan).contains("has not recorded"));
    record_anchor(&writer.journal, &mut writer.heads, &plan);
    let mut other = plan.clone();
    other.anchor[0].sequence -= 1;
    refused(&writer, &other);
    // What a crash behind the records leaves: the same cut, found again from its anchor.
    let sequences = plan.anchor.iter().map(|anchor| anchor.sequence).collect();
    let again = writer.journal.plan_cut(&CutPoint::Sequences(sequences)).unwrap();
    assert_eq!(again.anchor, plan.anchor);
    writer.journal.cut(&again).unwrap();
    assert!(refused(&writer, &plan).contains("not as it was"));
    let none = writer.journal.plan_cut(&CutPoint::Before(Timestamp(i64::MIN))).unwrap();
    assert_eq!((none.through_segment, none.segments), (None, 0));
    assert_eq!(writer.journal.cut(&none).unwrap(), none);
    let memory = Journal::memory(1);
    let error = memory.journal.plan_cut(&CutPoint::Everything).unwrap_err();
    assert!(matches!(error, Error::CutRefused { .. }), "{error}");
}

#[test]
fn a_cut_at_an_instant_leaves_every_later_commit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    archived_directory(path, 600);
    let mut writer = Writer::take_over(Journal::open(path, small()).unwrap(), 16);
    let mut commits = Vec::new();
    for partition in 0..4 {
        let journal = &writer.journal;
        journal
            .commits_after(PartitionId(partition), 0, &mut |commit| {
                commits.push((commit.partition(), commit.head()));
                ControlFlow::Continue(())
            })
            .unwrap();
    }
    let mut instants: Vec<Timestamp> = commits.iter().map(|(_, head)| head.committed_at).collect();
    instants.sort_unstable();
    let instant = instants[instants.len() / 2];
    let plan = cut(&mut writer, path, &CutPoint::Before(instant));
    assert!(plan.segments > 0, "{plan:?}");
    assert!(plan.oldest_after < Some(instant));
    for (partition, head) in commits.iter().filter(|(_, head)| head.committed_at >= instant) {
        let mut found = None;
        writer
            .journal
            .commits_after(*partition, head.position - 1, &mut |commit| {
                found = Some(commit.head());
                ControlFlow::Break(())
            })
            .unwrap();
        assert_eq!(found, Some(*head));
    }
}

/// Every state a crash can leave: before the base has its name all is as it was, behind it the
/// next start finishes.
#[test]
fn every_crash_during_a_cut_leaves_all_or_finishes_it() {
    let work = tempfile::tempdir().unwrap();
    let before = work.path().join("before");
    archived_directory(&before, 500);
    let mut writer = Writer::take_over(Journal::open(&before, small()).unwrap(), 17);
    settle(&writer.journal, &before, 1);
    let plan = writer.journal.plan_cut(&CutPoint::Everything).unwrap();
    record_anchor(&writer.journal, &mut writer.heads, &plan);
    let expected = histories(&writer.journal);
    writer.journal.close().unwrap();
    drop(writer);
    let after = work.path().join("after");
    copy(&before, &after);
    let opened = Journal::open(&after, small()).unwrap();
    opened.journal.cut(&plan).unwrap();
    opened.journal.close().unwrap();
    drop(opened);
    let base = fs::read(after.join("archive/base.arc")).unwrap();
    let segments = plan.through_segment.unwrap();
    for removed in 0..segments + 2 {
        let state = work.path().join("state");
        drop(fs::remove_dir_all(&state));
        copy(&before, &state);
        if removed == 0 {
            fs::write(state.join("archive/base.arc.new"), &base[..base.len() / 2]).unwrap();
            fs::write(state.join("archive/sort-000001.arc.new"), "half").unwrap();
        } else {
            fs::write(state.join("archive/base.arc"), &base).unwrap();
            for number in 1..removed {
                fs::remove_file(state.join(format!("archive/{number:010}.arc"))).unwrap();
            }
        }
        if removed % 2 == 0 {
            lose_store(&state);
        }
        let opened = Journal::open(&state, small())
            .unwrap_or_else(|error| panic!("{removed} removed: {error}"));
        let writer = Writer::take_over(opened, 18);
        assert_eq!(histories(&writer.journal), expected, "{removed} removed");
        writer.journal.close().unwrap();
        drop(writer);
        let left = names(&state, "archive");
        assert!(left.iter().all(|name| name.ends_with(".arc")), "{left:?}");
        assert_eq!(left.contains(&"0000000001.arc".to_owned()), removed == 0, "{left:?}");
        assert!(verify(&state).unwrap().ok, "{removed} removed");
        check_open(&state, small(), &[]).unwrap_or_else(|e| panic!("{removed} removed: {e}"));
    }
}

#[test]
fn flipped_bits_in_a_base_are_found_and_never_served() {
    let work = tempfile::tempdir().unwrap();
    let quiet = work.path().join("quiet");
    archived_directory(&quiet, 500);
    let mut writer = Writer::take_over(Journal::open(&quiet, small()).unwrap(), 19);
    cut(&mut writer, &quiet, &CutPoint::Everything);
    let expected = histories(&writer.journal);
    writer.journal.close().unwrap();
    drop(writer);
    lose_store(&quiet);
    let path = quiet.join("archive/base.arc");
    let whole = fs::read(&path).unwrap();
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let (mut refused, mut harmless) = (0, 0);
    for flip in 0..count_from_environment("JOURNAL_FLIPS", FLIPS) {
        let mut content = whole.clone();
        let bound = if flip % 2 == 0 { content.len() as u64 } else { 300 };
        let at = dice.below(bound) as usize;
        let at = if flip % 4 == 1 { content.len() - 1 - at } else { at };
        content[at] ^= 1 << dice.below(8);
        fs::write(&path, &content).unwrap();
        let place = format!("flip {flip}: byte {at}");
        assert!(!verify(&quiet).unwrap().ok, "{place}: verify finds nothing");
        let damaged = work.path().join("damaged");
        drop(fs::remove_dir_all(&damaged));
        copy(&quiet, &damaged);
        match Journal::open(&damaged, small()) {
            Err(Error::Damaged { damage }) => {
                assert!(damage.to_string().contains("base"), "{place}: {damage}");
                refused += 1;
            }
            Err(error) => panic!("{place}: {error}"),
            Ok(opened) => {
                assert_eq!(histories(&opened.journal), expected, "{place}");
                harmless += 1;
            }
        }
    }
    println!("{refused} refused, {harmless} harmless");
    assert!(refused > 0 && harmless > 0);
}

#[test]
fn cutting_off_needs_an_archive() {
    let directory = tempfile::tempdir().unwrap();
    let unarchived = Options { archive: false, ..small() };
    let opened = Journal::open(directory.path(), unarchived).unwrap();
    let error = opened.journal.plan_cut(&CutPoint::Everything).unwrap_err();
    assert!(error.to_string().contains("`archive` is off"), "{error}");
}
