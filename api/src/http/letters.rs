//! `/api/v1/dlq`: dead letters shown, listed, retried, discarded.

use axum::http::{StatusCode, Uri};
use axum::response::Response;
use backstitch_core::access::Permission;
use backstitch_core::definition::problem::codes::MISSING_FIELD;
use backstitch_core::ids::LetterId;
use backstitch_core::letters::{BadFingerprint, InputEdit};
use backstitch_core::report::{kind_word, letter_row_json, letter_word};
use backstitch_core::summary::{LetterKind, LetterStatus};
use backstitch_journal::LetterFilter;
use serde_json::json;

use super::caller::Caller;
use super::document::Document;
use super::fields::Fields;
use super::path::PathId;
use super::query::{LIMIT_DEFAULT, Parameters};
use super::refusal::Refusal;
use super::window::{self, Window};
use super::{answer, codes};

/// Letters of every status.
const ALL: &str = "all";
/// What a list of letters can be asked.
const LIST_PARAMETERS: [&str; 12] = [
    "status",
    "workflow_id",
    "step",
    "kind",
    "code",
    "fingerprint",
    "tag",
    "assignee",
    "execution_id",
    "opened_after",
    "opened_before",
    "order",
];

/// `GET /api/v1/dlq`: newest first and the open ones, unless told otherwise.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let asked = Parameters::of(&uri, &[&LIST_PARAMETERS[..], &window::PARAMETERS].concat())?;
    let no_run = |text: &str| Refusal::bad_request(format!("`{text}` is no execution id"));
    let execution = asked.text("execution_id");
    let execution = execution.map(|text| text.parse().map_err(|_| no_run(text))).transpose()?;
    let filter = LetterFilter {
        step: asked.owned("step"),
        tag: asked.owned("tag"),
        assignee: asked.owned("assignee"),
        execution,
        opened: asked.range("opened_after", "opened_before")?,
        order: asked.order()?,
        ..cause_filter(&caller, &asked)?
    };
    let window = Window::of(&asked, LIMIT_DEFAULT)?;
    let read = |after, most| engine.letters(filter.clone(), after, most);
    let part = window.read(window.place()?, read).await?;
    Ok(answer::ok(&window.told(json!({}), "letters", &part, letter_row_json)))
}

/// What groups can be asked for, too.
pub(super) fn cause_filter(caller: &Caller, asked: &Parameters) -> Result<LetterFilter, Refusal> {
    let words = LetterStatus::ALL.map(letter_word);
    let statuses: Vec<_> = words.into_iter().chain([ALL]).collect();
    let status = asked.word("status", &statuses, |word| match word {
        ALL => Some(None),
        word => LetterStatus::ALL.into_iter().find(|own| letter_word(*own) == word).map(Some),
    })?;
    let kind = asked.word("kind", &LetterKind::ALL.map(kind_word), |word| {
        LetterKind::ALL.into_iter().find(|kind| kind_word(*kind) == word)
    })?;
    let bad = |bad| Refusal::bad_request(format!("{bad}"));
    let fingerprint = asked.text("fingerprint");
    let fingerprint =
        fingerprint.map(|text| text.parse().map_err(|error: BadFingerprint| bad(error)));
    Ok(LetterFilter {
        namespace: caller.namespace().to_string(),
        status: status.unwrap_or(Some(LetterStatus::Open)),
        workflow: asked.owned("workflow_id"),
        kind,
        code: asked.owned("code"),
        fingerprint: fingerprint.transpose()?,
        ..LetterFilter::default()
    })
}

/// `GET /api/v1/dlq/{id}`: the letter with its whole context.
pub(super) async fn show(caller: Caller, PathId(id): PathId) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    Ok(answer::ok(&engine.letter(read_id(&id)?).await?))
}

/// `POST /api/v1/dlq/{id}/retry`: in place, or by a new run that starts over.
pub(super) async fn retry(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let letter = read_id(&id)?;
    let mut fields = Fields::of(document, &["input", "reason", "in_place"]);
    let (input, reason) = (fields.take("input"), fields.words("reason"));
    let in_place = fields.truth("in_place").unwrap_or(false);
    fields.finish()?;
    let retried = match input {
        None if in_place => engine.retry_letter_in_place(letter, &caller.actor()).await?,
        None => engine.retry_letter(letter, &caller.actor()).await?,
        // Another input is only taken where the step is retried in place.
        Some(input) => {
            let edit = InputEdit::Replace(input);
            // It could be sent elsewhere, which is for those who may define where things go.
            if engine.check_edit(letter, &edit).await? {
                caller.needs(Permission::WorkflowsWrite)?;
            }
            engine.retry_letter_with(letter, (edit, true), reason, &caller.actor()).await?
        }
    };
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
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let letter = read_id(&id)?;
    let mut fields = Fields::of(document, &["reason"]);
    let reason = fields.words("reason");
    if reason.is_empty() {
        let message = "is required: it stays with the letter".to_owned();
        fields.problem("reason", MISSING_FIELD, message);
    }
    fields.finish()?;
    let status = engine.discard_letter(letter, caller.actor(), reason).await?;
    Ok(answer::ok(&json!({
        "letter_id": letter.to_string(),
        "execution_id": letter.execution.to_string(),
        "status": status,
    })))
}

/// `POST /api/v1/dlq/{id}/assign`: somebody is to see to it, or nobody any more.
pub(super) async fn assign(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let (engine, letter) = (caller.engine()?, read_id(&id)?);
    let mut fields = Fields::of(document, &["assignee", "reason"]);
    let assignee = Some(fields.words("assignee")).filter(|own| !own.is_empty());
    let reason = fields.words("reason");
    fields.finish()?;
    engine.assign_letter(letter, assignee, reason, caller.actor()).await?;
    changed(&caller, letter).await
}

/// `POST /api/v1/dlq/{id}/notes`: something is written down about it.
pub(super) async fn note(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let (engine, letter) = (caller.engine()?, read_id(&id)?);
    let mut fields = Fields::of(document, &["text"]);
    let text = fields.words("text");
    if text.is_empty() {
        fields.problem("text", MISSING_FIELD, "is required".to_owned());
    }
    fields.finish()?;
    engine.note_letter(letter, text, caller.actor()).await?;
    changed(&caller, letter).await
}

/// The letter with its whole context, for whoever may read letters; its id for others.
async fn changed(caller: &Caller, letter: LetterId) -> Result<Response, Refusal> {
    if !caller.may(Permission::LettersRead) {
        return Ok(answer::ok(&json!({ "letter_id": letter.to_string() })));
    }
    Ok(answer::ok(&caller.engine()?.letter(letter).await?))
}

pub(super) fn read_id(text: &str) -> Result<LetterId, Refusal> {
    text.parse().map_err(|bad| Refusal::new(codes::DEAD_LETTER_NOT_FOUND, format!("{bad}")))
}
