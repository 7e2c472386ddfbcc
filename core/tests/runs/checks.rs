//! Steps of which nobody knows whether they took effect, and whose services are asked.

use backstitch_core::arrows::UndoStatus;
use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::{Effect, owed};
use backstitch_core::event::{FaultKind, LetterSubject, UndoSettlement};
use backstitch_core::failure::codes;
use backstitch_core::faults::{FaultWish, Struck, faults_of};
use backstitch_core::ids::StepIndex;
use backstitch_core::machine;
use backstitch_core::payload::Payload;
use backstitch_core::report::execution_json;
use backstitch_core::state::{State, Subject};
use backstitch_core::time::Moment;
use backstitch_core::unwind_plan::unwind_plan_json;
use backstitch_core::why::blockers;
use serde_json::{Value, json};

use crate::stage::{Life, force, plan, plan_problems, retry, roll_back_to, submission};

/// `pay` acts, and its undo needs what it answered: where nobody knows, its service is asked.
const ASKED: &str = "
id: asked
steps:
  - { id: seat, type: task, undo: { type: free } }
  - id: pay
    type: task
    needs: seat
    retry: none
    undo: { type: refund, with: { id: '{{ steps.pay.output.id }}' }, retry: none }
    check:
      type: find
      with: { key: '{{ steps.pay.idempotency_key }}', n: '{{ input.n }}' }
      took_effect: steps.pay.check.found
      output: { id: '{{ steps.pay.check.payment.id }}' }
      retry: { max_attempts: 2, initial: 1s }
";

const PAY: StepIndex = StepIndex(1);

/// `pay` timed out: its service is asked.
fn asked() -> Life {
    let mut life = Life::begin(ASKED, json!({ "n": 7 }));
    life.succeeds("seat").report("pay", AttemptResult::TimedOut);
    life
}

/// One that is asked about, and one that took effect and whose undo failed.
pub fn both() -> [State; 2] {
    let mut found = asked();
    answers(&mut found, json!({ "found": true, "payment": { "id": "p1" } }));
    found.undo_refused("pay");
    [asked().state, found.state]
}

fn answers(life: &mut Life, answer: Value) {
    life.undo("pay", AttemptResult::Answered(Ok(Payload::of(&answer))));
}

fn undo(life: &Life, step: StepIndex) -> UndoStatus {
    life.state.step(step).undo.as_ref().expect("there is one").status
}

/// The checks and undos since so many events.
fn told(life: &Life, from: usize) -> String {
    life.told(from).join(", ")
}

#[test]
fn what_took_effect_is_undone_with_what_its_service_answered() {
    let mut life = asked();
    let id = life.state.id;
    let input = life.state.step(PAY).undo.as_ref().and_then(|own| own.input.clone());
    assert_eq!(input.expect("asked").value(), json!({ "key": format!("{id}/pay/1"), "n": 7 }));
    assert_eq!(life.state.idempotency_key(Subject::Undo(PAY)), format!("{id}/pay/1/check"));
    assert_eq!(life.state.undo_type(PAY).map(|own| &**own), Some("find"));
    assert_eq!(life.words(), "succeeded undoing");
    let from = life.events.len();
    answers(&mut life, json!({ "found": true, "payment": { "id": "p1" } }));
    assert_eq!(
        told(&life, from),
        "CheckAnswered pay, CheckConcluded pay, UndoReady pay, UndoStarted pay"
    );
    assert_eq!(life.state.idempotency_key(Subject::Undo(PAY)), format!("{id}/pay/1/undo"));
    assert_eq!(life.state.undo_type(PAY).map(|own| &**own), Some("refund"));
    let effect = Effect::UndoStep { step: PAY, attempt: 2 };
    assert_eq!(owed(&life.state, life.now), [effect], "attempts are counted on");
    let input = life.state.step(PAY).undo.as_ref().and_then(|own| own.input.clone());
    assert_eq!(input.expect("rendered").value(), json!({ "id": "p1" }));
    life.undone("pay").undone("seat");
    assert_eq!((life.status(), life.words().as_str()), ("compensated", "undone undone"));
    let shown = execution_json(&life.state);
    assert_eq!(shown["steps"]["pay"]["output"], Value::Null, "it never answered itself");
}

#[test]
fn what_took_no_effect_is_not_undone_and_holds_nothing_up() {
    let mut life = asked();
    answers(&mut life, json!({ "found": false }));
    assert_eq!(undo(&life, PAY), UndoStatus::Skipped);
    assert_eq!(life.words(), "undoing failed");
    life.undone("seat");
    assert_eq!((life.status(), life.words().as_str()), ("compensated", "undone failed"));
    let of_undo = life.state.letters_of(LetterSubject::Undo(PAY)).count();
    assert_eq!(of_undo, 0, "nobody is asked");
}

