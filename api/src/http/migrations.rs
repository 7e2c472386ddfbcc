//! `/api/v1/executions/{id}/migrate` and `/api/v1/workflows/{id}/migrate`: runs under way that
//! go on with another revision.

use axum::http::Uri;
use axum::response::Response;
use backstitch_core::definition::problem::codes as problems;
use backstitch_journal::Cursor;
use backstitch_saga::handle::{Migrated, MigrationWish};
use serde_json::{Value, json};

use super::answer;
use super::caller::Caller;
use super::document::Document;
use super::fields::Fields;
use super::path::PathId;
use super::query::Parameters;
use super::refusal::Refusal;
use super::run_names::find;

/// `POST /api/v1/executions/{id}/migrate?dry_run=`.
pub(super) async fn one(
    caller: Caller,
    PathId(id): PathId,
    uri: Uri,
    document: Document,
) -> Result<Response, Refusal> {
    let (engine, run) = (caller.engine()?, find(&caller, &id)?);
    let dry_run = dry_run(&uri)?;
    let mut fields = Fields::of(document, &["revision", "reason"]);
    let wish = wish(&caller, &mut fields, "revision", dry_run);
    fields.finish()?;
    Ok(answer::ok(&row(&engine.migrate(run, wish).await?)))
}

/// `POST /api/v1/workflows/{id}/migrate?dry_run=`.
pub(super) async fn all(
    caller: Caller,
    PathId(workflow): PathId,
    uri: Uri,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let dry_run = dry_run(&uri)?;
    let mut fields = Fields::of(document, &["from", "to", "reason", "cursor"]);
    let wish = wish(&caller, &mut fields, "to", dry_run);
    let from = revision(&mut fields, "from");
    let after = cursor(&mut fields);
    fields.finish()?;
    let done = engine.migrate_all(caller.namespace(), &workflow, from, wish, after).await?;
    let fit = done.runs.iter().filter(|own| own.reasons.is_empty()).count();
    Ok(answer::ok(&json!({
        "workflow_id": workflow,
        "revision": done.to,
        "dry_run": dry_run,
        "fits": fit,
        "refused": done.runs.len() - fit,
        "executions": done.runs.iter().map(row).collect::<Vec<_>>(),
        "next_cursor": done.next.map(|next| next.to_string()),
    })))
}

fn row(own: &Migrated) -> Value {
    json!({
        "execution_id": own.execution.to_string(),
        "from_revision": own.from,
        "revision": own.to,
        "status": own.status,
        "fits": own.reasons.is_empty(),
        "migrated": own.migrated,
        "reasons": own.reasons,
    })
}

fn wish(caller: &Caller, fields: &mut Fields, name: &str, dry_run: bool) -> MigrationWish {
    MigrationWish {
        revision: revision(fields, name),
        reason: fields.words("reason"),
        actor: caller.actor(),
        dry_run,
    }
}

fn revision(fields: &mut Fields, name: &str) -> Option<u32> {
    let given = fields.whole(name, u64::from(u32::MAX))?;
    u32::try_from(given).ok()
}

fn cursor(fields: &mut Fields) -> Option<Cursor> {
    match fields.text("cursor")?.parse() {
        Ok(cursor) => Some(cursor),
        Err(_) => {
            let message = "must be the `next_cursor` of an earlier answer".to_owned();
            fields.problem("cursor", problems::BAD_VALUE, message);
            None
        }
    }
}

fn dry_run(uri: &Uri) -> Result<bool, Refusal> {
    let asked = Parameters::of(uri, &["dry_run"])?;
    let word = asked.word("dry_run", &["true", "false"], |word| word.parse().ok())?;
    Ok(word.unwrap_or(false))
}
