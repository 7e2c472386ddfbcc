//! Removal against a plain model: any order of writing, removing, beginning again, ticks,
//! crashes and lost stores.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use backstitch_core::ids::{ExecutionId, PartitionId, StreamId};
use backstitch_journal::{Journal, Opened, RunFilter, verify};

use crate::crash::count_from_environment;
use crate::erased::check_history;
use crate::removal::{copy, unhurried};
use crate::workload::{Dice, Writer, length_of, row_of};

/// Lives in one run of the tests; `JOURNAL_LIVES` asks for more.
const LIVES: u64 = 4;
const MOMENTS: u64 = 40;
/// Few enough that ids come again.
const RUNS: u64 = 12;

/// What must be there: each run with its last version. And the removed, by their ids.
#[derive(Default)]
struct Model {
    runs: BTreeMap<ExecutionId, u64>,
    removed: BTreeMap<ExecutionId, u64>,
}

fn run_of(number: u64) -> ExecutionId {
    let partition = PartitionId(u16::try_from(number % 2).expect("small"));
    ExecutionId { partition, digits: u128::from(number) + 1_000 }
}

fn open(directory: &Path, seed: u64) -> Writer {
    let Opened { journal, heads, streams, report } =
        Journal::open(directory, unhurried()).expect("it opens");
    for stream in &streams {
        if let StreamId::Execution(run) = stream {
            assert!(journal.history(stream).expect("it is whole").is_some(), "{run} is handed out");
        }
    }
    Writer::take_over(Opened { journal, heads, streams, report }, seed)
}

fn check(journal: &Journal, model: &Model, life: u64) {
    let mut found = BTreeMap::new();
    let each = journal.for_each_history(|stream, records| {
        let StreamId::Execution(run) = stream else { return };
        check_history(&run, &records).unwrap_or_else(|why| panic!("life {life}: {why}"));
        found.insert(run, records.len() as u64);
    });
    each.expect("every history can be read");
    assert_eq!(found, model.runs, "life {life}");
    let all = RunFilter { namespace: "default".to_owned(), ..RunFilter::default() };
    let rows = journal.runs(&all, None, 1_000).expect("the views are whole").rows;
    let rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.execution, row)).collect();
    let wanted: BTreeMap<_, _> =
        model.runs.iter().map(|(run, version)| (*run, row_of(run, *version))).collect();
    assert_eq!(rows, wanted, "life {life}");
    for (run, position) in &model.removed {
        let mark = journal.removed_run(run).expect("it is whole");
        assert_eq!(mark.map(|mark| mark.position), Some(*position), "life {life}: {run}");
    }
}

fn moment(writer: &mut Writer, model: &mut Model, dice: &mut Dice) {
    match dice.below(10) {
        0..=4 => {
            let run = run_of(dice.below(RUNS));
            if let Entry::Vacant(free) = model.runs.entry(run) {
                let events = if dice.below(3) == 0 { 1 } else { length_of(&run).min(20) };
                writer.begin(&run, events).expect("it is taken");
                free.insert(events);
            }
        }
        5 | 6 => {
            let partition = u16::try_from(dice.below(2)).expect("small");
            let mine = model.runs.keys().filter(|run| run.partition.0 == partition);
            let runs: Vec<_> = mine.copied().filter(|_| dice.below(2) == 0).collect();
            if !runs.is_empty() {
                let position = writer.remove(&runs).expect("it is taken");
                for run in runs {
                    model.runs.remove(&run);
                    model.removed.insert(run, position);
                }
            }
        }
        _ => writer.journal.store_now().expect("the store takes it"),
    }
}

fn life(number: u64) {
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 11) * 1_000 + number);
    let mut directory = tempfile::tempdir().expect("room for it");
    let mut model = Model::default();
    let mut writer = open(directory.path(), 1);
    // A store and views of some moment, that a broken disk may give back.
    let mut old: Option<tempfile::TempDir> = None;
    for _ in 0..MOMENTS {
        moment(&mut writer, &mut model, &mut dice);
        check(&writer.journal, &model, number);
        let event = dice.below(12);
        if event == 0 {
            let kept = tempfile::tempdir().expect("room for it");
            copy(directory.path(), kept.path());
            old = Some(kept);
        }
        if event < 3 {
            // kill -9: nothing is closed; what is on disk is what the next life finds.
            let next = tempfile::tempdir().expect("room for it");
            copy(directory.path(), next.path());
            drop(writer);
            let parts: &[&str] = [
                &[][..],
                &["store", "store.marks"],
                &["views", "views.marks"],
                &["store", "store.marks", "views", "views.marks"],
                &["store"],
                &["views"],
            ][dice.below(6) as usize];
            for part in parts {
                replace(next.path(), old.as_ref().map(|old| old.path()), part);
            }
            directory = next;
            writer = open(directory.path(), 1);
            check(&writer.journal, &model, number);
        }
    }
    writer.journal.close().expect("it closes");
    drop(writer);
    assert!(verify(directory.path()).expect("it is there").ok, "life {number}");
    let writer = open(directory.path(), 1);
    check(&writer.journal, &model, number);
    // Once the log is cut behind them, nobody needs to know of removals any more.
    writer.journal.forget_removed(&[u64::MAX; 4]);
    writer.journal.store_now().expect("the store takes it");
    for run in model.removed.keys() {
        assert_eq!(writer.journal.removed_run(run).expect("it is whole"), None);
    }
    model.removed.clear();
    check(&writer.journal, &model, number);
}

/// Puts an older part in place of the one that is there, or removes it.
fn replace(directory: &Path, old: Option<&Path>, part: &str) {
    let place = directory.join(part);
    if place.is_dir() {
        std::fs::remove_dir_all(&place).expect("it is there");
    } else if place.exists() {
        std::fs::remove_file(&place).expect("it is there");
    }
    let Some(older) = old.map(|old| old.join(part)) else { return };
    if older.is_dir() {
        copy(&older, &place);
    } else if older.exists() {
        std::fs::copy(&older, &place).expect("room for it");
    }
}

#[test]
fn lives_match_a_plain_model() {
    for number in 0..count_from_environment("JOURNAL_LIVES", LIVES) {
        life(number);
    }
}
