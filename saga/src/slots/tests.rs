use backstitch_core::ids::PartitionId;

use backstitch_core::event::{OnLimit, Priority, SlotKey};
use backstitch_core::time::Timestamp;

use super::*;

const ABOVE: ExecutionId = ExecutionId { partition: PartitionId(0), digits: 99 };

fn claim(digits: u128, workflow: &str, max_runs: usize, priority: Priority) -> Claim {
    Claim {
        run: ExecutionId { partition: PartitionId(0), digits },
        workflow: ("default".into(), workflow.into()),
        whole: true,
        max_runs: Some(max_runs),
        on_limit: OnLimit::Queue,
        keys: Vec::new(),
        submitted_at: Timestamp(i64::try_from(digits).unwrap()),
        begun_at: None,
        priority,
        parent: None,
    }
}

fn slots(runs_max: Option<usize>, queue_max: usize) -> (Slots, SlotSeat) {
    let slots = Slots::new(Settings { runs_max, queue_max });
    let seat = slots.seat(Arc::new(|| {}));
    (slots, seat)
}

fn runs(holders: &[SlotHolder]) -> Vec<ExecutionId> {
    holders.iter().map(|own| own.run).collect()
}

#[test]
fn a_slot_that_comes_free_goes_to_the_most_urgent_that_has_room() {
    let (slots, seat) = slots(Some(2), 10);
    let first = [claim(1, "a", 1, Priority::Low), claim(2, "b", 9, Priority::Low)];
    assert!(first.iter().all(|own| seat.begins(own)));
    let of_a = claim(3, "a", 1, Priority::High);
    let of_b = claim(4, "b", 9, Priority::Low);
    for own in [&of_a, &of_b] {
        assert!(!seat.begins(own));
        seat.waits(own);
    }
    seat.forget(&first[1]);
    assert_eq!(seat.next_granted(), Some(of_b.run), "the other's workflow has no room");
    seat.forget(&first[0]);
    assert_eq!(seat.next_granted(), Some(of_a.run));
    assert!(seat.begins(&of_a), "whoever was let in may begin");
    let shown = slots.limits();
    assert_eq!((shown.running, shown.waiting), (2, [0; 3]));
}

#[test]
fn what_is_beyond_the_queue_or_a_strict_limit_is_refused() {
    let (_, seat) = slots(None, 1);
    let holder = claim(1, "a", 1, Priority::Medium);
    assert!(seat.begins(&holder));
    let waiting = claim(2, "a", 1, Priority::Medium);
    assert_eq!(seat.admits(&waiting), Ok(false));
    seat.waits(&waiting);
    let late = claim(3, "a", 1, Priority::High);
    assert_eq!(seat.admits(&late), Err(Full::Queue { queue_max: 1 }));
    let strict = Claim { on_limit: OnLimit::Reject, ..late };
    assert!(matches!(seat.admits(&strict), Err(Full::Workflow { max_runs: 1, .. })));
}

#[test]
fn children_do_not_wait_for_the_node() {
    let (_, seat) = slots(Some(1), 10);
    assert!(seat.begins(&Claim { max_runs: None, ..claim(1, "a", 1, Priority::Medium) }));
    let other = Claim { max_runs: None, ..claim(2, "b", 1, Priority::Medium) };
    assert!(!seat.begins(&other));
    let child = Claim { parent: Some(ABOVE), ..claim(3, "b", 1, Priority::Medium) };
    seat.waits(&other);
    assert!(seat.begins(&child), "the other waits for the node");
    let second = Claim { parent: Some(ABOVE), ..claim(4, "b", 1, Priority::Medium) };
    assert!(!seat.begins(&second));
    seat.waits(&second);
    seat.forget(&child);
    assert_eq!(seat.next_granted(), Some(second.run));
}

#[test]
fn a_run_below_one_of_its_own_workflow_takes_no_slot() {
    let (slots, seat) = slots(None, 10);
    let above = claim(1, "a", 1, Priority::Medium);
    assert!(seat.begins(&above));
    let between =
        Claim { max_runs: None, parent: Some(above.run), ..claim(2, "b", 1, Priority::Medium) };
    assert!(seat.begins(&between));
    let waiting = claim(3, "a", 1, Priority::High);
    seat.waits(&waiting);
    let below = Claim { parent: Some(between.run), ..claim(4, "a", 1, Priority::Low) };
    assert!(seat.begins(&below), "what is above it cannot end before it");
    assert_eq!(slots.limits().workflows[0].running, 1);
    let stranger = Claim { parent: Some(ABOVE), ..claim(5, "a", 1, Priority::Low) };
    assert!(!seat.begins(&stranger));
    for own in [&below, &between] {
        seat.forget(own);
        assert_eq!(seat.next_granted(), None);
    }
    seat.forget(&above);
    assert_eq!(seat.next_granted(), Some(waiting.run));
}

