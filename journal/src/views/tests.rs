//! Views against a plain model: random rows, changes, removals, filters, orders and pages.

mod letters;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backstitch_core::ids::{ExecutionId, LetterId, PartitionId};
use backstitch_core::statistics::RunStatistics;
use backstitch_core::summary::{LetterSummary, RunStatus, RunSummary, ViewChange};
use backstitch_core::time::Timestamp;
use backstitch_core::trace::TraceId;

use super::row::Filter;
use super::tally::ROWS_SPILLED;
use super::{Cursor, LetterFilter, Order, Page, Range, RunFilter, Views};
use crate::directory::Directory;
use crate::error::Error;
use crate::options::Options;
use letters::{letter, letter_filter};

/// A small generator of numbers: the same seed, the same life.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    fn maybe<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        self.chance(30).then(|| self.pick(of))
    }
}

const SPACES: [&str; 2] = ["default", "other"];
const WORKFLOWS: [&str; 3] = ["order", "orders", "refund"];
const TAGS: [&str; 3] = ["a", "ab", "nightly"];
const VARIANTS: [&str; 2] = ["candidate", "stable"];
const TRACES: [TraceId; 2] = [TraceId(5), TraceId(u128::MAX)];

fn run_id(number: u64) -> ExecutionId {
    ExecutionId {
        partition: PartitionId(u16::try_from(number % 3).unwrap()),
        digits: number.into(),
    }
}

fn row(number: u64, version: u64, dice: &mut Dice) -> RunSummary {
    let execution = run_id(number);
    // What never changes follows from the number alone.
    let mut own = Dice(number + 99);
    let submitted_at = Timestamp(own.below(400) as i64 * 1_000 - 100_000);
    let correlation_id = match own.below(3) {
        0 => format!("c{}", own.below(6)),
        1 => run_id(own.below(40)).to_string(),
        _ => execution.to_string(),
    };
    let status = dice.pick(&RunStatus::ALL);
    let duration_ms = dice.below(90_000);
    RunSummary {
        execution,
        namespace: own.pick(&SPACES).into(),
        workflow: own.pick(&WORKFLOWS).into(),
        revision: 1 + u32::try_from(own.below(3)).unwrap(),
        status,
        correlation_id: correlation_id.into(),
        tags: TAGS.iter().filter(|_| own.chance(40)).map(|tag| (*tag).into()).collect(),
        submitted_at,
        ended_at: status.is_ended().then(|| submitted_at.plus_ms(duration_ms)),
        parent: None,
        chunk: false,
        variant: own.maybe(&VARIANTS).map(Arc::from),
        trace: own.maybe(&TRACES),
        version,
    }
}

fn range(dice: &mut Dice) -> Range {
    let mut at = |_| dice.chance(25).then(|| Timestamp(dice.below(420) as i64 * 1_000 - 110_000));
    Range { after: at(0), before: at(1) }
}

fn run_filter(dice: &mut Dice) -> RunFilter {
    let correlations = ["c1".to_owned(), run_id(3).to_string(), run_id(17).to_string()];
    RunFilter {
        namespace: dice.pick(&["default", "other", "nobody"]).to_owned(),
        status: dice.maybe(&RunStatus::ALL),
        workflow: dice.maybe(&WORKFLOWS).map(str::to_owned),
        tag: dice.maybe(&TAGS).map(str::to_owned),
        correlation_id: dice.maybe(&correlations).filter(|_| dice.chance(50)),
        variant: dice.maybe(&VARIANTS).map(str::to_owned),
        trace: dice.maybe(&TRACES).filter(|_| dice.chance(50)),
        submitted: range(dice),
        ended: if dice.chance(25) { range(dice) } else { Range::default() },
        order: dice.pick(&[Order::NewestFirst, Order::OldestFirst]),
        active: dice.chance(40),
    }
}

/// What a view should hold.
#[derive(Default)]
struct Model {
    runs: BTreeMap<ExecutionId, RunSummary>,
    letters: BTreeMap<LetterId, LetterSummary>,
    next: u64,
}

