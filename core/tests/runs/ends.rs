//! Any graph of up to 200 steps, with failures anywhere, ends in a legal state.

use std::collections::BTreeSet;

use backstitch_core::advance::advance;
use backstitch_core::arrows::{StepStatus, UndoStatus};
use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::{Effect, owed};
use backstitch_core::event::{Compensation, Event, Outcome, RunEvent};
use backstitch_core::failure::Failure;
use backstitch_core::ids::StepIndex;
use backstitch_core::machine::replay;
use backstitch_core::payload::Payload;
use backstitch_core::plan::{Plan, TaskKind};
use backstitch_core::state::State;
use backstitch_core::summary::LetterStatus;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::stage::{self, Life, RUN};

/// The most steps of a graph.
const STEPS_MAX: usize = 200;
/// The most a run may take: every step and undo, each with all its attempts and waits.
const TURNS_MAX: usize = STEPS_MAX * 40;

/// One step: where its needs lie among those before it, and what it is.
type Drawn = (Vec<prop::sample::Index>, u8, bool, bool);

fn step(at: usize, (needs, kind, undo, allowed): &Drawn) -> Value {
    let needs: BTreeSet<_> = needs.iter().filter(|_| at > 0).map(|own| own.index(at)).collect();
    let needs: Vec<_> = needs.iter().map(|need| format!("s{need}")).collect();
    let mut step = json!({ "id": format!("s{at}"), "needs": needs });
    match kind {
        0 => {
            step["type"] = json!("transform");
            step["with"] = json!({});
        }
        1 => {
            step["type"] = json!("wait");
            step["with"] = json!({ "duration": "3s" });
        }
        _ => {
            step["type"] = json!("task");
            step["retry"] = json!({ "max_attempts": 1 + kind % 3, "initial": "1s" });
            step["allow_failure"] = json!(*allowed && !*undo);
            if *undo {
                step["undo"] = json!({ "type": "task", "retry": { "max_attempts": 2 } });
            }
        }
    }
    if *kind == 9 {
        step["when"] = json!("input.n > 3");
    }
    step
}

fn definition() -> impl Strategy<Value = String> {
    let needs = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    let step_drawn = (needs, 0..10_u8, any::<bool>(), any::<bool>());
    let policy = prop_oneof![Just("compensate"), Just("halt"), Just("suspend")];
    (prop::collection::vec(step_drawn, 1..=STEPS_MAX), policy).prop_map(|(drawn, policy)| {
        let steps: Vec<_> = drawn.iter().enumerate().map(|(at, own)| step(at, own)).collect();
        json!({ "id": "any", "on_failure": policy, "steps": steps }).to_string()
    })
}

/// Lets the run go on until it has ended; `draws` says how each attempt ends, over and over.
fn live(definition: &str, draws: &[u8], failures: u8) -> Life {
    let mut life = Life::begin(definition, json!({ "n": draws.len() % 8 }));
    for turn in 0..TURNS_MAX {
        let draw = draws[turn % draws.len()];
        let owed = owed(&life.state, life.now);
        if let Some(effect) = owed.get(usize::from(draw) % owed.len().max(1)) {
            life.record(answered(*effect, draw, failures));
        } else if let Some(letter) = open_letter(&life.state) {
            // Somebody settles what is left, one letter at a time.
            let suspended = life.status() == "suspended";
            life.record(match suspended && draw.is_multiple_of(3) {
                true => stage::retry(letter),
                false => stage::discard(letter),
            });
        } else if life.state.status().is_ended() {
            return life;
        } else {
            life.now = life.now.plus_ms(3_000);
            life.record(Command::Continue);
        }
    }
    panic!("it does not end: {}", life.words());
}

fn answered(effect: Effect, draw: u8, failures: u8) -> Command {
    let result = match draw {
        _ if draw % 100 >= failures => AttemptResult::Answered(Ok(Payload::of(&json!(draw)))),
        _ if draw.is_multiple_of(4) => AttemptResult::TimedOut,
        _ if draw.is_multiple_of(3) => AttemptResult::Answered(Err(Failure::permanent("NO", "no"))),
        _ if draw.is_multiple_of(2) => AttemptResult::Lost,
        _ => AttemptResult::Answered(Err(Failure::retryable("BUSY", "busy"))),
    };
    let retry_delay_ms = 1_000;
    match effect {
        Effect::RunStep { step, attempt } => {
            Command::ReportStep { step, attempt, result, retry_delay_ms }
        }
        Effect::UndoStep { step, attempt } => {
            Command::ReportUndo { step, attempt, result, retry_delay_ms }
        }
        other => panic!("{other:?} is owed to nobody"),
    }
}

