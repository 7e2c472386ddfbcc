//! Laws that hold of every run: any prefix is a place to go on from, and wide runs stay whole.

use std::collections::BTreeSet;

use backstitch_core::advance::STARTS_PER_LAYER_MAX;
use backstitch_core::arrows::{StepStatus, UndoStatus};
use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::event::{Event, Message, Outcome};
use backstitch_core::failure::Failure;
use backstitch_core::ids::StepIndex;
use backstitch_core::lineage::Plans as _;
use backstitch_core::links::Parcel;
use backstitch_core::machine::{self, EVENTS_PER_DECISION_MAX, replay};
use backstitch_core::payload::Payload;
use backstitch_core::state::{Child, State};
use backstitch_core::time::Moment;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::stage::{self, Life, RUN};

/// A random graph: each step's needs among those before it, and what it can do.
pub fn definition() -> impl Strategy<Value = String> {
    let step = (any::<u16>(), any::<bool>(), any::<bool>(), 0..5_u8);
    let policy = prop_oneof![Just("compensate"), Just("halt"), Just("suspend")];
    let flows = prop::collection::vec((0..6_u8, any::<u8>(), any::<u8>()), 0..4);
    (prop::collection::vec(step, 1..12), policy, flows).prop_map(|(steps, policy, flows)| {
        let steps: Vec<_> = steps
            .iter()
            .enumerate()
            .map(|(at, &(mask, undo, allowed, kind))| {
                let needs: Vec<_> =
                    (0..at).filter(|n| mask >> n & 1 == 1).map(|n| format!("s{n}")).collect();
                let task = ["task", "task", "transform", "wait", "workflow"][usize::from(kind)];
                let mut step =
                    json!({ "id": format!("s{at}"), "needs": needs, "type": task, "with": {} });
                if task == "workflow" {
                    step["with"] = json!({ "workflow": "other" });
                    step["retry"] = json!({ "max_attempts": 2, "initial": "1s" });
                }
                if task == "wait" {
                    step["with"] = match undo {
                        true => json!({ "signal": "go", "timeout": "9s" }),
                        false => json!({ "signal": "go" }),
                    };
                }
                if task == "task" {
                    step["retry"] = json!({ "max_attempts": 2, "initial": "1s" });
                    step["allow_failure"] = json!(allowed && !undo);
                    if mask & 0x4000 != 0 {
                        step["total_timeout"] = json!("5s");
                        step["sla"] = json!("1s");
                    }
                    if undo {
                        step["undo"] = json!({ "type": "task" });
                    }
                }
                step
            })
            .collect();
        let steps = with_flow(steps, &flows);
        json!({ "id": "random", "on_failure": policy, "steps": steps }).to_string()
    })
}

/// Makes routers of some steps and handlers of others; each leads only to later steps.
fn with_flow(mut steps: Vec<Value>, flows: &[(u8, u8, u8)]) -> Vec<Value> {
    let count = steps.len();
    let mut targets = BTreeSet::new();
    let mut handlers = BTreeSet::new();
    for &(kind, from, to) in flows {
        let (from, to) = (usize::from(from) % count, usize::from(to) % count);
        let free = |list: &Value| !list.as_array().into_iter().flatten().any(|id| id == &id_of(to));
        if from >= to {
            continue;
        }
        match kind {
            0 | 1 if !handlers.contains(&to) => {
                let when = if kind == 0 { "true" } else { "false" };
                let undone = steps[from]["undo"].is_object();
                if !undone && free(&steps[from]["default"]) {
                    steps[from] = json!({
                        "id": id_of(from), "needs": steps[from]["needs"], "type": "router",
                        "routes": [{ "when": when, "to": [id_of(to)] }], "default": [id_of(count - 1)],
                    });
                    if handlers.contains(&(count - 1)) || from == count - 1 {
                        steps[from]["default"] = json!([]);
                    } else {
                        targets.insert(count - 1);
                    }
                    targets.insert(to);
                }
            }
            2 if free(&steps[from]["on_success"]) => append(&mut steps[from]["on_success"], to),
            3.. if !targets.contains(&to) && free(&steps[from]["on_failure"]) => {
                append(&mut steps[from]["on_failure"], to);
                steps[to]["needs"] = json!([]);
                handlers.insert(to);
            }
            _ => {}
        }
    }
    for step in &mut steps {
        let fields = step.as_object_mut().expect("a step");
        fields.retain(|_, value| !value.is_null());
    }
    steps
}

