//! Deciding what people do about a dead letter before it is settled.

use crate::arrows::Phase;
use crate::command::{NOTES_PER_LETTER_MAX, Rejection};
use crate::event::{LetterEvent, LetterSubject, RunEvent};
use crate::payload::Payload;
use crate::plan::TaskKind;
use crate::state::State;
use crate::summary::LetterStatus;

use super::{can_go_on, fitting, open_letter};

type Decided = Result<Vec<RunEvent>, Rejection>;

fn one(event: LetterEvent) -> Vec<RunEvent> {
    vec![RunEvent::Letter(event)]
}

pub(super) fn assign(
    state: &State,
    number: u32,
    assignee: Option<String>,
    reason: String,
    actor: String,
) -> Decided {
    open_letter(state, number)?;
    let known = state.letters[number as usize].handling.as_ref();
    if known.and_then(|own| own.assignee.as_ref()) == assignee.as_ref() {
        return Ok(Vec::new());
    }
    Ok(one(LetterEvent::Assigned { letter: number, assignee, reason, actor }))
}

/// A letter that was settled can be written about still.
pub(super) fn note(state: &State, number: u32, text: String, actor: String) -> Decided {
    let letter =
        state.letters.get(number as usize).ok_or(Rejection::UnknownLetter { letter: number })?;
    let known = letter.handling.as_ref().map_or(0, |own| own.notes.len());
    if known >= NOTES_PER_LETTER_MAX {
        return Err(Rejection::TooManyNotes);
    }
    Ok(one(LetterEvent::Noted { letter: number, text, actor }))
}

/// What a parent has undone stays undone; while it is being undone, only its undos are retried.
///
/// # Errors
/// [`Rejection::UndoneWithParent`].
pub(super) fn refuse_if_undone(state: &State, subject: LetterSubject) -> Result<(), Rejection> {
    let (Some(links), Some(parent)) = (&state.links, state.parent()) else { return Ok(()) };
    let undone = match subject {
        LetterSubject::Step(_) => links.rolled_back || links.roll_back.is_some(),
        LetterSubject::Undo(_) => links.rolled_back,
        LetterSubject::Callback(_) => false,
    };
    if undone { Err(Rejection::UndoneWithParent { run: parent.run }) } else { Ok(()) }
}

/// Only a step that is retried where its run stands, and that certainly took no effect: another
/// input is another effect, under another key.
pub(super) fn edit(
    state: &State,
    number: u32,
    input: Payload,
    reason: String,
    actor: String,
) -> Decided {
    let refused = |why: &'static str| Err(Rejection::InputNotEditable { why });
    let subject = open_letter(state, number)?;
    let LetterSubject::Step(step) = subject else {
        return refused("only a step's input can be edited; an undo and a callback keep theirs");
    };
    refuse_if_undone(state, subject)?;
    if !matches!(state.plan.steps[step.at()].task, TaskKind::Effect(_)) {
        return refused("only the input of a step that calls an executor can be edited");
    }
    let in_place = match state.phase {
        Phase::Suspended => state.partial().is_none(),
        Phase::Ended => can_go_on(state),
        _ => false,
    };
    if !in_place {
        return refused("its run does not go on where it stands: run it again with another input");
    }
    if state.step(step).unsure {
        return refused("the step may have taken effect with the input it had: settle it by hand");
    }
    let newest = state.letters_of(LetterSubject::Step(step)).last();
    if newest != Some(number) || state.letters[number as usize].status != LetterStatus::Open {
        return refused("the step has a newer letter");
    }
    let input =
        fitting(state, input).map_err(|failure| Rejection::TooLarge { why: failure.message })?;
    Ok(one(LetterEvent::InputEdited { letter: number, input, reason, actor }))
}
