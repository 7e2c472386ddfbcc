//! Dead letters as the outside sees them: rows of lists, and one with its context.

use serde_json::{Map, Value, json};

use super::failure_json;
use crate::event::{LetterEvent, LetterSubject};
use crate::ids::{LetterId, StepIndex};
use crate::letters::{Fingerprint, LetterCounts, LetterGroup, normal};
use crate::payload::Payload;
use crate::state::{Letter, State};
use crate::summary::{LetterKind, LetterStatus, LetterSummary};

/// The row that lists show of one of the run's letters.
#[must_use]
pub fn letter_summary(state: &State, number: u32) -> Option<LetterSummary> {
    let letter = state.letters.get(number as usize)?;
    let (kind, subject) = subject_words(state, letter.subject);
    Some(LetterSummary {
        letter: LetterId { execution: state.id, number },
        namespace: state.submitted.namespace.clone(),
        workflow: state.submitted.workflow.clone(),
        revision: state.submitted.revision,
        tags: state.tags.clone(),
        kind,
        fingerprint: fingerprint(state, letter),
        subject,
        code: letter.failure.code.clone(),
        message: letter.failure.message.clone(),
        status: letter.status,
        assignee: letter.handling.as_ref().and_then(|own| own.assignee.clone()),
        opened_at: letter.opened_at,
        attempts: letter.attempts,
        version: state.version,
    })
}

/// The rows of all letters of the run.
pub fn letter_summaries(state: &State) -> impl Iterator<Item = LetterSummary> + '_ {
    (0..).take(state.letters.len()).filter_map(|number| letter_summary(state, number))
}

/// What the letter shares with others of the same cause.
fn fingerprint(state: &State, letter: &Letter) -> Fingerprint {
    let (kind, subject) = subject_words(state, letter.subject);
    Fingerprint::of(kind, &state.submitted.workflow, &subject, &letter.failure)
}

fn subject_words(state: &State, subject: LetterSubject) -> (LetterKind, String) {
    let id = |step: StepIndex| state.plan.steps[step.at()].id.to_string();
    match subject {
        LetterSubject::Step(step) => (LetterKind::Step, id(step)),
        LetterSubject::Undo(step) => (LetterKind::Undo, id(step)),
        LetterSubject::Callback(n) => {
            let delivery = state.deliveries.get(n as usize);
            (LetterKind::Callback, delivery.map(|own| own.url.clone()).unwrap_or_default())
        }
    }
}

/// A dead letter with its whole context.
#[must_use]
pub fn letter_json(state: &State, number: u32, letter: &Letter) -> Value {
    let (kind, subject) = subject_words(state, letter.subject);
    let input = match letter.subject {
        LetterSubject::Step(step) => State::step(state, step).input.clone(),
        LetterSubject::Undo(step) => {
            State::step(state, step).undo.as_ref().and_then(|undo| undo.input.clone())
        }
        LetterSubject::Callback(n) => state.deliveries.get(n as usize).map(|own| own.body.clone()),
    };
    let handling = letter.handling.as_deref().cloned().unwrap_or_default();
    json!({
        "letter_id": LetterId { execution: state.id, number }.to_string(),
        "execution_id": state.id.to_string(),
        "workflow_id": state.submitted.workflow,
        "revision": state.submitted.revision,
        "correlation_id": state.submitted.correlation_id,
        "kind": kind_word(kind),
        "subject": subject,
        "fingerprint": fingerprint(state, letter).to_string(),
        "tags": state.tags,
        "status": letter_word(letter.status),
        "attempts": letter.attempts,
        "input": input.as_ref().map(Payload::value),
        "error": failure_json(&letter.failure),
        "opened_at": letter.opened_at.to_string(),
        "settled": letter.settled.as_ref().map(|settled| json!({
            "actor": settled.actor,
            "reason": settled.reason,
            "execution_id": settled.linked.map(|run| run.to_string()),
            "at": settled.at.to_string(),
        })),
        "assignee": handling.assignee,
        "notes": handling.notes.iter().map(|own| json!({
            "text": own.reason, "actor": own.actor, "at": own.at.to_string(),
        })).collect::<Vec<_>>(),
        "edited_input": handling.edit.as_ref().map(|edit| edit.input.value()),
    })
}

/// A row of the list of dead letters.
#[must_use]
pub fn letter_row_json(row: &LetterSummary) -> Value {
    json!({
        "letter_id": row.letter.to_string(),
        "execution_id": row.letter.execution.to_string(),
        "workflow_id": row.workflow,
        "revision": row.revision,
        "kind": kind_word(row.kind),
        "subject": row.subject,
        "fingerprint": row.fingerprint.to_string(),
        "tags": row.tags,
        "status": letter_word(row.status),
        "attempts": row.attempts,
        "error": { "error_code": row.code, "message": row.message },
        "assignee": row.assignee,
        "opened_at": row.opened_at.to_string(),
    })
}

/// The word of a letter's kind.
#[must_use]
pub fn kind_word(kind: LetterKind) -> &'static str {
    match kind {
        LetterKind::Step => "step",
        LetterKind::Undo => "undo",
        LetterKind::Callback => "callback",
    }
}

/// The word of a letter's status.
#[must_use]
pub fn letter_word(status: LetterStatus) -> &'static str {
    match status {
        LetterStatus::Open => "open",
        LetterStatus::Retried => "retried",
        LetterStatus::Discarded => "discarded",
        LetterStatus::Resolved => "resolved",
    }
}

/// A group of dead letters of one cause.
#[must_use]
pub fn letter_group_json(group: &LetterGroup) -> Value {
    let (cause, example) = (&group.cause, &group.example);
    json!({
        "fingerprint": cause.fingerprint.to_string(),
        "workflow_id": cause.workflow,
        "kind": kind_word(cause.kind),
        "subject": example.subject,
        "error_code": cause.code,
        "message": normal(&example.message),
        "letters": group.counts.total(),
        "by_status": letter_counts_json(&group.counts),
        "first_seen_at": group.first_at.to_string(),
        "last_seen_at": group.last_at.to_string(),
        "example": letter_row_json(example),
    })
}

/// How many letters there are, by status.
#[must_use]
pub fn letter_counts_json(counts: &LetterCounts) -> Map<String, Value> {
    let of = |status| (letter_word(status).to_owned(), counts.of_status(status).into());
    LetterStatus::ALL.into_iter().map(of).collect()
}

/// The data of what people do about a letter before it is settled.
pub(super) fn event_data(event: &LetterEvent) -> Value {
    match event {
        LetterEvent::Assigned { letter, assignee, reason, actor } => json!({
            "letter": letter, "assignee": assignee, "reason": reason, "actor": actor,
        }),
        LetterEvent::Noted { letter, text, actor } => {
            json!({ "letter": letter, "text": text, "actor": actor })
        }
        LetterEvent::InputEdited { letter, input, reason, actor } => json!({
            "letter": letter, "input": input.value(), "reason": reason, "actor": actor,
        }),
    }
}
