//! Lists: order, filters, pages, and rows that move from memory to the tree.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use backstitch_core::audit::AuditAction;
use backstitch_core::event::{Event, PartitionEvent, WorkflowEvent};
use backstitch_core::ids::{Digest, ExecutionId, LetterId, PartitionId, StreamId};
use backstitch_core::letters::Fingerprint;
use backstitch_core::statistics::RunStatistics;
use backstitch_core::summary::{
    LetterKind, LetterStatus, LetterSummary, RunStatus, RunSummary, ViewChange,
};
use backstitch_core::time::Timestamp;
use backstitch_journal::{
    AuditFilter, Batch, Cursor, Error, Fit, Head, Journal, LetterFilter, Options, Order, Range,
    Record, RunFilter, ViewName,
};

use crate::life::{check_open, quiet_directory};
use crate::workload::{Dice, Writer, nobody, options, row_of};

fn row(number: u64, dice: &mut Dice, version: u64) -> RunSummary {
    let statuses = RunStatus::ALL;
    RunSummary {
        execution: ExecutionId { partition: PartitionId(0), digits: number.into() },
        namespace: if number.is_multiple_of(5) { "other".into() } else { "default".into() },
        workflow: format!("w{}", number % 3).into(),
        revision: 1,
        status: statuses[dice.below(9) as usize],
        correlation_id: "".into(),
        tags: [].into(),
        // Some at the same instant, some before 1970.
        submitted_at: Timestamp((number as i64 / 2) * 1_000 - 20_000),
        ended_at: None,
        parent: None,
        chunk: false,
        variant: None,
        trace: None,
        version,
    }
}

fn filters() -> Vec<RunFilter> {
    let mut filters = Vec::new();
    for namespace in ["default", "other", "nobody"] {
        for status in [None, Some(RunStatus::Completed), Some(RunStatus::Failed)] {
            for workflow in [None, Some("w1"), Some("w")] {
                let workflow = workflow.map(str::to_owned);
                let namespace = namespace.to_owned();
                filters.push(RunFilter { namespace, status, workflow, ..RunFilter::default() });
            }
        }
    }
    filters
}

/// Every page of a list.
fn walk(journal: &Journal, filter: &RunFilter, limit: usize) -> Vec<RunSummary> {
    let (mut rows, mut cursor): (Vec<RunSummary>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let page = journal.runs(filter, cursor.as_ref(), limit).expect("the views are whole");
        assert!(page.rows.len() <= limit);
        assert!(page.next.is_none() || page.rows.len() == limit);
        rows.extend(page.rows);
        let Some(next) = page.next else { return rows };
        cursor = Some(next.to_string().parse().expect("a printed cursor reads back"));
    }
}

fn expected(model: &[RunSummary], filter: &RunFilter) -> Vec<RunSummary> {
    let mut rows: Vec<RunSummary> = model
        .iter()
        .filter(|row| *row.namespace == filter.namespace)
        .filter(|row| filter.status.is_none_or(|status| row.status == status))
        .filter(|row| filter.workflow.as_ref().is_none_or(|name| **name == *row.workflow))
        .cloned()
        .collect();
    rows.sort_by_key(|row| (std::cmp::Reverse(row.submitted_at), row.execution));
    rows
}

fn check(journal: &Journal, model: &[RunSummary]) {
    for filter in filters() {
        for limit in [1, 7, 1_000] {
            assert_eq!(walk(journal, &filter, limit), expected(model, &filter), "{filter:?}");
        }
    }
    for row in model {
        assert_eq!(journal.run(&row.execution).expect("it is whole").as_ref(), Some(row));
    }
}

