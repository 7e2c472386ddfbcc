//! Backup, restore, verify and salvage of a store whose chain was cut: all over its base.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{
    Error, Journal, Reader, RestorePoint, SalvageRequest, VerifyOptions, restore, salvage, unheard,
    verify, verify_with,
};

use crate::archive::{settle, small};
use crate::cut::cut_now;
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
    assert!(!verify(path("data")).unwrap().ok);
    let report = salvaged("flipped");
    assert!(!report.whole && report.runs_cut.is_empty(), "{report:?}");
    assert!(kept(&path("flipped")) == all);
    check_served(&path("flipped"), small(), &[]).unwrap();
    fs::remove_file(&base).unwrap();
    let report = salvaged("missing");
    assert!(!report.whole && report.runs_cut.is_empty(), "{report:?}");
    assert!(kept(&path("missing")) == all);
    check_served(&path("missing"), small(), &[]).unwrap();
}