#[test]
fn what_is_below_gives_back_what_it_claimed_before_what_is_above() {
    let (slots, seat) = slots(None, 10);
    let above = claim(2, "a", 1, Priority::Medium);
    let below = Claim { parent: Some(above.run), ..claim(1, "a", 1, Priority::Medium) };
    seat.holds(&below);
    seat.holds(&above);
    slots.let_in();
    let shown = &slots.limits().workflows[0];
    assert_eq!((shown.running, runs(&shown.holders)), (1, vec![above.run]));
}

#[test]
fn what_is_reopened_below_a_run_that_has_ended_takes_its_own_slot() {
    let (slots, seat) = slots(None, 10);
    let above = claim(1, "a", 1, Priority::Medium);
    let below = Claim { parent: Some(above.run), ..claim(2, "a", 1, Priority::Medium) };
    assert!(seat.begins(&above) && seat.begins(&below));
    seat.forget(&below);
    seat.ends(&above);
    seat.holds(&below);
    let waiting = claim(3, "a", 1, Priority::High);
    seat.waits(&waiting);
    seat.forget(&above);
    assert_eq!(runs(&slots.limits().workflows[0].holders), [below.run]);
    assert_eq!(seat.next_granted(), None, "what was reopened goes on");
    seat.forget(&below);
    assert_eq!(seat.next_granted(), Some(waiting.run));
}

#[test]
fn a_run_that_goes_on_again_holds_for_what_is_below_it() {
    let (slots, seat) = slots(None, 10);
    let above = claim(1, "a", 1, Priority::Medium);
    assert!(seat.begins(&above));
    seat.ends(&above);
    seat.holds(&above);
    let below = Claim { parent: Some(above.run), ..claim(2, "a", 1, Priority::Medium) };
    assert!(seat.begins(&below));
    assert_eq!(runs(&slots.limits().workflows[0].holders), [above.run]);
}

fn keyed(digits: u128, keys: &[(&str, u32)]) -> Claim {
    let on_limit = OnLimit::Queue;
    let key = |&(key, max_runs): &(&str, u32)| SlotKey { key: key.into(), max_runs, on_limit };
    let keys = keys.iter().map(key).collect();
    Claim { max_runs: None, keys, ..claim(digits, "a", 1, Priority::Medium) }
}

#[test]
fn those_of_one_key_hold_up_no_others() {
    let (slots, seat) = slots(None, 10);
    let all: Vec<_> = (1..=3).map(|own| keyed(own, &[("customer-1", 1)])).collect();
    assert!(seat.begins(&all[0]));
    for own in &all[1..] {
        assert!(!seat.begins(own));
        seat.waits(own);
    }
    let other = keyed(9, &[("customer-2", 1)]);
    assert!(seat.begins(&other));
    let found = slots.waits_for(&all[2]).expect("it waits");
    assert_eq!((found.before, found.keys[0].running), (1, 1));
    assert_eq!(runs(&found.keys[0].holders), [all[0].run]);
    let shown = &slots.limits().workflows[0];
    assert_eq!(shown.keys.iter().map(|own| own.waiting[1]).collect::<Vec<_>>(), [2, 0]);
    seat.forget(&all[0]);
    assert_eq!(seat.next_granted(), Some(all[1].run), "the first in line");
    assert_eq!(seat.next_granted(), None);
    [&all[1], &all[2], &other].into_iter().for_each(|own| seat.forget(own));
    assert_eq!(slots.limits().workflows, []);
}

#[test]
fn a_run_has_all_of_its_keys_or_none_and_waits_for_no_other_meanwhile() {
    let (_, seat) = slots(None, 10);
    let (of_1, in_eu) = (keyed(1, &[("1", 1)]), keyed(2, &[("eu", 1)]));
    assert!(seat.begins(&of_1) && seat.begins(&in_eu));
    let both = keyed(3, &[("1", 1), ("eu", 1)]);
    assert!(!seat.begins(&both));
    seat.waits(&both);
    seat.forget(&in_eu);
    assert_eq!(seat.next_granted(), None);
    let in_eu = keyed(4, &[("2", 1), ("eu", 1)]);
    assert!(seat.begins(&in_eu), "nobody can use the place meanwhile");
    seat.forget(&of_1);
    assert_eq!(seat.next_granted(), None);
    seat.forget(&in_eu);
    assert_eq!(seat.next_granted(), Some(both.run));
}