#[test]
fn lists_match_a_plain_model() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), options()).unwrap().journal;
    let mut dice = Dice(8);
    let mut model: Vec<RunSummary> = Vec::new();
    for round in 0..6_u64 {
        let mut changes = Vec::new();
        for number in round * 15..(round + 1) * 15 {
            model.push(row(number, &mut dice, 1));
            changes.push(ViewChange::Run(row(number, &mut Dice(0), 0)));
        }
        changes.extend(model[model.len() - 15..].iter().cloned().map(ViewChange::Run));
        for _ in 0..10 {
            let at = dice.below(model.len() as u64) as usize;
            let version = model[at].version + 1;
            let stale = model[at].clone();
            model[at] = row(at as u64, &mut dice, version);
            changes.push(ViewChange::Run(model[at].clone()));
            changes.push(ViewChange::Run(stale));
        }
        journal.mark(Vec::new(), changes);
        check(&journal, &model);
        if round % 2 == 1 {
            journal.store_now().unwrap();
            assert_eq!(journal.info().pending_rows, 0);
            // An older row of what is stored already.
            let stale = RunSummary { version: 0, ..row(1, &mut Dice(1), 0) };
            journal.mark(Vec::new(), vec![ViewChange::Run(stale)]);
            journal.store_now().unwrap();
        }
        check(&journal, &model);
    }
    journal.close().unwrap();
    drop(journal);
    let journal = Journal::open(directory.path(), options()).unwrap().journal;
    check(&journal, &model);
}

#[test]
fn letters_are_listed_and_long_texts_are_cut() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), options()).unwrap().journal;
    let execution = ExecutionId { partition: PartitionId(1), digits: 5 };
    let letter = |number: u32, status: LetterStatus, version: u64| LetterSummary {
        letter: LetterId { execution, number },
        namespace: "default".into(),
        workflow: "order".into(),
        revision: 1,
        tags: [].into(),
        fingerprint: Fingerprint(7),
        kind: LetterKind::Step,
        subject: "charge".to_owned(),
        code: "HTTP_STATUS".to_owned(),
        message: "ü".repeat(50_000),
        status,
        assignee: None,
        opened_at: Timestamp(i64::from(number)),
        attempts: 3,
        version,
    };
    let rows = (0..4).map(|number| ViewChange::Letter(letter(number, LetterStatus::Open, 1)));
    journal.mark(Vec::new(), rows.collect());
    journal.store_now().unwrap();
    journal.mark(Vec::new(), vec![ViewChange::Letter(letter(2, LetterStatus::Retried, 2))]);
    let numbers = |status| {
        let (namespace, workflow) = ("default".to_owned(), None);
        let filter = LetterFilter { namespace, status, workflow, ..LetterFilter::default() };
        let page = journal.letters(&filter, None, 10).unwrap();
        page.rows.iter().map(|row| row.letter.number).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        assert_eq!(numbers(None), [3, 2, 1, 0]);
        assert_eq!(numbers(Some(LetterStatus::Open)), [3, 1, 0]);
        assert_eq!(numbers(Some(LetterStatus::Retried)), [2]);
        journal.store_now().unwrap();
    }
    let row = journal.letter(&LetterId { execution, number: 2 }).unwrap().unwrap();
    assert_eq!((row.version, row.message.len()), (2, 4_000));
    assert!("not a cursor".parse::<Cursor>().is_err());
}

/// A workflow's stream, and one more revision of it by somebody.
fn define(opened: &mut (Journal, Vec<Head>), version: u64, actor: &str) {
    let (journal, heads) = opened;
    let stream = StreamId::Workflow { namespace: "default".into(), workflow: "order".into() };
    let mut builder = journal.commit_builder(PartitionId(0), 1, &heads[0]);
    let (digest, text, actor) = (Digest::of(b"{}"), "{}".to_owned(), actor.to_owned());
    let revision = u32::try_from(version).expect("few");
    let event = Event::Workflow(WorkflowEvent::Defined { revision, digest, text, actor });
    let at = Timestamp(i64::try_from(version).expect("few") * 1_000);
    assert_eq!(builder.push(&stream, version, at, &event), Fit::Fits);
    let removed = StreamId::Partition(PartitionId(0));
    let rule = "older than 30 days".to_owned();
    let event = PartitionEvent::RunsRemoved { runs: vec![], rule, actor: "retention".to_owned() };
    assert_eq!(builder.push(&removed, version, at, &Event::Partition(event)), Fit::Fits);
    let commit = builder.finish(at);
    heads[0] = commit.head();
    let (sender, answer) = std::sync::mpsc::channel();
    let batch = Batch { commit, quiescent: Vec::new(), changes: Vec::new() };
    journal.append(batch, Box::new(move |done| sender.send(done).expect("we wait")));
    answer.recv().expect("it is answered").expect("it is taken");
}