fn open_letter(state: &State) -> Option<u32> {
    let open = (0..).zip(&state.letters).find(|(_, own)| own.status == LetterStatus::Open);
    open.map(|(letter, _)| letter)
}

/// What the final word says is what became of the steps.
fn is_legal(state: &State) -> Result<(), TestCaseError> {
    let ending = state.ending.as_ref().expect("it has ended");
    let steps = || state.plan.steps.iter().zip(&state.steps);
    for (plan, own) in steps() {
        prop_assert!(own.status.is_settled(), "{} is {:?}", plan.id, own.status);
        let took_effect = own.status == StepStatus::Succeeded || own.unsure;
        let undo = own.undo.as_ref().map(|undo| undo.status);
        match ending.compensation {
            Compensation::None => prop_assert_eq!(undo, None),
            Compensation::Done if plan.undo.is_some() && took_effect => {
                prop_assert_eq!(undo, Some(UndoStatus::Succeeded));
            }
            Compensation::Done | Compensation::Failed => {}
        }
        if ending.outcome == Outcome::Completed {
            let failed = own.status == StepStatus::Failed;
            prop_assert!(!failed || plan.allow_failure, "{} failed", plan.id);
        }
    }
    let failed = |own: &Option<_>| *own == Some(UndoStatus::Failed);
    let undos = steps().map(|(_, own)| own.undo.as_ref().map(|undo| undo.status));
    let some_failed = undos.into_iter().any(|own| failed(&own));
    prop_assert_eq!(some_failed, ending.compensation == Compensation::Failed);
    Ok(())
}

/// A step starts behind all it needs, and is undone before any of them.
fn is_in_order(plan: &Plan, events: &[RunEvent]) -> Result<(), TestCaseError> {
    let count = plan.steps.len();
    let (mut settled, mut undone) = (vec![false; count], vec![false; count]);
    let wants = |step: &StepIndex| plan.steps[step.at()].undo.is_some();
    let mut undoing = vec![false; count];
    for event in events {
        match event {
            RunEvent::StepSucceeded { step, .. }
            | RunEvent::StepSkipped { step }
            | RunEvent::StepFailed { step, .. } => settled[step.at()] = true,
            RunEvent::StepsPruned { steps } => {
                steps.iter().for_each(|step| settled[step.at()] = true);
            }
            RunEvent::StepReady { step, .. } => {
                let needs = &plan.steps[step.at()].needs;
                prop_assert!(needs.iter().all(|need| settled[need.at()]), "{} opened", step.0);
            }
            RunEvent::UndoReady { step, .. } => {
                undoing[step.at()] = true;
                let needs = plan.steps[step.at()].needs.iter().filter(|need| wants(need));
                let early = needs.filter(|need| undoing[need.at()]).count();
                prop_assert_eq!(early, 0, "what {} needs is undone before it", step.0);
            }
            RunEvent::UndoSucceeded { step, .. } | RunEvent::UndoFailed { step, .. } => {
                undone[step.at()] = true;
            }
            _ => {}
        }
    }
    let pure = |at: usize| !matches!(plan.steps[at].task, TaskKind::Effect(_));
    prop_assert!((0..count).all(|at| !(pure(at) && undone[at])), "a pure step is undone");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_graph_ends_in_a_legal_state(
        definition in definition(),
        draws in prop::collection::vec(any::<u8>(), 16..300),
        failures in prop_oneof![Just(0_u8), Just(3), Just(20), Just(60), Just(100)],
    ) {
        let life = live(&definition, &draws, failures);
        prop_assert!(life.state.is_closed());
        prop_assert!(advance(&life.state, life.now.plus_ms(1_000_000_000)).is_empty());
        is_legal(&life.state)?;
        is_in_order(&life.state.plan, &life.events)?;
        let events: Vec<_> = life.events.iter().cloned().map(Event::Run).collect();
        let mut replayed = replay(RUN, &life.state.plan, events.iter().map(|own| (own, life.now)))
            .expect("it folds");
        replayed.submitted_at = life.state.submitted_at;
        let standing = |own: &State| own.steps.iter().map(|s| s.word()).collect::<Vec<_>>();
        prop_assert_eq!(standing(&replayed), standing(&life.state));
        prop_assert_eq!(Checkpoint::of(&replayed).version(), life.state.version);
    }
}
