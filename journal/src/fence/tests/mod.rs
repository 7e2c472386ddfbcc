//! Tests of the fence on real files, with thresholds so small that everything happens.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

mod damage;
mod rewriting;

use super::*;

const SMALL: TreeOptions = TreeOptions {
    cache_bytes: 1024 * 1024,
    check_whole_below_bytes: 0,
    recent_changes_max: 1_000_000,
    rewrite_above_bytes: 0,
};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// A tree in its own directory, with what it must hold.
struct Case {
    directory: tempfile::TempDir,
    model: Model,
    seed: u64,
    ticks: u64,
}

fn dice(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

fn path(directory: &Path) -> PathBuf {
    directory.join("store")
}

fn marks(directory: &Path) -> PathBuf {
    directory.join("store.marks")
}

fn open(directory: &Path, options: TreeOptions) -> Result<FencedTree, Untrusted> {
    let opened = FencedTree::open(&path(directory), &marks(directory), options).unwrap();
    opened.map(|(tree, _)| tree)
}

fn content(tree: &FencedTree) -> Model {
    let mut model = Model::new();
    tree.scan(&[], &[], |key, value| {
        model.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    model
}

fn scrub(tree: &FencedTree) -> Result<(), Error> {
    tree.begin_scrub();
    while tree.scrub_step()? != Step::Done {}
    Ok(())
}

fn rewrite(tree: &FencedTree) -> Result<(), Error> {
    while tree.rewrite_step()? != Step::Done {}
    Ok(())
}

impl Case {
    fn new(options: TreeOptions) -> (Self, FencedTree) {
        let directory = tempfile::tempdir().unwrap();
        let tree =
            FencedTree::create(&path(directory.path()), &marks(directory.path()), options, b"0");
        (Self { directory, model: Model::new(), seed: 1, ticks: 0 }, tree.unwrap())
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A tick of so many changes of a thousand keys, a quarter of them removals.
    fn tick(&mut self, tree: &FencedTree, changes: u64) {
        let mut units: BTreeMap<Vec<u8>, Unit> = BTreeMap::new();
        for _ in 0..changes {
            let key = format!("key {:04}", dice(&mut self.seed) % 1_000).into_bytes();
            let value = match dice(&mut self.seed) % 4 {
                0 => None,
                _ => {
                    Some(vec![dice(&mut self.seed) as u8; (dice(&mut self.seed) % 3_000) as usize])
                }
            };
            units.insert(key.clone(), vec![(key, value)]);
        }
        for (key, value) in units.values().flatten() {
            match value {
                Some(value) => self.model.insert(key.clone(), value.clone()),
                None => self.model.remove(key),
            };
        }
        self.ticks += 1;
        tree.tick(units.into_values().collect(), self.ticks.to_string().as_bytes()).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn a_quick_open_finds_what_was_there_and_the_scrub_proves_it() {
    let (mut case, mut tree) = Case::new(SMALL);
    for round in 0..6 {
        for _ in 0..4 {
            case.tick(&tree, 200);
        }
        // Every other time as after a crash: the files as they are, without a close.
        let crashed = tempfile::tempdir().unwrap();
        if round % 2 == 0 {
            copy(case.path(), crashed.path());
            let tree = open(crashed.path(), SMALL).unwrap();
            assert!(tree.figures().opened_quickly);
            assert!(content(&tree) == case.model);
            scrub(&tree).unwrap();
        }
        tree.close();
        tree = open(case.path(), SMALL).unwrap();
        assert!(tree.figures().opened_quickly);
        assert!(content(&tree) == case.model);
        // Ticks while it is read.
        assert!(matches!(tree.scrub_step().unwrap(), Step::More(_)));
        case.tick(&tree, 60);
        while tree.scrub_step().unwrap() != Step::Done {
            case.tick(&tree, 10);
        }
        let figures = tree.figures();
        assert!(matches!(figures.scrub, ScrubState::Proven { entries, .. }
            if entries == case.model.len() as u64));
        let live: usize = case.model.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert_eq!(figures.totals.bytes, live as u64);
    }
}

#[test]
fn many_keys_are_found_as_one_by_one() {
    let (mut case, tree) = Case::new(SMALL);
    for _ in 0..10 {
        case.tick(&tree, 200);
    }
    let known: Vec<_> = case.model.keys().cloned().collect();
    for (every, beside) in [(1, false), (1, true), (3, true), (7, false), (50, true)] {
        let mut keys: Vec<Vec<u8>> = known.iter().step_by(every).cloned().collect();
        if beside {
            keys.extend(
                known.iter().step_by(every).map(|key| [key, b" and more".as_slice()].concat()),
            );
        }
        keys.extend([Vec::new(), vec![0], vec![255; 9]]);
        keys.sort_unstable();
        let wanted: Vec<_> = keys.iter().map(|key| case.model.get(key).cloned()).collect();
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        assert!(tree.get_many(&keys).unwrap() == wanted, "every {every}, beside {beside}");
    }
    assert!(tree.get_many(&[]).unwrap().is_empty());
}

#[test]
fn a_small_tree_is_read_whole_and_records_nothing() {
    let large = TreeOptions { check_whole_below_bytes: u64::MAX, ..SMALL };
    let (mut case, tree) = Case::new(large);
    case.tick(&tree, 50);
    tree.close();
    assert!(!case.path().join("store.recent").exists());
    let tree = open(case.path(), SMALL).unwrap();
    assert!(!tree.figures().opened_quickly);
    case.tick(&tree, 50);
    tree.close();
    let tree = open(case.path(), SMALL).unwrap();
    assert!(tree.figures().opened_quickly, "what it changed since is recorded");
}

/// The files of a tree before and after a tick, mixed as crashes and faults leave them.
#[test]
fn mixed_files_are_told_apart() {
    let (mut case, tree) = Case::new(SMALL);
    for _ in 0..5 {
        case.tick(&tree, 50);
    }
    let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copy(case.path(), before.path());
    let old = case.model.clone();
    case.tick(&tree, 300);
    copy(case.path(), after.path());
    let new = case.model.clone();
    assert!(old != new);
    // Which of recent, marks and tree are of after the tick; what must be served, or that it
    // must be refused; whether it may be opened quickly.
    let cases: [(bool, bool, bool, Option<&Model>, bool); 7] = [
        (true, false, false, Some(&old), true),
        (true, true, false, Some(&old), true),
        (true, true, true, Some(&new), true),
        (false, true, true, Some(&new), false),
        (false, true, false, Some(&old), false),
        (true, false, true, None, true),
        (false, false, false, Some(&old), true),
    ];
    for (recent, marks, tree, expected, quickly) in cases {
        let place = format!("recent {recent}, marks {marks}, tree {tree}");
        let mixed = tempfile::tempdir().unwrap();
        let from = |new: bool| if new { after.path() } else { before.path() };
        copy(&from(tree).join("store"), &mixed.path().join("store"));
        for (name, new) in [("store.recent", recent), ("store.marks", marks)] {
            fs::copy(from(new).join(name), mixed.path().join(name)).unwrap();
        }
        let opened = open(mixed.path(), SMALL);
        let Some(expected) = expected else {
            assert!(opened.is_err(), "{place}");
            continue;
        };
        let tree = opened.unwrap_or_else(|untrusted| panic!("{place}: {untrusted:?}"));
        assert_eq!(tree.figures().opened_quickly, quickly, "{place}");
        assert!(&content(&tree) == expected, "{place}");
        scrub(&tree).unwrap_or_else(|error| panic!("{place}: {error}"));
    }
}

#[test]
fn a_recent_file_that_is_not_whole_is_no_proof() {
    let (mut case, tree) = Case::new(SMALL);
    for _ in 0..3 {
        case.tick(&tree, 20);
    }
    tree.close();
    let whole = fs::read(case.path().join("store.recent")).unwrap();
    let spoiled: [&dyn Fn(&Path); 5] = [
        &|path| fs::remove_file(path).unwrap(),
        &|path| fs::write(path, &whole[..whole.len() - 5]).unwrap(),
        &|path| fs::write(path, [whole.as_slice(), &[0; 40]].concat()).unwrap(),
        &|path| fs::write(path, []).unwrap(),
        &|path| {
            let mut flipped = whole.clone();
            flipped[whole.len() / 2] ^= 1;
            fs::write(path, flipped).unwrap();
        },
    ];
    for (number, spoil) in spoiled.iter().enumerate() {
        let copied = tempfile::tempdir().unwrap();
        copy(case.path(), copied.path());
        spoil(&copied.path().join("store.recent"));
        let tree = open(copied.path(), SMALL).unwrap();
        assert!(!tree.figures().opened_quickly, "{number}");
        assert!(content(&tree) == case.model, "{number}");
    }
}

#[test]
fn without_the_noted_snapshot_the_tree_is_read_whole() {
    let (mut case, tree) = Case::new(SMALL);
    case.tick(&tree, 200);
    tree.close();
    let snapshot = crate::repair::snapshots(&path(case.path())).unwrap().pop().unwrap();
    fs::remove_file(path(case.path()).join(snapshot)).unwrap();
    let tree = open(case.path(), SMALL).unwrap();
    assert!(!tree.figures().opened_quickly);
    assert!(content(&tree) == case.model);
}

#[test]
fn many_changes_renew_the_snapshot() {
    let options = TreeOptions { recent_changes_max: 100, ..SMALL };
    let (mut case, tree) = Case::new(options);
    for _ in 0..10 {
        case.tick(&tree, 60);
    }
    let figures = tree.figures();
    assert!(figures.renewals >= 3, "{figures:?}");
    assert!(figures.recent_changes <= 160, "{figures:?}");
    assert!(content(&tree) == case.model);
    case.tick(&tree, 60);
    tree.close();
    let tree = open(case.path(), options).unwrap();
    assert!(tree.figures().opened_quickly);
    scrub(&tree).unwrap();
}

#[test]
fn a_tree_that_grows_begins_to_record() {
    let options = TreeOptions { check_whole_below_bytes: 8 * 1024 * 1024, ..SMALL };
    let (mut case, tree) = Case::new(options);
    while tree.figures().file_bytes < 8 * 1024 * 1024 {
        case.tick(&tree, 200);
    }
    assert!(tree.figures().renewals > 0);
    tree.close();
    let tree = open(case.path(), options).unwrap();
    assert!(tree.figures().opened_quickly);
    assert!(content(&tree) == case.model);
}

#[test]
fn what_the_quick_check_cannot_see_the_scrub_finds() {
    let (mut case, tree) = Case::new(SMALL);
    for _ in 0..5 {
        case.tick(&tree, 100);
    }
    tree.close();
    // A key changes behind the fence, and sled takes it for its own.
    let tree = open(case.path(), SMALL).unwrap();
    tree.raw.apply([(b"key 0001".as_slice(), Some(b"wrong".as_slice()))].into_iter()).unwrap();
    tree.raw.sync().unwrap();
    tree.close();
    let tree = open(case.path(), SMALL).unwrap();
    assert!(scrub(&tree).is_err());
    assert_eq!(tree.figures().scrub, ScrubState::Damaged);
    assert!(tree.distrusted().is_some());
    assert!(tree.tick(Vec::new(), b"x").is_err(), "it changes no more");
    tree.close();
    let Err(untrusted) = open(case.path(), SMALL) else { panic!("it was noted on the disk") };
    assert!(untrusted.0.contains("scrub"), "{untrusted:?}");
    let (path, marks) = (path(case.path()), marks(case.path()));
    FencedTree::create(&path, &marks, SMALL, b"0").unwrap().close();
    assert!(open(case.path(), SMALL).is_ok(), "one made anew is trusted");
}
