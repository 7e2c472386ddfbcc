//! What circuits do, on a clock that is moved by hand.

use std::sync::Arc;

use backstitch_core::breaker::{BreakerPolicy, BreakerRules};
use backstitch_core::event::{Hold, HoldReason, Priority};
use backstitch_core::failure::Failure;
use backstitch_core::ids::{ExecutionId, PartitionId, StepIndex};
use backstitch_core::payload::Payload;
use backstitch_core::state::Subject;
use backstitch_core::time::Timestamp;
use serde_json::json;

use super::*;

const START: Timestamp = Timestamp(1_800_000_000_000_000);

fn at(ms: u64) -> Timestamp {
    START.plus_ms(ms)
}

fn name() -> Name {
    ("default".into(), "payments".into())
}

fn asker(run: u128) -> Asker {
    (ExecutionId { partition: PartitionId(0), digits: run }, Subject::Step(StepIndex(0)))
}

fn order(run: u128) -> Order {
    let (id, subject) = asker(run);
    (Priority::Medium, START, id, subject)
}

/// Opens after two failures in a row, for a second, and tries one call at a time.
fn breakers() -> (Breakers, BreakerSeat) {
    let rules = BreakerRules { failures: 2, open_ms: 1_000, ..BreakerRules::default() };
    let breakers = Breakers::new(Settings { enabled: true, rules });
    let seat = breakers.seat(Arc::new(|| {}));
    (breakers, seat)
}

fn failed() -> Outcome {
    Outcome::Failed("BUSY: try again".to_owned())
}

fn call(seat: &BreakerSeat, run: u128, outcome: &Outcome, now: Timestamp) {
    let called = seat.ask(&name(), None, false, now).expect("the circuit is closed");
    seat.ended(&called, asker(run), outcome, now);
}

fn opened(seat: &BreakerSeat) {
    call(seat, 1, &failed(), at(0));
    call(seat, 2, &failed(), at(0));
}

fn why(seat: &BreakerSeat, now: Timestamp) -> Option<HoldReason> {
    seat.ask(&name(), None, false, now).err().map(|hold| hold.why)
}

#[test]
fn failures_in_a_row_open_it_and_successes_between_do_not() {
    let (breakers, seat) = breakers();
    call(&seat, 1, &failed(), at(0));
    call(&seat, 1, &Outcome::Answered, at(0));
    call(&seat, 1, &failed(), at(0));
    call(&seat, 1, &Outcome::Nothing, at(0));
    assert_eq!(why(&seat, at(0)), None);
    call(&seat, 1, &failed(), at(0));
    let hold = seat.ask(&name(), None, false, at(1)).expect_err("two in a row");
    assert_eq!((hold.why, hold.until), (HoldReason::Open, Some(at(1_000))));
    let shown = breakers.find(&name(), at(1)).expect("it is known");
    assert_eq!((shown.state, shown.opened), ("open", 1));
    assert_eq!(shown.last_failure.map(|(_, why)| why), Some("BUSY: try again".to_owned()));
}

#[test]
fn a_part_of_the_calls_within_the_window_opens_it() {
    let (_, seat) = breakers();
    let policy = BreakerPolicy {
        failures: Some(100),
        ratio: Some(0.5),
        calls: Some(4),
        window_ms: Some(10_000),
        ..BreakerPolicy::default()
    };
    let call = |outcome: &Outcome, now| {
        let called = seat.ask(&name(), Some(&policy), false, now).expect("closed");
        seat.ended(&called, asker(1), outcome, now);
    };
    call(&failed(), at(0));
    call(&failed(), at(1));
    call(&Outcome::Answered, at(20_000));
    call(&failed(), at(20_001));
    call(&Outcome::Answered, at(20_002));
    assert_eq!(why(&seat, at(20_003)), None, "three calls say nothing");
    call(&failed(), at(20_004));
    assert_eq!(why(&seat, at(20_005)), Some(HoldReason::Open), "two of four");
}

#[test]
fn once_its_time_is_up_one_call_after_the_other_tries_it() {
    let (breakers, seat) = breakers();
    opened(&seat);
    for run in 3..6 {
        seat.wait(&name(), HoldReason::Open, order(run), at(1));
    }
    assert_eq!(seat.next_at(), Some(at(1_000)));
    seat.tick(at(999));
    assert_eq!(seat.granted(), 0);
    seat.tick(at(1_000));
    assert_eq!((seat.granted(), seat.next_at()), (1, None));
    assert_eq!(seat.next_granted(), Some((asker(3), name())));
    assert_eq!(why(&seat, at(1_000)), Some(HoldReason::Probing));
    // The one that tries it goes away without a word: the next one does.
    seat.leave(&name(), asker(3), at(1_001));
    assert_eq!(seat.next_granted(), Some((asker(4), name())));
    let called = seat.called((asker(4), &name()), None).expect("it may");
    assert!(seat.called((asker(5), &name()), None).is_none(), "it waits");
    assert_eq!(breakers.problem(), None);
    // It fails: a second more.
    seat.ended(&called, asker(4), &failed(), at(1_100));
    assert_eq!((seat.granted(), seat.next_at()), (0, Some(at(2_100))));
    seat.tick(at(2_100));
    let (last, _) = seat.next_granted().expect("the last in line");
    assert_eq!(last, asker(5));
    let called = seat.called((last, &name()), None).expect("it may");
    seat.wait(&name(), HoldReason::Probing, order(6), at(2_100));
    seat.wait(&name(), HoldReason::Probing, order(7), at(2_100));
    assert_eq!(seat.granted(), 0);
    seat.ended(&called, last, &Outcome::Answered, at(2_200));
    assert_eq!(seat.granted(), 2, "all go on at once");
    assert_eq!(why(&seat, at(2_200)), None);
    assert_eq!(breakers.problem(), None);
}