fn audited(journal: &Journal, filter: AuditFilter) -> Vec<(i64, String, &'static str)> {
    let filter = AuditFilter { namespace: "default".to_owned(), ..filter };
    let page = journal.audit(&filter, None, 100).expect("it is whole");
    page.rows.into_iter().map(|row| (row.at.0, row.actor, row.action.word())).collect()
}

fn open(directory: &Path) -> (Journal, Vec<Head>) {
    let opened = Journal::open(directory, options()).expect("it is whole");
    opened.journal.rows_complete();
    (opened.journal, opened.heads)
}

#[test]
fn the_audit_is_read_off_commits_and_can_be_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut opened = open(directory.path());
    define(&mut opened, 1, "ann");
    define(&mut opened, 2, "bob");
    let check = |journal: &Journal| {
        let all = audited(journal, AuditFilter::default());
        assert_eq!(all.len(), 4);
        assert!(all.is_sorted_by(|one, next| one.0 >= next.0), "newest first");
        let by_bob = AuditFilter { actor: Some("bob".to_owned()), ..AuditFilter::default() };
        assert_eq!(audited(journal, by_bob), [(2_000, "bob".to_owned(), "workflow.defined")]);
        let recorded = Range { after: None, before: Some(Timestamp(2_000)) };
        let action = Some(AuditAction::RunsRemoved);
        let removals = AuditFilter { action, recorded, ..AuditFilter::default() };
        assert_eq!(audited(journal, removals), [(1_000, "retention".to_owned(), "runs.removed")]);
        let target = Some("order".to_owned());
        let about = AuditFilter { target, order: Order::OldestFirst, ..AuditFilter::default() };
        let actors: Vec<_> = audited(journal, about).into_iter().map(|row| row.1).collect();
        assert_eq!(actors, ["ann", "bob"]);
    };
    check(&opened.0);
    opened.0.rebuild_view(ViewName::Audit, &mut |_, _| Vec::new()).unwrap();
    check(&opened.0);
    opened.0.store_now().unwrap();
    check(&opened.0);
    for lost in ["views/audit", "store", "views/audit/current", "nothing"] {
        opened.0.close().unwrap();
        drop(opened);
        let lost = directory.path().join(lost);
        if lost.is_dir() {
            fs::remove_dir_all(lost).unwrap();
        } else if lost.exists() {
            fs::remove_file(lost).unwrap();
        }
        opened = open(directory.path());
        check(&opened.0);
    }
}

/// Every run's row against its history.
fn check_rows(journal: &Journal) -> usize {
    let mut rows: HashMap<ExecutionId, RunSummary> = HashMap::new();
    let filter = RunFilter { namespace: "default".to_owned(), ..RunFilter::default() };
    for row in walk(journal, &filter, 100) {
        assert_eq!(rows.insert(row.execution, row), None, "none twice");
    }
    let mut runs = 0;
    let visit = |stream: StreamId, records: Vec<Record>| {
        let StreamId::Execution(run) = stream else { return };
        assert_eq!(rows.get(&run), Some(&row_of(&run, records.len() as u64)));
        runs += 1;
    };
    journal.for_each_history(visit).expect("it is whole");
    assert_eq!(runs, rows.len());
    runs
}

fn fold(stream: StreamId, records: &[Record]) -> Vec<ViewChange> {
    let StreamId::Execution(run) = stream else { return Vec::new() };
    vec![ViewChange::Run(row_of(&run, records.len() as u64))]
}

#[test]
fn a_view_is_rebuilt_while_it_is_written_and_read() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::take_over(Journal::open(directory.path(), options()).unwrap(), 3);
    writer.write(300, &nobody()).unwrap();
    let journal = writer.journal.clone();
    let (mut visited, mut trees) = (0, Vec::new());
    for _ in 0..3 {
        let before = journal.run_statistics("default");
        let rebuilt = journal.rebuild_view(ViewName::Runs, &mut |stream, records| {
            visited += 1;
            if visited % 40 == 0 {
                // What is being written meanwhile, and what is asked.
                writer.write(5, &nobody()).unwrap();
                check_rows(&journal);
                assert!(journal.views()[0].rebuild.is_some());
                let again = journal.rebuild_view(ViewName::Runs, &mut |_, _| Vec::new());
                assert!(!again.unwrap(), "one at a time");
            }
            fold(stream, &records)
        });
        assert!(rebuilt.unwrap());
        assert!(check_rows(&journal) > 50);
        journal.store_now().unwrap();
        let after = journal.run_statistics("default");
        assert!(after.iter().all(|(name, own)| own.total() >= before[name].total()));
        trees.push(journal.views()[0].tree);
    }
    assert_eq!((trees, visited > 200), (vec![2, 3, 4], true));
    assert_eq!(fs::read_dir(directory.path().join("views/runs")).unwrap().count(), 3);
    let counted: u64 = journal.run_statistics("default").values().map(RunStatistics::total).sum();
    journal.close().unwrap();
    drop((journal, writer));
    let journal = Journal::open(directory.path(), options()).unwrap().journal;
    assert_eq!(check_rows(&journal) as u64, counted);
    let stored: u64 = journal.run_statistics("default").values().map(RunStatistics::total).sum();
    assert_eq!(stored, counted);
}

