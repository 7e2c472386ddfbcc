//! Checkpoints and a log that has lost its end: what was made of it is not used.

use std::fs;
use std::path::Path;

use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_journal::{Fsync, Journal, Options};

use crate::damage::copy;
use crate::life::quiet_directory_with;
use crate::torture::promises::checkpoint_of;
use crate::workload::{Writer, length_of, nobody, options};

fn relaxed() -> Options {
    Options { fsync: Fsync::Interval { ms: 60_000 }, ..options() }
}

fn live_run(journal: &Journal) -> (ExecutionId, u64) {
    let mut found = None;
    let each = journal.for_each_history(|stream, records| {
        if let StreamId::Execution(run) = stream
            && (records.len() as u64) < length_of(&run)
        {
            found = Some((run, records.len() as u64));
        }
    });
    each.expect("it can be read");
    found.expect("some run is not finished")
}

/// Opens, and tells whether a run is recovered from a checkpoint.
fn is_used(directory: &Path, run: &ExecutionId) -> (bool, bool) {
    let opened = Journal::open(directory, relaxed()).expect("the directory is whole");
    let found = opened.journal.recoverable(run).expect("the directory is whole");
    opened.journal.close().expect("the directory is whole");
    let dropped = opened.report.checkpoints_dropped.is_some();
    (dropped, found.is_some_and(|found| found.checkpoint.is_some()))
}

#[test]
fn a_close_stores_everything_whatever_the_policy() {
    let directory = tempfile::tempdir().unwrap();
    quiet_directory_with(directory.path(), 100, relaxed());
    let opened = Journal::open(directory.path(), relaxed()).unwrap();
    assert_eq!(opened.report.commits_replayed, 0);
}

#[test]
fn checkpoints_ahead_of_the_log_are_dropped() {
    let work = tempfile::tempdir().expect("the directory is whole");
    let (data, earlier) = (work.path().join("data"), work.path().join("earlier"));
    quiet_directory_with(&data, 100, relaxed());
    copy(&data, &earlier);
    let mut writer = Writer::take_over(Journal::open(&data, relaxed()).unwrap(), 8);
    writer.write(30, &nobody()).unwrap();
    let (run, version) = live_run(&writer.journal);
    writer.journal.checkpoint(vec![(run, Box::new(checkpoint_of(&run, version)))]);
    writer.journal.close().unwrap();
    drop(writer);
    assert_eq!(is_used(&data, &run), (false, true));
    // The log as a power cut may leave it that nothing was synced before.
    for name in ["checkpoints.marks", "checkpoints.recent"] {
        if data.join(name).exists() {
            fs::copy(data.join(name), earlier.join(name)).unwrap();
        }
    }
    copy(&data.join("checkpoints"), &earlier.join("checkpoints"));
    assert_eq!(is_used(&earlier, &run), (true, false));
    assert_eq!(is_used(&earlier, &run), (false, false), "they are gone");
}
