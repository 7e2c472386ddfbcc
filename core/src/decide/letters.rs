//! Deciding what people do about a dead letter before it is settled.

use crate::arrows::Phase;
use crate::command::{NOTES_PER_LETTER_MAX, Rejection};
use crate::event::{LetterEvent, LetterSubject, RunEvent};
use crate::ids::StepIndex;
use crate::letters::InputEdit;
use crate::payload::Payload;
use crate::plan::TaskKind;
use crate::state::State;

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

/// The step of a letter and the input that an edit makes of the one it has. Only of a step that is
/// retried where its run stands, and that certainly took no effect: another input is another
/// effect, under another key.
///
/// # Errors
/// [`Rejection::InputNotEditable`], and what refuses the letter's retry.
pub fn edited_input(
    state: &State,
    number: u32,
    edit: &InputEdit,
) -> Result<(StepIndex, Payload), Rejection> {
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
    if state.letters_of(LetterSubject::Step(step)).last() != Some(number) {
        return refused("the step has a newer letter");
    }
    // An edit that was recorded without a retry, as it once could be.
    let letter = state.letters[number as usize].handling.as_ref();
    let given = letter.and_then(|own| own.edit.as_ref()).map(|own| &own.input);
    let input = edit.of(given.or(state.step(step).input.as_ref()));
    Ok((step, input.map_err(|why| Rejection::InputNotEditable { why })?))
}

/// Both facts together: no letter is left with an input that nobody runs.
pub(super) fn retry_with(
    state: &State,
    letter: u32,
    edit: &InputEdit,
    reason: String,
    actor: String,
) -> Decided {
    let (_, input) = edited_input(state, letter, edit)?;
    let input =
        fitting(state, input).map_err(|failure| Rejection::TooLarge { why: failure.message })?;
    let edited = LetterEvent::InputEdited { letter, input, reason, actor: actor.clone() };
    Ok(vec![RunEvent::Letter(edited), RunEvent::LetterRetried { letter, actor, linked: None }])
}
