//! Which failures are followed by another attempt.

use std::collections::{BTreeMap, BTreeSet};

use backstitch_core::event::{ForkEvent, LetterEvent, LetterSubject, RunEvent, UnwindEvent};
use backstitch_core::evolve::{attempt_lost, timed_out};
use backstitch_core::failure::{EffectKnown, Failure, codes};
use backstitch_core::retry_policy::Retries;
use backstitch_core::state::State;
use serde_json::{Value, json};

use super::random::Random;

/// Some policies say after which failures.
pub fn choose(retry: &mut Value, random: &mut Random) {
    if random.chance(10) {
        retry["on"] = json!(*random.pick(&["SERVICE_BUSY", "timeout", "REFUSED"]));
        retry["on"] = json!([retry["on"].take(), "CONNECTION_LOST"]);
    }
    if random.chance(10) {
        retry["never"] = json!([*random.pick(&["unknown", "CONNECTION_LOST", "timeout"])]);
    }
}

/// What is wrong with where a run's steps led, or with how they were tried again.
pub fn wrong_way(state: &State, events: &[RunEvent]) -> Option<&'static str> {
    let fault = || super::faults::wrong_fault(state, events);
    let wrong = super::flow::wrong_way(state, events).or_else(fault);
    wrong.or_else(|| wrong_retry(state, events)).or_else(|| wrong_input(events))
}

/// A step that was given another input, and then has not begun a new round with it, or has left
/// it again.
fn wrong_input(events: &[RunEvent]) -> Option<&'static str> {
    let (mut letters, mut edits) = (Vec::new(), BTreeMap::new());
    let (mut given, mut rounds) = (BTreeMap::new(), BTreeMap::new());
    for event in events {
        match event {
            RunEvent::Fork(ForkEvent::StepKept(kept)) => {
                rounds.insert(kept.step, kept.round);
            }
            RunEvent::LetterOpened { subject, .. } => letters.push(*subject),
            RunEvent::Letter(LetterEvent::InputEdited { letter, input, .. }) => {
                edits.insert(*letter, input);
            }
            RunEvent::LetterRetried { letter, linked: None, .. } => {
                if let (LetterSubject::Step(step), Some(input)) =
                    (letters[*letter as usize], edits.remove(letter))
                {
                    let last: u16 = rounds.get(&step).copied().unwrap_or(1);
                    given.insert(step, (input, last + 1));
                }
            }
            RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { steps }) => {
                for step in steps {
                    given.remove(step);
                    *rounds.entry(*step).or_insert(1) += 1;
                }
            }
            RunEvent::StepReady { step, round, input } => {
                let fits = match given.get(step) {
                    Some(known) => *known == (input, *round),
                    None => *round == rounds.get(step).copied().unwrap_or(1),
                };
                if !fits {
                    return Some("a step does not run with the input and the round it was given");
                }
                rounds.insert(*step, *round);
            }
            _ => {}
        }
    }
    None
}

/// A retry that its policy does not allow.
fn wrong_retry(state: &State, events: &[RunEvent]) -> Option<&'static str> {
    if state.migrations.is_some() {
        // Each was allowed by the revision of its time.
        return None;
    }
    let (steps, mut last) = (&state.plan.steps, BTreeMap::new());
    let mut asking = BTreeSet::new();
    for event in events {
        match event {
            RunEvent::StepAttemptFailed { step, failure, .. } => {
                last.insert((*step, false), failure.clone());
            }
            RunEvent::StepTimedOut { step, .. } => drop(last.insert((*step, false), timed_out(1))),
            RunEvent::StepAttemptLost { step, .. } => {
                last.insert((*step, false), attempt_lost());
            }
            RunEvent::UndoAttemptFailed { step, failure, .. } => {
                last.insert((*step, true), failure.clone());
            }
            RunEvent::StepRetryScheduled { step, .. } => {
                let failure = &last[&(*step, false)];
                let retries = &steps.get(step.at())?.retry;
                if !may_follow(retries, failure) {
                    return Some("a step is tried again after what its policy excludes");
                }
            }
            RunEvent::Unwind(UnwindEvent::CheckReady { step, .. }) => {
                asking.insert(*step);
            }
            RunEvent::UndoReady { step, .. } => drop(asking.remove(step)),
            RunEvent::UndoRetryScheduled { step, .. } => {
                let failure = &last[&(*step, true)];
                let undo = steps.get(step.at())?.undo.as_ref()?;
                let check = undo.check.as_ref().filter(|_| asking.contains(step));
                let retries = check.map_or(&undo.retry, |check| &check.retry);
                if !may_follow(retries, failure) {
                    return Some("an undo is tried again after what its policy excludes");
                }
            }
            _ => {}
        }
    }
    None
}

/// The words of a policy, read once more: words are said of timeouts and unknown outcomes, all
/// else are codes here.
fn may_follow(retries: &Retries, failure: &Failure) -> bool {
    let said = |words: &[String]| {
        words.iter().any(|word| match word.as_str() {
            "timeout" => failure.code == codes::TASK_TIMEOUT,
            "unknown" => failure.effect == EffectKnown::Unknown,
            code => failure.code == code,
        })
    };
    let Some(conditions) = &retries.conditions else { return true };
    let [on, never] = [&conditions.on, &conditions.never]
        .map(|own| own.iter().map(ToString::to_string).collect::<Vec<_>>());
    let lost = failure.code == codes::ATTEMPT_LOST;
    !said(&never) && (on.is_empty() || lost || said(&on))
}
