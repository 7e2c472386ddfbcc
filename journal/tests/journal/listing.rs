//! How fast lists are, as a glance; asserted is only that they are whole.
//!
//! `JOURNAL_LIST_ROWS=n` measures with so many rows; without it a few suffice.

use std::time::Instant;

use backstitch_core::ids::{ExecutionId, PartitionId};
use backstitch_core::summary::{RunStatus, RunSummary, ViewChange};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Cursor, Journal, Options, Order, Range, RunFilter};

use crate::crash::count_from_environment;
use crate::workload::Dice;

/// Rows of a page, as a person looks at them.
const LIMIT: usize = 50;
/// 2026 began.
const FIRST_US: i64 = 1_767_225_600_000_000;
/// From one submission to the next.
const STEP_US: i64 = 20_000;

fn row(number: u64) -> RunSummary {
    let mut dice = Dice(number);
    let execution = ExecutionId { partition: PartitionId(0), digits: dice.next().into() };
    let submitted_at = Timestamp(FIRST_US + number as i64 * STEP_US);
    let status = match dice.below(100) {
        0 => RunStatus::Failed,
        1 => RunStatus::Running,
        _ => RunStatus::Completed,
    };
    RunSummary {
        execution,
        namespace: "default".into(),
        workflow: format!("workflow-{}", dice.below(50)).into(),
        revision: 1,
        status,
        correlation_id: if number.is_multiple_of(2) {
            execution.to_string().into()
        } else {
            format!("order-{}", number / 100).into()
        },
        tags: [format!("tag-{}", dice.below(1_000)).into()].into(),
        submitted_at,
        ended_at: status.is_ended().then(|| submitted_at.plus_ms(10 + dice.below(2_000))),
        parent: None,
        chunk: false,
        variant: None,
        trace: None,
        version: 9,
    }
}

fn filled(journal: &Journal, rows: u64) {
    let mut changes = Vec::new();
    for number in 0..rows {
        changes.push(ViewChange::Run(row(number)));
        if changes.len() == 20_000 || number + 1 == rows {
            journal.mark(Vec::new(), std::mem::take(&mut changes));
            journal.store_now().expect("there is space");
        }
    }
}

/// Pages of a list, one after the other; answers how long one takes.
fn measure(journal: &Journal, name: &str, filter: &RunFilter) -> String {
    let (mut times_us, mut after, mut rows): (Vec<u128>, Option<Cursor>, usize) =
        Default::default();
    while times_us.len() < 200 {
        let begun = Instant::now();
        let page = journal.runs(filter, after.as_ref(), LIMIT).expect("the views are whole");
        times_us.push(begun.elapsed().as_micros());
        rows += page.rows.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    times_us.sort_unstable();
    let (pages, at) = (times_us.len(), |percent| times_us[(times_us.len() - 1) * percent / 100]);
    format!("{name:<28} {pages:>3} pages, {rows:>5} rows: p50 {} us, p99 {} us", at(50), at(99))
}

#[test]
fn pages_by_every_index() {
    let rows = count_from_environment("JOURNAL_LIST_ROWS", 2_000);
    let directory = tempfile::tempdir().unwrap();
    let options = Options { partitions: 1, ballast_bytes: 0, ..Options::default() };
    let journal = Journal::open(directory.path(), options.clone()).unwrap().journal;
    journal.rows_complete();
    let begun = Instant::now();
    filled(&journal, rows);
    println!("{rows} rows in {} ms", begun.elapsed().as_millis());
    println!("{} bytes of views", journal.info().views_bytes);
    let total: u64 = journal.run_statistics("default").values().map(|own| own.total()).sum();
    assert_eq!(total, rows);
    let plain = RunFilter { namespace: "default".to_owned(), ..RunFilter::default() };
    let middle = Timestamp(FIRST_US + (rows / 2) as i64 * STEP_US);
    let later = Range { after: Some(middle), before: None };
    let workflow = Some("workflow-7".to_owned());
    let (tag, correlation_id) = (Some("tag-7".to_owned()), Some("order-3".to_owned()));
    let failed = Some(RunStatus::Failed);
    let of = |filter: &RunFilter| filter.clone();
    let lists = [
        ("all", of(&plain)),
        ("status", RunFilter { status: failed, ..of(&plain) }),
        ("workflow", RunFilter { workflow: workflow.clone(), ..of(&plain) }),
        (
            "workflow, status",
            RunFilter { workflow: workflow.clone(), status: failed, ..of(&plain) },
        ),
        ("tag", RunFilter { tag: tag.clone(), ..of(&plain) }),
        (
            "tag, status",
            RunFilter { tag: tag.clone(), status: Some(RunStatus::Completed), ..of(&plain) },
        ),
        ("correlation", RunFilter { correlation_id, ..of(&plain) }),
        ("time", RunFilter { submitted: later, ..of(&plain) }),
        (
            "time, workflow, status",
            RunFilter { submitted: later, workflow, status: failed, ..of(&plain) },
        ),
    ];
    for (name, filter) in lists {
        println!("{}", measure(&journal, name, &filter));
        let oldest = RunFilter { order: Order::OldestFirst, ..filter };
        println!("{}", measure(&journal, &format!("{name}, oldest first"), &oldest));
    }
    let begun = Instant::now();
    assert_eq!(journal.run_statistics("default").len() as u64, 50.min(rows));
    println!("statistics: {} us", begun.elapsed().as_micros());
    journal.close().unwrap();
    let begun = Instant::now();
    let journal = Journal::open(directory.path(), options).unwrap().journal;
    println!("opened in {} ms", begun.elapsed().as_millis());
    assert_eq!(journal.run_statistics("default").len() as u64, 50.min(rows));
}
