//! Lists: order, filters, pages, and rows that move from memory to the tree.

use backstitch_core::ids::{ExecutionId, LetterId, PartitionId};
use backstitch_core::summary::{
    LetterKind, LetterStatus, LetterSummary, RunStatus, RunSummary, ViewChange,
};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Cursor, Journal, LetterFilter, RunFilter};

use crate::workload::{Dice, options};

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
        kind: LetterKind::Step,
        subject: "charge".to_owned(),
        code: "HTTP_STATUS".to_owned(),
        message: "ü".repeat(50_000),
        status,
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