impl Model {
    /// Changes model and views alike.
    fn change(&mut self, views: &Views, dice: &mut Dice) {
        let known: Vec<_> = self.runs.keys().copied().collect();
        let changes = match dice.below(10) {
            _ if known.is_empty() => self.submit(dice),
            0..=3 => self.submit(dice),
            4 => {
                let gone = dice.pick(&known);
                self.runs.remove(&gone);
                self.letters.retain(|letter, _| letter.execution != gone);
                return views.remove(&gone).unwrap();
            }
            5 | 6 => {
                let run = self.runs[&dice.pick(&known)].clone();
                let number = dice.below(4) as u32;
                let id = LetterId { execution: run.execution, number };
                let version = self.letters.get(&id).map_or(0, |known| known.version) + 1;
                let letter = letter(&run, number, version, dice);
                self.letters.insert(id, letter.clone());
                vec![ViewChange::Letter(letter)]
            }
            _ => {
                let old = self.runs[&dice.pick(&known)].clone();
                let number = u64::try_from(old.execution.digits).unwrap();
                let new = row(number, old.version + 1, dice);
                self.runs.insert(new.execution, new.clone());
                // The older one comes late.
                vec![ViewChange::Run(new), ViewChange::Run(old)]
            }
        };
        views.supply(changes);
    }

    fn submit(&mut self, dice: &mut Dice) -> Vec<ViewChange> {
        // Now and then one that was removed comes back, at its first version.
        let number = if dice.chance(10) { dice.below(self.next + 1) } else { self.next };
        self.next = self.next.max(number + 1);
        if self.runs.contains_key(&run_id(number)) {
            return Vec::new();
        }
        let new = row(number, 1, dice);
        self.runs.insert(new.execution, new.clone());
        vec![ViewChange::Run(new)]
    }

    fn runs_of(&self, filter: &RunFilter) -> Vec<RunSummary> {
        let mut rows: Vec<_> =
            self.runs.values().filter(|row| filter.takes(row)).cloned().collect();
        rows.sort_by_key(|row| (std::cmp::Reverse(row.submitted_at), row.execution));
        if filter.order == Order::OldestFirst {
            rows.reverse();
        }
        rows
    }

    fn letters_of(&self, filter: &LetterFilter) -> Vec<LetterSummary> {
        let mut rows: Vec<_> =
            self.letters.values().filter(|row| filter.takes(row)).cloned().collect();
        rows.sort_by_key(|row| (std::cmp::Reverse(row.opened_at), row.letter));
        if filter.order == Order::OldestFirst {
            rows.reverse();
        }
        rows
    }

    fn statistics<K: Ord>(
        &self,
        of: impl Fn(&RunSummary) -> Option<K>,
    ) -> BTreeMap<K, RunStatistics> {
        let mut all: BTreeMap<_, RunStatistics> = BTreeMap::new();
        for row in self.runs.values() {
            of(row).into_iter().for_each(|key| all.entry(key).or_default().add(row));
        }
        all
    }
}

/// Every page of a list; `between` comes after each.
fn walk<R>(
    list: impl Fn(Option<&Cursor>) -> Result<Page<R>, Error>,
    mut between: impl FnMut(),
) -> Vec<R> {
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let page = list(cursor.as_ref()).unwrap();
        rows.extend(page.rows);
        let Some(next) = page.next else { return rows };
        cursor = Some(next.to_string().parse().expect("a printed cursor reads back"));
        between();
    }
}

fn check(views: &Views, model: &Model, dice: &mut Dice) {
    for _ in 0..40 {
        let (filter, limit) = (run_filter(dice), dice.pick(&[1, 3, 50]));
        let found = walk(|after| views.runs(&filter, after, limit), || {});
        assert_eq!(found, model.runs_of(&filter), "{filter:?}");
        let filter = letter_filter(dice);
        let found = walk(|after| views.letters(&filter, after, limit), || {});
        assert_eq!(found, model.letters_of(&filter), "{filter:?}");
    }
}

