//! Why a run does not go on: one sentence for each thing it waits for, and since when.
//!
//! Only reads a state. What a state does not know (turns, slots, queues) the shell adds to the
//! same list.

mod links;
mod ready;
mod services;
mod undos;

use serde_json::{Value, json};

use crate::arrows::{DeliveryStatus, Phase, StepStatus, UndoStatus};
use crate::decide::CALLBACK_ATTEMPTS_MAX;
use crate::event::{LetterSubject, SuspendReason};
use crate::failure::Failure;
use crate::ids::{LetterId, StepIndex};
use crate::plan::TaskKind;
use crate::report::{kind_word, letter_summary};
use crate::state::{Delivery, Letter, State, Subject};
use crate::summary::LetterStatus;
use crate::time::Timestamp;

pub use ready::first_without_turn;

/// Blockers that one answer lists; it says how many more there are.
pub const BLOCKERS_MAX: usize = 100;

/// Needs of one pending step that its sentence names.
const NEEDS_NAMED_MAX: usize = 8;

/// One thing a run waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// A word for programs: `paused`, `suspended`, `stopping`, `running`, `retrying`, `waiting`, `signal`,
    /// `ready`, `alone`, `parallel`, `pending`, `undo`, `undo_retry`, `undo_by_hand`, `compensation_timeout`, `callback`,
    /// `callback_retry`, `dead_letter`, `child`, `message`, `circuit`, `retry_budget`, `settling`, `rolling_back`;
    /// and of
    /// the shell `slot`, `limit`, `turn`.
    pub kind: &'static str,
    /// The step's id, the callback's URL or the letter's id.
    pub subject: Option<String>,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
    /// When it is over by itself, if it ever is.
    pub until: Option<Timestamp>,
    /// For a person.
    pub sentence: String,
}

impl Blocker {
    fn of(kind: &'static str, subject: impl Into<Option<String>>, sentence: String) -> Self {
        Self { kind, subject: subject.into(), since: None, until: None, sentence }
    }

    fn since(self, since: Option<Timestamp>) -> Self {
        Self { since, ..self }
    }

    fn until(self, until: Option<Timestamp>) -> Self {
        Self { until, ..self }
    }
}

/// Everything the run waits for, what holds all of it first.
#[must_use]
pub fn blockers(state: &State) -> Vec<Blocker> {
    let whole = held(state).or_else(|| stopping(state)).or_else(|| undos::partial(state));
    let mut found: Vec<_> = whole.into_iter().collect();
    let steps = || (0..).map(StepIndex).take(state.steps.len());
    match state.phase {
        Phase::Forward | Phase::Failing | Phase::Suspended => {
            found.extend(steps().filter_map(|step| under_way(state, step)));
            if state.phase != Phase::Failing {
                found.extend(ready::beyond_window(state));
                found.extend(steps().filter_map(|step| pending(state, step)));
            }
        }
        Phase::Unwinding => {
            found.extend(steps().filter_map(|step| undo(state, step)));
            found.extend(undos::timeout(state));
        }
        Phase::Ended => {}
    }
    let owed = |own: &&Delivery| own.status == DeliveryStatus::Owed;
    let owed = (0..).zip(&state.deliveries).filter(|(_, own)| owed(own));
    found.extend(owed.map(|(number, own)| {
        let held = state.held_call(Subject::Delivery(number));
        let of = || format!("the callback `{}` to {}", own.event.word(), own.url);
        held.map_or_else(|| callback(own), |held| services::waits(&of(), &own.url, held))
    }));
    found.extend(links::messages(state));
    found.extend((0..).take(state.letters.len()).filter_map(|number| letter(state, number)));
    found
}

/// The answer of `GET /api/v1/executions/{id}/why`.
#[must_use]
pub fn why_json(state: &State, blockers: &[Blocker]) -> Value {
    let status = state.status().word();
    let shown = &blockers[..blockers.len().min(BLOCKERS_MAX)];
    let summary = match (blockers.first(), &state.ending) {
        (Some(first), _) => first.sentence.clone(),
        (None, Some(ending)) => {
            format!("the run has ended: {status} at {}; nothing is outstanding", ending.at)
        }
        (None, None) => "the run is about to go on".to_owned(),
    };
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let blocker = |own: &Blocker| {
        json!({
            "kind": own.kind,
            "subject": own.subject,
            "since": at(own.since),
            "until": at(own.until),
            "sentence": own.sentence,
        })
    };
    json!({
        "execution_id": state.id.to_string(),
        "status": status,
        "summary": summary,
        "blockers": shown.iter().map(blocker).collect::<Vec<_>>(),
        "more": blockers.len() - shown.len(),
    })
}

fn id(state: &State, step: StepIndex) -> String {
    state.plan.step(step).id.to_string()
}

fn told(failure: Option<&Failure>) -> String {
    failure.map(|own| format!(": {}: {}", own.code, own.message)).unwrap_or_default()
}