#[test]
fn a_rebuild_that_is_cut_short_leaves_the_old_view_in_force() {
    let directory = tempfile::tempdir().unwrap();
    quiet_directory(directory.path(), 200);
    let journal = Journal::open(directory.path(), options()).unwrap().journal;
    let (beside, closing) = (directory.path().join("views/runs/2"), journal.clone());
    let mut visited = 0;
    let cut_short = journal.rebuild_view(ViewName::Runs, &mut |stream, records| {
        visited += 1;
        if visited == 20 {
            assert!(beside.exists());
            closing.close().unwrap();
        }
        fold(stream, &records)
    });
    assert!(matches!(cut_short, Err(Error::Closed)), "{cut_short:?}");
    drop((journal, closing));
    // As after a crash, which removes nothing.
    fs::create_dir_all(&beside).unwrap();
    let opened = Journal::open(directory.path(), options()).unwrap();
    assert_eq!((opened.report.views_emptied, opened.report.views_missing), (None, false));
    assert_eq!(opened.journal.views()[0].tree, 1);
    assert!(!beside.exists());
    assert!(check_rows(&opened.journal) > 20);
}

#[test]
fn views_of_another_layout_or_format_are_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let acknowledged = quiet_directory(directory.path(), 120);
    let views = directory.path().join("views");
    // One tree for all of them, with its marks beside.
    fs::rename(views.join("runs/1"), directory.path().join("one")).unwrap();
    fs::remove_dir_all(&views).unwrap();
    fs::rename(directory.path().join("one"), &views).unwrap();
    fs::write(directory.path().join("views.marks"), b"old").unwrap();
    let opened = Journal::open(directory.path(), options()).unwrap();
    let why = opened.report.views_emptied.clone().expect("they were not of this layout");
    assert!(why.contains("one tree") && opened.report.views_missing, "{why}");
    assert!(!directory.path().join("views.marks").exists());
    drop(Writer::take_over(opened, 1));
    check_open(directory.path(), options(), &acknowledged).unwrap();
    // A pointer of a later format.
    let mut pointer = 11_u16.to_le_bytes().to_vec();
    pointer.extend(1_u64.to_le_bytes());
    pointer.extend(Digest::of(&pointer).0);
    fs::write(views.join("runs/current"), pointer).unwrap();
    let opened = Journal::open(directory.path(), options()).unwrap();
    let why = opened.report.views_emptied.clone().expect("another format");
    assert!(why.starts_with("runs: its format is 11"), "{why}");
    drop(Writer::take_over(opened, 1));
    let journal = Journal::open(directory.path(), options()).unwrap().journal;
    assert!(check_rows(&journal) > 10);
}

#[test]
fn how_far_a_tree_is_behind_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let slow = Options { tick_ms: u64::from(u32::MAX), ..options() };
    let mut writer = Writer::take_over(Journal::open(directory.path(), slow).unwrap(), 3);
    writer.write(50, &nobody()).unwrap();
    let lag = |journal: &Journal| journal.views().iter().map(|view| view.lag_commits).collect();
    let behind: Vec<u64> = lag(&writer.journal);
    assert!(behind.iter().all(|commits| *commits > 20), "{behind:?}");
    writer.journal.store_now().unwrap();
    let caught_up: Vec<u64> = lag(&writer.journal);
    assert_eq!(caught_up, [0, 0, 0]);
    assert!(writer.journal.views().iter().all(|view| view.lag_ms == 0));
}
