//! Backup, restore, verify and salvage of a store whose chain was cut: all over its base.

use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use backstitch_core::event::PartitionEvent;
use backstitch_core::ids::{ExecutionId, PartitionId, StreamId};
use backstitch_core::time::Timestamp;
use backstitch_journal::{
    BLOB_AGE_MIN, Damage, Error, Journal, Manifest, Reader, RestorePoint, SalvageRequest,
    VerifyOptions, restore, salvage, unheard, verify, verify_with,
};

use crate::archive::{names, settle, small};
use crate::cut::{cut_all, cut_now, record};
use crate::life::check_served;
use crate::restore::{request, restored};
use crate::workload::{Writer, nobody};

/// A directory whose chain was cut and went on, and a backup taken while it was open.
fn cut_directory(directory: &Path, backup: &Path) {
    let opened = Journal::open(directory, small()).expect("an empty directory opens");
    let mut writer = Writer::take_over(opened, 7);
    for _ in 0..2 {
        writer.write(400, &nobody()).expect("everything is taken");
        settle(&writer.journal, directory, 1);
        writer.journal.backup(backup, Timestamp(1), &mut unheard()).expect("it is backed up");
        cut_now(&mut writer);
    }
    writer.write(150, &nobody()).expect("everything is taken");
    writer.journal.backup(backup, Timestamp(2), &mut unheard()).expect("it is backed up");
    writer.journal.close().expect("the store takes the rest");
}

/// The last version of every history, and the records by their events.
fn kept(directory: &Path) -> HashMap<StreamId, Vec<String>> {
    let mut found: HashMap<StreamId, Vec<String>> = HashMap::new();
    let reader = Reader::open(directory).expect("it is a data directory");
    let read = reader.for_each_record(|record| {
        if !matches!(record.stream, StreamId::Partition(_)) {
            found.entry(record.stream).or_default().push(format!("{:?}", record.event));
        }
        true
    });
    read.expect("it is whole");
    found
}

#[test]
fn a_cut_store_is_backed_up_restored_and_salvaged_over_its_base() {
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name);
    cut_directory(&path("data"), &path("backup"));
    assert!(path("backup/archive/base.arc").exists(), "the chain was cut");
    let all = kept(&path("data"));
    let options = VerifyOptions { store: true, scratch: Some(path("scratch")) };
    let report = verify_with(path("data"), &options, &mut unheard()).unwrap();
    assert!(report.ok, "{report:?}");
    assert!(verify(path("backup")).unwrap().ok);
    let report = restored(&path("backup"), &path("end"), RestorePoint::End);
    assert!(kept(&path("end")) == all, "everything is there, from the base too");
    check_served(&path("end"), small(), &[]).unwrap();
    // Behind the cut any point; before it none.
    let at = report.oldest.at.expect("there is an anchor");
    let report = restored(&path("data"), &path("instant"), RestorePoint::Instant(at));
    assert!(report.commits_lost > 0, "{report:?}");
    check_served(&path("instant"), small(), &[]).unwrap();
    let before = request(&path("data"), &path("before"), RestorePoint::Instant(Timestamp(0)));
    let refused = restore(&before, &mut unheard());
    assert!(matches!(refused, Err(Error::Point { .. })), "{refused:?}");
    let positions = vec![0; report.oldest.positions.len()];
    let before = request(&path("data"), &path("before"), RestorePoint::Positions(positions));
    let refused = restore(&before, &mut unheard());
    assert!(matches!(refused, Err(Error::Point { .. })), "{refused:?}");
    let request = SalvageRequest {
        from: path("data"),
        to: path("salvaged"),
        dry_run: false,
        scratch: None,
        at: Timestamp(9),
        actor: "ann".to_owned(),
    };
    let report = salvage(&request, &mut unheard()).unwrap();
    assert!(report.whole, "{report:?}");
    assert!(kept(&path("salvaged")) == all);
    // A gap behind the cut: what is left goes on over the base, in a new generation.
    let log = fs::read_dir(path("data/log")).unwrap();
    log.for_each(|entry| {
        let segment = entry.unwrap().path();
        let content = fs::read(&segment).unwrap();
        let end = content.iter().rposition(|&byte| byte != 0).unwrap_or(0);
        let middle = 4_096 + end.saturating_sub(4_096) / 2;
        let mut broken = content.clone();
        broken[middle..].iter_mut().take(3_000).for_each(|byte| *byte ^= 0x11);
        fs::write(&segment, broken).unwrap();
    });
    let request = SalvageRequest { to: path("again"), ..request };
    let report = salvage(&request, &mut unheard()).unwrap();
    assert!(report.runs_cut.is_empty(), "the store has the rest: {report:?}");
    assert!(kept(&path("again")) == all);
    check_served(&path("again"), small(), &[]).unwrap();
}

