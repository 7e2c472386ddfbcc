//! Going back to before a removal brings runs back, and says so.

use std::path::Path;

use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_journal::{Journal, RestorePoint, RestoreReport, RestoreRequest, restore, unheard};

use crate::removal::{finished, unhurried};
use crate::restore::request;
use crate::workload::{Writer, nobody};

fn dry(from: &Path, to: &Path, point: RestorePoint) -> RestoreReport {
    let request = RestoreRequest { dry_run: true, ..request(from, to, point) };
    restore(&request, &mut unheard()).expect("it can be read")
}

#[test]
fn runs_removed_behind_the_point_are_told() {
    let work = tempfile::tempdir().unwrap();
    let (data, to) = (work.path().join("data"), work.path().join("to"));
    let mut writer = Writer::take_over(Journal::open(&data, unhurried()).unwrap(), 3);
    writer.write(300, &nobody()).unwrap();
    let before: Vec<u64> = writer.journal.heads().iter().map(|head| head.position).collect();
    let ended: Vec<ExecutionId> =
        finished(&writer.journal).iter().map(|row| row.execution).collect();
    let of_one = ended.iter().copied().filter(|run| run.partition == ended[0].partition);
    let mut gone: Vec<ExecutionId> = of_one.take(4).collect();
    writer.remove(&gone).unwrap();
    let after: Vec<u64> = writer.journal.heads().iter().map(|head| head.position).collect();
    // One that begins and is removed behind the point does not come back to it.
    writer.write(300, &nobody()).unwrap();
    let newer = finished(&writer.journal).into_iter().map(|row| row.execution);
    let newer: Vec<ExecutionId> =
        newer.filter(|run| !ended.contains(run) && run.partition == gone[0].partition).collect();
    assert!(!newer.is_empty(), "some began and ended since");
    writer.remove(&newer[..1]).unwrap();
    writer.journal.close().unwrap();
    let report = dry(&data, &to, RestorePoint::Positions(before.clone()));
    gone.sort();
    let mut told: Vec<String> = report.returned.iter().map(|own| own.execution.clone()).collect();
    told.sort();
    assert_eq!(told, gone.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(report.runs_returned, gone.len() as u64);
    assert!(report.returned.iter().all(|own| own.rule == "a test's"), "{report:?}");
    let newer_one = newer[0].to_string();
    assert!(report.runs.iter().any(|own| own.execution == newer_one && own.last_version == 0));
    for point in [RestorePoint::Positions(after), RestorePoint::End] {
        let report = dry(&data, &to, point);
        assert_eq!((report.runs_returned, report.returned.len()), (0, 0));
    }
    // They are there indeed.
    let asked = request(&data, &to, RestorePoint::Positions(before));
    restore(&asked, &mut unheard()).unwrap();
    let opened = Journal::open(&to, unhurried()).unwrap();
    for run in &gone {
        let stream = StreamId::Execution(*run);
        assert!(opened.journal.history(&stream).unwrap().is_some(), "{run}");
    }
    opened.journal.close().unwrap();
}