fn check_statistics(views: &Views, model: &Model) {
    for space in SPACES {
        let own = |row: &RunSummary| *row.namespace == *space;
        let expected = model.statistics(|row| own(row).then(|| row.workflow.to_string()));
        assert_eq!(views.statistics(space), expected);
        for workflow in WORKFLOWS {
            let arms = model.statistics(|row| {
                let arm =
                    row.variant.as_ref().filter(|_| own(row) && *row.workflow == *workflow)?;
                Some((arm.to_string(), row.revision))
            });
            assert_eq!(views.arm_statistics(space, workflow), arms, "{space} {workflow}");
        }
    }
}

fn open(directory: &Directory) -> Views {
    let options = Options { cache_bytes: 4 * 1024 * 1024, ..Options::default() };
    Views::open(directory, 3, &options).unwrap().0
}

#[test]
fn lists_and_statistics_match_a_plain_model() {
    for seed in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::at(folder.path());
        let mut views = open(&directory);
        let (mut model, mut dice) = (Model::default(), Dice(seed));
        for _ in 0..12 {
            for _ in 0..25 {
                model.change(&views, &mut dice);
                if dice.chance(8) {
                    views.tick().unwrap();
                }
            }
            check(&views, &model, &mut dice);
            views.tick().unwrap();
            assert_eq!(views.pending_rows(), 0);
            check(&views, &model, &mut dice);
            check_statistics(&views, &model);
            if dice.chance(30) {
                views.close();
                views = open(&directory);
                check_statistics(&views, &model);
            }
        }
    }
}

#[test]
fn what_keeps_its_place_is_listed_once_whatever_is_written_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let views = open(&Directory::at(folder.path()));
    let (mut model, mut dice) = (Model::default(), Dice(5));
    for _ in 0..200 {
        model.change(&views, &mut dice);
    }
    for _ in 0..60 {
        let filter = run_filter(&mut dice);
        let before = model.runs_of(&filter);
        let mut touched = BTreeSet::new();
        let limit = dice.pick(&[1, 2, 7]);
        let found = {
            let (model, dice) = (&mut model, &mut dice);
            walk(
                |after| views.runs(&filter, after, limit),
                || {
                    let versions = |model: &Model| -> BTreeMap<_, _> {
                        model.runs.iter().map(|(run, row)| (*run, row.version)).collect()
                    };
                    let old = versions(model);
                    model.change(&views, dice);
                    if dice.chance(20) {
                        views.tick().unwrap();
                    }
                    let new = versions(model);
                    let runs = old.keys().chain(new.keys());
                    touched.extend(runs.filter(|run| old.get(run) != new.get(run)).copied());
                },
            )
        };
        let seen: Vec<_> = found.iter().map(|row| row.execution).collect();
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "none twice");
        let still = |row: &&RunSummary| !touched.contains(&row.execution);
        let kept: Vec<_> = before.iter().filter(still).collect();
        assert_eq!(found.iter().filter(still).collect::<Vec<_>>(), kept, "{filter:?}");
    }
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    let views = Views::memory(3);
    let rows = (0..4).map(|number| ViewChange::Run(row(number, 1, &mut Dice(1)))).collect();
    views.supply(rows);
    let space = row(0, 1, &mut Dice(1)).namespace.to_string();
    let filter = RunFilter { namespace: space, ..RunFilter::default() };
    let mut ordered = filter.clone();
    ordered.order = Order::OldestFirst;
    let more: Vec<_> = (4..40).map(|n| ViewChange::Run(row(n, 1, &mut Dice(1)))).collect();
    views.supply(more);
    let next = views.runs(&filter, None, 1).unwrap().next.expect("there is more");
    assert!(views.runs(&filter, Some(&next), 1).is_ok());
    assert!(matches!(views.runs(&ordered, Some(&next), 1), Err(Error::Cursor)));
    let letters = LetterFilter { namespace: filter.namespace, ..LetterFilter::default() };
    assert!(matches!(views.letters(&letters, Some(&next), 1), Err(Error::Cursor)));
}

