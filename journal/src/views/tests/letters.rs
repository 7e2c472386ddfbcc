//! Dead letters among the random rows, and their groups by cause.

use std::collections::BTreeMap;

use backstitch_core::ids::LetterId;
use backstitch_core::letters::{Fingerprint, LetterCause, LetterCounts};
use backstitch_core::summary::{LetterKind, LetterStatus, LetterSummary, RunSummary, ViewChange};
use backstitch_core::time::Timestamp;

use super::{Dice, Model, SPACES, TAGS, WORKFLOWS, open, range, row, run_id};
use crate::directory::Directory;
use crate::views::{LetterFilter, Order, Views};

/// A few causes, so that some are shared.
const CAUSES: [Fingerprint; 3] = [Fingerprint(1), Fingerprint(2), Fingerprint(u64::MAX)];

pub(super) fn letter(
    run: &RunSummary,
    number: u32,
    version: u64,
    dice: &mut Dice,
) -> LetterSummary {
    let mut own = Dice(u64::from(number) + 7);
    LetterSummary {
        letter: LetterId { execution: run.execution, number },
        namespace: run.namespace.clone(),
        workflow: run.workflow.clone(),
        revision: run.revision,
        tags: run.tags.clone(),
        fingerprint: own.pick(&CAUSES),
        kind: own.pick(&[LetterKind::Step, LetterKind::Undo, LetterKind::Callback]),
        subject: "charge".to_owned(),
        code: own.pick(&["HTTP_STATUS", "TASK_TIMEOUT"]).to_owned(),
        message: "no".to_owned(),
        status: dice.pick(&[LetterStatus::Open, LetterStatus::Discarded, LetterStatus::Resolved]),
        assignee: dice.maybe(&["ann", "bob"]).map(str::to_owned),
        opened_at: run.submitted_at.plus_ms(u64::from(number)),
        attempts: 3,
        version,
    }
}

pub(super) fn letter_filter(dice: &mut Dice) -> LetterFilter {
    LetterFilter {
        namespace: dice.pick(&SPACES).to_owned(),
        status: dice.maybe(&[LetterStatus::Open, LetterStatus::Retried]),
        workflow: dice.maybe(&WORKFLOWS).map(str::to_owned),
        kind: dice.maybe(&[LetterKind::Step, LetterKind::Undo, LetterKind::Callback]),
        code: dice.maybe(&["HTTP_STATUS", "NONE"]).map(str::to_owned),
        step: dice.maybe(&["charge", "ship"]).filter(|_| dice.chance(50)).map(str::to_owned),
        fingerprint: dice.maybe(&CAUSES),
        tag: dice.maybe(&TAGS).map(str::to_owned),
        assignee: dice.maybe(&["ann", "bob"]).filter(|_| dice.chance(50)).map(str::to_owned),
        execution: dice.maybe(&[run_id(2), run_id(11)]),
        opened: range(dice),
        order: dice.pick(&[Order::NewestFirst, Order::OldestFirst]),
    }
}

/// The groups of a plain walk over all letters, by what is counted together.
fn groups_of(model: &Model, filter: &LetterFilter) -> BTreeMap<LetterCause, LetterCounts> {
    let mut groups: BTreeMap<LetterCause, LetterCounts> = BTreeMap::new();
    for row in model.letters.values().filter(|row| *row.namespace == filter.namespace) {
        groups.entry(LetterCause::of(row)).or_default().add(row);
    }
    let named =
        |cause: &LetterCause| filter.workflow.as_ref().is_none_or(|own| *own == cause.workflow);
    groups.retain(|cause, group| {
        let taken = filter.status.map_or(group.total(), |s| group.of_status(s));
        taken > 0 && named(cause)
    });
    groups
}

/// The ends of a cause, as a plain walk over all letters finds them.
fn ends_of(model: &Model, cause: &LetterCause) -> (Timestamp, Timestamp) {
    let of_cause = model
        .letters
        .values()
        .filter(|row| *row.namespace == cause.namespace && row.fingerprint == cause.fingerprint);
    let at: Vec<_> = of_cause.map(|row| row.opened_at).collect();
    (*at.iter().min().expect("it has one"), *at.iter().max().expect("it has one"))
}

fn check_groups(views: &Views, model: &Model) {
    for status in [None, Some(LetterStatus::Open), Some(LetterStatus::Discarded)] {
        for workflow in [None, Some("order".to_owned())] {
            let namespace = "default".to_owned();
            let filter = LetterFilter { namespace, status, workflow, ..LetterFilter::default() };
            let expected = groups_of(model, &filter);
            let found = views.letter_groups(&filter, 0, usize::MAX).unwrap();
            assert_eq!((found.groups.len(), found.count), (expected.len(), expected.len()));
            let sizes: Vec<_> = found
                .groups
                .iter()
                .map(|own| status.map_or(own.counts.total(), |s| own.counts.of_status(s)))
                .collect();
            assert!(sizes.is_sorted_by(|one, other| one >= other), "{sizes:?}");
            for group in found.groups {
                let known = &expected[&group.cause];
                assert_eq!(group.counts, *known, "{:?}", group.cause);
                assert_eq!((group.first_at, group.last_at), ends_of(model, &group.cause));
                assert!(status.is_none_or(|status| group.example.status == status));
                assert_eq!(group.example.fingerprint, group.cause.fingerprint);
            }
        }
    }
}

#[test]
fn groups_match_a_plain_model() {
    for seed in 20..24 {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::at(folder.path());
        let mut views = open(&directory);
        let (mut model, mut dice) = (Model::default(), Dice(seed));
        for _ in 0..10 {
            for _ in 0..40 {
                model.change(&views, &mut dice);
            }
            views.tick().unwrap();
            check_groups(&views, &model);
            if dice.chance(30) {
                views.close();
                views = open(&directory);
                check_groups(&views, &model);
            }
        }
    }
}

#[test]
fn open_letters_are_told_from_the_oldest_on_and_no_further_than_asked() {
    let views = Views::memory(3);
    let run = RunSummary { namespace: "default".into(), ..row(1, 1, &mut Dice(1)) };
    let rows = (0..5).map(|number| {
        let mut own = letter(&run, number, 1, &mut Dice(1));
        own.status = if number == 1 { LetterStatus::Discarded } else { LetterStatus::Open };
        ViewChange::Letter(own)
    });
    views.supply(rows.collect());
    let at = |number| run.submitted_at.plus_ms(number);
    let all = vec![at(0), at(2), at(3), at(4)];
    assert_eq!(views.open_letters_since("default", 10).unwrap(), (all, true));
    assert_eq!(views.open_letters_since("default", 2).unwrap(), (vec![at(0), at(2)], false));
    assert_eq!(views.open_letters_since("nobody", 2).unwrap(), (Vec::new(), true));
}
