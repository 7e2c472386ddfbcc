//! Whom a roll-out takes, and that whoever is in stays in.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::definition::problem::codes;

const KEYS: usize = 10_000;

fn set(known: &mut Option<InForce>, wish: &RolloutWish) {
    for event in wish.decide(known.as_ref(), 9).expect("a sound wish") {
        evolve(known, &event, Timestamp(7));
    }
}

fn arm(name: &str, revision: u32, buckets: u16) -> ArmWish {
    ArmWish { name: name.to_owned(), revision, buckets }
}

fn candidate(buckets: u16) -> RolloutWish {
    RolloutWish { stable: 1, candidate: Some(arm("", 2, buckets)), ..RolloutWish::default() }
}

fn by_key(key: &str) -> Applicant<'_> {
    Applicant { key, correlation_id: key, tags: &[], subject: "anonymous" }
}

/// The arm of each key, and its revision.
fn arms(own: &InForce) -> BTreeMap<String, (u32, String)> {
    let keys = (0..KEYS).map(|at| format!("order-{at}"));
    keys.map(|key| {
        let (revision, name) = own.assign("default", "w", &by_key(&key));
        (key.clone(), (revision, name.to_owned()))
    })
    .collect()
}

fn count(arms: &BTreeMap<String, (u32, String)>, name: &str) -> usize {
    arms.values().filter(|(_, own)| own == name).count()
}

#[test]
fn ten_percent_of_ten_thousand_keys_are_ten_percent_within_a_point() {
    for workflow in ["w", "order", "reminder"] {
        let inside = (0..KEYS).filter(|at| bucket("default", workflow, &at.to_string()) < 1_000);
        let inside = inside.count();
        assert!((900..=1_100).contains(&inside), "{workflow}: {inside}");
    }
    let mut known = None;
    set(&mut known, &candidate(1_000));
    let inside = count(&arms(&known.expect("set")), CANDIDATE);
    assert!((900..=1_100).contains(&inside), "{inside}");
}

#[test]
fn whoever_is_inside_stays_inside_while_the_share_rises() {
    let mut known = None;
    let mut before = BTreeMap::new();
    for buckets in [0, 1, 100, 2_500, 2_500, 9_999, 10_000] {
        set(&mut known, &candidate(buckets));
        let now = arms(known.as_ref().expect("set"));
        for (key, arm) in &before {
            assert!(*arm == (1, STABLE.to_owned()) || now[key] == *arm, "{key} left {arm:?}");
        }
        before = now;
    }
    assert_eq!(count(&before, CANDIDATE), KEYS);
}

#[test]
fn a_killed_rollout_gives_everybody_the_stable_revision_until_it_is_set_again() {
    let mut known = None;
    set(&mut known, &candidate(10_000));
    for event in kill(known.as_ref(), "it burns", "ann") {
        evolve(&mut known, &event, Timestamp(8));
    }
    let own = known.as_ref().expect("killed, not gone");
    assert!(kill(known.as_ref(), "again", "ann").is_empty(), "it is off already");
    assert_eq!(count(&arms(own), STABLE), KEYS);
    assert_eq!(own.admits(2, &by_key("a")), Err(NotOpen::Killed));
    assert_eq!(own.admits(1, &by_key("a")), Ok(()));
    assert_eq!(own.admits(3, &by_key("a")), Ok(()), "no arm offers it");
    set(&mut known, &candidate(10_000));
    assert_eq!(count(&arms(known.as_ref().expect("set")), CANDIDATE), KEYS);
    for event in end(known.as_ref(), "done", "ann") {
        evolve(&mut known, &event, Timestamp(9));
    }
    assert_eq!(known, None);
    assert!(end(None, "again", "ann").is_empty());
}

