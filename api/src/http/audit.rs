//! `/api/v1/audit`: who did what, by period, and what one deed changed.

use axum::http::Uri;
use axum::response::Response;
use backstitch_core::access::Permission;
use backstitch_core::audit::AuditAction;
use backstitch_core::ids::PartitionId;
use backstitch_core::report::audit_row_json;
use backstitch_journal::AuditFilter;
use serde_json::{Value, json};

use super::caller::Caller;
use super::path::PathId;
use super::query::{LIMIT_DEFAULT, Parameters};
use super::refusal::Refusal;
use super::window::{self, Window};
use super::{answer, codes};

/// What the audit can be asked.
const PARAMETERS: [&str; 7] =
    ["actor", "action", "target", "request_id", "after", "before", "order"];

/// `GET /api/v1/audit`: newest first unless told otherwise.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let asked = Parameters::of(&uri, &[&PARAMETERS[..], &window::PARAMETERS].concat())?;
    let words = AuditAction::ALL.map(AuditAction::word);
    let filter = AuditFilter {
        namespace: caller.namespace().to_string(),
        actor: asked.owned("actor"),
        action: asked.word("action", &words, AuditAction::of_word)?,
        target: asked.owned("target"),
        request_id: asked.owned("request_id"),
        recorded: asked.range("after", "before")?,
        order: asked.order()?,
    };
    let window = Window::of(&asked, LIMIT_DEFAULT)?;
    let read = |after, most| engine.audit(filter.clone(), after, most);
    let part = window.read(window.place()?, read).await?;
    let mut rows = Vec::new();
    for row in &part.rows {
        let generations = engine.generations(row.partition).await?;
        rows.push(audit_row_json(row, generations.of(row.position)));
    }
    let mut body = json!({ "audit": rows });
    window.tell(&mut body, part.total, part.next());
    Ok(answer::ok(&body))
}

/// `GET /api/v1/audit/{position}`: a row, with what was before and behind it.
pub(super) async fn show(caller: Caller, PathId(id): PathId) -> Result<Response, Refusal> {
    let missing = || {
        let message =
            format!("the audit has nothing at `{}`", id.chars().take(64).collect::<String>());
        Refusal::new(codes::AUDIT_ROW_NOT_FOUND, message)
    };
    let engine = caller.engine()?;
    let (generation, partition, position) = place(&id).ok_or_else(missing)?;
    let deed = engine.deed(partition, position, caller.namespace()).await?;
    if engine.generations(partition).await?.of(position) != generation {
        return Err(missing());
    }
    let mut shown = audit_row_json(&deed.row, generation);
    let (before, after, changes, unknown) = match deed.changed {
        Ok(own) => {
            let reads = caller.may(Permission::WorkflowsRead);
            let changes = own.definition.filter(|_| reads);
            let (mut before, mut after) = (own.sides.before, own.sides.after);
            if !caller.may(Permission::ConfigurationRead) {
                let sides = [&mut before, &mut after].into_iter().filter_map(Value::as_object_mut);
                sides.for_each(|side| drop(side.remove("content")));
            }
            (before, after, json!(changes), Value::Null)
        }
        Err(why) => (Value::Null, Value::Null, Value::Null, why.into()),
    };
    shown["before"] = before;
    shown["after"] = after;
    shown["changes"] = changes;
    shown["unknown"] = unknown;
    Ok(answer::ok(&shown))
}

/// Generation, partition and position, as a row has them.
fn place(id: &str) -> Option<(u32, PartitionId, u64)> {
    let mut parts = id.split(':');
    let (generation, partition) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let position = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some((generation, PartitionId(partition), position))
}
