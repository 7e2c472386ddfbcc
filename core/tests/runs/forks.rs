//! Forks: what is kept, what runs again, who undoes what, and what is refused.

use std::sync::Arc;

use backstitch_core::advance::advance;
use backstitch_core::command::{AttemptResult, Command, Rejection, Submission};
use backstitch_core::event::{Event, ForkEvent, RunEvent, Submitted};
use backstitch_core::forks::{Begun, ForkOrder, fork};
use backstitch_core::ids::{ExecutionId, PartitionId, StepIndex};
use backstitch_core::machine::{Refusal, replay};
use backstitch_core::payload::Payload;
use backstitch_core::plan::Plan;
use backstitch_core::report::execution_json;
use backstitch_core::state::{State, Subject};
use backstitch_core::time::Moment;
use serde_json::json;

use crate::stage::{CHAIN, Life, discard, pause, plan, roll_back, roll_back_to};

const FORK: ExecutionId = ExecutionId { partition: PartitionId(0), digits: 8 };

fn order(parent: &State, plan: &Arc<Plan>, from: Option<&str>) -> ForkOrder {
    let submitted = Box::new(Submitted { digest: plan.digest, ..*parent.submitted.clone() });
    ForkOrder {
        submission: Submission {
            execution: FORK,
            plan: plan.clone(),
            submitted,
            tags: vec!["again".into()],
            origin: None,
            targets: Vec::new(),
            alerts: Vec::new(),
            faults: Vec::new(),
            trace: None,
        },
        from: from.map(str::to_owned),
        take_over: false,
        accept_unsafe: false,
        reason: "try again".to_owned(),
        actor: "ann".to_owned(),
    }
}

fn try_fork(life: &Life, order: ForkOrder) -> Result<Begun, Rejection> {
    match fork(&life.state, &life.state, order, Moment::at(life.now)) {
        Ok(begun) => Ok(begun),
        Err(Refusal::Rejected(why)) => Err(why),
        Err(Refusal::Illegal(illegal)) => panic!("{illegal}"),
    }
}

/// Begins a fork, has its parent note it, and starts it.
fn forked(life: &mut Life, order: ForkOrder) -> Life {
    let begun = try_fork(life, order).expect("it can be forked");
    let note = Command::NoteFork { to: FORK, undoes: begun.undoes, actor: "ann".to_owned() };
    life.record(note.clone());
    let version = life.state.version;
    life.record(note);
    assert_eq!(life.state.version, version, "a repeat records nothing");
    let mut made = Life {
        plans: crate::stage::Known::of(&begun.state.plan),
        state: begun.state,
        times: vec![life.now; begun.decision.events.len()],
        events: begun.decision.events,
        now: life.now,
        decisions_cut: 0,
    };
    made.record(Command::StartFork);
    made
}

/// A run and its fork, which undoes what it keeps.
pub fn both() -> [State; 2] {
    let mut life = halted();
    let order = ForkOrder { take_over: true, ..order(&life.state, &life.state.plan, Some("b")) };
    let made = forked(&mut life, order);
    [life.state, made.state]
}

fn reasons(refused: Result<Begun, Rejection>) -> Vec<String> {
    match refused {
        Err(Rejection::ForkRefused { reasons }) => reasons,
        other => panic!("{:?}", other.map(|begun| begun.decision)),
    }
}

fn halted() -> Life {
    let mut life = Life::begin(&format!("{CHAIN}\non_failure: halt"), json!({}));
    life.succeeds("a").refuses("b");
    assert_eq!(life.status(), "failed");
    life
}

#[test]
fn a_fork_keeps_what_does_not_depend_on_its_step() {
    let definition = "
id: w
steps:
  - { id: a, type: task }
  - { id: b, needs: [a], type: task, with: { a: '{{ steps.a.output.of }}' } }
  - { id: side, type: task }
  - { id: never, when: 'false', needs: [side], type: task }
  - { id: may, type: task, allow_failure: true }
";
    let mut life = Life::begin(definition, json!({}));
    life.succeeds("a").succeeds("side").refuses("may").succeeds("b");
    assert_eq!(life.status(), "completed");
    let order = order(&life.state, &life.state.plan, Some("b"));
    let mut made = forked(&mut life, order);
    assert_eq!(made.words(), "succeeded running succeeded skipped failed");
    let b = made.state.plan.index_of("b").expect("a step");
    let input = made.state.step(b).input.as_ref().expect("rendered").value();
    assert_eq!(input, json!({ "a": "a" }), "it reads what was kept");
    let shown = execution_json(&made.state);
    assert_eq!(shown["fork"]["of"]["from_step"], "b");
    assert_eq!(shown["fork"]["kept"], json!(["a", "side", "never", "may"]));
    made.succeeds("b");
    assert_eq!(made.status(), "completed");
    assert_eq!(execution_json(&life.state)["fork"]["forks"][0]["undoes"], json!([]));
}

