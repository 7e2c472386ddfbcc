use backstitch_core::event::Priority;
use backstitch_core::ids::PartitionId;

use super::*;

fn ask(digits: u128, keys: &[(&str, u32)], priority: Priority) -> Ask {
    let run = ExecutionId { partition: PartitionId(0), digits };
    let since = Timestamp(i64::try_from(digits).unwrap());
    let keys = keys.iter().map(|(key, max)| LimitKey { key: (*key).into(), max: *max });
    Ask {
        namespace: "default".into(),
        step: "a".into(),
        keys: keys.collect(),
        order: (priority, since, run, StepIndex(0)),
        at: Timestamp(0),
    }
}

fn seat(keys: &Keys) -> KeySeat {
    keys.seat(Arc::new(|| {}))
}

#[test]
fn a_place_goes_to_the_most_urgent_and_then_to_whoever_waits_longest() {
    let keys = Keys::default();
    let (one, two) = (seat(&keys), seat(&keys));
    let holder = ask(1, &[("c", 1)], Priority::Low);
    assert!(one.take_or_wait(holder.clone()));
    let waiting = [
        ask(4, &[("c", 1)], Priority::Medium),
        ask(3, &[("c", 1)], Priority::Medium),
        ask(5, &[("c", 1)], Priority::High),
    ];
    assert!(!waiting.iter().any(|own| two.take_or_wait(own.clone())));
    assert_eq!(keys.waits_for(waiting[0].asker())[0].1, 2);
    one.release(holder.asker());
    for next in [2, 1, 0] {
        assert_eq!(two.next_granted(), Some(waiting[next].asker()));
        assert_eq!(two.next_granted(), None);
        assert!(two.take_or_wait(waiting[next].clone()), "it holds its place");
        let began = Timestamp(i64::try_from(next).unwrap() + 7);
        two.began(waiting[next].asker(), began);
        assert_eq!(keys.shown("default", 1).0[0].holders[0].2, began);
        two.release(waiting[next].asker());
    }
    assert_eq!(keys.shown("default", 10), (vec![], 0));
}

#[test]
fn a_step_holds_all_of_its_places_or_none_and_holds_up_nobody() {
    let keys = Keys::default();
    let seat = seat(&keys);
    let first = ask(1, &[("k", 1), ("l", 1)], Priority::Medium);
    assert!(seat.take_or_wait(first.clone()));
    let both = ask(2, &[("k", 1), ("m", 1)], Priority::Medium);
    assert!(!seat.take_or_wait(both.clone()));
    let other = ask(3, &[("m", 1)], Priority::Medium);
    assert!(seat.take_or_wait(other.clone()), "who waits for `k` holds nothing of `m`");
    let third = ask(4, &[("k", 1)], Priority::Medium);
    assert!(!seat.take_or_wait(third.clone()));
    seat.release(first.asker());
    assert_eq!(seat.next_granted(), Some(third.asker()), "the first lacks `m`");
    seat.release(third.asker());
    seat.release(other.asker());
    assert_eq!(seat.next_granted(), Some(both.asker()));
}

#[test]
fn a_partition_that_goes_takes_what_it_held_with_it() {
    let keys = Keys::default();
    let (one, two) = (seat(&keys), seat(&keys));
    let holder = ask(1, &[("c", 1)], Priority::Medium);
    assert!(one.take_or_wait(holder.clone()));
    let waiting = ask(2, &[("c", 1)], Priority::Medium);
    assert!(!two.take_or_wait(waiting.clone()));
    drop(one);
    assert_eq!(two.next_granted(), None, "its runs may hold it still");
    let again = seat(&keys);
    again.holds(holder.clone());
    keys.let_in();
    assert_eq!(two.next_granted(), None);
    again.release(holder.asker());
    assert_eq!(two.next_granted(), Some(waiting.asker()));
}