#[test]
fn what_a_damaged_base_has_lost_the_store_gives_back() {
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name);
    cut_directory(&path("data"), &path("backup"));
    let all = kept(&path("data"));
    let base = path("data/archive/base.arc");
    let whole = fs::read(&base).unwrap();
    let salvaged = |to: &str| {
        let (from, to) = (path("data"), path(to));
        let (at, actor) = (Timestamp(9), "ann".to_owned());
        let request = SalvageRequest { from, to, dry_run: false, scratch: None, at, actor };
        salvage(&request, &mut unheard()).unwrap()
    };
    let mut broken = whole.clone();
    broken[whole.len() / 2] ^= 1;
    fs::write(&base, &broken).unwrap();
    let held = |damage: &Damage| damage.detail.contains("; it held the histories from ");
    let found = verify(path("data")).unwrap();
    assert!(found.problems.iter().any(|own| held(&own.damage)), "{:?}", found.problems);
    let report = salvaged("flipped");
    assert!(!report.whole && report.runs_cut.is_empty(), "{report:?}");
    let lost = report.base.expect("it is damaged");
    assert!(lost.histories_missing.is_some_and(|count| count > 0), "{lost:?}");
    assert!(lost.damages.iter().any(held), "{lost:?}");
    assert!(kept(&path("flipped")) == all);
    check_served(&path("flipped"), small(), &[]).unwrap();
    fs::remove_file(&base).unwrap();
    let report = salvaged("missing");
    assert!(!report.whole && report.runs_cut.is_empty(), "{report:?}");
    assert!(kept(&path("missing")) == all);
    check_served(&path("missing"), small(), &[]).unwrap();
}

/// A run that was removed behind the cut is in the base, and a restore to a point before its
/// removal shows it: with its contents.
#[test]
fn contents_that_only_the_base_names_are_not_collected() {
    let work = tempfile::tempdir().unwrap();
    let data = work.path().join("data");
    let mut writer = Writer::take_over(Journal::open(&data, small()).unwrap(), 7);
    writer.write(400, &nobody()).unwrap();
    settle(&writer.journal, &data, 1);
    cut_now(&mut writer);
    let mut runs: Vec<ExecutionId> = Vec::new();
    let each = writer.journal.for_each_history(|stream, _| {
        if let StreamId::Execution(run) = stream {
            runs.push(run);
        }
    });
    each.unwrap();
    for partition in 0..writer.journal.partition_count() {
        let of = |run: &&ExecutionId| run.partition == PartitionId(partition);
        let gone: Vec<ExecutionId> = runs.iter().filter(of).copied().collect();
        writer.remove(&gone).unwrap();
    }
    writer.journal.store_now().unwrap();
    let mut contents = 0;
    for directory in fs::read_dir(data.join("blobs")).unwrap() {
        for file in fs::read_dir(directory.unwrap().path()).unwrap() {
            let file = fs::File::options().append(true).open(file.unwrap().path()).unwrap();
            let modified = file.metadata().unwrap().modified().unwrap();
            file.set_modified(modified - BLOB_AGE_MIN - Duration::from_secs(60)).unwrap();
            contents += 1;
        }
    }
    assert!(contents > 10, "{contents}");
    let collected = writer.journal.collect_blobs(false).unwrap();
    writer.journal.close().unwrap();
    let report = verify(&data).unwrap();
    assert!(report.ok && collected.contents == 0, "{collected:?} {:?}", report.problems);
}

