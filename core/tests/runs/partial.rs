//! Steps that fail without failing their run, and may have taken effect all the same.

use backstitch_core::arrows::UndoStatus;
use backstitch_core::command::{AttemptResult, Command, Rejection};
use backstitch_core::effect::owed;
use backstitch_core::event::{Compensation, Outcome, UndoSettlement};
use backstitch_core::failure::codes;
use backstitch_core::ids::StepIndex;
use backstitch_core::summary::LetterStatus;
use backstitch_core::unwind_plan::unwind_plan_json;
use backstitch_core::why::blockers;
use serde_json::json;

use crate::stage::{Life, cancel, discard, force, pause, resume, retry, roll_back, set};

/// `pay` and `gift` may act and fail; the run goes on in spite of both.
const HANDLED: &str = "
id: handled
steps:
  - { id: seat, type: task, undo: { type: free } }
  - { id: pay, type: task, needs: seat, retry: none, on_failure: [ask], undo: { type: refund } }
  - { id: gift, type: task, needs: seat, retry: none, allow_failure: true, undo: { type: recall } }
  - { id: wrap, type: task, needs: gift, retry: none, allow_failure: true, undo: { type: unwrap } }
  - { id: ask, type: task }
";

/// `pay` and `gift` timed out, `wrap` did too; everything is settled.
fn timed_out() -> Life {
    let mut life = Life::begin(HANDLED, json!({}));
    life.succeeds("seat").report("pay", AttemptResult::TimedOut);
    life.report("gift", AttemptResult::TimedOut).report("wrap", AttemptResult::TimedOut);
    assert_eq!(life.status(), "running");
    life.succeeds("ask");
    life
}

/// `card` builds on `gift`, and that on `seat`; `gift` may act and fail.
const CHAINED: &str = "
id: chained
steps:
  - { id: seat, type: task, undo: { type: free } }
  - { id: gift, type: task, needs: seat, retry: none, allow_failure: true, undo: { type: recall } }
  - { id: card, type: task, needs: gift, undo: { type: tear } }
";

/// `gift` timed out and is being undone.
fn chained() -> Life {
    let mut life = Life::begin(CHAINED, json!({}));
    life.succeeds("seat").report("gift", AttemptResult::TimedOut).succeeds("card");
    assert_eq!(life.words(), "succeeded undoing succeeded");
    life
}

fn settle(step: &str, settlement: UndoSettlement) -> Command {
    let (step, note) = (Some(step.to_owned()), "by telephone".to_owned());
    Command::SettleUndos { step, settlement, note, actor: "ann".to_owned() }
}

#[test]
fn what_failed_and_may_have_acted_is_undone_before_the_run_completes() {
    let mut life = timed_out();
    assert_eq!(life.status(), "compensating");
    assert!(blockers(&life.state).iter().any(|own| own.kind == "settling"));
    assert_eq!(life.words(), "succeeded undoing failed undoing succeeded");
    assert!(life.state.deliveries.is_empty());
    life.undone("pay");
    // `wrap` was begun with what `gift` did, so it is undone first.
    assert_eq!(life.words(), "succeeded undone failed undoing succeeded");
    life.undone("wrap").undone("gift");
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("completed", "succeeded undone undone undone succeeded")
    );
    let handled: Vec<_> = life.state.handled_failures().collect();
    assert_eq!(handled, [StepIndex(1)]);
    assert!(life.state.partial().is_none() && life.state.letters.is_empty());
    assert!(life.state.is_closed() && owed(&life.state, life.now).is_empty());
}

#[test]
fn a_definite_failure_and_one_without_an_undo_change_nothing() {
    let without = HANDLED.replace(", undo: { type: refund }", ", undo: none");
    let mut life = Life::begin(&without, json!({}));
    life.succeeds("seat").report("pay", AttemptResult::TimedOut).refuses("gift").refuses("wrap");
    life.succeeds("ask");
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("completed", "succeeded failed failed failed succeeded")
    );
}

#[test]
fn an_undo_that_fails_waits_for_a_person_and_the_run_with_it() {
    let mut life = timed_out();
    life.undone("wrap").undo_refused("pay");
    assert_eq!(life.status(), "compensating", "the others go on");
    life.undo_refused("gift");
    assert_eq!(life.status(), "suspended");
    let why = blockers(&life.state);
    assert!(why[0].kind == "suspended" && why[0].sentence.contains("`pay`"), "{why:?}");
    assert_eq!(life.act(resume()), Err(Rejection::UndoFailed { step: "pay".to_owned() }));
    assert_eq!(life.act(set("seat", None)), Err(Rejection::UndoFailed { step: "pay".to_owned() }));
    assert!(life.migrate(&HANDLED.replace("type: refund", "type: task")).is_err());
    life.act(retry(0)).expect("it is open");
    assert_eq!(life.status(), "compensating");
    life.undone("pay");
    assert_eq!(life.status(), "suspended", "`gift` waits still");
    life.act(settle("gift", UndoSettlement::Accepted)).expect("it failed");
    assert_eq!(life.status(), "completed");
    assert_eq!(life.words(), "succeeded undone undo_failed undone succeeded");
    assert!(life.state.letters.iter().all(|own| own.status != LetterStatus::Open));
}