fn id_of(step: usize) -> Value {
    json!(format!("s{step}"))
}

fn append(list: &mut Value, step: usize) {
    let mut ids = list.as_array().cloned().unwrap_or_default();
    ids.push(id_of(step));
    *list = Value::Array(ids);
}

/// Lets whatever is owed end as the numbers say, until the run rests or they run out.
pub fn drive(life: &mut Life, answers: &[u8]) {
    for (at, answer) in answers.iter().enumerate() {
        if at % 7 == 3 {
            meddle(life, *answer);
        }
        let owed = backstitch_core::effect::owed(&life.state, life.now);
        let Some(effect) = owed.get(usize::from(*answer) % owed.len().max(1)) else {
            match child_ends(life, *answer) {
                Some(ended) => life.act(ended).expect("it is awaited"),
                None => drop(life.later(2_000)),
            }
            continue;
        };
        let result = match answer % 5 {
            0 => AttemptResult::Answered(Err(Failure::permanent("NO", "no"))),
            1 => AttemptResult::Answered(Err(Failure::retryable("BUSY", "busy"))),
            2 => AttemptResult::TimedOut,
            _ => AttemptResult::Answered(Ok(Payload::null())),
        };
        let retry_delay_ms = 1_000;
        let command = match *effect {
            backstitch_core::effect::Effect::RunStep { step, attempt } => {
                Command::ReportStep { step, attempt, result, retry_delay_ms }
            }
            backstitch_core::effect::Effect::UndoStep { step, attempt } => {
                Command::ReportUndo { step, attempt, result, retry_delay_ms }
            }
            backstitch_core::effect::Effect::DeliverCallback { delivery, attempt } => {
                Command::ReportCallback { delivery, attempt, result: Ok(200), retry_delay_ms }
            }
            backstitch_core::effect::Effect::Send { message } => {
                let refused = answer.is_multiple_of(7).then(|| Failure::permanent("NO", "no"));
                let own = life.state.links.as_ref().and_then(|links| links.outbox.get(&message));
                let posted_at = own.expect("it is owed").posted_at;
                Command::Acknowledge { message, posted_at, refused }
            }
        };
        life.act(command).expect("a report is never rejected");
    }
}

/// Some child that the run waits for has ended, or is undone.
fn child_ends(life: &Life, answer: u8) -> Option<Command> {
    let links = life.state.links.as_ref()?;
    let waits = |(step, children): (&StepIndex, &Vec<Child>)| {
        let own = life.state.step(*step);
        let undo = own.undo.as_ref().filter(|undo| undo.status == UndoStatus::Running);
        let child = children.last()?;
        let failure = answer.is_multiple_of(3).then(|| Failure::retryable("CHILD_FAILED", "no"));
        let outcome = if failure.is_some() { Outcome::Failed } else { Outcome::Completed };
        let (step, attempt) = (*step, child.attempt);
        let body = match undo {
            Some(undo) => Message::RolledBack { step, attempt: undo.attempt, failure },
            None if own.status == StepStatus::Running => {
                Message::Ended { step, attempt, outcome, failure }
            }
            None => return None,
        };
        Some((child.run, body))
    };
    let (from, body) = links.children.iter().find_map(waits)?;
    let message = u32::try_from(links.received.len()).expect("few");
    let (to, posted_at, start, output) = (RUN, life.now, None, None);
    let namespace = life.state.submitted.namespace.clone();
    let parcel = Parcel { from, namespace, message, to, posted_at, body, start, output };
    let parcel = Box::new(parcel);
    Some(Command::Receive { parcel, retry_delay_ms: 1_000 })
}