#[test]
fn a_beta_is_for_those_it_names() {
    let list = |word: &str| vec![word.to_owned()];
    let beta = Beta {
        revision: 3,
        tags: list("early"),
        subjects: list("ann"),
        correlation_ids: list("customer-7"),
    };
    let mut known = None;
    set(&mut known, &RolloutWish { beta: Some(beta), ..candidate(0) });
    let own = known.expect("set");
    let early = ["early".into()];
    let run = by_key("k");
    let insiders = [
        Applicant { tags: &early, ..run },
        Applicant { subject: "ann", ..run },
        Applicant { correlation_id: "customer-7", ..run },
    ];
    for run in insiders {
        assert_eq!(own.assign("default", "w", &run), (3, BETA));
        assert_eq!(own.admits(3, &run), Ok(()));
    }
    let stranger = Applicant { correlation_id: "customer-8", ..run };
    assert_eq!(own.assign("default", "w", &stranger), (1, STABLE));
    assert_eq!(own.admits(3, &stranger), Err(NotOpen::BetaOnly));
    assert_eq!(own.admits(2, &stranger), Ok(()), "a candidate may be tried by its number");
}

#[test]
fn every_problem_of_a_wish_is_named_with_its_place() {
    let beta = Beta { revision: 12, ..Beta::default() };
    let wish = RolloutWish {
        stable: 0,
        candidate: Some(arm("", 10, 9_000)),
        variants: vec![arm("stable", 2, 900), arm("b", 2, 200), arm("b", 2, 0), arm("", 2, 0)],
        beta: Some(beta),
        ..RolloutWish::default()
    };
    let problems = wish.decide(None, 9).expect_err("it is wrong");
    let found: Vec<_> = problems.iter().map(|own| (own.path.as_str(), own.code)).collect();
    let expected = [
        ("stable", codes::BAD_VALUE),
        ("candidate", codes::BAD_VALUE),
        ("beta.revision", codes::BAD_VALUE),
        ("variants[0].name", codes::DUPLICATE_ID),
        ("variants[2].name", codes::DUPLICATE_ID),
        ("variants[3].name", codes::BAD_VALUE),
        ("percent", codes::OUT_OF_RANGE),
        ("beta", codes::MISSING_FIELD),
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_same_wish_again_changes_nothing() {
    let mut known = None;
    set(&mut known, &candidate(500));
    assert_eq!(candidate(500).decide(known.as_ref(), 9), Ok(Vec::new()));
    assert_eq!(candidate(501).decide(known.as_ref(), 9).map(|events| events.len()), Ok(1));
}

proptest! {
    /// Whatever is set after whatever: every arm has as many buckets as it is to have, no two
    /// share one, and a key leaves its arm only if that has become smaller.
    #[test]
    fn arms_keep_their_keys(steps in prop::collection::vec(prop::array::uniform4(0_u16..=2_500), 1..6)) {
        let mut known: Option<InForce> = None;
        for sizes in steps {
            let names = ["a", "b", "c"];
            let variants = names.iter().zip(&sizes[1..]).map(|(name, size)| arm(name, 3, *size));
            let wish = RolloutWish { variants: variants.collect(), ..candidate(sizes[0]) };
            let before = known.clone();
            set(&mut known, &wish);
            let now = &known.as_ref().expect("set").rollout;
            let mut owners = vec![None; usize::from(BUCKETS)];
            for (arm, size) in now.arms.iter().zip(sizes) {
                prop_assert_eq!(arm.size(), size);
                for bucket in arm.buckets.iter().flat_map(|own| own.from..own.to) {
                    prop_assert_eq!(owners[usize::from(bucket)].replace(&arm.name), None);
                }
            }
            for arm in before.iter().flat_map(|own| &own.rollout.arms) {
                let after = now.arms.iter().find(|own| own.name == arm.name).expect("all stay");
                let kept = arm.buckets.iter().flat_map(|own| own.from..own.to);
                let kept = kept.filter(|bucket| owners[usize::from(*bucket)] == Some(&arm.name));
                prop_assert_eq!(kept.count(), usize::from(arm.size().min(after.size())));
            }
        }
    }
}
