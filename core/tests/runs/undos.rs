//! Steps without an undo, undos that take too long, and what people say became of them.

use backstitch_core::arrows::UndoStatus;
use backstitch_core::command::{AttemptResult, Command, Rejection};
use backstitch_core::effect::owed;
use backstitch_core::event::{RunEvent, UndoSettlement};
use backstitch_core::failure::{EffectKnown, codes};
use backstitch_core::ids::StepIndex;
use backstitch_core::payload::Payload;
use backstitch_core::plan::Plan;
use backstitch_core::summary::LetterStatus;
use backstitch_core::unwind_plan::unwind_plan_json;
use backstitch_core::why::blockers;
use serde_json::json;

use crate::stage::{Life, Types, canonical, force, plan_problems, retry};

/// `mail` acts and has no undo; it builds on `seat`, and `last` on it.
const HELD: &str = "
id: held
on_no_undo: suspend
steps:
  - { id: seat, type: task, undo: { type: free } }
  - { id: mail, type: task, needs: seat }
  - { id: car, type: task, needs: seat, undo: { type: free } }
  - { id: last, type: task, needs: [mail, car], retry: none }
";

/// Undos that have an hour together.
const HURRIED: &str = "
id: hurried
compensation_timeout: 1h
steps:
  - { id: a, type: task, undo: { type: free } }
  - { id: b, type: task, needs: a, undo: { type: free } }
  - { id: c, type: task, needs: b, retry: none }
";

fn settle(step: Option<&str>, settlement: UndoSettlement) -> Command {
    let (step, note) = (step.map(str::to_owned), "by telephone".to_owned());
    Command::SettleUndos { step, settlement, note, actor: "ann".to_owned() }
}

/// A run whose last step has failed, so that `mail` is to be undone and cannot be.
fn held() -> Life {
    let mut life = Life::begin(HELD, json!({}));
    life.succeeds("seat").succeeds("mail").succeeds("car").refuses("last");
    life
}

fn failed() -> Life {
    let mut life = Life::begin(&HURRIED.replace("compensation_timeout: 1h", ""), json!({}));
    life.succeeds("a").succeeds("b").refuses("c").undo_refused("b").undo_refused("a");
    assert_eq!(life.status(), "compensation_failed");
    life
}

fn undo(life: &Life, step: u32) -> UndoStatus {
    life.state.step(StepIndex(step)).undo.as_ref().expect("there is one").status
}

#[test]
fn a_step_without_an_undo_holds_up_only_what_it_builds_on() {
    let mut life = held();
    assert_eq!(unwind_plan_json(&life.state, None)["left"], json!([]));
    life.undone("car");
    assert_eq!((undo(&life, 1), undo(&life, 0)), (UndoStatus::Waiting, UndoStatus::Pending));
    assert_eq!(life.status(), "compensating");
    let why = blockers(&life.state);
    assert!(why.iter().any(|own| own.kind == "undo_by_hand"), "{why:?}");
    assert!(owed(&life.state, life.now).is_empty(), "only a person can go on");
    life.act(settle(Some("mail"), UndoSettlement::Accepted)).expect("it waits");
    life.act(settle(Some("mail"), UndoSettlement::Accepted)).expect("said twice");
    assert_eq!(undo(&life, 1), UndoStatus::Skipped);
    life.undone("seat");
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("compensated", "undone succeeded undone failed")
    );
    life.check_replay();
}

#[test]
fn a_held_step_is_undone_by_hand_or_set_aside() {
    let mut life = held();
    life.undone("car").act(settle(None, UndoSettlement::Done)).expect("one waits");
    life.undone("seat");
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("compensated", "undone undone undone failed")
    );
    life.check_replay();

    let mut life = held();
    life.undone("car").act(settle(None, UndoSettlement::SetAside)).expect("one waits");
    assert_eq!(undo(&life, 1), UndoStatus::Failed);
    life.undone("seat");
    assert_eq!(life.status(), "compensation_failed");
    let letter = life.state.letters.last().expect("it was set aside");
    assert_eq!((letter.failure.code.as_str(), letter.status), (codes::NO_UNDO, LetterStatus::Open));
    let number = u32::try_from(life.state.letters.len() - 1).expect("few");
    life.act(retry(number)).expect("in place");
    assert_eq!(undo(&life, 1), UndoStatus::Waiting, "a person is asked again");
    life.act(force()).expect("it unwinds");
    assert_eq!((undo(&life, 1), life.status()), (UndoStatus::Failed, "compensation_failed"));
    life.check_replay();
}

#[test]
fn nothing_is_asked_of_steps_that_say_so_or_do_not_act() {
    let quiet = [
        (
            "{ id: mail, type: task, needs: seat }",
            "{ id: mail, type: task, needs: seat, undo: none }",
        ),
        (
            "{ id: mail, type: task, needs: seat }",
            "{ id: mail, type: task, needs: seat, replay: safe }",
        ),
        (
            "{ id: mail, type: task, needs: seat }",
            "{ id: mail, type: task, needs: seat, on_no_undo: skip }",
        ),
        ("on_no_undo: suspend", "on_no_undo: skip"),
        ("on_no_undo: suspend", ""),
    ];
    for (from, to) in quiet {
        let mut life = Life::begin(&HELD.replace(from, to), json!({}));
        life.succeeds("seat").succeeds("mail").succeeds("car").refuses("last");
        life.undone("car").undone("seat");
        assert_eq!(life.status(), "compensated", "{to}");
    }
}