/// Somebody does something to the run, sensible or not.
fn meddle(life: &mut Life, choice: u8) {
    let step = format!("s{}", choice / 16);
    let command = match choice % 16 {
        0..=2 => stage::pause(),
        3..=5 => stage::resume(),
        6 => stage::set(&step, None),
        7 => stage::set(&step, Some(Payload::null())),
        8 => stage::roll_back(),
        9 => stage::force(),
        10 => stage::cancel(None),
        11 => stage::retry(0),
        12 => stage::discard(0),
        13..=14 => stage::roll_back_to(&step),
        _ => stage::signal("go", choice.into(), None),
    };
    // Most are refused where the run stands; a refusal changes nothing.
    let events = life.events.len();
    if life.act(command).is_err() {
        assert_eq!(life.events.len(), events);
    }
}

fn fold(life: &Life, events: usize) -> State {
    let events: Vec<_> =
        life.events[..events].iter().map(|event| (Event::Run(event.clone()), life.now)).collect();
    replay(RUN, &life.plans, events.iter().map(|(event, at)| (event, *at))).expect("folds")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_prefix_goes_on_to_a_legal_rest(
        definition in definition(),
        answers in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut life = Life::begin(&definition, json!({}));
        drive(&mut life, &answers);
        for events in 1..=life.events.len() {
            let mut state = fold(&life, events);
            let decided = machine::handle(&mut state, Command::Continue, Moment::at(life.now));
            prop_assert!(decided.is_ok(), "{:?}", decided.err());
            let rests = backstitch_core::advance::advance(&state, life.now).is_empty();
            prop_assert!(rests, "something still follows after {events} events");
        }
    }

    #[test]
    fn a_checkpoint_anywhere_folds_to_the_same_state(
        definition in definition(),
        answers in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut life = Life::begin(&definition, json!({}));
        drive(&mut life, &answers);
        let whole = Checkpoint::of(&fold(&life, life.events.len()));
        for events in 1..=life.events.len() {
            let made = Checkpoint::of(&fold(&life, events));
            prop_assert_eq!(made.version(), events as u64);
            let text = serde_json::to_string(&made).expect("plain data");
            let read: Checkpoint = serde_json::from_str(&text).expect("plain data");
            let mut state = read.restore(RUN, life.state.plan.clone()).expect("it fits");
            let rest: Vec<_> = life.events[events..].iter().cloned().map(Event::Run).collect();
            let rest = rest.iter().map(|event| (event, life.now));
            machine::replay_more(&mut state, &life.plans, rest).expect("folds");
            prop_assert_eq!(Checkpoint::of(&state), whole.clone());
        }
    }
}

/// What is left of a state but for the words that a migration changes. How many needs of a pruned
/// step were done is read by nobody, and depends on which of them were settled before it.
fn told(state: &State) -> Value {
    let mut told = serde_json::to_value(Checkpoint::of(state)).expect("plain data");
    for name in ["submitted", "migrations", "version", "updated_at"] {
        told[name] = Value::Null;
    }
    for (at, step) in state.steps.iter().enumerate() {
        if step.status == StepStatus::Pruned {
            told["steps"][at]["done_needs"] = Value::Null;
        }
    }
    told
}

