use backstitch_core::ids::PartitionId;

use backstitch_core::event::Priority;
use backstitch_core::time::Timestamp;

use super::*;

const ABOVE: ExecutionId = ExecutionId { partition: PartitionId(0), digits: 99 };

fn claim(digits: u128, workflow: &str, max_runs: usize, priority: Priority) -> Claim {
    Claim {
        run: ExecutionId { partition: PartitionId(0), digits },
        workflow: ("default".into(), workflow.into()),
        max_runs: Some(max_runs),
        on_limit: OnLimit::Queue,
        submitted_at: Timestamp(i64::try_from(digits).unwrap()),
        priority,
        parent: None,
    }
}

fn slots(runs_max: Option<usize>, queue_max: usize) -> (Slots, SlotSeat) {
    let slots = Slots::new(Settings { runs_max, queue_max });
    let seat = slots.seat(Arc::new(|| {}));
    (slots, seat)
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
    assert_eq!(seat.admits(&waiting), Ok(()));
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
    assert_eq!((shown.running, &shown.holders[..]), (1, &[above.run][..]));
}