#[test]
fn a_failed_undo_is_settled_by_hand_or_given_up() {
    let failed = || {
        let mut life = timed_out();
        life.undone("wrap").undone("gift").undo_refused("pay");
        assert_eq!(life.status(), "suspended");
        life
    };
    let mut life = failed();
    life.act(settle("pay", UndoSettlement::Done)).expect("it failed");
    assert_eq!((life.status(), life.state.steps[1].word()), ("completed", "undone"));
    let mut life = failed();
    life.act(discard(0)).expect("it is open");
    assert_eq!((life.status(), life.state.steps[1].word()), ("completed", "undo_failed"));
}

#[test]
fn an_outcome_that_its_undo_cannot_settle_waits_for_a_person() {
    let reads = HANDLED
        .replace("{ type: refund }", "{ type: refund, with: { of: '{{ steps.pay.output }}' } }");
    let mut life = Life::begin(&reads, json!({}));
    life.succeeds("seat").report("pay", AttemptResult::TimedOut).refuses("gift").refuses("wrap");
    life.succeeds("ask");
    assert_eq!(life.status(), "suspended");
    assert_eq!(life.state.letters[0].failure.code, codes::OUTCOME_UNKNOWN);
    life.act(discard(0)).expect("it is open");
    assert_eq!(life.status(), "completed");
}

#[test]
fn what_was_undone_is_not_undone_again_with_the_whole_run() {
    let mut life = timed_out();
    life.undone("pay").undone("wrap").undone("gift");
    let plan = unwind_plan_json(&life.state, None);
    let steps: Vec<_> = plan["undos"].as_array().expect("a list").iter().collect();
    assert_eq!((steps.len(), &steps[0]["step"]), (1, &json!("seat")));
    life.act(roll_back()).expect("what it did stands");
    life.undone("seat");
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("compensated", "undone undone undone undone succeeded")
    );
}

#[test]
fn a_failed_undo_that_a_person_settled_is_settled_when_the_whole_run_is_undone() {
    for given_up in [false, true] {
        let mut life = timed_out();
        life.undone("wrap").undone("gift").undo_refused("pay");
        let settled = match given_up {
            true => discard(0),
            false => settle("pay", UndoSettlement::Accepted),
        };
        life.act(settled).expect("it failed");
        assert_eq!((life.status(), life.state.steps[1].word()), ("completed", "undo_failed"));
        life.act(roll_back()).expect("what it did stands");
        assert_eq!(life.words(), "undoing undo_failed undone undone succeeded");
        life.undone("seat");
        assert_eq!(life.status(), "compensated");
        let ending = life.state.ending.clone().expect("it has ended");
        assert_eq!(ending.compensation, Compensation::Done);
    }
    // What fails then counts, be the other settled or not.
    let mut life = timed_out();
    life.undone("wrap").undone("gift").undo_refused("pay");
    life.act(settle("pay", UndoSettlement::Accepted)).expect("it failed");
    life.act(roll_back()).expect("what it did stands");
    life.undo_refused("seat");
    assert_eq!(life.status(), "compensation_failed");
    life.act(retry(1)).expect("it is open");
    life.undone("seat");
    assert_eq!(life.status(), "compensated");
    // What is settled only then is of a run that was not undone whole.
    let mut life = timed_out();
    life.undone("wrap").undone("gift").undo_refused("pay");
    life.act(roll_back()).expect("it is suspended");
    life.act(settle("pay", UndoSettlement::Accepted)).expect("it failed");
    life.undone("seat");
    assert_eq!(life.status(), "compensation_failed");
}

#[test]
fn what_was_undone_before_does_not_let_go_of_its_needs_before_what_builds_on_it() {
    let mut life = chained();
    life.undone("gift").act(roll_back()).expect("what it did stands");
    assert_eq!(life.words(), "succeeded undone undoing", "`card` builds on `seat`, too");
    life.undone("card");
    assert_eq!(life.words(), "undoing undone undone");
    life.undone("seat");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn a_retried_undo_waits_for_what_builds_on_its_step() {
    let mut life = chained();
    life.act(force()).expect("it has not ended");
    assert_eq!(life.words(), "succeeded undo_failed undoing", "the whole run unwinds");
    life.act(retry(0)).expect("it is open");
    assert_eq!(life.words(), "succeeded failed undoing");
    life.undone("card");
    assert_eq!(life.words(), "succeeded undoing undone");
    life.undone("gift");
    assert_eq!(life.words(), "undoing undone undone");
    life.undone("seat");
    assert_eq!(life.status(), "cancelled");
    let mut life = chained();
    life.act(force()).expect("it has not ended");
    life.undone("card").undone("seat").act(retry(0)).expect("it is open");
    life.undone("gift");
    assert_eq!((life.status(), life.words().as_str()), ("cancelled", "undone undone undone"));
}

#[test]
fn a_cancel_has_the_whole_run_undone_once_the_undos_under_way_have_ended() {
    let mut life = timed_out();
    life.act(cancel(None)).expect("it has not ended");
    assert_eq!(life.words(), "succeeded undoing failed undoing succeeded");
    life.undone("pay").undone("wrap").undo_refused("gift");
    assert_eq!(life.words(), "undoing undone undo_failed undone succeeded");
    life.undone("seat");
    assert_eq!(life.status(), "cancelled");
    life.act(retry(0)).expect("it is open");
    life.undone("gift");
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("cancelled", "undone undone undone undone succeeded")
    );
}