/// Breaks a run off at every place where it says how far it is, until one goes through.
fn break_off_everywhere(journal: &Journal, backup: &Path) {
    let manifest = || Manifest::read(backup).expect("it is read");
    let before = manifest();
    for heard in 0.. {
        let mut left = heard;
        let run = journal.backup(backup, Timestamp(2), &mut |_| {
            left -= 1;
            if left < 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if !matches!(run, Err(Error::Cancelled)) {
            run.expect("it went through");
            assert!(heard > 3, "it was broken off {heard} times");
            return;
        }
        assert_eq!(manifest(), before);
        let report = verify(backup).expect("it is looked at");
        assert!(report.ok, "broken off after {heard}: {:?}", report.problems);
    }
}

/// The backup before ends within a segment that was filled and cut since: the next segment
/// follows it by number and not by its groups.
#[test]
fn a_backup_broken_off_behind_the_segment_it_ended_in_leaves_the_one_before() {
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name);
    let (data, backup) = (path("data"), path("backup"));
    let mut writer = Writer::take_over(Journal::open(&data, small()).unwrap(), 7);
    writer.write(200, &nobody()).unwrap();
    settle(&writer.journal, &data, 1);
    writer.journal.backup(&backup, Timestamp(1), &mut unheard()).unwrap();
    let sealed = || names(&data, "archive").len();
    let before = sealed();
    while sealed() == before {
        writer.write(5, &nobody()).unwrap();
        settle(&writer.journal, &data, 1);
    }
    cut_now(&mut writer);
    break_off_everywhere(&writer.journal, &backup);
    writer.journal.close().unwrap();
    drop(writer);
    let all = kept(&data);
    restored(&backup, &path("end"), RestorePoint::End);
    assert!(kept(&path("end")) == all);
}

/// What is new since the backup before begins behind a gap, because the source was cut
/// meanwhile: wherever the run is broken off, the backup before can still be restored.
#[test]
fn a_backup_broken_off_after_a_cut_leaves_the_one_before() {
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name);
    let (data, backup) = (path("data"), path("backup"));
    let mut writer = Writer::take_over(Journal::open(&data, small()).unwrap(), 7);
    writer.write(200, &nobody()).unwrap();
    settle(&writer.journal, &data, 1);
    writer.journal.backup(&backup, Timestamp(1), &mut unheard()).unwrap();
    writer.write(600, &nobody()).unwrap();
    settle(&writer.journal, &data, 1);
    cut_now(&mut writer);
    writer.write(200, &nobody()).unwrap();
    settle(&writer.journal, &data, 1);
    break_off_everywhere(&writer.journal, &backup);
    assert!(verify(&backup).unwrap().ok);
    writer.journal.close().unwrap();
    drop(writer);
    let all = kept(&data);
    restored(&backup, &path("end"), RestorePoint::End);
    assert!(kept(&path("end")) == all);
}

/// The source is cut behind the end of a run while that copies: the run takes a later end.
#[test]
fn a_cut_that_overtakes_a_backup_gives_it_a_later_end() {
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name);
    let (data, backup) = (path("data"), path("backup"));
    let mut writer = Writer::take_over(Journal::open(&data, small()).unwrap(), 7);
    writer.write(200, &nobody()).unwrap();
    settle(&writer.journal, &data, 1);
    cut_now(&mut writer);
    writer.journal.backup(&backup, Timestamp(1), &mut unheard()).unwrap();
    let Writer { journal, heads, .. } = &mut writer;
    let mut cut = false;
    let report = journal.backup(&backup, Timestamp(2), &mut |_| {
        if !std::mem::replace(&mut cut, true) {
            let behind = heads.to_vec();
            for _ in 0..4 {
                let (policy, actor) = ("x".repeat(100_000), "test".to_owned());
                record(journal, heads, 1, PartitionEvent::RetentionPolicySet { policy, actor });
            }
            settle(journal, &data, 1);
            let done = cut_all(journal, heads);
            assert!(done.anchor[1].sequence > behind[1].sequence, "the end was overtaken");
        }
        ControlFlow::Continue(())
    });
    assert!(report.unwrap().files > 1 && cut);
    assert!(verify(&backup).unwrap().ok);
    writer.journal.close().unwrap();
    drop(writer);
    let all = kept(&data);
    restored(&backup, &path("end"), RestorePoint::End);
    assert!(kept(&path("end")) == all);
}
