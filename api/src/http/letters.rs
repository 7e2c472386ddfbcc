//! `/api/v1/dlq`: dead letters shown, listed, retried, discarded.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use backstitch_core::ids::LetterId;
use backstitch_core::report::{kind_word, letter_row_json, letter_word};
use backstitch_core::summary::{LetterKind, LetterStatus};
use backstitch_journal::LetterFilter;
use serde_json::json;

use super::document::Document;
use super::executions::read_cursor;
use super::fields::Fields;
use super::path::PathId;
use super::query::Parameters;
use super::refusal::Refusal;
use super::{ACTOR, App, answer, codes};

const STATUSES: [LetterStatus; 3] =
    [LetterStatus::Open, LetterStatus::Retried, LetterStatus::Discarded];
const KINDS: [LetterKind; 3] = [LetterKind::Step, LetterKind::Undo, LetterKind::Callback];
/// Letters of every status.
const ALL: &str = "all";
/// Pages read for one answer when a kind is asked for, which rows are not ordered by. What is
/// found by then is answered, with a cursor to go on.
const PAGES_READ_MAX: usize = 32;

/// `GET /api/v1/dlq`: newest first, the open ones unless told otherwise.
pub(super) async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Refusal> {
    let engine = app.engine()?;
    let asked = Parameters::of(&uri, &["status", "workflow_id", "kind", "limit", "cursor"])?;
    let statuses =
        [letter_word(STATUSES[0]), letter_word(STATUSES[1]), letter_word(STATUSES[2]), ALL];
    let status = asked.word("status", &statuses, |word| match word {
        ALL => Some(None),
        word => STATUSES.into_iter().find(|status| letter_word(*status) == word).map(Some),
    })?;
    let kind = asked.word("kind", &KINDS.map(kind_word), |word| {
        KINDS.into_iter().find(|kind| kind_word(*kind) == word)
    })?;
    let filter = LetterFilter {
        namespace: app.namespace().to_string(),
        status: status.unwrap_or(Some(LetterStatus::Open)),
        workflow: asked.text("workflow_id").map(str::to_owned),
    };
    let (limit, mut next) = (asked.limit()?, read_cursor(asked.text("cursor"))?);
    let mut letters = Vec::new();
    for _ in 0..PAGES_READ_MAX {
        let page = engine.letters(filter.clone(), next, limit - letters.len()).await?;
        let rows = page.rows.iter().filter(|row| kind.is_none_or(|kind| row.kind == kind));
        letters.extend(rows.map(letter_row_json));
        next = page.next;
        if next.is_none() || letters.len() == limit {
            break;
        }
    }
    let next_cursor = next.map(|next| next.to_string());
    Ok(answer::ok(&json!({ "letters": letters, "next_cursor": next_cursor })))
}

/// `GET /api/v1/dlq/{id}`: the letter with its whole context.
pub(super) async fn show(State(app): State<App>, PathId(id): PathId) -> Result<Response, Refusal> {
    let engine = app.engine()?;
    Ok(answer::ok(&engine.letter(read_id(&id)?).await?))
}

/// `POST /api/v1/dlq/{id}/retry`: in place, or by a new run that starts over.
pub(super) async fn retry(
    State(app): State<App>,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = app.engine()?;
    let letter = read_id(&id)?;
    Fields::of(document, &[]).finish()?;
    let retried = engine.retry_letter(letter, ACTOR).await?;
    let body = json!({
        "letter_id": letter.to_string(),
        "execution_id": retried.execution.to_string(),
        "new_execution": retried.new_run,
        "status": retried.status,
    });
    Ok(answer::json(StatusCode::ACCEPTED, &body))
}

/// `POST /api/v1/dlq/{id}/discard`: the operation is given up.
pub(super) async fn discard(
    State(app): State<App>,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = app.engine()?;
    let letter = read_id(&id)?;
    let mut fields = Fields::of(document, &["reason"]);
    let reason = fields.words("reason");
    fields.finish()?;
    let status = engine.discard_letter(letter, ACTOR.to_owned(), reason).await?;
    Ok(answer::ok(&json!({
        "letter_id": letter.to_string(),
        "execution_id": letter.execution.to_string(),
        "status": status,
    })))
}

fn read_id(text: &str) -> Result<LetterId, Refusal> {
    text.parse().map_err(|bad| Refusal::new(codes::DEAD_LETTER_NOT_FOUND, format!("{bad}")))
}
