//! The format of marks: what a record says of the request that it came of, and what the audit's
//! rows are of it, however often they are made again.

use std::fs;

use backstitch_core::audit::Mark;
use backstitch_core::event::{ControlEvent, Event, PartitionEvent, RunEvent};
use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{
    AuditFilter, Batch, Commit, CommitBuilder, Fit, Journal, Order, Origin, ViewName,
};

use crate::golden::{RUN, commit_2};
use crate::workload::options;

fn facts() -> [(StreamId, Event, Option<Mark>); 3] {
    let (run, own) = (StreamId::Execution(RUN), StreamId::Partition(RUN.partition));
    let said = || ("on the way".to_owned(), "key_0123456789abcdef".to_owned());
    let (reason, actor) = said();
    let paused = Event::Run(RunEvent::Control(ControlEvent::Paused { reason, actor }));
    let (reason, actor) = said();
    let emptied = Event::Partition(PartitionEvent::CacheEmptied { reason, actor });
    [
        (run.clone(), paused, Some(Mark::new("req_9f", Some("ada@example.org")))),
        (run, Event::Run(RunEvent::DeadlinePassed), None),
        (own, emptied, Some(Mark::new("req_9f", None))),
    ]
}

fn filled(mut builder: CommitBuilder, versions: [u64; 3]) -> Commit {
    for (at, ((stream, event, mark), version)) in (0..).zip(facts().iter().zip(versions)) {
        let at = Timestamp(1_763_639_179_000_000 + at);
        let told = (event, mark.as_ref());
        assert_eq!(builder.push_marked(stream, version, at, told), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}

/// Deeds with and without somebody for whom they were done, and what no request did.
pub fn commit_marks() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    filled(CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head()), [90, 91, 24])
}

#[test]
fn a_record_says_which_request_it_came_of() {
    let decoded = Commit::decode(commit_marks().bytes().to_vec()).expect("it was encoded just now");
    let found: Vec<_> = decoded.records().into_iter().map(|record| record.mark).collect();
    let wanted: Vec<_> = facts().into_iter().map(|(_, _, mark)| mark.map(Into::into)).collect();
    assert_eq!(found, wanted);
}

#[test]
fn rows_of_the_audit_have_the_mark_of_their_record_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let opened = Journal::open(directory.path(), options()).expect("it is whole");
        opened.journal.rows_complete();
        opened
    };
    let mut journal = {
        let opened = open();
        let head = &opened.heads[usize::from(RUN.partition.0)];
        let commit = filled(opened.journal.commit_builder(RUN.partition, 1, head), [1, 2, 1]);
        let (sender, answer) = std::sync::mpsc::channel();
        let batch = Batch { commit, quiescent: Vec::new(), changes: Vec::new() };
        opened.journal.append(batch, Box::new(move |done| sender.send(done).expect("we wait")));
        answer.recv().expect("it is answered").expect("it is taken");
        opened.journal
    };
    let rows = |journal: &Journal, request_id: Option<&str>| {
        let (request_id, order) = (request_id.map(str::to_owned), Order::OldestFirst);
        // The run is of nobody here, so that its rows belong to the store.
        let namespace = "default".to_owned();
        let filter = AuditFilter { namespace, request_id, order, ..AuditFilter::default() };
        journal.audit(&filter, None, 10).expect("it is whole").rows
    };
    let first = rows(&journal, None);
    let shown: Vec<_> = first.iter().map(|row| row.action.word()).collect();
    assert_eq!(shown, ["execution.paused", "cache.emptied"]);
    let marks: Vec<_> = first.iter().map(|row| row.mark.as_deref().cloned()).collect();
    let [(.., paused), _, (.., emptied)] = facts();
    assert_eq!(marks, [paused, emptied]);
    assert!(first.iter().all(|row| row.reason == "on the way"));
    for lost in ["nothing", "views/audit", "store", "views/audit/current"] {
        assert_eq!(rows(&journal, None), first, "without {lost}");
        assert_eq!(rows(&journal, Some("req_9f")), first, "without {lost}");
        assert_eq!(rows(&journal, Some("req_9")), []);
        journal.rebuild_view(ViewName::Audit, &mut |_, _| Vec::new()).expect("it is made again");
        assert_eq!(rows(&journal, Some("req_9f")), first, "made again without {lost}");
        journal.close().unwrap();
        drop(journal);
        let lost = directory.path().join(lost);
        if lost.is_dir() {
            fs::remove_dir_all(lost).unwrap();
        } else if lost.exists() {
            fs::remove_file(lost).unwrap();
        }
        journal = open().journal;
    }
}