#[test]
fn a_run_of_several_keys_is_not_overtaken_for_ever() {
    let (_, seat) = slots(None, 1_000);
    let (mut of_1, mut in_eu) = (keyed(1, &[("1", 1)]), keyed(2, &[("eu", 1)]));
    assert!(seat.begins(&of_1) && seat.begins(&in_eu));
    let both = keyed(3, &[("1", 1), ("eu", 1)]);
    seat.waits(&both);
    // One after the other, never both at once.
    for digits in (10..1_000).step_by(2) {
        let (next_1, next_eu) = (keyed(digits, &[("1", 1)]), keyed(digits + 1, &[("eu", 1)]));
        seat.waits(&next_1);
        seat.waits(&next_eu);
        let mut given = Vec::new();
        for own in [std::mem::replace(&mut of_1, next_1), std::mem::replace(&mut in_eu, next_eu)] {
            seat.forget(&own);
            given.extend(std::iter::from_fn(|| seat.next_granted()));
        }
        if given.contains(&both.run) {
            return;
        }
    }
    panic!("it was overtaken for ever");
}

#[test]
fn keys_that_are_kept_for_a_run_hold_up_no_child() {
    let (_, seat) = slots(Some(1), 1_000);
    let above = claim(1, "v", 10, Priority::Medium);
    assert!(seat.begins(&above), "and the node is full");
    seat.waits(&keyed(2, &[("1", 1), ("eu", 1)]));
    // What is above has the node, so that whoever waits for that waits for these.
    for digits in 10..100 {
        let child = below(&above, keyed(digits, &[("1", 1)]));
        assert!(seat.begins(&child), "child {digits} waits for what waits for it");
        seat.forget(&child);
    }
}

#[test]
fn the_newest_has_the_oldest_make_room_once_its_waiting_is_durable() {
    let (_, seat) = slots(None, 10);
    let newest = |digits| {
        let mut own = keyed(digits, &[("1", 2)]);
        own.keys[0].on_limit = OnLimit::CancelRunning;
        own
    };
    let all: Vec<_> = (1..=4).map(newest).collect();
    assert!(seat.begins(&all[0]) && seat.begins(&all[1]));
    for own in &all[2..] {
        seat.waits(own);
    }
    assert_eq!(seat.next_displaced(), None);
    seat.displaces(&all[3]);
    let gone: Vec<_> = std::iter::from_fn(|| seat.next_displaced()).collect();
    let runs: Vec<_> = gone.iter().map(|own| (own.run, own.by)).collect();
    assert_eq!(runs, [(all[0].run, all[3].run), (all[1].run, all[3].run)]);
    assert!(gone[0].reason.contains("2 run(s) with key `1`"), "{}", gone[0].reason);
    seat.displaces(&all[2]);
    let gone: Vec<_> = std::iter::from_fn(|| seat.next_displaced()).map(|own| own.run).collect();
    assert_eq!(gone, [all[0].run, all[1].run]);
    seat.forget(&all[0]);
    seat.forget(&all[1]);
    let given: Vec<_> = std::iter::from_fn(|| seat.next_granted()).collect();
    assert_eq!(given, [all[2].run, all[3].run]);
}

#[test]
fn a_strict_key_refuses_what_is_beyond_it() {
    let (_, seat) = slots(None, 10);
    let strict = |digits, key| {
        let mut own = keyed(digits, &[(key, 1)]);
        own.keys[0].on_limit = OnLimit::Reject;
        own
    };
    assert_eq!(seat.admits(&strict(1, "1")), Ok(true));
    assert!(matches!(seat.admits(&strict(2, "1")), Err(Full::Key { max_runs: 1, .. })));
    assert_eq!(seat.admits(&strict(3, "2")), Ok(true));
}

#[test]
fn a_run_below_one_with_its_key_takes_no_slot_of_it_and_waits_for_its_other_one() {
    let (slots, seat) = slots(None, 10);
    let above = keyed(1, &[("1", 1)]);
    let other = keyed(2, &[("eu", 1)]);
    assert!(seat.begins(&above) && seat.begins(&other));
    let below = Claim { parent: Some(above.run), ..keyed(3, &[("1", 1), ("eu", 1)]) };
    assert!(!seat.begins(&below), "another has one of its keys");
    seat.waits(&below);
    seat.forget(&other);
    assert_eq!(seat.next_granted(), Some(below.run));
    assert!(seat.begins(&below));
    assert_eq!(runs(&slots.limits().workflows[0].keys[0].holders), [above.run]);
}