/// What holds the run as a whole.
fn held(state: &State) -> Option<Blocker> {
    let (reason, since) = state.suspended()?;
    Some(match (reason, state.paused()) {
        (SuspendReason::Pause, Some(said)) => {
            let because = match said.reason.as_str() {
                "" => String::new(),
                reason => format!(" because: {reason}"),
            };
            let sentence = format!("paused by {} since {}{because}", said.actor, said.at);
            Blocker::of("paused", None, sentence).since(Some(said.at))
        }
        (SuspendReason::Undo, _) => undos::unsettled(state, since),
        _ => {
            let why = state.failing.as_ref();
            let step = why.and_then(|why| why.step);
            let cause = match (why, step) {
                (Some(why), Some(step)) => {
                    format!(" because step `{}` failed: {}", id(state, step), why.failure.message)
                }
                (Some(why), None) => format!(" because {}", why.failure.message),
                (None, _) => String::new(),
            };
            let letter = step.and_then(|step| open_letter(state, step));
            let letter = letter.map(|own| format!(" (dead letter {own})")).unwrap_or_default();
            let next = match state.sets.failed.is_empty() {
                true => "; no failed step is left: `resume` lets it go on",
                false => "",
            };
            let sentence = format!("suspended since {since}{cause}{letter}{next}");
            Blocker::of("suspended", step.map(|step| id(state, step)), sentence).since(Some(since))
        }
    })
}

/// What a run that was cancelled, or has failed, waits for before it is undone or ends.
fn stopping(state: &State) -> Option<Blocker> {
    if state.phase != Phase::Failing {
        return None;
    }
    if let Some(back_to) = state.back_to() {
        return Some(undos::stopping(state, back_to));
    }
    let (since, cause) = match (state.cancel.as_ref(), state.failing.as_ref()) {
        (Some(cancel), _) if cancel.in_force => {
            let because = match cancel.reason.as_str() {
                "" => String::new(),
                reason => format!(" because: {reason}"),
            };
            let (actor, at) = (&cancel.actor, cancel.at);
            (Some(at), format!("cancelled by {actor} since {at}{because}"))
        }
        (_, Some(why)) => (None, format!("it fails: {}", why.failure.message)),
        (_, None) => return None,
    };
    let sentence = format!(
        "{cause}; what is under way ends first, and nothing new begins (`cancel` with `force` \
         gives it up)"
    );
    Some(Blocker::of("stopping", None, sentence).since(since))
}

fn open_letter(state: &State, step: StepIndex) -> Option<LetterId> {
    let own = LetterSubject::Step(step);
    let open = |letter: &Letter| letter.subject == own && letter.status == LetterStatus::Open;
    let at = state.letters.iter().rposition(open)?;
    let number = u32::try_from(at).ok()?;
    Some(LetterId { execution: state.id, number })
}

/// Whether the signal that a step waits for is there: a run that is held takes none.
fn has_signal(state: &State, step: StepIndex) -> bool {
    state.signals().is_some_and(|own| own.pairs().any(|(waits, ..)| waits == step))
}

fn under_way(state: &State, step: StepIndex) -> Option<Blocker> {
    let (plan, own) = (state.plan.step(step), state.step(step));
    let (name, most) = (&plan.id, state.retries(step).policy.max_attempts);
    let subject = Some(name.to_string());
    let due = own.due_at.map_or_else(|| "once".to_owned(), |at| at.to_string());
    let began = own.started_at.map(|at| at.to_string()).unwrap_or_default();
    let attempt = own.tries.saturating_add(1);
    Some(match own.status {
        StepStatus::Ready | StepStatus::Retrying
            if let Some(held) = state.held_call(Subject::Step(step)) =>
        {
            services::waits(&format!("step `{name}`"), name, held)
        }
        StepStatus::Running if plan.task == TaskKind::Workflow => {
            return Some(links::child(state, step, false));
        }
        StepStatus::Running if plan.task == TaskKind::Foreach => {
            return Some(links::items(state, step));
        }
        StepStatus::Running => {
            let executor = match &plan.task {
                TaskKind::Effect(task_type) => task_type,
                TaskKind::Transform
                | TaskKind::Wait
                | TaskKind::Router
                | TaskKind::Workflow
                | TaskKind::Signal
                | TaskKind::Foreach => "core",
            };
            let since = match own.attempt {
                0 | 1 => format!(" since {began}"),
                _ => format!("; its first attempt began at {began}"),
            };
            let sentence = format!(
                "step `{name}` runs at the executor `{executor}` (attempt {attempt} of {most}){since}"
            );
            Blocker::of("running", subject, sentence).since(own.started_at)
        }
        StepStatus::Retrying | StepStatus::Faulted => {
            let failure = told(own.failure.as_deref());
            let sentence = format!(
                "step `{name}` is tried again at {due} (attempt {attempt} of {most}){failure}"
            );
            Blocker::of("retrying", subject, sentence).since(own.started_at).until(own.due_at)
        }
        StepStatus::Waiting => match state.awaits(step) {
            Some(signal) if has_signal(state, step) => {
                let sentence = format!(
                    "step `{name}` takes the signal `{signal}`, which has come, in its turn"
                );
                Blocker::of("signal", subject, sentence).since(own.started_at)
            }
            Some(signal) => {
                let until = own.due_at.map(|at| format!(", until {at}")).unwrap_or_default();
                let sentence =
                    format!("step `{name}` waits for the signal `{signal}` since {began}{until}");
                Blocker::of("signal", subject, sentence).since(own.started_at).until(own.due_at)
            }
            None => {
                let sentence = format!("step `{name}` waits until {due}");
                Blocker::of("waiting", subject, sentence).since(own.started_at).until(own.due_at)
            }
        },
        StepStatus::Ready => ready::ready(state, step),
        StepStatus::Pending
        | StepStatus::Succeeded
        | StepStatus::Failed
        | StepStatus::Skipped
        | StepStatus::Pruned
        | StepStatus::Cancelled => return None,
    })
}

