//! Tests with flipped bits.

use super::*;

#[test]
fn flipped_bits_are_never_served_after_the_scrub() {
    let (mut case, tree) = Case::new(SMALL);
    let mut models = Vec::new();
    for _ in 0..30 {
        models.push(case.model.clone());
        case.tick(&tree, if models.len() < 19 { 60 } else { 4 });
        if models.len() == 18 {
            // From here on, what came before is covered by a snapshot of sled.
            tree.renew(&mut lock(&tree.state)).unwrap();
        }
    }
    models.push(case.model.clone());
    let quiet = tempfile::tempdir().unwrap();
    copy(case.path(), quiet.path());
    let mut names: Vec<PathBuf> =
        ["store.recent", "store.marks", "store/db", "store/conf"].map(PathBuf::from).to_vec();
    let snapshot = crate::repair::snapshots(&path(quiet.path())).unwrap().pop().unwrap();
    names.push(Path::new("store").join(snapshot));
    let flips = std::env::var("JOURNAL_FLIPS").ok().and_then(|text| text.parse().ok());
    let (mut untrusted, mut found, mut right) = (0, 0, 0);
    for flip in 0..flips.unwrap_or(120_u64) {
        // Half of them in the data.
        let pick = dice(&mut case.seed) as usize % (2 * names.len());
        let name = names.get(pick).unwrap_or(&names[2]);
        let damaged = tempfile::tempdir().unwrap();
        copy(quiet.path(), damaged.path());
        let mut content_bytes = fs::read(damaged.path().join(name)).unwrap();
        let start = dice(&mut case.seed) as usize % content_bytes.len();
        let at = (start..content_bytes.len()).find(|&at| content_bytes[at] != 0).unwrap_or(start);
        content_bytes[at] ^= 1 << (dice(&mut case.seed) % 8);
        fs::write(damaged.path().join(name), &content_bytes).unwrap();
        let place = format!("flip {flip} at {at} of {}", name.display());
        let opened =
            FencedTree::open(&path(damaged.path()), &marks(damaged.path()), SMALL).unwrap();
        let Ok((tree, applied)) = opened else {
            untrusted += 1;
            continue;
        };
        if scrub(&tree).is_err() {
            assert!(tree.distrusted().is_some(), "{place}");
            assert!(damaged.path().join("store.untrusted").exists(), "{place}");
            found += 1;
            continue;
        }
        // A part of the last tick may be missing, if it says so: the log has the rest.
        let applied: usize = String::from_utf8(applied).unwrap().parse().unwrap();
        assert!(applied >= 29, "{place}");
        let served = content(&tree);
        let last = models.iter().last().unwrap();
        for key in served.keys().chain(models[applied].keys()) {
            let value = served.get(key);
            assert!(value == models[applied].get(key) || value == last.get(key), "{place}");
        }
        right += 1;
    }
    assert!(untrusted > 0 && right > 0);
    println!("{untrusted} not trusted at open, {found} found by the scrub, {right} right");
}