#[test]
fn a_page_ends_where_too_many_rows_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let views = open(&Directory::at(folder.path()));
    let rows = (0..6_000_u64).map(|number| {
        let mut own = row(number, 1, &mut Dice(1));
        (own.namespace, own.workflow) = ("default".into(), "w".into());
        own.tags = if number % 5_000 == 0 { ["rare".into()].into() } else { [].into() };
        (own.revision, own.submitted_at) = (7, Timestamp(number as i64));
        own.ended_at = (number % 3_000 == 1).then_some(Timestamp(9_000));
        ViewChange::Run(own)
    });
    views.supply(rows.collect());
    views.tick().unwrap();
    // No index has the end, so this reads past what has not ended.
    let ended = Range { after: Some(Timestamp(9_000)), before: None };
    let namespace = "default".to_owned();
    let filter = RunFilter { namespace: namespace.clone(), ended, ..RunFilter::default() };
    let first = views.runs(&filter, None, 50).unwrap();
    assert!(first.rows.len() < 2 && first.next.is_some(), "{} rows", first.rows.len());
    let all = walk(|after| views.runs(&filter, after, 50), || {});
    assert_eq!(all.iter().map(|row| row.submitted_at.0).collect::<Vec<_>>(), [3_001, 1]);
    // A tag has one.
    let filter = RunFilter { namespace, tag: Some("rare".to_owned()), ..RunFilter::default() };
    let page = views.runs(&filter, None, 50).unwrap();
    assert_eq!((page.rows.len(), page.next), (2, None));
}

/// Runs removed while a view is made anew: neither they nor their letters come back from a
/// history that was read before, also if another life has begun under the id.
#[test]
fn what_left_during_a_rebuild_does_not_come_back() {
    let (views, mut dice) = (Views::memory(3), Dice(4));
    let (old, fresh) = (row(1, 9, &mut dice), row(1, 1, &mut dice));
    let closed = letter(&old, 1, 9, &mut dice);
    views.supply(vec![ViewChange::Run(old.clone())]);
    let switching = |switch: &mut dyn FnMut()| switch();
    assert!(views.runs.begin().unwrap() && views.letters.begin().unwrap());
    // The letters' old table has lost it.
    views.letters.fill(vec![closed.clone()]);
    views.remove(&old.execution).unwrap();
    views.supply(vec![ViewChange::Run(fresh.clone())]);
    views.runs.fill(vec![old]);
    views.runs.finish(<[u64]>::to_vec, switching).unwrap();
    views.letters.finish(<[u64]>::to_vec, switching).unwrap();
    assert_eq!(views.run(&fresh.execution).unwrap(), Some(fresh));
    assert_eq!(views.letter(&closed.letter).unwrap(), None);
}

/// What is made of all histories goes into the tree as it is read; how far the tree has come
/// stays as it is, so that a crash before the end has it made again.
#[test]
fn many_rows_spill_into_the_tree_before_it_counts_as_further() {
    let folder = tempfile::tempdir().unwrap();
    let views = open(&Directory::at(folder.path()));
    let mut dice = Dice(7);
    let rows = ROWS_SPILLED as u64;
    for number in 1..rows {
        views.runs.put(row(number, 1, &mut dice));
        views.runs.table().spill().unwrap();
    }
    assert_eq!(views.pending_rows(), ROWS_SPILLED - 1);
    views.runs.put(row(rows, 1, &mut dice));
    views.runs.table().spill().unwrap();
    assert_eq!(views.pending_rows(), 0);
    assert_eq!(views.runs.applied(), [0, 0, 0]);
    assert!(views.run(&run_id(rows)).unwrap().is_some_and(|row| row.version == 1));
}