#[test]
fn a_known_outcome_is_not_asked_about() {
    let mut life = Life::begin(
        &ASKED
            .replace("retry: none\n    undo", "retry: { max_attempts: 2, initial: 1s }\n    undo")
            .replace("steps:", "on_failure: compensate\nsteps:")
            .replace(
                "\n  - id: pay",
                "\n  - { id: last, type: task, needs: pay, retry: none }\n  - id: pay",
            ),
        json!({ "n": 1 }),
    );
    life.succeeds("seat").report("pay", AttemptResult::TimedOut).later(2_000);
    let answer = Payload::of(&json!({ "id": "p1" }));
    life.report("pay", AttemptResult::Answered(Ok(answer))).refuses("last");
    let pay = life.state.plan.index_of("pay").expect("a step");
    let input = life.state.step(pay).undo.as_ref().and_then(|own| own.input.clone());
    assert_eq!(input.expect("rendered").value(), json!({ "id": "p1" }));
    assert!(life.state.step(pay).check().is_none());
    let mut refused = Life::begin(ASKED, json!({ "n": 1 }));
    refused.succeeds("seat").refuses("pay");
    assert!(refused.state.step(PAY).undo.is_none(), "a definite failure did nothing");
}

#[test]
fn a_check_that_fails_for_good_leaves_a_letter_that_asks_again() {
    let mut life = asked();
    life.undo("pay", AttemptResult::TimedOut).later(5_000);
    life.undo_refused("pay");
    assert_eq!(undo(&life, PAY), UndoStatus::Failed);
    life.undone("seat");
    assert_eq!(life.status(), "compensation_failed");
    let number = u32::try_from(life.state.letters.len() - 1).expect("few");
    let letter = life.state.letters.last().expect("one");
    assert_eq!(letter.failure.code, codes::OUTCOME_UNKNOWN);
    assert!(letter.failure.message.contains("its check failed: NO: no"), "{:?}", letter.failure);
    let from = life.events.len();
    life.act(retry(number)).expect("in place");
    assert!(told(&life, from).contains("CheckReady pay"), "{}", told(&life, from));
    answers(&mut life, json!({ "found": true, "payment": { "id": "p1" } }));
    // The undo fails now: what was said is not asked again.
    life.undo_refused("pay");
    let (from, last) = (life.events.len(), life.state.letters.len() - 1);
    life.act(retry(u32::try_from(last).expect("few"))).expect("in place");
    assert_eq!(told(&life, from), "DeadLetterRetried, UndoReady pay, UndoStarted pay");
    life.undone("pay");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn an_answer_that_says_nothing_is_an_unknown_outcome() {
    let mut life = asked();
    answers(&mut life, json!({ "found": "perhaps" }));
    assert_eq!(undo(&life, PAY), UndoStatus::Failed);
    let by = UndoSettlement::Done;
    let (step, note) = (Some("pay".to_owned()), "no payment there".to_owned());
    life.undone("seat");
    let settle = Command::SettleUndos { step, settlement: by, note, actor: "ann".to_owned() };
    life.act(settle).expect("a person has looked");
    assert_eq!((life.status(), life.words().as_str()), ("compensated", "undone undone"));
}

#[test]
fn a_lost_check_is_made_again_and_an_old_answer_counts_for_nothing() {
    let mut life = asked();
    life.undo("pay", AttemptResult::Lost);
    assert_eq!(owed(&life.state, life.now), [Effect::UndoStep { step: PAY, attempt: 2 }]);
    let from = life.events.len();
    let late = AttemptResult::Answered(Ok(Payload::of(&json!({ "found": false }))));
    let late = Command::ReportUndo { step: PAY, attempt: 1, result: late, retry_delay_ms: 0 };
    life.act(late).expect("a report is never rejected");
    assert_eq!(life.events.len(), from);
    answers(&mut life, json!({ "found": true, "payment": { "id": "p1" } }));
    // A check's answer that comes twice is not taken for the undo's.
    let twice = AttemptResult::Answered(Ok(Payload::null()));
    let twice = Command::ReportUndo { step: PAY, attempt: 2, result: twice, retry_delay_ms: 0 };
    let from = life.events.len();
    life.act(twice).expect("a report is never rejected");
    assert_eq!((life.events.len(), undo(&life, PAY)), (from, UndoStatus::Running));
}

#[test]
fn force_gives_up_a_check_as_any_undo() {
    let mut life = asked();
    life.act(force()).expect("it unwinds");
    assert_eq!((undo(&life, PAY), life.status()), (UndoStatus::Failed, "compensation_failed"));
}

#[test]
fn an_undo_that_reads_inputs_only_is_asked_about_too_and_spared() {
    let text = ASKED.replace("id: '{{ steps.pay.output.id }}'", "n: '{{ input.n }}'");
    let mut life = Life::begin(&text, json!({ "n": 7 }));
    life.succeeds("seat").report("pay", AttemptResult::TimedOut);
    answers(&mut life, json!({ "found": false }));
    assert_eq!(undo(&life, PAY), UndoStatus::Skipped);
}

#[test]
fn a_run_completes_and_goes_on_from_a_step_that_took_no_effect() {
    let text = ASKED
        .replace("retry: none\n    undo", "retry: none\n    allow_failure: true\n    undo")
        .replace("\n  - id: pay", "\n  - { id: last, type: task, needs: pay }\n  - id: pay");
    let mut life = Life::begin(&text, json!({ "n": 7 }));
    life.succeeds("seat").report("pay", AttemptResult::TimedOut).succeeds("last");
    assert_eq!(life.status(), "compensating", "what may have been done in vain is undone first");
    answers(&mut life, json!({ "found": false }));
    assert_eq!(life.status(), "completed");
    let preview = unwind_plan_json(&life.state, None);
    let undone: Vec<_> = preview["undos"].as_array().expect("a list").iter().collect();
    assert_eq!(undone.len(), 1, "what had no effect does not stand: {preview:#}");
    life.act(roll_back_to("seat")).expect("it completed");
    assert_eq!(life.status(), "running", "{:?}", blockers(&life.state));
    let pay = life.state.plan.index_of("pay").expect("a step");
    assert!(life.state.step(pay).undo.is_none() && life.state.step(pay).round == 2);
    let key = life.state.idempotency_key(Subject::Step(pay));
    assert!(key.ends_with("/pay/2"), "{key}");
}

#[test]
fn faults_strike_a_check_by_its_own_attempts_and_an_undo_by_its_own() {
    let plan = plan(ASKED);
    let wish = |strikes, attempt, kind| FaultWish { step: "pay".into(), strikes, attempt, kind };
    let wishes = [
        wish(Struck::Undo, Some(1), FaultKind::CrashBeforeAck),
        wish(Struck::Check, Some(1), FaultKind::Fail { permanent: false }),
        wish(Struck::Check, Some(2), FaultKind::Delay { ms: 9 }),
    ];
    let faults = faults_of(&plan, &wishes).expect("there is a check");
    let submission = backstitch_core::command::Submission {
        faults,
        ..submission(plan.clone(), &json!({ "n": 7 }))
    };
    let mut life = Life::begin(ASKED, json!({ "n": 7 }));
    let (state, decision) = machine::submit(submission, Moment::at(life.now)).expect("legal");
    (life.state, life.events) = (state, decision.events);
    life.succeeds("seat").report("pay", AttemptResult::TimedOut);
    let met = |life: &Life, attempt| {
        life.state.fault_of(Effect::UndoStep { step: PAY, attempt }).cloned()
    };
    assert_eq!(met(&life, 1), Some(FaultKind::Fail { permanent: false }));
    assert_eq!(met(&life, 2), Some(FaultKind::Delay { ms: 9 }));
    assert_eq!(met(&life, 3), None);
    answers(&mut life, json!({ "found": true, "payment": { "id": "p1" } }));
    assert_eq!(met(&life, 2), Some(FaultKind::CrashBeforeAck), "the undo's first");
    assert_eq!(met(&life, 3), None);
    let shown = execution_json(&life.state)["faults"].clone();
    let strikes: Vec<_> = shown.as_array().expect("a list").iter().collect();
    assert_eq!((&strikes[0]["undo"], &strikes[0]["check"]), (&json!(true), &json!(false)));
    assert_eq!((&strikes[2]["undo"], &strikes[2]["check"]), (&json!(false), &json!(true)));
    assert_eq!((&strikes[2]["kind"], &strikes[2]["delay_ms"]), (&json!("delay"), &json!(9)));
    let none = FaultWish { step: "seat".into(), ..wishes[1].clone() };
    let refused = faults_of(&plan, &[none]).expect_err("it has no check");
    assert!(refused[0].message.contains("has no check"), "{refused:?}");
}

#[test]
fn items_of_a_loop_are_asked_about_one_by_one() {
    let text = "
id: l
steps:
  - id: pay
    type: foreach
    with: { items: [1, 2] }
    each:
      type: task
      with: { item: '{{ item }}' }
      undo: { type: refund, with: { id: '{{ steps.pay.output.id }}' } }
      check:
        type: find
        with: { key: '{{ steps.pay.idempotency_key }}', item: '{{ item }}' }
        took_effect: steps.pay.check.found
";
    let plan = plan(text);
    let each = plan.step(StepIndex(0)).each().expect("a loop");
    let undo = each.body.undo.as_ref().expect("an undo");
    assert!(undo.check.is_some() && undo.reads_own_output);
}

#[test]
fn http_says_by_its_status_and_any_other_type_must_say() {
    let status = |status: u16| {
        let text = ASKED
            .replace("type: find", "type: http")
            .replace("      took_effect: steps.pay.check.found\n", "")
            .replace("steps.pay.check.payment.id", "steps.pay.check.body.id");
        let mut life = Life::begin(&text, json!({ "n": 7 }));
        life.succeeds("seat").report("pay", AttemptResult::TimedOut);
        let input = life.state.step(PAY).undo.as_ref().and_then(|own| own.input.clone());
        let expected = input.expect("rendered").value()["expect_status"].clone();
        assert_eq!(expected, json!(["2xx", 404]));
        answers(&mut life, json!({ "status": status, "body": { "id": "p1" } }));
        undo(&life, PAY)
    };
    assert_eq!(status(200), UndoStatus::Running);
    assert_eq!(status(404), UndoStatus::Skipped);
    assert_eq!(status(302), UndoStatus::Failed);
    let silent = ASKED.replace("      took_effect: steps.pay.check.found\n", "");
    assert_eq!(plan_problems(&silent), ["steps[1].check.took_effect"]);
}

#[test]
fn a_check_that_nobody_needs_or_that_reads_what_nobody_has_is_refused() {
    let check = "check: { type: find, took_effect: 'true' }";
    let refused = |step: &str| plan_problems(&format!("{{ id: w, steps: [{{ {step} }}] }}"));
    assert_eq!(refused(&format!("id: a, type: task, {check}")), ["steps[0].check"]);
    let pure = format!("id: a, type: transform, with: 1, {check}");
    assert_eq!(refused(&pure), ["steps[0].check"]);
    let own = "id: a, type: task, undo: { type: free }, check: { type: find, took_effect: 'true', \
               with: { id: '{{ steps.a.output.id }}' } }";
    assert_eq!(refused(own), ["steps[0].check.with"]);
    let pure = "id: a, type: task, undo: { type: free }, \
                check: { type: transform, took_effect: 'true' }";
    assert_eq!(refused(pure), ["steps[0].check.type"]);
    let numbers = "id: a, type: task, undo: { type: free }, check: { type: find, \
                   took_effect: 'true', retry: { max_attempts: '{{ input.n }}' } }";
    assert_eq!(refused(numbers), ["steps[0].check.retry"]);
}

#[test]
fn a_definition_says_what_follows_of_unknown_outcomes() {
    let text = "
id: w
steps:
  - { id: a, type: task, undo: { type: free, with: '{{ input.n }}' } }
  - { id: b, type: task, undo: { type: free, with: '{{ steps.b.output }}' } }
  - { id: c, type: task, undo: { type: free }, check: { type: find, took_effect: steps.c.check } }
  - { id: d, type: task }
  - { id: e, type: transform, with: 1 }
";
    let told = plan(text).unknown_outcomes_json();
    let expected = json!([
        { "step": "a", "then": "undone" },
        { "step": "b", "then": "suspends" },
        { "step": "c", "then": "asked" },
    ]);
    assert_eq!(told, expected);
}

#[test]
fn the_unwind_plan_says_what_is_asked_first() {
    let text = ASKED
        .replace("retry: none\n    undo", "retry: none\n    allow_failure: true\n    undo")
        .replace("\n  - id: pay", "\n  - { id: last, type: task, needs: pay }\n  - id: pay");
    let mut life = Life::begin(&text, json!({ "n": 7 }));
    life.succeeds("seat").report("pay", AttemptResult::TimedOut);
    let preview = unwind_plan_json(&life.state, None);
    let pay = preview["undos"].as_array().expect("a list").iter().find(|own| own["step"] == "pay");
    let pay = pay.expect("it may have acted");
    let input = json!({ "key": format!("{}/pay/1", life.state.id), "n": 7 });
    assert_eq!(pay["asked_first"], json!({ "type": "find", "input": input }));
    let why = asked();
    let sentences: Vec<_> = blockers(&why.state).into_iter().map(|own| own.sentence).collect();
    assert!(sentences.iter().any(|own| own.contains("the check of step `pay`")), "{sentences:?}");
}