#[test]
fn force_gives_up_undos_and_a_cancel_without_compensation_undoes_no_more() {
    let mut life = timed_out();
    life.act(force()).expect("it has not ended");
    assert_eq!(life.words(), "undoing undo_failed undo_failed undo_failed succeeded");
    let mut life = timed_out();
    life.act(cancel(Some(false))).expect("it has not ended");
    life.undone("pay").undone("wrap").undone("gift");
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("cancelled", "succeeded undone undone undone succeeded")
    );
}

#[test]
fn a_retried_undo_of_a_run_that_was_stopped_as_it_is_leaves_it_so() {
    let stopped = || {
        let mut life = chained();
        let (reason, actor) = ("now".to_owned(), "me".to_owned());
        life.act(Command::Cancel { reason, actor, compensate: Some(false), force: true })
            .expect("it has not ended");
        assert_eq!(life.words(), "succeeded undo_failed succeeded");
        life.act(retry(0)).expect("it is open");
        life
    };
    let word = |life: &Life| {
        let end = life.state.ending.clone().expect("it has ended");
        (end.outcome, end.compensation)
    };
    let mut life = stopped();
    life.undone("gift");
    assert_eq!(life.words(), "succeeded undone succeeded");
    assert_eq!(word(&life), (Outcome::Cancelled, Compensation::None));
    life.act(roll_back()).expect("the rest of it stands");
    life.undone("card").undone("seat");
    assert_eq!(word(&life), (Outcome::Compensated, Compensation::Done));
    let mut life = stopped();
    life.undo_refused("gift");
    assert_eq!(word(&life), (Outcome::Cancelled, Compensation::None), "as before");
}

#[test]
fn a_waiting_run_is_rolled_back_or_cancelled_and_its_timeout_is_over() {
    let waiting = || {
        let mut life = Life::begin(&format!("{HANDLED}timeout: 1h"), json!({}));
        life.succeeds("seat").report("pay", AttemptResult::TimedOut).refuses("gift");
        life.refuses("wrap").succeeds("ask").undo_refused("pay").later(7_200_000);
        assert_eq!(life.status(), "suspended");
        assert_eq!(life.state.next_due(life.now), None);
        life
    };
    let mut life = waiting();
    life.act(roll_back()).expect("it is suspended");
    life.undone("seat");
    assert_eq!(life.status(), "compensation_failed");
    let mut life = waiting();
    life.act(cancel(None)).expect("it is suspended");
    life.undone("seat");
    assert_eq!(life.status(), "cancelled");
    assert_eq!(
        life.state.step(StepIndex(1)).undo.as_ref().expect("one").status,
        UndoStatus::Failed
    );
}

#[test]
fn a_part_takes_no_longer_than_all_undos_may() {
    let mut life = Life::begin(&format!("{HANDLED}compensation_timeout: 1m"), json!({}));
    life.succeeds("seat").report("pay", AttemptResult::TimedOut).refuses("gift").refuses("wrap");
    life.succeeds("ask").later(60_000);
    assert_eq!(life.status(), "suspended");
    assert_eq!(life.state.letters[0].failure.code, codes::COMPENSATION_TIMEOUT);
    life.act(retry(0)).expect("it is open");
    life.undone("pay");
    assert_eq!(life.status(), "completed");
    life.act(roll_back()).expect("what it did stands");
    assert_eq!(life.words(), "undoing undone failed failed succeeded");
    life.undone("seat");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn a_paused_run_settles_nothing_before_it_goes_on() {
    let mut life = Life::begin(HANDLED, json!({}));
    life.succeeds("seat").report("pay", AttemptResult::TimedOut).refuses("gift").refuses("wrap");
    life.act(pause()).expect("it runs");
    life.succeeds("ask");
    assert_eq!((life.status(), life.state.steps[1].word()), ("suspended", "failed"));
    life.act(resume()).expect("it is paused");
    assert_eq!(life.state.steps[1].word(), "undoing");
    assert!(life.act(pause()).is_err());
}
