//! The whole history in pages: complete, in order, once each, however small the pages are.

use std::ops::ControlFlow;

use backstitch_core::ids::PartitionId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Chain, Error, EventQuery, Journal, Reader, Record, events};

use crate::archive::{settle, small};
use crate::cut::cut_now;
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
        let begun = chain.beginning().expect("it is read")[usize::from(partition)].position;
        chain.commits_after(PartitionId(partition), begun, visit).expect("the chain is whole");
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
        assert!(Some(&page.positions) != query.after.as_ref(), "every page gets somewhere");
        query.after = Some(page.positions);
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
        let range = EventQuery { after: Some(after.clone()), until: Some(until.clone()), ..query };
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
        query.after = Some(page.positions);
    }
    for partition in 0..4 {
        let own = seen.iter().filter(|(of, _)| *of == partition).map(|(_, position)| *position);
        let head = writer.journal.heads()[usize::from(partition)].position;
        assert!(own.eq(1..=head), "every event of partition {partition} once and in order");
    }
}

/// Everything behind the cut, and a word wherever something before it is asked for.
fn check_behind_a_cut(chain: &dyn Chain) {
    let begins = chain.beginning().expect("it is read");
    let cut_until = begins.iter().map(|head| head.committed_at).max().expect("partitions");
    let whole = EventQuery { rows_max: 50, scan_bytes_max: 1 << 20, ..EventQuery::default() };
    let left = paged(chain, &whole, &mut |_| true);
    assert_eq!(left, all(chain));
    let page = events(chain, &whole, &mut |_| true).expect("it begins behind the cut");
    assert_eq!(page.beginning, begins);
    let zeros = EventQuery { after: Some(vec![0; begins.len()]), ..whole.clone() };
    let refused = events(chain, &zeros, &mut |_| true);
    let cut = begins.iter().position(|head| head.position > 0).expect("something was cut");
    assert!(matches!(
        refused,
        Err(Error::Cut { partition, position })
            if usize::from(partition) == cut && position == begins[cut].position
    ));
    // Nothing of it is asked for: it is of another partition, or all older, or all newer.
    let late = EventQuery { from: Some(Timestamp(cut_until.0 + 1)), ..zeros.clone() };
    let expected: Vec<_> = left.iter().copied().filter(|key| key.0 > cut_until).collect();
    assert_eq!(paged(chain, &late, &mut |_| true), expected);
    let until = EventQuery { until: Some(vec![0; begins.len()]), ..zeros.clone() };
    assert_eq!(paged(chain, &until, &mut |_| true), []);
    let mut after: Vec<u64> = vec![0; begins.len()];
    after[1] = begins[1].position;
    let partition = Some(PartitionId(1));
    let one = EventQuery { after: Some(after.clone()), partition, ..whole };
    let page = events(chain, &one, &mut |_| true).expect("what was cut is of others");
    assert_eq!(page.positions[0], after[0], "what was not asked for was not passed over");
    let expected: Vec<_> = left.iter().copied().filter(|key| key.1 == 1).collect();
    assert_eq!(paged(chain, &one, &mut |_| true), expected);
}

#[test]
fn the_history_begins_behind_a_cut_and_refuses_places_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let opened = Journal::open(directory.path(), small()).unwrap();
    let mut writer = Writer::take_over(opened, 13);
    writer.write(400, &nobody()).unwrap();
    settle(&writer.journal, directory.path(), 1);
    cut_now(&mut writer);
    writer.write(60, &nobody()).unwrap();
    check_behind_a_cut(&writer.journal);
    writer.journal.close().unwrap();
    drop(writer);
    check_behind_a_cut(&Reader::open(directory.path()).unwrap());
}