#[test]
fn every_prefix_of_a_beginning_rests() {
    let life = halted();
    let order = order(&life.state, &life.state.plan, Some("b"));
    let begun = try_fork(&life, order).expect("it can be forked");
    let events = begun.decision.events;
    assert!(matches!(events.last(), Some(RunEvent::Fork(ForkEvent::StepKept(_)))));
    let first = events.iter().position(|own| matches!(own, RunEvent::Fork(_))).expect("a fork");
    for count in first + 1..=events.len() {
        let told: Vec<_> = events[..count].iter().cloned().map(Event::Run).collect();
        let told = told.iter().map(|event| (event, life.now));
        let state = replay(FORK, &life.state.plan, told).expect("it folds");
        assert!(state.is_unstarted_fork());
        assert!(advance(&state, life.now).is_empty(), "nothing follows of {count} events");
        assert!(!state.is_closed());
    }
}

#[test]
fn undos_stay_with_the_parent_unless_the_fork_takes_them_over() {
    let mut life = halted();
    life.act(discard(0)).expect("open");
    let order_of = |life: &Life, take_over| ForkOrder {
        take_over,
        ..order(&life.state, &life.state.plan, Some("b"))
    };
    let stays = order_of(&life, false);
    let mut made = forked(&mut life, stays);
    made.refuses("b");
    assert_eq!((made.status(), made.words().as_str()), ("failed", "succeeded failed cancelled"));

    let compensating = Life::begin(CHAIN, json!({}));
    let mut life = compensating;
    life.succeeds("a").succeeds("b").succeeds("c");
    let moves = order_of(&life, true);
    let mut made = forked(&mut life, moves);
    let a = StepIndex(0);
    assert!(life.state.is_undone_elsewhere(a) && !made.state.is_undone_elsewhere(a));
    made.refuses("b");
    assert_eq!(made.words(), "undoing failed pruned");
    made.undone("a");
    assert_eq!(made.status(), "compensated");
    let again = order_of(&life, true);
    let again = try_fork(&life, again).expect("it can be forked");
    assert!(again.undoes.is_empty(), "what is moved is not moved again");
    assert!(again.state.is_undone_elsewhere(a));
    life.record(Command::DropFork { fork: FORK });
    assert!(!life.state.is_undone_elsewhere(a), "it is the parent's again");
}

#[test]
fn what_still_goes_on_or_is_undone_is_not_forked() {
    let mut life = Life::begin(CHAIN, json!({}));
    let ask =
        |life: &Life| reasons(try_fork(life, order(&life.state, &life.state.plan, Some("b"))));
    assert!(ask(&life)[0].contains("the run is running"));
    life.succeeds("a").act(pause()).expect("it runs");
    assert!(ask(&life)[0].contains("the run is suspended"));
    life.act(roll_back()).expect("it is paused");
    life.succeeds("b").undone("b");
    assert!(ask(&life)[0].contains("the run is compensating"));
    life.undone("a");
    assert!(ask(&life)[0].contains("what it did is undone"));
}