#[test]
fn whoever_opened_it_says_how_many_try_it() {
    let (breakers, seat) = breakers();
    let two = BreakerPolicy { probes: Some(2), ..BreakerPolicy::default() };
    for run in 1..3 {
        let called = seat.ask(&name(), Some(&two), false, at(0)).expect("closed");
        seat.ended(&called, asker(run), &failed(), at(0));
    }
    for run in 3..6 {
        seat.wait(&name(), HoldReason::Open, order(run), at(1));
    }
    seat.tick(at(1_000));
    assert_eq!(seat.granted(), 2);
    assert_eq!(why(&seat, at(1_000)), Some(HoldReason::Probing), "one who thinks otherwise");
    assert_eq!(breakers.find(&name(), at(1_000)).map(|own| own.probes), Some(2));
    for run in 3..5 {
        let called = seat.called((asker(run), &name()), None).expect("it may");
        seat.ended(&called, asker(run), &Outcome::Answered, at(1_001));
        assert_eq!(why(&seat, at(1_001)).is_some(), run == 3, "both must succeed");
    }
}

#[test]
fn what_began_before_it_opened_turns_nothing() {
    let (breakers, seat) = breakers();
    let early = seat.ask(&name(), None, false, at(0)).expect("closed");
    opened(&seat);
    seat.ended(&early, asker(9), &Outcome::Answered, at(10));
    assert_eq!(why(&seat, at(10)), Some(HoldReason::Open));
    let early = Called { epoch: 0, ..early };
    seat.wait(&name(), HoldReason::Open, order(3), at(10));
    seat.tick(at(1_000));
    seat.ended(&early, asker(9), &failed(), at(1_001));
    let shown = breakers.find(&name(), at(1_001)).expect("it is known");
    assert_eq!((shown.state, shown.probing.as_slice()), ("half_open", &[asker(3)][..]));
}

#[test]
fn whoever_asks_first_once_its_time_is_up_lets_those_on_who_wait() {
    let (breakers, seat) = breakers();
    opened(&seat);
    seat.wait(&name(), HoldReason::Open, order(3), at(1));
    // Somebody who does not wait asks, before anybody looked at the clock.
    assert_eq!(why(&seat, at(1_000)), Some(HoldReason::Probing));
    assert_eq!(breakers.problem(), None);
    assert_eq!(seat.next_granted(), Some((asker(3), name())));
}

#[test]
fn what_an_operator_let_through_says_nothing_of_a_half_open_circuit() {
    let (breakers, seat) = breakers();
    opened(&seat);
    breakers.force(&name(), Some(Forced::Closed), at(1));
    let early = seat.ask(&name(), None, false, at(1)).expect("whatever is seen");
    breakers.force(&name(), None, at(2));
    seat.wait(&name(), HoldReason::Open, order(3), at(2));
    seat.tick(at(1_000));
    seat.ended(&early, asker(9), &Outcome::Answered, at(1_001));
    let shown = breakers.find(&name(), at(1_001)).expect("it is known");
    assert_eq!((shown.state, shown.probing.as_slice()), ("half_open", &[asker(3)][..]));
}

#[test]
fn operators_keep_it_open_or_closed_and_have_it_forget() {
    let (breakers, seat) = breakers();
    breakers.force(&name(), Some(Forced::Open), at(0));
    let hold = seat.ask(&name(), None, false, at(0)).expect_err("forced");
    assert_eq!((hold.why, hold.until), (HoldReason::Forced, None));
    seat.wait(&name(), HoldReason::Forced, order(3), at(0));
    seat.tick(at(100_000));
    assert_eq!(seat.granted(), 0, "until it is told otherwise");
    breakers.force(&name(), Some(Forced::Closed), at(100_000));
    assert_eq!(seat.next_granted(), Some((asker(3), name())));
    opened(&seat);
    assert_eq!(why(&seat, at(1)), None, "whatever is seen");
    breakers.force(&name(), None, at(1));
    assert_eq!(why(&seat, at(1)), Some(HoldReason::Open), "it goes by what was seen");
    breakers.reset(&name(), at(2));
    assert_eq!((why(&seat, at(2)), breakers.forced()), (None, 0));
}

