//! `/api/v1/audit`: who did what, by period.

use axum::http::Uri;
use axum::response::Response;
use backstitch_core::audit::AuditAction;
use backstitch_core::report::audit_row_json;
use backstitch_journal::AuditFilter;
use serde_json::json;

use super::answer;
use super::caller::Caller;
use super::query::Parameters;
use super::refusal::Refusal;

/// What the audit can be asked.
const PARAMETERS: [&str; 8] =
    ["actor", "action", "target", "after", "before", "order", "limit", "cursor"];

/// `GET /api/v1/audit`: newest first unless told otherwise.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let asked = Parameters::of(&uri, &PARAMETERS)?;
    let words = AuditAction::ALL.map(AuditAction::word);
    let filter = AuditFilter {
        namespace: caller.namespace().to_string(),
        actor: asked.owned("actor"),
        action: asked.word("action", &words, AuditAction::of_word)?,
        target: asked.owned("target"),
        recorded: asked.range("after", "before")?,
        order: asked.order()?,
    };
    let page = engine.audit(filter, asked.cursor()?, asked.limit()?).await?;
    let mut rows = Vec::new();
    for row in &page.rows {
        let generations = engine.generations(row.partition).await?;
        rows.push(audit_row_json(row, generations.of(row.position)));
    }
    Ok(answer::ok(&json!({
        "audit": rows,
        "next_cursor": page.next.map(|next| next.to_string()),
    })))
}
