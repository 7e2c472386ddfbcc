//! What every attempt of a dead letter's operation came to, read off its run's events.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::event::{Event, LetterSubject, RunEvent};
use crate::evolve::{attempt_lost, timed_out};
use crate::failure::Failure;
use crate::report::failure_json;
use crate::time::Timestamp;

/// The newest attempts that are told of a letter; it counts all of them.
pub const ATTEMPTS_TOLD_MAX: usize = 100;

/// One attempt as its run's events tell it.
struct Told {
    attempt: u16,
    started_at: Option<Timestamp>,
    ended: Option<(Timestamp, Failure)>,
}

/// The attempts that led to a letter, the oldest first, out of its run's history: when each
/// began and ended, and its error. At most the newest [`ATTEMPTS_TOLD_MAX`]. An attempt to
/// deliver a callback leaves no record of its beginning.
#[must_use]
pub fn attempts_json<'a>(
    letter: u32,
    history: impl Iterator<Item = (&'a Event, Timestamp)> + Clone,
) -> Value {
    let runs = history.filter_map(|(event, at)| match event {
        Event::Run(event) => Some((event, at)),
        _ => None,
    });
    let subject = runs.clone().find_map(|(event, _)| match event {
        RunEvent::LetterOpened { letter: own, subject, .. } if *own == letter => Some(*subject),
        _ => None,
    });
    let Some(subject) = subject else { return json!([]) };
    let mut told: VecDeque<Told> = VecDeque::new();
    for (event, at) in runs {
        if matches!(event, RunEvent::LetterOpened { letter: own, .. } if *own == letter) {
            break;
        }
        take(&mut told, subject, event, at);
        if told.len() > ATTEMPTS_TOLD_MAX {
            told.pop_front();
        }
    }
    told.iter().map(told_json).collect()
}

fn take(told: &mut VecDeque<Told>, subject: LetterSubject, event: &RunEvent, at: Timestamp) {
    let own_step = |step| subject == LetterSubject::Step(step);
    let own_undo = |step| subject == LetterSubject::Undo(step);
    match event {
        RunEvent::StepStarted { step, attempt } if own_step(*step) => begin(told, *attempt, at),
        RunEvent::UndoStarted { step, attempt } if own_undo(*step) => begin(told, *attempt, at),
        RunEvent::StepAttemptFailed { step, attempt, failure, .. } if own_step(*step) => {
            end(told, *attempt, at, failure.clone());
        }
        RunEvent::UndoAttemptFailed { step, attempt, failure, .. } if own_undo(*step) => {
            end(told, *attempt, at, failure.clone());
        }
        RunEvent::StepTimedOut { step, attempt, timeout_ms, .. } if own_step(*step) => {
            end(told, *attempt, at, timed_out(*timeout_ms));
        }
        RunEvent::StepAttemptLost { step, attempt } if own_step(*step) => {
            end(told, *attempt, at, attempt_lost());
        }
        RunEvent::CallbackAttemptFailed { delivery, attempt, failure, .. }
            if subject == LetterSubject::Callback(*delivery) =>
        {
            end(told, *attempt, at, failure.clone());
        }
        _ => {}
    }
}

fn begin(told: &mut VecDeque<Told>, attempt: u16, at: Timestamp) {
    told.push_back(Told { attempt, started_at: Some(at), ended: None });
}

fn end(told: &mut VecDeque<Told>, attempt: u16, at: Timestamp, failure: Failure) {
    match told.back_mut().filter(|own| own.attempt == attempt && own.ended.is_none()) {
        Some(own) => own.ended = Some((at, failure)),
        None => told.push_back(Told { attempt, started_at: None, ended: Some((at, failure)) }),
    }
}

fn told_json(own: &Told) -> Value {
    let took_us =
        own.started_at.zip(own.ended.as_ref()).map(|(began, (ended, _))| ended.0 - began.0);
    json!({
        "attempt": own.attempt,
        "started_at": own.started_at.map(|at| at.to_string()),
        "ended_at": own.ended.as_ref().map(|(at, _)| at.to_string()),
        "duration_ms": took_us.map(|us| us / 1_000),
        "error": own.ended.as_ref().map(|(_, failure)| failure_json(failure)),
    })
}