/// Another revision of a random definition: a step more, and one less if nobody names it.
fn revised(definition: &str, need: u8, less: u8) -> String {
    let mut value: Value = serde_json::from_str(definition).expect("JSON");
    let steps = value["steps"].as_array_mut().expect("steps");
    let count = steps.len();
    let need = id_of(usize::from(need) % count);
    let handler = steps
        .iter()
        .any(|own| own["on_failure"].as_array().into_iter().flatten().any(|id| *id == need));
    let less = usize::from(less) % count;
    let named = steps
        .iter()
        .enumerate()
        .any(|(at, own)| at != less && own.to_string().contains(&id_of(less).to_string()));
    if !named && count > 1 && need != id_of(less) {
        steps.remove(less);
    }
    let needs = if handler { json!([]) } else { json!([need]) };
    steps.push(json!({ "id": "more", "type": "task", "needs": needs, "undo": { "type": "task" } }));
    value.to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_migration_onto_the_same_graph_changes_nothing(
        definition in definition(),
        answers in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut life = Life::begin(&definition, json!({}));
        drive(&mut life, &answers);
        let before = told(&life.state);
        let renamed = definition.replacen("\"id\":\"random\"", "\"id\":\"random\",\"name\":\"n\"", 1);
        if life.migrate(&renamed).is_ok() {
            prop_assert_eq!(told(&life.state), before);
        }
    }

    #[test]
    fn a_migrated_run_goes_on_from_every_prefix(
        definition in definition(),
        early in prop::collection::vec(any::<u8>(), 0..20),
        late in prop::collection::vec(any::<u8>(), 0..30),
        (need, less) in (any::<u8>(), any::<u8>()),
    ) {
        let mut life = Life::begin(&definition, json!({}));
        drive(&mut life, &early);
        let events = life.events.len();
        if life.migrate(&revised(&definition, need, less)).is_err() {
            prop_assert_eq!(life.events.len(), events, "a refusal changes nothing");
            return Ok(());
        }
        drive(&mut life, &late);
        let whole = Checkpoint::of(&fold(&life, life.events.len()));
        for events in 1..=life.events.len() {
            let state = fold(&life, events);
            let made = Checkpoint::of(&state);
            let plan = life.plans.plan_of(&made.lineage()).expect("a plan of the run");
            let mut read = made.restore(RUN, plan).expect("it fits");
            let rest: Vec<_> = life.events[events..].iter().cloned().map(Event::Run).collect();
            let rest = rest.iter().map(|event| (event, life.now));
            machine::replay_more(&mut read, &life.plans, rest).expect("folds");
            prop_assert_eq!(Checkpoint::of(&read), whole.clone());
            let mut state = state;
            let decided = machine::handle(&mut state, Command::Continue, Moment::at(life.now));
            prop_assert!(decided.is_ok(), "{:?}", decided.err());
        }
    }
}

#[test]
fn a_wide_run_is_cut_into_bounded_decisions_and_loses_no_step() {
    let wide = 5 * STARTS_PER_LAYER_MAX;
    let steps: Vec<_> =
        (0..wide).map(|at| json!({ "id": format!("s{at}"), "type": "task" })).collect();
    let definition = json!({ "id": "wide", "steps": steps }).to_string();
    let mut life = Life::begin(&definition, json!({}));
    let most = EVENTS_PER_DECISION_MAX + 2 * STARTS_PER_LAYER_MAX;
    assert!(life.events.len() <= most, "{} events in one decision", life.events.len());
    while life.state.steps.iter().any(|step| step.attempt == 0) {
        let before = life.events.len();
        life.later(0);
        assert!(life.events.len() > before, "a cut decision goes on");
        assert!(life.events.len() - before <= most);
    }
    assert!(life.state.steps.iter().all(|step| step.attempt == 1));
}

#[test]
fn a_long_chain_of_pure_steps_is_cut_too() {
    let steps: Vec<_> = (0..3_000)
        .map(|at: usize| {
            let needs: Vec<_> = at.checked_sub(1).map(|n| format!("s{n}")).into_iter().collect();
            json!({ "id": format!("s{at}"), "type": "transform", "needs": needs, "with": {} })
        })
        .collect();
    let definition = json!({ "id": "long", "steps": steps }).to_string();
    let mut life = Life::begin(&definition, json!({}));
    for _ in 0..100 {
        life.later(0);
    }
    assert_eq!(life.status(), "completed");
}
