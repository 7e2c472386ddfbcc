//! Faults that a run is submitted with: which attempts meet them, and which wishes are refused.

use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::effect::Effect;
use backstitch_core::event::{Event, Fault, FaultKind, RunEvent, ServiceEvent};
use backstitch_core::faults::{FAULTS_MAX, FaultWish, Struck, faults_of};
use backstitch_core::ids::StepIndex;
use backstitch_core::machine::{replay, submit};
use backstitch_core::report::execution_json;
use backstitch_core::time::Moment;
use serde_json::json;

use crate::stage::{Known, RUN, START, plan, submission};

const SAGA: &str = "
id: saga
tags: [t]
concurrency: { key: k, max_runs: 3 }
steps:
  - { id: charge, type: task, undo: { type: task } }
  - { id: rest, type: wait, with: { duration: 1s } }
  - { id: sub, type: workflow, with: { workflow: other } }
";

fn wish(step: &str, undo: bool, attempt: Option<u16>, kind: FaultKind) -> FaultWish {
    let strikes = if undo { Struck::Undo } else { Struck::Step };
    FaultWish { step: step.to_owned(), strikes, attempt, kind }
}

#[test]
fn faults_are_told_last_when_a_run_begins_and_the_first_that_names_an_attempt_counts() {
    let plan = plan(SAGA);
    let wishes = [
        wish("charge", false, Some(2), FaultKind::CrashBeforeAck),
        wish("charge", false, None, FaultKind::Duplicate),
        wish("charge", true, Some(1), FaultKind::Fail { permanent: true }),
    ];
    let faults = faults_of(&plan, &wishes).expect("all of them call somebody");
    let mut submission = submission(plan.clone(), &json!({}));
    submission.faults = faults.clone();
    let (state, decision) = submit(submission, Moment::at(START)).expect("it begins");
    let told = RunEvent::Service(ServiceEvent::FaultsPlanned { faults });
    let behind = decision.events.iter().position(|event| *event == told).expect("it is told");
    assert!(decision.events[1..=behind].iter().all(RunEvent::belongs_to_the_beginning));
    assert!(!decision.events[behind + 1].belongs_to_the_beginning());

    let step = StepIndex(0);
    let run = |attempt| state.fault_of(Effect::RunStep { step, attempt });
    assert_eq!(run(1), Some(&FaultKind::Duplicate));
    assert_eq!(run(2), Some(&FaultKind::CrashBeforeAck));
    let undo = |attempt| state.fault_of(Effect::UndoStep { step, attempt });
    assert_eq!((undo(1).is_some(), undo(2)), (true, None));
    assert_eq!(state.fault_of(Effect::DeliverCallback { delivery: 0, attempt: 1 }), None);
    assert_eq!(
        execution_json(&state)["faults"][2],
        json!({
            "step": "charge", "undo": true, "check": false, "attempt": 1, "kind": "fail",
            "permanent": true,
        })
    );

    let events: Vec<_> = decision.events.into_iter().map(Event::Run).collect();
    let told = events.iter().map(|event| (event, START));
    let folded = replay(RUN, &Known::of(&plan), told).expect("it folds");
    assert_eq!(Checkpoint::of(&folded), Checkpoint::of(&state));
    // Told later, it is no run of this engine.
    let mut late = events.clone();
    let last = late.len() - 1;
    late.swap(behind, last);
    let told = late.iter().map(|event| (event, START));
    assert!(replay(RUN, &Known::of(&plan), told).is_err());
    // Of no step, or of nothing, it is no run of this engine either.
    let kind = FaultKind::Duplicate;
    let astray = Fault { step: StepIndex(9), undo: false, attempt: None, kind };
    for faults in [vec![astray], vec![]] {
        let mut wrong = events.clone();
        wrong[behind] = Event::Run(RunEvent::Service(ServiceEvent::FaultsPlanned { faults }));
        let told = wrong.iter().map(|event| (event, START));
        assert!(replay(RUN, &Known::of(&plan), told).is_err());
    }
}

#[test]
fn a_fault_of_what_calls_nobody_is_refused() {
    let plan = plan(SAGA);
    let refused = |step: &str, undo| {
        let wrong = faults_of(&plan, &[wish(step, undo, None, FaultKind::Duplicate)]);
        let wrong = wrong.expect_err("nobody is called");
        assert_eq!(wrong[0].path, "faults[0].step");
        wrong[0].message.clone()
    };
    assert!(refused("rest", false).contains("is no task"));
    assert!(refused("rest", true).contains("has no undo"));
    assert!(refused("sub", false).contains("is no task"));
    assert!(refused("sub", true).contains("has no undo"), "its child undoes itself");
    assert!(refused("chrage", false).ends_with("did you mean `charge`?"));
    let many = vec![wish("charge", false, None, FaultKind::Duplicate); FAULTS_MAX + 1];
    assert_eq!(faults_of(&plan, &many).expect_err("too many")[0].path, "faults");
}
