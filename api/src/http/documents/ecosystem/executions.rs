//! `/workflows/{id}/execute` and `/workflows/executions`: runs.

use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use backstitch_core::command::Command;
use backstitch_core::report::run_row_json;
use backstitch_journal::RunFilter;
use backstitch_saga::handle::Request;
use serde_json::{Value, json};

use crate::http::answer;
use crate::http::caller::Caller;
use crate::http::document::Document;
use crate::http::documents::runs::listed;
use crate::http::executions::{idempotency_key, trace_of};
use crate::http::fields::Fields;
use crate::http::path::PathId;
use crate::http::query::{LIMIT_DEFAULT, Parameters};
use crate::http::refusal::Refusal;
use crate::http::run_names::find;
use crate::http::window::{self, Window};
use crate::http::workflow_updates::newest;

/// `POST /workflows/{id}/execute` with `{parameters}`: 202 once the run is durable.
pub(super) async fn execute(
    caller: Caller,
    PathId(workflow): PathId,
    headers: HeaderMap,
    document: Document,
) -> Result<Response, Refusal> {
    caller.engine()?;
    let mut fields = Fields::of(document, &["parameters", "correlation_id"]);
    let input = fields.take("parameters").unwrap_or_else(|| json!({}));
    let correlation_id = fields.words("correlation_id");
    fields.finish()?;
    let warnings = undeclared(&newest(&caller, &workflow)?.text, &input);
    let request = Request {
        namespace: caller.namespace().clone(),
        workflow: workflow.clone(),
        revision: None,
        input,
        variables: json!({}),
        correlation_id,
        tags: Vec::new(),
        priority: None,
        callbacks: Vec::new(),
        faults: Vec::new(),
        idempotency_key: idempotency_key(&headers)?,
        actor: caller.actor(),
        trace: trace_of(&headers),
    };
    let accepted = caller.submit(request).await?;
    Ok(answer::json(
        StatusCode::ACCEPTED,
        &json!({
            "execution_id": accepted.execution.to_string(),
            "workflow_id": workflow,
            "status": accepted.status,
            "repeated": accepted.repeated,
            "warnings": warnings,
        }),
    ))
}

/// A sentence for each parameter that the workflow does not declare, if it declares any.
fn undeclared(definition: &str, input: &Value) -> Vec<String> {
    let definition: Value = serde_json::from_str(definition).unwrap_or(Value::Null);
    let declared = definition["input_schema"]["properties"].as_object();
    let (Some(declared), Some(given)) = (declared, input.as_object()) else { return Vec::new() };
    let unknown = given.keys().filter(|name| !declared.contains_key(*name));
    unknown.map(|name| format!("the workflow does not declare the parameter `{name}`")).collect()
}

/// `GET /workflows/executions/{id}`: the run as `/api/v1` shows it, and its parameters.
pub(super) async fn show(caller: Caller, PathId(id): PathId) -> Result<Response, Refusal> {
    let run = caller.engine()?.execution(find(&caller, &id)?).await?;
    let mut shown = (*run).clone();
    shown["parameters"] = shown["input"].clone();
    Ok(answer::ok(&shown))
}

/// `GET /workflows/{id}/executions`: newest first.
pub(super) async fn of_workflow(
    caller: Caller,
    PathId(workflow): PathId,
    uri: Uri,
) -> Result<Response, Refusal> {
    newest(&caller, &workflow)?;
    page(&caller, Some(workflow), &uri).await
}

/// `GET /workflows/history`: runs of all workflows, newest first.
pub(super) async fn history(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    page(&caller, None, &uri).await
}

async fn page(caller: &Caller, workflow: Option<String>, uri: &Uri) -> Result<Response, Refusal> {
    let window = Window::of(&Parameters::of(uri, &window::PARAMETERS)?, LIMIT_DEFAULT)?;
    let namespace = caller.namespace().to_string();
    let filter = RunFilter { namespace, workflow, ..RunFilter::default() };
    let found = listed(caller.engine()?, filter, None, &window).await?;
    let rows: Vec<_> = found.rows.iter().map(run_row_json).collect();
    let pagination = window.pagination(found.total, found.next);
    Ok(answer::ok(&json!({ "executions": rows, "pagination": pagination })))
}

/// `POST /workflows/executions/{id}/cancel`, with `{reason}` or without a body: 200 once the
/// cancel is durable.
pub(super) async fn cancel(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let (engine, run) = (caller.engine()?, find(&caller, &id)?);
    let reason = crate::http::control::reason(document)?;
    let command = Command::Cancel { reason, actor: caller.actor(), compensate: None, force: false };
    let status = engine.command(run, command).await?;
    let run = engine.execution(run).await?;
    Ok(answer::ok(&json!({
        "execution_id": run["execution_id"],
        "status": status,
        "cancelled_at": run["cancel"]["requested_at"],
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_nobody_declared_are_warned_of() {
        let declares = r#"{ "input_schema": { "properties": { "url": {} } } }"#;
        let given = json!({ "url": "x", "kind": "y" });
        assert_eq!(undeclared(declares, &given).len(), 1);
        assert_eq!(undeclared("{}", &given), Vec::<String>::new());
    }
}
