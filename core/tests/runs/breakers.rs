//! Calls whose services are not to be called now: they wait or fail, and use up no attempt.

use std::collections::BTreeSet;

use backstitch_core::breaker::{Call, Passage};
use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::command::Command;
use backstitch_core::effect::owed;
use backstitch_core::event::{Event, Hold, HoldReason, RunEvent, ServiceEvent};
use backstitch_core::ids::StepIndex;
use backstitch_core::machine::{self, handle_within, replay};
use backstitch_core::room::{Attempt, Room};
use backstitch_core::state::{State, Subject, Wanted};
use backstitch_core::time::Moment;
use backstitch_core::why::blockers;
use serde_json::json;

use crate::stage::{Known, Life, RUN, START};

/// Room for everything but calls of what is down.
#[derive(Default)]
struct Down {
    down: bool,
    /// Those that waited and may go on.
    free: BTreeSet<Subject>,
    turns: usize,
}

impl Room for Down {
    fn starts(&mut self, _: Attempt) -> bool {
        self.turns += 1;
        true
    }

    fn holds(&mut self, _: StepIndex, _: &Wanted) -> bool {
        true
    }

    fn begins(&mut self) -> bool {
        true
    }

    fn passes(&mut self, call: &Call<'_>) -> Passage {
        let free = match call.held {
            Some(_) => self.free.contains(&call.subject),
            None => !self.down,
        };
        let (key, until) = ("payments".into(), Some(START.plus_ms(30_000)));
        if free { Passage::Free } else { Passage::Held(Hold { key, why: HoldReason::Open, until }) }
    }
}

/// A run whose services are down.
fn begun(steps: &str) -> (State, Down, Vec<RunEvent>, Known) {
    let mut room = Down { down: true, ..Down::default() };
    let definition = format!("id: w\nsteps:\n{steps}");
    let life = Life::begin(
        "id: w\nsteps:\n  - { id: a, type: wait, with: { duration: 1s } }\n",
        json!({}),
    );
    let plan = crate::stage::plan(&definition);
    let mut submitted = life.state.submitted.clone();
    submitted.digest = plan.digest;
    let known = Known::of(&plan);
    let submission = backstitch_core::command::Submission {
        execution: RUN,
        plan,
        submitted,
        tags: Vec::new(),
        origin: None,
        targets: Vec::new(),
        alerts: Vec::new(),
        faults: Vec::new(),
        trace: None,
    };
    let made = machine::submit_within(submission, Moment::at(START), &mut room);
    let (state, decision) = made.expect("it begins");
    (state, room, decision.events, known)
}

fn go_on(state: &mut State, room: &mut Down) -> Vec<RunEvent> {
    handle_within(state, Command::Continue, Moment::at(START), room).expect("it is in order").events
}

const CHARGE: &str = "  - { id: charge, type: task, retry: { max_attempts: 2, initial: 0s } }\n";

#[test]
fn a_call_that_may_not_be_made_waits_and_uses_up_no_attempt() {
    let (mut state, mut room, events, _) = begun(CHARGE);
    let held = RunEvent::Service(ServiceEvent::CallHeld {
        step: StepIndex(0),
        undo: false,
        hold: state.held_call(Subject::Step(StepIndex(0))).expect("it waits").hold.clone(),
    });
    assert_eq!(events.last(), Some(&held));
    assert_eq!((state.step(StepIndex(0)).word(), state.step(StepIndex(0)).tries), ("ready", 0));
    assert!(owed(&state, START).is_empty());
    assert!(go_on(&mut state, &mut room).is_empty(), "it is told once");
    let said = &blockers(&state)[0];
    assert_eq!((said.kind, said.until), ("circuit", Some(START.plus_ms(30_000))));
    assert!(said.sentence.contains("circuit open for `payments` until"), "{}", said.sentence);
    room.free.insert(Subject::Step(StepIndex(0)));
    let step = StepIndex(0);
    assert_eq!(go_on(&mut state, &mut room), [RunEvent::StepStarted { step, attempt: 1 }]);
    assert!(state.held_call(Subject::Step(step)).is_none());
    assert!(blockers(&state).iter().all(|own| own.kind == "running"));
}

#[test]
fn a_step_that_is_not_to_wait_fails_without_an_attempt() {
    let steps = "  - { id: charge, type: task, breaker: { on_open: fail } }\n";
    let (state, _, events, _) = begun(steps);
    let refused =
        |own: &RunEvent| matches!(own, RunEvent::Service(ServiceEvent::CallRefused { .. }));
    assert!(events.iter().any(refused));
    let failure = state.step(StepIndex(0)).failure.as_ref().expect("it failed");
    assert_eq!((failure.code.as_str(), state.step(StepIndex(0)).attempt), ("CIRCUIT_OPEN", 0));
    assert_eq!(state.status().word(), "failed");
}

#[test]
fn a_turn_that_one_call_does_not_use_is_anothers() {
    let steps = "  - { id: a, type: task }\n  - { id: b, type: task }\n";
    let (state, room, _, _) = begun(steps);
    assert_eq!(room.turns, 1);
    assert_eq!(state.held_calls().count(), 2);
}

#[test]
fn a_run_that_is_stopped_gives_up_what_waits() {
    let (mut state, mut room, ..) = begun(CHARGE);
    let cancel = crate::stage::cancel(None);
    handle_within(&mut state, cancel, Moment::at(START), &mut room).expect("it runs");
    assert_eq!((state.status().word(), state.held_calls().count()), ("cancelled", 0));
}

#[test]
fn a_checkpoint_and_a_replay_know_what_waits() {
    let (state, _, events, known) = begun(CHARGE);
    let events: Vec<_> = events.into_iter().map(Event::Run).collect();
    let told = events.iter().map(|event| (event, START));
    let folded = replay(RUN, &known, told).expect("it folds");
    assert_eq!(Checkpoint::of(&folded), Checkpoint::of(&state));
    let text = serde_json::to_string(&Checkpoint::of(&state)).expect("plain data");
    let read: Checkpoint = serde_json::from_str(&text).expect("plain data");
    let again = read.restore(RUN, state.plan.clone()).expect("it fits");
    assert_eq!(again.held_calls().count(), 1);
}

#[test]
fn breakers_are_written_where_calls_are_made() {
    let problems = |steps: &str| crate::stage::plan_problems(&format!("id: w\nsteps:\n{steps}"));
    assert_eq!(problems("  - { id: a, type: task, breaker: payments }\n"), [""; 0]);
    let wait = "  - { id: a, type: wait, with: { duration: 1s }, breaker: x }\n";
    assert_eq!(problems(wait), ["steps[0].breaker"]);
    let alone = "  - { id: a, type: task, exclusive: true, breaker: x }\n";
    assert_eq!(problems(alone), ["steps[0].breaker"]);
    let of_loop =
        "  - { id: a, type: foreach, with: { items: [1] }, breaker: x, each: { type: task } }\n";
    assert_eq!(problems(of_loop), ["steps[0].breaker"]);
    let wrong = "  - { id: a, type: task, breaker: { failures: 0, ratio: 2, open_for: 2d, on_open: x, z: 1 } }\n";
    assert_eq!(problems(wrong).len(), 5);
    let template = "  - { id: a, type: task, breaker: 'x-{{ input.y }}' }\n";
    assert_eq!(problems(template), ["steps[0].breaker"]);
}