#[test]
fn a_fork_goes_on_with_a_revision_that_fits() {
    let mut life = halted();
    let order_of = |life: &Life, plan: &Arc<Plan>| order(&life.state, plan, Some("b"));
    let gone = plan("{ id: chain, steps: [{ id: b, type: task }] }");
    let why = reasons(try_fork(&life, order_of(&life, &gone)));
    assert_eq!(why, ["step `a` is kept, and the revision has no such step"]);
    let other =
        plan("{ id: chain, steps: [{ id: a, type: transform, with: {} }, { id: b, type: task }] }");
    let why = reasons(try_fork(&life, order_of(&life, &other)));
    assert_eq!(why, ["step `a` is kept, and the revision has it do something else"]);
    let before = plan(
        "{ id: chain, steps: [{ id: new, type: task }, { id: a, type: task, needs: [new] }, { id: b, type: task }] }",
    );
    let why = reasons(try_fork(&life, order_of(&life, &before)));
    assert_eq!(why, ["step `a` is kept, and `new`, which it needs, would run after it"]);
    let unknown = try_fork(&life, order(&life.state, &gone, Some("a"))).map(|_| ());
    assert_eq!(unknown, Err(Rejection::UnknownStep { step: "a".to_owned() }));
    let fits = plan(
        "{ id: chain, steps: [{ id: b, type: task, needs: [a] }, { id: more, type: task, needs: [b] }, { id: a, type: task }] }",
    );
    let wish = order_of(&life, &fits);
    let mut made = forked(&mut life, wish);
    assert_eq!(made.words(), "running pending succeeded");
    made.succeeds("b").succeeds("more");
    assert_eq!(made.status(), "completed");
}

#[test]
fn steps_that_harm_when_run_again_have_to_be_accepted() {
    let definition = "
id: w
steps:
  - { id: read, type: task, replay: safe }
  - { id: pay, type: task, needs: [read], replay: unsafe }
  - { id: tell, type: task, needs: [pay] }
";
    let mut life = Life::begin(definition, json!({}));
    life.succeeds("read").succeeds("pay").succeeds("tell");
    let wish = || order(&life.state, &life.state.plan, Some("read"));
    let refused = try_fork(&life, wish()).map(|_| ());
    assert_eq!(refused, Err(Rejection::ForkUnsafe { steps: vec!["pay".to_owned()] }));
    let accepted = ForkOrder { accept_unsafe: true, ..wish() };
    assert_eq!(try_fork(&life, accepted).expect("accepted").repeated, ["pay", "tell"]);
    let later = order(&life.state, &life.state.plan, Some("tell"));
    assert_eq!(try_fork(&life, later).expect("pay is kept").repeated, ["tell"]);
}

#[test]
fn a_version_keeps_what_was_settled_by_then() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a");
    let point = life.state.clone();
    life.succeeds("b").succeeds("c");
    let wish = order(&life.state, &life.state.plan, None);
    let begun = fork(&life.state, &point, wish, Moment::at(life.now)).expect("it can be forked");
    let mut state = begun.state;
    let start = Command::StartFork;
    backstitch_core::machine::handle(&mut state, start, Moment::at(life.now)).expect("it starts");
    let words: Vec<_> = state.steps.iter().map(|own| own.word()).collect();
    assert_eq!(words, ["succeeded", "running", "pending"]);
    let whole = order(&life.state, &life.state.plan, None);
    assert_eq!(reasons(try_fork(&life, whole)), ["no step would run again"]);
}

#[test]
fn what_is_not_kept_any_more_is_not_kept_by_a_fork() {
    let mut life = halted();
    let mut erased = Payload::of(&json!({ "of": "a" }));
    erased.keep_beside();
    erased.let_go(backstitch_core::payload::AbsentWhy::Erased);
    life.state.steps[0].output = Some(erased);
    let why = reasons(try_fork(&life, order(&life.state, &life.state.plan, Some("b"))));
    assert_eq!(why, ["what step `a` was given or answered is not kept any more"]);
}

#[test]
fn a_kept_router_prunes_what_it_did_not_lead_to() {
    let definition = "
id: w
steps:
  - { id: other, type: task }
  - { id: which, type: router, routes: [{ when: 'input.x', to: [yes] }], default: [no] }
  - { id: yes, type: task, needs: [other] }
  - { id: no, type: task, needs: [other] }
";
    let mut life = Life::begin(definition, json!({ "x": true }));
    life.succeeds("other").succeeds("yes");
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("completed", "succeeded succeeded succeeded pruned")
    );
    let order = order(&life.state, &life.state.plan, Some("other"));
    let mut made = forked(&mut life, order);
    made.succeeds("other");
    assert_eq!(made.words(), "succeeded succeeded running pruned");
}