fn below(parent: &Claim, own: Claim) -> Claim {
    Claim { parent: Some(parent.run), ..own }
}

#[test]
fn the_youngest_of_a_circle_is_given_up() {
    let (_, seat) = slots(None, 10);
    let (a, b) = (claim(1, "a", 1, Priority::Medium), claim(2, "b", 1, Priority::Medium));
    assert!(seat.begins(&a) && seat.begins(&b));
    let other = claim(9, "a", 1, Priority::Medium);
    seat.waits(&other);
    // Whoever closes the circle, the younger one goes.
    let (of_a, of_b) = (
        below(&a, claim(4, "b", 1, Priority::Medium)),
        below(&b, claim(3, "a", 1, Priority::Medium)),
    );
    seat.waits(&of_a);
    assert_eq!(seat.next_circle(), None, "the other may end");
    seat.waits(&of_b);
    let circle = seat.next_circle().expect("each waits for the other");
    assert_eq!(circle.run, of_a.run);
    let named = [&of_a, &of_b].iter().all(|own| circle.reason.contains(&own.run.to_string()));
    assert!(named && circle.reason.contains("`b`"), "{}", circle.reason);
    assert_eq!(seat.next_circle(), None);
    seat.forget(&of_a);
    seat.forget(&a);
    assert_eq!(seat.next_granted(), Some(of_b.run), "it waited longer than the other");
}

#[test]
fn a_limit_with_room_to_come_makes_no_circle() {
    let (slots, seat) = slots(None, 10);
    let (a, b) = (claim(1, "a", 2, Priority::Medium), claim(2, "b", 1, Priority::Medium));
    let free = claim(3, "a", 2, Priority::Medium);
    assert!(seat.begins(&a) && seat.begins(&b) && seat.begins(&free));
    let of_a = below(&a, claim(4, "b", 1, Priority::Medium));
    let of_b = below(&b, claim(5, "a", 2, Priority::Medium));
    seat.waits(&of_a);
    seat.waits(&of_b);
    assert_eq!(seat.next_circle(), None, "{} may end", free.run);
    let of_free = below(&free, claim(6, "b", 1, Priority::Medium));
    seat.waits(&of_free);
    let circle = seat.next_circle().expect("now nobody may");
    assert_eq!(circle.run, of_free.run);
    seat.forget(&of_free);
    seat.forget(&free);
    assert_eq!(seat.next_granted(), Some(of_b.run));
    assert_eq!(slots.limits().waiting, [0, 1, 0]);
}

#[test]
fn a_circle_that_a_start_finds_is_opened() {
    let (slots, seat) = slots(None, 10);
    let key = |digits, key| keyed(digits, &[(key, 1)]);
    let (one, two) = (key(1, "1"), key(2, "2"));
    let (of_one, of_two) = (below(&one, key(3, "2")), below(&two, key(4, "1")));
    // In the order of their ids, not of who is above whom.
    for own in [&of_two, &of_one] {
        seat.waited(own);
    }
    for own in [&one, &two] {
        seat.holds(own);
    }
    slots.let_in();
    assert_eq!(seat.next_circle().map(|own| own.run), Some(of_two.run));
    assert_eq!((seat.next_circle(), seat.next_granted()), (None, None));
}

#[test]
fn a_node_names_those_that_go_on_longest_and_since_when() {
    let (slots, seat) = slots(Some(3), 10);
    for (digits, at) in [(1, 30), (2, 10), (3, 20)] {
        let own = claim(digits, "a", 1, Priority::Medium);
        assert!(seat.begins(&Claim { max_runs: None, ..own.clone() }));
        let begun_at = Some(Timestamp(at));
        seat.began(&Claim { max_runs: None, begun_at, ..own });
    }
    let holders = slots.of_node("default", 2);
    assert_eq!((slots.runs_max(), holders.more, holders.others), (Some(3), 1, 0));
    let foreign = slots.of_node("other", 2);
    assert_eq!((foreign.named.len(), foreign.others), (0, 3));
    assert_eq!(foreign.others_since, Some(Timestamp(10)));
    let shown: Vec<_> = holders.named.iter().map(|own| (own.run.digits, own.since)).collect();
    assert_eq!(shown, [(2, Some(Timestamp(10))), (3, Some(Timestamp(20)))]);
    let line = &slots.limits().workflows[0];
    assert!(line.holders.iter().all(|own| own.since.is_some()), "{line:?}");
}