#[test]
fn a_start_finds_it_open_as_long_as_calls_were_told() {
    let (breakers, seat) = breakers();
    let hold = |until| Hold { key: name().1, why: HoldReason::Open, until: Some(until) };
    seat.waited(&name(), &hold(at(500)), order(3), at(100));
    seat.waited(&name(), &hold(at(700)), order(4), at(100));
    breakers.let_in(at(100));
    assert_eq!((why(&seat, at(100)), seat.next_at()), (Some(HoldReason::Open), Some(at(700))));
    seat.tick(at(700));
    assert_eq!(seat.granted(), 1, "one tries it, not all");
    // A partition that begins anew does not open what others have seen closed.
    let (breakers, seat) = self::breakers();
    call(&seat, 1, &Outcome::Answered, at(0));
    let other = breakers.seat(Arc::new(|| {}));
    other.waited(&name(), &hold(at(500)), order(3), at(100));
    breakers.let_in(at(100));
    assert_eq!((why(&seat, at(100)), other.granted()), (None, 1));
}

#[test]
fn what_a_partition_that_goes_was_trying_another_tries() {
    let (breakers, one) = breakers();
    let two = breakers.seat(Arc::new(|| {}));
    opened(&one);
    one.wait(&name(), HoldReason::Open, order(3), at(1));
    two.wait(&name(), HoldReason::Open, order(4), at(1));
    two.tick(at(1_000));
    assert_eq!((one.granted(), two.granted()), (1, 0));
    drop(one);
    breakers.let_in(at(1_001));
    assert_eq!(two.next_granted(), Some((asker(4), name())));
}

#[test]
fn retries_beyond_the_budget_wait_and_calls_do_not() {
    let (breakers, seat) = breakers();
    let policy = BreakerPolicy { retry_ratio: Some(0.5), ..BreakerPolicy::default() };
    let ask = |again, now| seat.ask(&name(), Some(&policy), again, now);
    for _ in 0..10 {
        assert!(ask(true, at(0)).is_ok());
    }
    let hold = ask(true, at(0)).expect_err("ten at once");
    assert_eq!((hold.why, hold.until), (HoldReason::RetryBudget, Some(at(10_000))));
    seat.wait(&name(), hold.why, order(3), at(0));
    assert_eq!((seat.granted(), seat.next_at()), (0, Some(at(10_000))));
    assert!(ask(false, at(1)).is_ok() && ask(false, at(1)).is_ok());
    seat.tick(at(10_000));
    assert_eq!(seat.next_granted(), Some((asker(3), name())));
    assert_eq!(breakers.problem(), None);
}

#[test]
fn a_callback_tries_a_service_only_if_nobody_waits_to() {
    let (_, seat) = breakers();
    opened(&seat);
    let told = |run, now| seat.ask_in_passing((asker(run), &name()), false, now);
    assert_eq!(told(7, at(1)).expect_err("open").why, HoldReason::Open);
    let called = told(7, at(1_000)).expect("its time is up");
    assert_eq!(told(8, at(1_000)).expect_err("another tries it").why, HoldReason::Probing);
    seat.wait(&name(), HoldReason::Probing, order(3), at(1_000));
    seat.ended(&called, asker(7), &Outcome::Nothing, at(1_001));
    assert_eq!(seat.granted(), 1, "the next one is in line");
    assert_eq!(told(8, at(1_001)).expect_err("another tries it").why, HoldReason::Probing);
}

#[test]
fn of_too_many_circuits_those_that_keep_nobody_back_are_forgotten() {
    let (breakers, seat) = breakers();
    let of = |number: usize| -> Name { ("default".into(), format!("{number:05}").into()) };
    let open = |number, now| {
        for run in 1..3 {
            let called = seat.ask(&of(number), None, false, now).expect("closed");
            seat.ended(&called, asker(run), &failed(), now);
        }
    };
    (0..CIRCUITS_MAX).for_each(|number| open(number, at(number as u64)));
    seat.wait(&of(0), HoldReason::Open, order(3), at(1));
    let now = at(CIRCUITS_MAX as u64);
    let kept = |number| breakers.find(&of(number), now).is_some();
    open(CIRCUITS_MAX, now);
    assert!(kept(0), "somebody waits for it");
    assert!((1..=CIRCUITS_FORGOTTEN_AT_ONCE).all(|number| !kept(number)));
    assert!((CIRCUITS_FORGOTTEN_AT_ONCE + 1..=CIRCUITS_MAX).all(kept));
    assert_eq!(breakers.problem(), None);
}

#[test]
fn an_answer_is_an_answer_whatever_it_says() {
    let status = |failure: Failure| failure.with_details(Payload::of(&json!({ "status": 404 })));
    assert_eq!(Outcome::of(&status(Failure::permanent("HTTP_STATUS", "no"))), Outcome::Answered);
    assert_eq!(Outcome::of(&Failure::permanent("BAD", "never sent")), Outcome::Nothing);
    let busy = Outcome::of(&Failure::retryable("BUSY", "later"));
    assert_eq!(busy, Outcome::Failed("BUSY: later".to_owned()));
}