#[test]
fn what_was_undone_since_is_neither_undone_again_nor_taken_for_done() {
    let text = "
id: w
steps:
  - { id: who, type: task }
  - { id: gift, type: task, needs: who, retry: none, allow_failure: true, undo: { type: recall } }
  - { id: last, type: task, needs: gift }
";
    let at = |life: &Life, point: &State| {
        let order = ForkOrder { take_over: true, ..order(point, &point.plan, None) };
        match fork(&life.state, point, order, Moment::at(life.now)) {
            Ok(begun) => Ok(begun),
            Err(Refusal::Rejected(why)) => Err(why),
            Err(Refusal::Illegal(illegal)) => panic!("{illegal}"),
        }
    };
    let mut life = Life::begin(text, json!({}));
    life.succeeds("who").report("gift", AttemptResult::TimedOut);
    let point = life.state.clone();
    assert!(point.step(StepIndex(1)).unsure);
    life.succeeds("last").undone("gift");
    assert_eq!(life.status(), "completed");
    let begun = at(&life, &point).expect("it can be forked");
    assert!(!begun.state.step(StepIndex(1)).unsure && begun.undoes.is_empty());
    let mut life = Life::begin(text, json!({}));
    life.succeeds("who").succeeds("gift");
    let point = life.state.clone();
    life.succeeds("last").act(roll_back_to("who")).expect("it has completed");
    life.undone("gift").succeeds("gift").succeeds("last");
    let refused = reasons(at(&life, &point));
    assert_eq!(refused, ["what step `gift` did was undone since, and it was done anew"]);
}

/// `pay` may have acted, may fail, and is kept by a fork from `mail` on.
const UNKNOWN: &str = "
id: w
on_failure: halt
steps:
  - id: pay
    type: task
    retry: none
    allow_failure: true
    undo: { type: refund, with: { id: '{{ steps.pay.output.id }}' } }
    check:
      type: find
      with: { key: '{{ steps.pay.idempotency_key }}' }
      took_effect: steps.pay.check.found
  - { id: mail, type: task, needs: pay, retry: none }
";

#[test]
fn a_fork_asks_about_what_it_keeps_by_the_key_it_was_called_with() {
    let pay = StepIndex(0);
    let halted = || {
        let mut life = Life::begin(UNKNOWN, json!({}));
        life.report("pay", AttemptResult::TimedOut).refuses("mail");
        assert_eq!(life.status(), "failed");
        life
    };
    let taking =
        |of: &Life| ForkOrder { take_over: true, ..order(&of.state, &of.state.plan, Some("mail")) };
    let given = |of: &Life| {
        let undo = of.state.step(pay).undo.as_ref().expect("it is undone");
        undo.input.as_ref().expect("rendered").value()
    };
    let mut life = halted();
    let order = taking(&life);
    let mut made = forked(&mut life, order);
    made.succeeds("mail");
    assert_eq!(given(&made), json!({ "key": format!("{}/pay/1", life.state.id) }));
    let answer = Payload::of(&json!({ "found": true, "id": "p1" }));
    made.undo("pay", AttemptResult::Answered(Ok(answer)));
    assert_eq!(given(&made), json!({ "id": "p1" }));
    assert_eq!(made.state.idempotency_key(Subject::Undo(pay)), format!("{FORK}/pay/1/undo"));
    made.undone("pay");
    assert_eq!((made.status(), made.words().as_str()), ("completed", "undone succeeded"));
    // The fork of a fork would not know whose key it is.
    let mut life = halted();
    let order = taking(&life);
    let mut made = forked(&mut life, order);
    made.refuses("mail");
    let refused = reasons(try_fork(&made, taking(&made)));
    assert!(refused[0].contains("leave `take_over` out"), "{refused:?}");
    let left = ForkOrder { take_over: false, ..taking(&made) };
    assert!(try_fork(&made, left).is_ok());
    // What its service never did is not undone.
    let mut life = halted();
    let order = taking(&life);
    let mut made = forked(&mut life, order);
    made.succeeds("mail");
    let answer = Payload::of(&json!({ "found": false }));
    made.undo("pay", AttemptResult::Answered(Ok(answer)));
    assert_eq!((made.status(), made.words().as_str()), ("completed", "failed succeeded"));
}