fn pending(state: &State, step: StepIndex) -> Option<Blocker> {
    let (plan, own) = (state.plan.step(step), state.step(step));
    if own.status != StepStatus::Pending || own.open_needs == 0 {
        return None;
    }
    let unsettled = |need: &&StepIndex| {
        let own = state.step(**need);
        own.completed_at.is_none() || state.sets.failed.contains(*need)
    };
    let needs = plan.needs.iter().filter(unsettled).take(NEEDS_NAMED_MAX);
    let needs: Vec<_> = needs.map(|need| format!("`{}`", id(state, *need))).collect();
    let more = usize::try_from(own.open_needs).unwrap_or(0).saturating_sub(needs.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let sentence = format!("step `{}` waits for {}{more}", plan.id, needs.join(", "));
    let blocker = Blocker::of("pending", Some(plan.id.to_string()), sentence);
    Some(blocker.since(Some(state.submitted_at)))
}

fn undo(state: &State, step: StepIndex) -> Option<Blocker> {
    let (plan, own) = (state.plan.step(step), state.step(step).undo.as_ref()?);
    let most = state.undo_retries(step).policy.max_attempts;
    let (name, subject) = (&plan.id, Some(plan.id.to_string()));
    let attempt = own.tries.saturating_add(1);
    let what = if own.asks() { "check" } else { "undo" };
    Some(match own.status {
        UndoStatus::Succeeded | UndoStatus::Failed | UndoStatus::Skipped => return None,
        UndoStatus::Waiting => undos::by_hand(name, own.started_at),
        UndoStatus::Ready | UndoStatus::Retrying
            if let Some(held) = state.held_call(Subject::Undo(step)) =>
        {
            services::waits(&format!("the {what} of step `{name}`"), name, held)
        }
        UndoStatus::Pending | UndoStatus::Ready | UndoStatus::Answered => {
            Blocker::of("undo", subject, undos::in_line(state, step)).since(own.due_at)
        }
        UndoStatus::Running if plan.undo.as_ref().is_some_and(|undo| undo.rolls_back()) => {
            return Some(if plan.task == TaskKind::Foreach {
                links::items_undo(state, step)
            } else {
                links::child(state, step, true)
            });
        }
        UndoStatus::Running => {
            let began = own.started_at.map(|at| at.to_string()).unwrap_or_default();
            let sentence = format!(
                "the {what} of step `{name}` runs since {began} (attempt {attempt} of {most})"
            );
            Blocker::of("undo", subject, sentence).since(own.started_at)
        }
        UndoStatus::Faulted | UndoStatus::Retrying => {
            let due = own.due_at.map_or_else(|| "once".to_owned(), |at| at.to_string());
            let failure = told(own.failure.as_deref());
            let sentence = format!(
                "the {what} of step `{name}` is tried again at {due} \
                 (attempt {attempt} of {most}){failure}"
            );
            Blocker::of("undo_retry", subject, sentence).since(own.started_at).until(own.due_at)
        }
    })
}

fn callback(own: &Delivery) -> Blocker {
    let (word, url) = (own.event.word(), &own.url);
    let subject = Some(url.clone());
    match own.due_at {
        Some(due_at) => {
            let (next, most) = (own.tries.saturating_add(1), CALLBACK_ATTEMPTS_MAX);
            let failure = told(own.failure.as_deref());
            let sentence = format!(
                "the callback `{word}` to {url} is tried again at {due_at} \
                 (attempt {next} of {most}){failure}"
            );
            let blocker = Blocker::of("callback_retry", subject, sentence);
            blocker.since(Some(own.scheduled_at)).until(Some(due_at))
        }
        None => {
            let since = own.scheduled_at;
            let sentence = format!("the callback `{word}` to {url} is on its way since {since}");
            Blocker::of("callback", subject, sentence).since(Some(since))
        }
    }
}

fn letter(state: &State, number: u32) -> Option<Blocker> {
    let own = letter_summary(state, number)?;
    if own.status != LetterStatus::Open {
        return None;
    }
    let (kind, at) = (kind_word(own.kind), own.opened_at);
    let sentence = format!(
        "dead letter {} waits for a person since {at}: {kind} `{}` failed: {}: {}",
        own.letter, own.subject, own.code, own.message
    );
    Some(Blocker::of("dead_letter", Some(own.letter.to_string()), sentence).since(Some(at)))
}