#[test]
fn a_definition_can_forbid_steps_without_an_undo() {
    let forbidden = HELD.replace("on_no_undo: suspend", "on_no_undo: forbid");
    assert_eq!(plan_problems(&forbidden), ["steps[1].undo", "steps[3].undo"]);
    let said = forbidden.replace("needs: seat }", "needs: seat, undo: none }");
    let said = said.replace("retry: none }", "retry: none, on_no_undo: suspend }");
    assert_eq!(plan_problems(&said), Vec::<String>::new());
    let text = canonical(&said);
    assert!(
        text.contains(r#""undo":"none""#) && text.contains(r#""on_no_undo":"forbid""#),
        "{text}"
    );
    let read = serde_json::from_str(&text).expect("JSON");
    let (again, _) = Plan::read(&read, &Types).expect("what was written reads back");
    assert_eq!(again.canonical_text(), text);
    let child = "id: w\nsteps: [{ id: a, type: workflow, with: { workflow: v }, undo: none }]";
    assert_eq!(plan_problems(child), ["steps[0].undo"]);
    let wrong = "id: w\non_no_undo: ask\nsteps: [{ id: a, type: task, undo: maybe }]";
    assert_eq!(plan_problems(wrong), ["on_no_undo", "steps[0].undo"]);
}

#[test]
fn failed_undos_are_taken_over_by_hand_and_the_run_is_compensated() {
    let mut life = failed();
    life.act(settle(Some("b"), UndoSettlement::Done)).expect("its letter is open");
    assert_eq!((life.status(), undo(&life, 1)), ("compensation_failed", UndoStatus::Succeeded));
    let refused = life.act(settle(Some("b"), UndoSettlement::SetAside));
    assert!(matches!(refused, Err(Rejection::UndoNotOpen { .. })), "{refused:?}");
    life.act(settle(None, UndoSettlement::Done)).expect("the other is open");
    assert_eq!(life.status(), "compensated");
    let open = life.state.letters.iter().filter(|own| own.status == LetterStatus::Open);
    let undos = open.filter(|own| own.failure.code != codes::NO_UNDO).count();
    assert_eq!(undos, 1, "only that of the step is left");
    let by_hand = life.state.step(StepIndex(0)).undo.as_ref().and_then(|own| own.by_hand.as_ref());
    assert_eq!(by_hand.expect("told").said.reason, "by telephone");
    let refused = life.act(settle(None, UndoSettlement::Done));
    assert!(matches!(refused, Err(Rejection::NoUndoOpen { .. })), "{refused:?}");
    life.check_replay();
}

#[test]
fn what_is_left_is_accepted_and_the_run_says_what_it_is() {
    let mut life = failed();
    life.act(settle(None, UndoSettlement::Accepted)).expect("two are open");
    assert_eq!(life.status(), "compensation_failed", "something is not undone");
    let undos = life.state.letters.iter().skip(1);
    assert!(undos.into_iter().all(|own| own.status == LetterStatus::Resolved));
    let unknown = life.act(settle(Some("z"), UndoSettlement::Accepted));
    assert!(matches!(unknown, Err(Rejection::UnknownStep { .. })), "{unknown:?}");
    let never = life.act(settle(Some("c"), UndoSettlement::Done));
    assert!(matches!(never, Err(Rejection::UndoNotOpen { .. })), "{never:?}");
    life.check_replay();
}

#[test]
fn undos_that_take_too_long_together_become_letters() {
    let mut life = Life::begin(HURRIED, json!({}));
    life.succeeds("a").succeeds("b").refuses("c");
    let why = blockers(&life.state);
    assert!(why.iter().any(|own| own.kind == "compensation_timeout"), "{why:?}");
    life.later(3_599_999);
    assert_eq!(life.status(), "compensating");
    life.later(1);
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("compensation_failed", "undo_failed undo_failed failed")
    );
    let late: Vec<_> = life.state.letters.iter().skip(1).map(|own| &own.failure).collect();
    assert!(late.iter().all(|own| own.code == codes::COMPENSATION_TIMEOUT), "{late:?}");
    let unknown = late.iter().filter(|own| own.effect == EffectKnown::Unknown).count();
    assert_eq!(unknown, 1, "the undo of `b` was under way");
    // What comes of it now is too late; the same attempt's key serves a retry.
    let events = life.events.len();
    let result = AttemptResult::Answered(Ok(Payload::null()));
    let step = StepIndex(1);
    let late = Command::ReportUndo { step, attempt: 1, result, retry_delay_ms: 0 };
    life.act(late).expect("it changes nothing");
    assert_eq!(life.events.len(), events);
    let of = |life: &Life, step| {
        let own = backstitch_core::event::LetterSubject::Undo(StepIndex(step));
        life.state.letters_of(own).last().expect("a letter")
    };
    let (b, a) = (of(&life, 1), of(&life, 0));
    life.act(retry(b)).expect("in place");
    life.later(3_599_000);
    assert_eq!(life.status(), "compensating", "a retry has the whole time again");
    life.undone("b");
    assert_eq!(life.status(), "compensation_failed");
    life.act(retry(a)).expect("in place");
    life.undone("a");
    assert_eq!(life.status(), "compensated");
    life.check_replay();
    assert!(life.events.iter().any(|own| matches!(own, RunEvent::Unwind(_))));
}

#[test]
fn undos_that_are_done_in_time_are_not_given_up() {
    let mut life = Life::begin(HURRIED, json!({}));
    life.succeeds("a").succeeds("b").refuses("c").undone("b").undone("a");
    assert_eq!(life.status(), "compensated");
    life.later(10_000_000);
    assert_eq!((life.status(), life.state.next_due(life.now)), ("compensated", None));
    life.check_replay();
}
