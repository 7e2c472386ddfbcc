//! The whole history in pages: complete, in order, once each, however small the pages are.

use std::ops::ControlFlow;

use backstitch_core::ids::PartitionId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Chain, EventQuery, Journal, Reader, Record, events};

use crate::workload::{Dice, Writer, nobody, options};

/// Committed at, partition, position: the order of the whole history.
type Key = (Timestamp, u16, u64);

fn all(chain: &dyn Chain) -> Vec<Key> {
    let mut keys = Vec::new();
    for partition in 0..chain.partitions() {
        let visit = &mut |commit: &backstitch_journal::Commit| {
            let at = commit.head().committed_at;
            keys.extend(commit.records().iter().map(|record| (at, partition, record.position)));
            ControlFlow::Continue(())
        };
        chain.commits_after(PartitionId(partition), 0, visit).expect("the chain is whole");
    }
    keys.sort_unstable();
    keys
}

fn paged(
    chain: &dyn Chain,
    query: &EventQuery,
    counts: &mut dyn FnMut(&Record) -> bool,
) -> Vec<Key> {
    let (mut query, mut keys) = (query.clone(), Vec::new());
    loop {
        let page = events(chain, &query, counts).expect("the chain is whole");
        assert!(page.rows.len() <= query.rows_max);
        keys.extend(
            page.rows.iter().map(|row| (row.committed_at, row.partition.0, row.record.position)),
        );
        if !page.more {
            return keys;
        }
        assert!(page.positions != query.after, "every page gets somewhere");
        query.after = page.positions;
    }
}

fn check(chain: &dyn Chain) {
    let all = all(chain);
    let middle = all[all.len() / 2].0;
    for (rows_max, scan_bytes_max) in [(1_000, 1 << 20), (7, 1 << 20), (1_000, 1), (1, 1)] {
        let query = EventQuery { rows_max, scan_bytes_max, ..EventQuery::default() };
        assert_eq!(paged(chain, &query, &mut |_| true), all, "{rows_max} {scan_bytes_max}");
        let odd = paged(chain, &query, &mut |record| record.position % 2 == 1);
        assert!(odd.iter().copied().eq(all.iter().copied().filter(|key| key.2 % 2 == 1)));
        let late = EventQuery { from: Some(middle), ..query.clone() };
        let expected: Vec<_> = all.iter().copied().filter(|key| key.0 >= middle).collect();
        assert_eq!(paged(chain, &late, &mut |_| true), expected);
        let early = EventQuery { to: Some(middle), ..query.clone() };
        let expected: Vec<_> = all.iter().copied().filter(|key| key.0 < middle).collect();
        assert_eq!(paged(chain, &early, &mut |_| true), expected);
        let (after, until) = (vec![3, 5, 0, 1], vec![40, 5, 2, 60]);
        let inside = |key: &Key| {
            let at = usize::from(key.1);
            key.2 > after[at] && key.2 <= until[at]
        };
        let expected: Vec<_> = all.iter().copied().filter(inside).collect();
        let range = EventQuery { after: after.clone(), until: Some(until.clone()), ..query };
        assert_eq!(paged(chain, &range, &mut |_| true), expected);
        let one = EventQuery { partition: Some(PartitionId(2)), ..range };
        let expected: Vec<_> = expected.into_iter().filter(|key| key.1 == 2).collect();
        assert_eq!(paged(chain, &one, &mut |_| true), expected);
    }
}

#[test]
fn pages_of_any_size_give_the_whole_history_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let opened = Journal::open(directory.path(), options()).unwrap();
    let mut writer = Writer::take_over(opened, 11);
    writer.write(120, &nobody()).unwrap();
    check(&writer.journal);
    writer.journal.close().unwrap();
    drop(writer);
    check(&Reader::open(directory.path()).unwrap());
}

#[test]
fn pages_read_while_it_is_written_miss_nothing_and_repeat_nothing() {
    let mut writer = Writer::take_over(Journal::memory(4), 12);
    let mut dice = Dice(5);
    let mut query = EventQuery { scan_bytes_max: 1 << 20, ..EventQuery::default() };
    let mut seen = Vec::new();
    for round in 0..60 {
        writer.write(if round < 40 { 5 } else { 0 }, &nobody()).unwrap();
        query.rows_max = 1 + dice.below(40) as usize;
        let page = events(&writer.journal, &query, &mut |_| true).expect("whole");
        seen.extend(page.rows.iter().map(|row| (row.partition.0, row.record.position)));
        query.after = page.positions;
    }
    for partition in 0..4 {
        let own = seen.iter().filter(|(of, _)| *of == partition).map(|(_, position)| *position);
        let head = writer.journal.heads()[usize::from(partition)].position;
        assert!(own.eq(1..=head), "every event of partition {partition} once and in order");
    }
}
