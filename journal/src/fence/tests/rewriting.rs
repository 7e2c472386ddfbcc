//! Tests of the rewrite.

use super::*;

#[test]
fn a_rewrite_under_load_keeps_everything_and_gives_space_back() {
    let (mut case, tree) = Case::new(SMALL);
    for _ in 0..60 {
        case.tick(&tree, 200);
    }
    let before = tree.figures();
    assert!(tree.wants_rewrite(), "{before:?}");
    tree.begin_rewrite().unwrap();
    while tree.rewrite_step().unwrap() != Step::Done {
        case.tick(&tree, 40);
        assert!(tree.get(b"key 0500").unwrap().as_ref() == case.model.get(b"key 0500".as_slice()));
    }
    let after = tree.figures();
    assert_eq!((after.rewrites, after.rewrite_failure), (1, None));
    assert!(after.file_bytes < before.file_bytes / 2, "{before:?} {}", after.file_bytes);
    assert!(!tree.wants_rewrite(), "not twice");
    assert!(content(&tree) == case.model);
    while tree.scrub_step().unwrap() != Step::Done {}
    case.tick(&tree, 40);
    let crashed = tempfile::tempdir().unwrap();
    copy(case.path(), crashed.path());
    let reopened = open(crashed.path(), SMALL).unwrap();
    assert!(reopened.figures().opened_quickly);
    assert!(content(&reopened) == case.model);
    tree.close();
    assert!(content(&open(case.path(), SMALL).unwrap()) == case.model);
}

#[test]
fn a_tree_replaced_before_and_left_in_part_gives_way() {
    let (mut case, tree) = Case::new(SMALL);
    for _ in 0..10 {
        case.tick(&tree, 200);
    }
    let left = case.path().join("store.replaced");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("db"), "of the one before").unwrap();
    tree.begin_rewrite().unwrap();
    rewrite(&tree).unwrap();
    assert_eq!(tree.figures().rewrites, 1);
    assert!(content(&tree) == case.model);
    assert!(!left.exists());
}

#[test]
fn a_rewrite_cut_anywhere_leaves_one_right_tree() {
    let (mut case, tree) = Case::new(SMALL);
    for _ in 0..10 {
        case.tick(&tree, 200);
    }
    tree.close();
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copy(case.path(), old.path());
    copy(case.path(), new.path());
    let tree = open(new.path(), SMALL).unwrap();
    tree.begin_rewrite().unwrap();
    rewrite(&tree).unwrap();
    tree.close();
    // The names of the trees, and whether the recent file is still there, after each step.
    for (tree, fresh, replaced, recent) in [
        (Some(&old), Some(&new), None, true),
        (Some(&old), Some(&new), None, false),
        (None, Some(&new), Some(&old), false),
        (Some(&new), None, Some(&old), false),
    ] {
        let cut = tempfile::tempdir().unwrap();
        for (name, from) in [("store", tree), ("store.fresh", fresh), ("store.replaced", replaced)]
        {
            if let Some(from) = from {
                copy(&path(from.path()), &cut.path().join(name));
            }
        }
        fs::copy(marks(old.path()), marks(cut.path())).unwrap();
        if recent {
            fs::copy(old.path().join("store.recent"), cut.path().join("store.recent")).unwrap();
        }
        let opened = open(cut.path(), SMALL).unwrap();
        assert_eq!(opened.figures().opened_quickly, recent);
        assert!(content(&opened) == case.model);
        scrub(&opened).unwrap();
        assert!(!cut.path().join("store.fresh").exists());
        assert!(!cut.path().join("store.replaced").exists());
    }
}
