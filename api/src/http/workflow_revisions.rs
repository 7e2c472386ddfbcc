//! `/api/v1/workflows/{id}/diff` and `effective`: how revisions differ, and what one comes to.

use axum::http::Uri;
use axum::response::Response;
use backstitch_core::definition::changes;
use backstitch_core::ids::ExecutionId;
use backstitch_saga::catalog::Revision;
use serde_json::{Value, json};

use super::caller::Caller;
use super::path::PathId;
use super::query::Parameters;
use super::refusal::Refusal;
use super::workflows::{no_such_revision, revisions_of};
use super::{answer, codes};

/// `GET /api/v1/workflows/{id}/diff`: from one revision to another, which are the last two unless
/// it is said.
pub(super) async fn diff(
    caller: Caller,
    PathId(workflow): PathId,
    uri: Uri,
) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &["from", "to"])?;
    let (from, to) = (asked.number("from", 1..=u32::MAX)?, asked.number("to", 1..=u32::MAX)?);
    let revisions = revisions_of(&caller, &workflow)?;
    let after = numbered(&revisions, to, &workflow)?;
    let before = match from {
        Some(_) => numbered(&revisions, from, &workflow)?,
        None => {
            let earlier = revisions.iter().rev().find(|own| own.number < after.number);
            earlier.unwrap_or(after)
        }
    };
    let changes = changes(&canonical(before)?, &canonical(after)?);
    Ok(answer::ok(&json!({
        "workflow_id": workflow,
        "from": before.number,
        "to": after.number,
        "changes": changes,
    })))
}

/// `GET /api/v1/workflows/{id}/effective`: every value of a revision as a run that begins now has
/// it, or of the content that a run is pinned to, and where it comes from.
pub(super) async fn effective(
    caller: Caller,
    PathId(workflow): PathId,
    uri: Uri,
) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &["revision", "execution_id"])?;
    let number = asked.number("revision", 1..=u32::MAX)?;
    let (engine, namespace) = (caller.engine()?, caller.namespace());
    let (number, mut shown) = match asked.text("execution_id") {
        Some(_) if number.is_some() => {
            let message = "either `revision` or `execution_id` is asked for, not both";
            return Err(Refusal::new(codes::INVALID_REQUEST, message));
        }
        Some(text) => {
            let not_one = || Refusal::new(codes::EXECUTION_NOT_FOUND, "there is no such execution");
            let run: ExecutionId = text.parse().map_err(|_| not_one())?;
            let (of, number, shown) = engine.effective_of_run(namespace, run).await?;
            if *of != *workflow {
                return Err(not_one());
            }
            (number, shown)
        }
        None => {
            let revisions = revisions_of(&caller, &workflow)?;
            let own = numbered(&revisions, number, &workflow)?;
            (own.number, engine.effective(namespace, &workflow, own.number).await?)
        }
    };
    shown["workflow_id"] = workflow.into();
    shown["revision"] = number.into();
    Ok(answer::ok(&shown))
}

/// A revision by its number; the newest if there is none.
fn numbered<'a>(
    revisions: &'a [Revision],
    number: Option<u32>,
    workflow: &str,
) -> Result<&'a Revision, Refusal> {
    let found = match number {
        Some(number) => revisions.iter().find(|own| own.number == number),
        None => revisions.last(),
    };
    found.ok_or_else(|| no_such_revision(workflow))
}

fn canonical(own: &Revision) -> Result<Value, Refusal> {
    let unreadable = |_| Refusal::new(codes::INTERNAL, "the definition can't be read");
    serde_json::from_str(&own.text).map_err(unreadable)
}
